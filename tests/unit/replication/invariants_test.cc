#include <gtest/gtest.h>

#include "fabric/base/canary.h"
#include "tests/unit/replication/memory_log.h"
#include "tests/unit/replication/raw_session.h"

#ifdef SELVAGE_CANARIES

namespace selvage::replication::test {
namespace {

/// Each plants a known bug and sees that an invariant names what it broke.
class InvariantsTest : public testing::Test {
 protected:
  ~InvariantsTest() override { planted_canary = Canary::kNone; }

  static void ExpectBroken(const absl::Status& status, std::string_view sentence) {
    EXPECT_EQ(std::string(status.message()), "broken invariant: " + std::string(sentence));
  }

  MemoryLog log{TestLogId(1)};
  LogSource source{log};
};

TEST_F(InvariantsTest, ASenderThatSkipsAnEntryIsNamed) {
  log.AppendBatch(1, "first");
  log.AppendBatch(1, "second");
  Sender sender(source, 1000);
  sender.Offer(FlowNumber(1));
  planted_canary = Canary::kResumeOffByOne;
  sender.OnAccept({log.id(), Offset(0), ChainHash(0), {}}, absl::Seconds(1));
  ExpectBroken(sender.CheckInvariants(), "what is sent next begins where it was sent to");
}

TEST_F(InvariantsTest, AReceiverThatLetsAnEntryJumpIsNamed) {
  LogSink sink(log);
  Receiver receiver(FlowNumber(1));
  receiver.Accept(sink);
  planted_canary = Canary::kStoreJump;
  v1::Data data;
  data.set_from(5);
  data.set_to(6);
  data.set_entry_size(4);
  data.set_wire_size(4);
  receiver.OnData(data, "ab", 1000);
  ExpectBroken(receiver.CheckInvariants(), "an entry that is put together follows the one before it");
}

TEST_F(InvariantsTest, CreditThatIsIgnoredIsNamed) {
  SendCredit credit;
  credit.Open(1000);
  credit.Begin({FlowNumber(1)}, 700);
  EXPECT_EQ(credit.CheckInvariants(800), absl::OkStatus());
  planted_canary = Canary::kIgnoreCredit;
  ASSERT_TRUE(credit.MayBegin({FlowNumber(1)}, 700, 0));
  credit.Begin({FlowNumber(1)}, 700);
  ExpectBroken(credit.CheckInvariants(800), "the peer holds no more than its window, or one entry alone");
}

TEST_F(InvariantsTest, ASessionThatKeepsTheClaimOfAnEndedFlowIsNamed) {
  RawSession edge(true);
  edge.session->SendHello({});
  edge.Step(Frame([](v1::Frame& f) { f.mutable_welcome()->set_receive_window(1000); }));
  log.AppendBatch(1, std::string(700, 'a'));
  log.AppendBatch(1, std::string(700, 'b'));  // lacks credit, and claims it
  const FlowNumber flow = edge.session->Offer(source);
  edge.Step(Accept(1, {log.id(), Offset(0), ChainHash(0), {}}));
  edge.TakeFor(absl::Seconds(1));
  planted_canary = Canary::kKeepClaim;
  edge.session->Withdraw(flow);
  ExpectBroken(edge.session->CheckInvariants(), "who claims the credit is a flow that sends");
}

}  // namespace
}  // namespace selvage::replication::test

#endif
