#include "core/core_topics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/replication/message.h"
#include "fabric/storage/memory_store.h"
#include "fabric/telemetry/log.h"
#include "tests/support/admit.h"
#include "tests/support/seeded_random.h"

namespace selvage {
namespace {

using testing::HasSubstr;

/// A core that edges join without a link.
class CoreTopicsTest : public testing::Test {
 protected:
  CoreTopicsTest() {
    ConfigureLog({.level = LogLevel::kError});
    NodeState::Options options;
    options.node = "core";
    options.is_edge = false;
    node_ = std::make_unique<NodeState>(options, store_, SystemClock(), random_);
    EXPECT_TRUE(node_->Open({}).ok());
    fleet_ = std::make_unique<Fleet>(*node_, "test");
    EXPECT_TRUE(fleet_->Open({}).ok());
    admin_ = std::make_unique<CoreAdmin>(*fleet_);
    topics_ = std::make_unique<CoreTopics>(*fleet_, *admin_, /*slots_ahead=*/1);
  }

  static v1::StreamDefinition Definition(const std::string& name, v1::Direction direction,
                                         int32_t partitions) {
    v1::StreamDefinition definition;
    definition.set_name(name);
    definition.set_direction(direction);
    definition.set_partitions(partitions);
    return definition;
  }
  absl::Status Create(const std::string& name, v1::Direction direction, int32_t partitions = 1) {
    return topics_->Create(Definition(name, direction, partitions), /*validate_only=*/false).status();
  }
  static std::string IdFor(const std::string& edge, char kind) {
    std::string id(16, kind);
    id.back() = edge.back();
    return id;
  }
  Slot Join(const std::string& edge) {
    v1::Hello hello;
    hello.set_protocol(replication::kLinkProtocol);
    hello.set_edge(edge);
    hello.set_store_id(IdFor(edge, 's'));
    hello.set_boot_id(IdFor(edge, 'b'));
    hello.set_empty(true);
    auto admission = test::Admit(*fleet_, hello);
    EXPECT_TRUE(admission.ok()) << Describe(admission.status());
    return admission->slot;
  }
  /// The log that the edge's first offer makes.
  std::shared_ptr<Log> Offer(const std::string& edge, Slot slot, const std::string& stream, int32_t partition,
                             int32_t partitions) {
    v1::FlowOpen open;
    open.set_kind(v1::STREAM);
    open.mutable_stream()->set_name(stream);
    open.mutable_stream()->set_partition(partition);
    open.set_history(IdFor(edge, 'l'));
    *open.mutable_stream()->mutable_definition() = Definition(stream, v1::UP, partitions);
    auto log = fleet_->LogForOffer(edge, slot, open);
    EXPECT_TRUE(log.ok()) << Describe(log.status());
    return log.ok() ? *log : nullptr;
  }
  int32_t PartitionsOf(const std::string& topic) {
    auto found = topics_->Find(topic);
    return found.ok() ? found->partitions : -1;
  }
  static std::string Kind(const absl::Status& status) { return ErrorKind(status); }

