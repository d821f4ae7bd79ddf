#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "tests/clients/client_test.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"

/// What clients find at the core and not at an edge: topics of all edges and of one, those that go to one
/// edge, and its own.
namespace selvage::test {
namespace {

constexpr char kUp[] = "readings";
constexpr int kPartitions = 2;  // of each edge
constexpr int kWritten = 40;    // in each of them
constexpr char kSessionMs[] = "6000";

class CoreTest : public CoreClientTest {
 public:
  static void SetUpTestSuite() {
    CoreClientTest::SetUpTestSuite();
    if (HasFatalFailure()) return;
    ASSERT_THAT(CreateStream(broker().core(), Definition(kUp, v1::UP, kPartitions)), IsOk());
    ASSERT_THAT(AwaitEnd(broker().edge(), At(kUp), Offset(0)), IsOk());
  }
  static void TearDownTestSuite() {
    written_.clear();
    CoreClientTest::TearDownTestSuite();
  }

  void SetUp() override {
    CoreClientTest::SetUp();
    if (IsSkipped() || HasFatalFailure() || !written_.empty()) return;
    const int64_t now_ms = absl::ToUnixMillis(SystemClock().Wall());
    for (int partition = 0; partition < kPartitions; ++partition) {
      std::vector<ClientRecord> records;
      for (int i = 0; i < kWritten; ++i) {
        records.push_back({now_ms + i * 10, "key", fmt::format("{}-{}", partition, i), {{"i", "x"}}});
      }
      ASSERT_THAT(WriteAtEdge(kUp, partition, records), IsOk());
      ASSERT_THAT(AwaitReplicated(broker().edge(), kEdge, broker().core(), kUp, partition), IsOk());
      written_[partition] = std::move(records);
    }
  }

 protected:
  const std::string kEdge = Cluster::EdgeName(0);

  /// The partition of the topic of all edges that the edge's partition is.
  static int Shown(int partition) {
    const auto summary = Summary(broker().core(), Cluster::EdgeName(0));
    EXPECT_THAT(summary, IsOk());
    return static_cast<int>(summary->slot()) * kPartitions + partition;
  }
  /// The reference client's, at the edge.
  absl::Status WriteAtEdge(const std::string& topic, int partition,
                           const std::vector<ClientRecord>& records) {
    return Write(ReferenceClient(), topic, partition, "zstd", records, broker().edge().kafka_address())
        .status();
  }
  static void ExpectRecords(const absl::StatusOr<std::vector<ReadRecord>>& read, int partition,
                            const std::vector<ClientRecord>& written, int64_t first = 0) {
    ASSERT_THAT(read, IsOk());
    ASSERT_EQ(read->size(), written.size() - static_cast<size_t>(first));
    for (size_t i = 0; i < read->size(); ++i) {
      const ReadRecord& got = (*read)[i];
      EXPECT_EQ(got.partition, partition);
      EXPECT_EQ(got.offset, first + static_cast<int64_t>(i));
      EXPECT_TRUE(got.record == written[i + static_cast<size_t>(first)]) << Describe(got.record);
    }
  }

