#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Stub = ctl::Client::Stub;

constexpr size_t kMagicAt = 16;

std::string Damaged(std::string batch) {
  batch.back() ^= 1;
  return batch;
}

std::string OfMagic(char magic, std::string batch) {
  batch[kMagicAt] = magic;
  return batch;
}

/// One edge with the stream "readings", into which "first" was written.
class BadInputTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(cluster_.Start(), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("readings", v1::UP)), IsOk());
    ASSERT_THAT(ProduceSoon(edge(), At("readings"), BatchOf({"first"})), IsOk());
    ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "readings"), IsOk());
  }

  /// The error is of this kind, has a message, says in `retry` whether a retry helps, and is counted once.
  template <class Call>
  void ExpectRefused(Daemon& node, const std::string& kind, bool retry, const Call& call) {
    const double counted = node.ErrorsCounted(kind);
    const absl::Status error = StatusOf(call());
    EXPECT_THAT(error, HasKind(kind));
    EXPECT_FALSE(error.message().empty());
    EXPECT_EQ(IsRetryable(error), retry) << selvage::Describe(error);
    EXPECT_EQ(node.ErrorsCounted(kind), counted + 1) << kind;
  }

  void ExpectBatchRefused(const std::string& kind, bool retry, const std::string& batch) {
    ExpectRefused(edge(), kind, retry, [&] { return Produce(edge(), At("readings"), batch); });
  }

  /// What is there is still there, and more is taken.
  void ExpectUnharmed() {
    ASSERT_THAT(Produce(edge(), At("readings"), BatchOf({"last"})), IsOk());
    ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "readings"), IsOk());
    EXPECT_THAT(ReadLog(core(), At("readings", 0, "edge-0"))->values(), ElementsAre("first", "last"));
    EXPECT_TRUE(edge().running());
    EXPECT_TRUE(core().running());
  }

  Daemon& core() { return cluster_.core(); }
  Daemon& edge() { return cluster_.edge(); }

  Cluster cluster_{{.edges = 1}};
};

TEST_F(BadInputTest, ABatchThatIsNoneOfOursIsRefused) {
  const std::string good = BatchOf({"good"});
  ExpectBatchRefused("corrupt_batch", true, Damaged(good));
  ExpectBatchRefused("corrupt_batch", true, good.substr(0, good.size() - 3));
  ExpectBatchRefused("corrupt_batch", true, good.substr(0, 20));
  ExpectBatchRefused("invalid_record", false, "");
  ExpectBatchRefused("unsupported_format", false, OfMagic(1, good));
  ExpectBatchRefused("batch_too_large", false, BatchOf({std::string(1'100'000, 'x')}));
  ExpectUnharmed();
}

TEST_F(BadInputTest, ARequestFarBeyondTheLargestBatchIsRefused) {
  EXPECT_FALSE(Produce(edge(), At("readings"), std::string(40u << 20, 'x')).ok());
  ExpectUnharmed();
}

TEST_F(BadInputTest, AnAddressThatIsNoneIsRefused) {
  const std::string batch = BatchOf({"lost"});
  ExpectRefused(edge(), "unknown_stream", false, [&] { return Produce(edge(), At("reading"), batch); });
  ExpectRefused(edge(), "unknown_stream", false, [&] { return ReadLog(edge(), At("reading")); });
  ExpectRefused(core(), "unknown_stream", false, [&] { return ReadLog(core(), At("reading", 0, "edge-0")); });
  ExpectRefused(edge(), "wrong_partition", false, [&] { return Produce(edge(), At("readings", 7), batch); });
  ExpectRefused(edge(), "wrong_partition", false, [&] { return Produce(edge(), At("readings", -1), batch); });
  ExpectRefused(core(), "unknown_edge", false, [&] { return ReadLog(core(), At("readings", 0, "edge-9")); });
  ExpectRefused(core(), "read_only_replica", false,
                [&] { return Produce(core(), At("readings", 0, "edge-0"), batch); });
  ExpectUnharmed();
}

TEST_F(BadInputTest, AnOffsetOutOfRangeIsRefused) {
  v1::FetchRequest request;
  *request.mutable_address() = At("readings");
  for (int64_t offset : {int64_t{2}, int64_t{1'000'000'000'000}, int64_t{-3}}) {
    request.set_offset(offset);
    ExpectRefused(edge(), "offset_out_of_range", false, [&] { return edge().Call(&Stub::Fetch, request); });
  }
  ExpectUnharmed();
}

TEST_F(BadInputTest, ADefinitionThatDisagreesHoldsThatFlowAlone) {
  // Both ends make the stream while they do not see each other.
  cluster_.link().Refuse(true);
  cluster_.link().Cut();
  ASSERT_THAT(CreateStream(edge(), Definition("vibration", v1::UP, 2)), IsOk());
  ASSERT_THAT(Produce(edge(), At("vibration"), BatchOf({"held"})), IsOk());
  ASSERT_THAT(CreateStream(core(), Definition("vibration", v1::UP, 3)), IsOk());
  cluster_.link().Refuse(false);
  ASSERT_THAT(AwaitLinked(core(), "edge-0"), IsOk());

  auto at_core = AwaitAlarm(core(), "definition_mismatch");
  ASSERT_TRUE(at_core.has_value());
  EXPECT_THAT(at_core->subject(), HasSubstr("vibration"));
  auto at_edge = AwaitAlarm(edge(), "definition_mismatch");
  ASSERT_TRUE(at_edge.has_value());
  EXPECT_EQ(at_edge->subject(), "vibration");
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
    auto status = NodeStatus(edge());
    if (!status.ok()) return false;
    for (const v1::FlowStatus& flow : status->flows()) {
      if (flow.stream() == "vibration" && flow.state() != "held") return false;
    }
    return true;
  }));

  ExpectUnharmed();  // the other stream goes on
  EXPECT_THAT(ReadLog(edge(), At("vibration"))->values(), ElementsAre("held"));
}

TEST_F(BadInputTest, AnUnknownSettingStopsTheDaemonNamingFileAndLine) {
  for (Daemon* daemon : {&core(), &edge()}) {
    ASSERT_THAT(daemon->Stop(), IsOk());
    std::ofstream(daemon->config_path(), std::ios::app) << "storag:\n  budget: 1GiB\n";
    const std::string text = ReadFile(daemon->config_path());
    const auto line = std::count(text.begin(), text.end(), '\n') - 1;
    const std::string place = fmt::format("{}:{}", daemon->config_path(), line);
    ASSERT_THAT(daemon->Spawn(), IsOk());
    auto exit = daemon->AwaitExit(absl::Seconds(10));
    ASSERT_TRUE(exit.has_value());
    EXPECT_EQ(exit->code, 2);
    EXPECT_THAT(ReadFile(daemon->log_path()),
                AllOf(HasSubstr(place), HasSubstr("storag"), HasSubstr("storage")));
    ASSERT_THAT(daemon->Set("log.level", "info"), IsOk());  // writes the file anew
    ASSERT_THAT(daemon->Start(), IsOk());
  }
  ExpectUnharmed();
}

}  // namespace
}  // namespace selvage::test
