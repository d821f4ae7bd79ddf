#include "edge/edge_state.h"

#include <gtest/gtest.h>

#include <climits>
#include <memory>
#include <string>

#include "fabric/base/error.h"
#include "fabric/storage/memory_store.h"
#include "fabric/stream/log_flow.h"
#include "fabric/stream/record_batch.h"
#include "fabric/telemetry/log.h"
#include "tests/support/seeded_random.h"

namespace selvage {
namespace {

/// Fails after so many more writes, like a disk whose power goes, and then holds what it had.
class DyingStore : public MemoryStore {
 public:
  absl::Status Write(WriteBatch& batch, bool sync) override {
    if (writes_left_ == 0) return absl::InternalError("the power is out");
    --writes_left_;
    return MemoryStore::Write(batch, sync);
  }
  void DieAfter(int writes) { writes_left_ = writes; }
  void Revive() { writes_left_ = INT_MAX; }

 private:
  int writes_left_ = INT_MAX;
};

/// An edge that can be started again on what its store holds.
class Edge {
 public:
  Edge() {
    ConfigureLog({.level = LogLevel::kError});
    Restart();
  }
  void Restart() {
    store_.Revive();
    edge_.reset();
    NodeState::Options options;
    options.node = "rig";
    state_ = std::make_unique<NodeState>(options, store_, SystemClock(), random_);
    EXPECT_TRUE(state_->Open({}).ok());
    edge_ = std::make_unique<EdgeState>(*state_, "test");
    EXPECT_TRUE(edge_->Open({}).ok());
  }
  DyingStore& store() { return store_; }
  NodeState& state() { return *state_; }
  EdgeState* operator->() { return edge_.get(); }

  void CreateStream(const std::string& name) {
    v1::StreamDefinition definition;
    definition.set_name(name);
    definition.set_direction(v1::UP);
    ASSERT_TRUE(edge_->CreateStream(definition).ok());
  }
  EmbeddedLog& LogOf(const std::string& stream) {
    return *state_->embedded_logs().FindEmbedded(LogOrigin{"", Slot(0), stream, PartitionId(0)});
  }
  void Append(const std::string& stream) {
    BatchBuilder builder;
    builder.Add({Offset(0), 1, std::nullopt, "value", {}});
    bool done = false;
    ASSERT_TRUE(LogOf(stream).Append(builder.Build(), [&](const auto& answer) { done = answer.ok(); }).ok());
    while (state_->committer().CommitOnce()) {
    }
    ASSERT_TRUE(done);
  }

