#include "tests/unit/link/linked_nodes.h"

/// What an edge and its core say to one another while nothing happens.
namespace selvage {
namespace {

class QuietLinkTest : public LinkedNodes {
 protected:
  QuietLinkTest() {
    CreateStream("up", v1::UP);
    CreateStream("down", v1::DOWN);
    Link();
    Pass(5);
  }
  int Statuses() {
    return static_cast<int>(std::ranges::count_if(ends_[0].sent, [](const v1::Frame& frame) {
      return frame.data().kind() == static_cast<uint32_t>(EntryKind::kDocument);
    }));
  }
  v1::EdgeStatus Reported() { return core_.fleet->view.Summary("rig")->status(); }
};

TEST_F(QuietLinkTest, TheStatusIsToldWhenThereIsNews) {
  int told = Statuses();
  EXPECT_GT(told, 0);
  Pass(60);
  EXPECT_EQ(Statuses(), told) << "nothing happened";

  edge_.Append(Up(), 3);
  Pass(5);
  EXPECT_GT(Statuses(), told);
  EXPECT_EQ(Reported().flows(0).replica_end(), 3);
  EXPECT_EQ(Reported().flows(0).state(), "caught_up");
  Pass(60);  // its rate fades
  told = Statuses();
  EXPECT_EQ(Reported().flows(0).rate_bytes(), 0);
  Pass(60);
  EXPECT_EQ(Statuses(), told);

  edge_.state->alarms().Report({"kind", "subject", "message", "", false});
  Pass(5);
  EXPECT_EQ(Statuses(), told + 1);
  EXPECT_EQ(Reported().alarms_size(), 1);
  edge_.state->alarms().Clear("kind", "subject");
  Pass(5);
  EXPECT_EQ(Reported().alarms_size(), 0);
}

TEST_F(QuietLinkTest, AStatusIsRepeatedNowAndThenAndFirstOnEachLink) {
  const int told = Statuses();
  Pass(620);
  EXPECT_EQ(Statuses(), told + 1);
  Unlink();
  Link();
  Pass(3);
  EXPECT_GT(Statuses(), 0);
}

TEST_F(QuietLinkTest, TheCoreKnowsThatTheEdgeIsThere) {
  Pass(60);
  EXPECT_GT(core_.fleet->view.Summary("rig")->last_seen_ms(), WallMs(core_.clock) - 15'000);
}

}  // namespace
}  // namespace selvage