  static std::map<int, std::vector<ClientRecord>> written_;  // to kUp, by the edge's partition
};

std::map<int, std::vector<ClientRecord>> CoreTest::written_;

TEST_P(CoreTest, ReadsWhatAnEdgeWroteInItsOwnTopicAndInThatOfAll) {
  const std::string origin = absl::StrCat(kEdge, ".", kUp);
  ExpectRecords(Read(client(), origin, 1, 0, kWritten), 1, written_[1]);
  ExpectRecords(Read(client(), kUp, Shown(1), 10, kWritten - 10), Shown(1), written_[1], 10);

  const int64_t time = written_[0][17].timestamp_ms;
  auto found = Run(client(), "seek",
                   {{"topic", origin}, {"partition", "0"}, {"times", absl::StrCat(time - 1, ",", time + 1)}});
  ASSERT_THAT(found, IsOk());
  const std::vector<Event> offsets = Only("offset", *found);
  ASSERT_EQ(offsets.size(), 2u);
  EXPECT_EQ(NumberOf(offsets[0], "offset"), 17);
  EXPECT_EQ(NumberOf(offsets[1], "offset"), 18);
}

TEST_P(CoreTest, WritesWhatGoesToOneEdgeAndWhatStaysHere) {
  const std::string down = Named("commands");
  ASSERT_THAT(CreateStream(broker().core(), Definition(down, v1::DOWN)), IsOk());
  const std::string local = Named("local");
  ASSERT_THAT(CreateTopic(local, kPartitions), IsOk());
  std::vector<ClientRecord> records;
  const int64_t now_ms = absl::ToUnixMillis(SystemClock().Wall());
  for (int i = 0; i < 20; ++i) records.push_back({now_ms + i, "key", std::to_string(i), {{"i", "x"}}});
  ASSERT_THAT(Write(client(), absl::StrCat(kEdge, ".", down), 0, "lz4", records), IsOk());
  ASSERT_THAT(Write(client(), local, 1, "zstd", records), IsOk());

  auto stamped = [&](absl::StatusOr<std::vector<ReadRecord>> read) {
    if (!read.ok() || client().sets_timestamps) return read;
    for (size_t i = 0; i < read->size(); ++i) (*read)[i].record.timestamp_ms = records[i].timestamp_ms;
    return read;
  };
  ExpectRecords(stamped(Read(client(), local, 1, 0, records.size())), 1, records);
  ASSERT_THAT(AwaitEnd(broker().edge(), At(down), Offset(20)), IsOk());
  ExpectRecords(stamped(Read(ReferenceClient(), down, 0, 0, records.size(), broker().edge().kafka_address())),
                0, records);
}

TEST_P(CoreTest, IsToldThatAnEdgesRecordsAreWrittenThere) {
  const auto written = Write(client(), absl::StrCat(kEdge, ".", kUp), 0, "none", {{1, "key", "value"}});
  if (client().tells_offsets) {
    EXPECT_TRUE(absl::StrContains(absl::AsciiStrToLower(written.status().message()), "policy"))
        << written.status();
  } else {
    EXPECT_FALSE(written.ok());
  }
  EXPECT_EQ(FindSummary(broker().core(), At(kUp, 0, kEdge))->end(), kWritten);
}

TEST_P(CoreTest, ResumesBehindWhatWasCommittedWhenTheCoreWasKilled) {
  constexpr int kFirst = 55;
  auto read = [&](int count) {
    return Run(client(), "member",
               {{"topic", kUp},
                {"group", Named("group")},
                {"session-timeout", kSessionMs},
                {"count", std::to_string(count)}});
  };
  auto first = read(kFirst);
  ASSERT_THAT(first, IsOk());
  broker().Kill();
  ASSERT_THAT(broker().Resume(), IsOk());
  auto second = read(kPartitions * kWritten - kFirst);
  ASSERT_THAT(second, IsOk());
  std::map<std::string, int> counted;
  for (const auto* events : {&*first, &*second}) {
    for (const ReadRecord& one : ParseRecords(*events)) ++counted[one.record.value.value_or("")];
  }
  EXPECT_EQ(counted.size(), size_t{kPartitions} * kWritten);
  for (const auto& [value, count] : counted) EXPECT_EQ(count, 1) << value;
}

INSTANTIATE_TEST_SUITE_P(Client, CoreTest, testing::ValuesIn(ClientNames([](const Client&) { return true; })),
                         ClientName);

class CoreAdminTest : public CoreClientTest {};

TEST_P(CoreAdminTest, AdministersTopicsAndGroups) {
  auto said = Administer();
  ASSERT_THAT(said, IsOk());
  EXPECT_EQ(*said, kAdministered);
}

INSTANTIATE_TEST_SUITE_P(Client, CoreAdminTest, testing::ValuesIn(ClientNames([](const Client& client) {
                           return client.administers;
                         })),
                         ClientName);

}  // namespace
}  // namespace selvage::test