 private:
  test::SeededRandom random_{1};
  DyingStore store_;
  std::unique_ptr<NodeState> state_;
  std::unique_ptr<EdgeState> edge_;
};

v1::Welcome WelcomeOf(const std::string& lineage) {
  v1::Welcome welcome;
  welcome.set_cluster_id("cluster");
  welcome.set_lineage_id(lineage);
  welcome.set_slot(7);
  welcome.set_session_epoch(3);
  return welcome;
}

LogId IdOf(char c) {
  return *LogId::FromBytes(std::string(16, c));
}

void AddAdoption(v1::Welcome& welcome, const std::string& stream, char id, int64_t offset) {
  v1::Adoption& adoption = *welcome.add_adoptions();
  adoption.set_stream(stream);
  *adoption.mutable_position() = ToProto(LogPosition{IdOf(id), Offset(offset), ChainHash(5)});
  adoption.set_leader_epoch(2);
}

TEST(EdgeStateTest, AnAdoptionIsAllOrNothing) {
  v1::Welcome welcome = WelcomeOf("first");
  AddAdoption(welcome, "sensors", 'a', 100);
  AddAdoption(welcome, "alarms", 'b', 200);
  AddAdoption(welcome, "unheard-of", 'c', 300);
  for (int writes = 0;; ++writes) {
    SCOPED_TRACE(writes);
    Edge edge;
    edge.CreateStream("sensors");
    edge.CreateStream("alarms");
    edge.store().DieAfter(writes);
    const bool taken = edge->TakeWelcome(welcome).ok();
    edge.Restart();
    const bool adopted = edge.LogOf("sensors").state().id == IdOf('a');
    EXPECT_EQ(edge.LogOf("alarms").state().id == IdOf('b'), adopted);
    EXPECT_EQ(edge.state().embedded_logs().FindEmbedded(
                  LogOrigin{"", Slot(0), "unheard-of", PartitionId(0)}) != nullptr,
              adopted);
    EXPECT_EQ(edge->membership().has_slot(), adopted);
    EXPECT_EQ(edge->MakeHello().empty(), !adopted) << "it must be offered again, or be done";
    if (!taken) {
      ASSERT_TRUE(edge->TakeWelcome(welcome).ok());
      EXPECT_EQ(edge.LogOf("alarms").state().end, Offset(200));
    } else {
      EXPECT_TRUE(adopted);
      EXPECT_GT(writes, 0);
      break;
    }
  }
}

TEST(EdgeStateTest, ARestoredCoreCountsAnewOverACrash) {
  for (int writes = 0;; ++writes) {
    SCOPED_TRACE(writes);
    Edge edge;
    edge.CreateStream("sensors");
    ASSERT_TRUE(edge->TakeWelcome(WelcomeOf("first")).ok());
    v1::EdgeSpec spec;
    spec.set_generation(57);
    ASSERT_TRUE(edge->ApplySpec(spec).ok());
    edge.Append("sensors");
    edge.LogOf("sensors").SetAcknowledged(Offset(1));
    ASSERT_TRUE(edge.state().embedded_logs().FlushAcknowledged().ok());

    edge.store().DieAfter(writes);
    const bool taken = edge->TakeWelcome(WelcomeOf("second")).ok();
    edge.Restart();
    const bool knows = edge->membership().lineage_id() == "second";
    EXPECT_EQ(edge->spec().generation(), knows ? 0u : 57u);
    EXPECT_EQ(edge.LogOf("sensors").acknowledged(), Offset(knows ? 0 : 1)) << "the word of which core?";
    if (!taken) continue;
    EXPECT_TRUE(knows);
    EXPECT_GT(writes, 0);
    break;
  }
}

/// Those of a detached stream, say: their place at the core is another one from here on, too.
TEST(EdgeStateTest, AForkTakesAlongWhatIsNotOfferedNow) {
  Edge edge;
  edge.CreateStream("sensors");
  edge.CreateStream("detached");
  edge.CreateStream("empty");
  for (const char* stream : {"sensors", "detached"}) {
    for (int i = 0; i < 3; ++i) edge.Append(stream);
    edge.LogOf(stream).SetAcknowledged(Offset(2));
  }
  const LogId before = edge.LogOf("detached").state().id;
  const LogId empty_before = edge.LogOf("empty").state().id;
  EmbeddedLog& sensors = edge.LogOf("sensors");
  ASSERT_TRUE(edge->Rebirth({{sensors.shared_from_this(), IdOf('s'), *sensors.BoundaryAtOrBefore(Offset(1))}},
                            edge->flow_changes())
                  .ok());
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(edge.LogOf("sensors").state().id, IdOf('s'));
    EXPECT_EQ(edge.LogOf("sensors").state().base, Offset(1));
    const LogState state = edge.LogOf("detached").state();
    EXPECT_NE(state.id, before);
    EXPECT_EQ(state.base, Offset(2)) << "what was acknowledged stays in the former place";
    EXPECT_EQ(state.end, Offset(3));
    EXPECT_NE(edge.LogOf("empty").state().id, empty_before);
    edge.Restart();
  }
}

/// A site that makes and deletes streams for years.
TEST(EdgeState, NothingStaysOfStreamsThatWereDeleted) {
  Edge edge;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "stream-" + std::to_string(i);
    edge.CreateStream(name);
    edge.Append(name);
    ASSERT_EQ(edge->UpFlows().size(), 1u);
    edge->MeasureRates();
    ASSERT_EQ(edge->FlowStatuses().size(), 1u);
    if (i % 100 == 0) {
      ASSERT_TRUE(edge.state().maintenance().RunOnce().ok());
      ASSERT_TRUE(edge.state().maintenance().Compact().ok());
      ASSERT_TRUE(edge.state().damage().RunOnce().ok());
    }
    const std::shared_ptr<LogFlowSource> offered = edge->UpFlows().front();  // as a link does
    if (i % 2 == 0) {
      ASSERT_TRUE(edge->RenameStream(name, name + "-renamed").ok());
      ASSERT_EQ(edge->UpFlows().size(), 1u);
      ASSERT_NE(edge->UpFlows().front(), offered) << "the log is another object";
    }
    ASSERT_EQ(*edge->DeleteStream(i % 2 == 0 ? name + "-renamed" : name), 1);
    ASSERT_EQ(edge.state().embedded_logs().live(), 1) << "what is offered";
  }
  EXPECT_EQ(edge.state().embedded_logs().live(), 0);
  EXPECT_TRUE(edge->UpFlows().empty());
  EXPECT_TRUE(edge.state().catalog().All().empty());
  EXPECT_TRUE(edge.state().alarms().All(/*also_resolved=*/true).empty());
  uint64_t seen = 0;
  EXPECT_TRUE(edge.state().logs().ChangedSince(seen).empty());
}

}  // namespace
}  // namespace selvage