  MemoryStore store_;
  test::SeededRandom random_{1};
  std::unique_ptr<NodeState> node_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<CoreAdmin> admin_;
  std::unique_ptr<CoreTopics> topics_;
};

TEST(SlotsShownTest, KeepsSomeFreeAndGrowsByDoubling) {
  uint32_t before = SlotsShown(0, 8);
  for (uint32_t used = 0; used < 5000; ++used) {
    const uint32_t shown = SlotsShown(used, 8);
    ASSERT_GE(shown, used + 8);
    ASSERT_TRUE(shown == before || shown == 2 * before) << used;
    before = shown;
  }
  EXPECT_EQ(SlotsShown(10, 8), SlotsShown(0, 8)) << "the first edges of a fleet change nothing";
}

TEST_F(CoreTopicsTest, PartitionsOfAnUpStreamFollowTheSlots) {
  ASSERT_TRUE(Create("sensors", v1::UP, 2).ok());
  EXPECT_EQ(PartitionsOf("sensors"), 8);
  const Slot first = Join("rig-1");
  const Slot second = Join("rig-2");
  const std::shared_ptr<Log> log = Offer("rig-2", second, "sensors", 1, 2);
  EXPECT_EQ(topics_->FindForReading("sensors", 3).value(), log);
  EXPECT_EQ(topics_->FindForReading("sensors", 0).value(), nullptr)
      << "nothing came of slot " << first.value();
  EXPECT_EQ(topics_->FindForReading("sensors", 7).value(), nullptr) << "a free slot is empty";
  EXPECT_EQ(Kind(topics_->FindForReading("sensors", 8).status()), "wrong_partition");
  EXPECT_EQ(Kind(topics_->FindForReading("sensors", -1).status()), "wrong_partition");
  Join("rig-3");
  EXPECT_EQ(PartitionsOf("sensors"), 8);
  Join("rig-4");
  EXPECT_EQ(PartitionsOf("sensors"), 16);
}

TEST_F(CoreTopicsTest, WhateverMovesALogIsAChange) {
  uint64_t before = topics_->changes();
  const auto changed = [&] { return std::exchange(before, topics_->changes()) != before; };
  ASSERT_TRUE(Create("sensors", v1::UP).ok());
  EXPECT_TRUE(changed()) << "a topic came";
  const Slot slot = Join("rig-1");
  EXPECT_TRUE(changed()) << "an edge came";
  Offer("rig-1", slot, "sensors", 0, 1);
  EXPECT_TRUE(changed()) << "a log came";
  EXPECT_NE(topics_->FindForReading("sensors", 0).value(), nullptr);
  EXPECT_FALSE(changed());
  ASSERT_TRUE(Create("own", v1::LOCAL).ok());
  EXPECT_TRUE(changed());
  ASSERT_TRUE(topics_->Delete("own").ok());
  EXPECT_TRUE(changed()) << "a log and a topic went";
}

TEST_F(CoreTopicsTest, AnOriginTopicIsOneEdgesPart) {
  ASSERT_TRUE(Create("sensors", v1::UP, 2).ok());
  const Slot slot = Join("rig-1");
  const std::shared_ptr<Log> log = Offer("rig-1", slot, "sensors", 1, 2);
  EXPECT_EQ(PartitionsOf("rig-1.sensors"), 2);
  EXPECT_EQ(topics_->FindForReading("rig-1.sensors", 1).value(), log);
  EXPECT_EQ(topics_->FindForReading("rig-1.sensors", 0).value(), nullptr);
  EXPECT_EQ(Kind(topics_->FindForReading("rig-1.sensors", 2).status()), "wrong_partition");
  EXPECT_EQ(Kind(topics_->Find("rig-2.sensors").status()), "unknown_stream");
  EXPECT_EQ(Kind(topics_->Find("rig-1.other").status()), "unknown_stream");
  ASSERT_EQ(topics_->List().size(), 1u) << "origin topics are not listed";
  EXPECT_EQ(topics_->List()[0].name, "sensors");
  v1::SetStreamRequest set;
  set.set_stream("rig-1.sensors");
  EXPECT_EQ(Kind(topics_->Set(set).status()), "origin_topic");
  EXPECT_EQ(Kind(topics_->Delete("rig-1.sensors")), "origin_topic");
}

TEST_F(CoreTopicsTest, WritesToReplicasAreRefusedWithThePlace) {
  ASSERT_TRUE(Create("sensors", v1::UP, 2).ok());
  Join("rig-1");
  const absl::Status mine = topics_->FindForWriting("sensors", 1).status();
  EXPECT_EQ(Kind(mine), "read_only_replica");
  EXPECT_THAT(Describe(mine), HasSubstr("edge rig-1, as its partition 1"));
  EXPECT_THAT(Describe(topics_->FindForWriting("rig-1.sensors", 0).status()),
              HasSubstr("produce to sensors at edge rig-1"));
  EXPECT_EQ(Kind(topics_->FindForWriting("sensors", 7).status()), "read_only_replica");
}

TEST_F(CoreTopicsTest, ADownStreamIsWrittenForOneEdge) {
  ASSERT_TRUE(Create("commands", v1::DOWN).ok());
  Join("rig-1");
  EXPECT_EQ(Kind(topics_->FindForWriting("commands", 0).status()), "edge_needed");
  EXPECT_EQ(topics_->FindForReading("commands", 0).value(), nullptr)
      << "empty, for those who read every topic";
  EXPECT_FALSE(topics_->FindForReading("commands", 99).ok());
  // Neither looking nor reading makes a log, which would wait for the disk: the first write does.
  EXPECT_EQ(topics_->FindForReading("rig-1.commands", 0).value(), nullptr);
  EXPECT_FALSE(topics_->FindForReading("rig-1.commands", 1).ok());
  EXPECT_EQ(topics_->FindForWriting("rig-1.commands", 0).value(), nullptr);
  EXPECT_TRUE(node_->logs().All().empty());
  const uint64_t changes = topics_->changes();
  auto log = topics_->MakeForWriting("rig-1.commands", 0);
  ASSERT_TRUE(log.ok()) << Describe(log.status());
  EXPECT_EQ((*log)->origin().edge, "rig-1");
  EXPECT_GT(topics_->changes(), changes) << "who reads looks again";
  EXPECT_EQ(topics_->FindForWriting("rig-1.commands", 0).value(), *log);
  EXPECT_EQ(topics_->FindForReading("rig-1.commands", 0).value(), *log);
  EXPECT_EQ(Kind(topics_->FindForWriting("rig-2.commands", 0).status()), "unknown_stream");
}

TEST_F(CoreTopicsTest, WhatClientsMakeIsLocalAndTakesNoEdgesName) {
  ASSERT_TRUE(topics_->Create(Definition("a.b", v1::DIRECTION_UNSPECIFIED, 1), false).ok());
  EXPECT_EQ(topics_->Find("a.b")->definition.direction(), v1::LOCAL);
  ASSERT_TRUE(Create("sensors", v1::UP).ok());
  Join("rig-1");
  EXPECT_EQ(Kind(Create("rig-1.anything", v1::LOCAL)), "name_reserved");
  EXPECT_EQ(Kind(Create("not-yet.sensors", v1::LOCAL)), "name_reserved") << "it may be an edge tomorrow";
  // A stream of exactly that name goes before an edge of that name that joins later.
  ASSERT_TRUE(Create("b", v1::UP).ok());
  Join("a");
  EXPECT_EQ(topics_->Find("a.b")->definition.name(), "a.b");
  EXPECT_TRUE(topics_->FindForWriting("a.b", 0).ok());
}

TEST_F(CoreTopicsTest, ValidatingMakesNothing) {
  auto planned = topics_->Create(Definition("sensors", v1::UP, 2), /*validate_only=*/true);
  ASSERT_TRUE(planned.ok()) << Describe(planned.status());
  EXPECT_EQ(planned->partitions, 8) << "as it would be shown";
  EXPECT_TRUE(topics_->List().empty());
  ASSERT_TRUE(Create("local", v1::LOCAL, 2).ok());
  EXPECT_EQ(Kind(topics_->Create(Definition("local", v1::LOCAL, 2), true).status()), "stream_exists");
  EXPECT_TRUE(topics_->AddPartitions("local", 3, /*validate_only=*/true).ok());
  EXPECT_EQ(PartitionsOf("local"), 2);
}

TEST_F(CoreTopicsTest, OnlyLocalTopicsGetMorePartitions) {
  ASSERT_TRUE(Create("local", v1::LOCAL, 2).ok());
  ASSERT_TRUE(Create("sensors", v1::UP, 2).ok());
  EXPECT_EQ(Kind(topics_->AddPartitions("local", 2, false)), "invalid_partitions");
  ASSERT_TRUE(topics_->AddPartitions("local", 4, false).ok());
  EXPECT_EQ(PartitionsOf("local"), 4);
  EXPECT_TRUE(topics_->FindForWriting("local", 3).ok());
  EXPECT_EQ(Kind(topics_->AddPartitions("sensors", 100, false)), "immutable");
  EXPECT_EQ(Kind(topics_->AddPartitions("none", 100, false)), "unknown_stream");
}

TEST_F(CoreTopicsTest, WhatIsReplicatedIsDetachedBeforeItIsDeleted) {
  ASSERT_TRUE(Create("sensors", v1::UP).ok());
  EXPECT_EQ(Kind(topics_->Delete("sensors")), "stream_attached");
  v1::SetStreamRequest detach;
  detach.set_stream("sensors");
  detach.mutable_settings()->set_detached(true);
  detach.add_fields("detached");
  ASSERT_TRUE(topics_->Set(detach).ok());
  EXPECT_TRUE(topics_->Delete("sensors").ok());
  ASSERT_TRUE(Create("local", v1::LOCAL).ok());
  EXPECT_TRUE(topics_->Delete("local").ok());
  EXPECT_TRUE(topics_->List().empty());
}

TEST_F(CoreTopicsTest, SlotsAreKnownAfterARestart) {
  ASSERT_TRUE(Create("sensors", v1::UP).ok());
  const Slot slot = Join("rig-1");
  const std::shared_ptr<Log> log = Offer("rig-1", slot, "sensors", 0, 1);
  auto again = std::make_unique<Fleet>(*node_, "test");
  ASSERT_TRUE(again->Open({}).ok());
  EXPECT_EQ(again->EdgeOf(slot), "rig-1");
  EXPECT_EQ(again->EdgeOf(Slot(slot.value() + 1)), std::nullopt);
  EXPECT_EQ(topics_->FindForReading("sensors", static_cast<int32_t>(slot.value())).value(), log);
}

}  // namespace
}  // namespace selvage
