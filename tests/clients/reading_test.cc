#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "fabric/base/clock.h"
#include "tests/clients/client_test.h"

namespace selvage::test {
namespace {

constexpr size_t kLargeBytes = 900'000;
const std::vector<std::string> kCodecs = {"none", "gzip", "snappy", "lz4", "zstd"};

/// When the records were made: some time ago, but not so long that they are due to be dropped.
int64_t StartMs() {
  static const int64_t start = absl::ToUnixMillis(SystemClock().Wall() - absl::Hours(1));
  return start;
}

/// Text that compresses, but not to nothing.
std::string LargeText() {
  std::string text;
  for (uint64_t i = 1; text.size() < kLargeBytes; ++i) text += fmt::format("{:x} ", i * i * 2'654'435'761);
  text.resize(kLargeBytes);
  return text;
}

std::string AllBytes() {
  std::string bytes(256, '\0');
  std::iota(bytes.begin(), bytes.end(), '\0');
  return bytes;
}

/// What a client writes with one codec.
std::vector<ClientRecord> Sample(const Client& client, const std::string& codec) {
  std::vector<ClientRecord> records = {
      {StartMs(), "key", "x", {{"codec", codec}, {"again", "1"}, {"again", "2"}}},
      {StartMs() + 1, std::nullopt, LargeText(), {}},
      {StartMs() + 2, "forgotten", std::nullopt, {}},
      {StartMs() + 3, "key", "hello from " + client.name, {{"trace", "abc"}}},
  };
  if (client.writes_bytes) {
    records.push_back({StartMs() + 4, AllBytes(), AllBytes(), {{"bytes", "\xff\x80"}}});
    records.push_back({StartMs() + 5, "", "", {{"empty", ""}}});
  }
  if (client.writes_null_headers) {
    records.push_back({StartMs() + 6, "key", "value", {{"null", std::nullopt}}});
  }
  return records;
}

class ReadingTest : public ClientTest {
 public:
  static void TearDownTestSuite() {
    written_.clear();
    ClientTest::TearDownTestSuite();
  }

 protected:
  struct Written {
    absl::Status status;
    std::vector<ClientRecord> records = {};
  };

  /// Lets a client write its sample with every codec to a topic of its name, the first time it is asked for.
  const Written& WrittenBy(const Client& writer) {
    auto [found, fresh] = written_.try_emplace(writer.name);
    if (fresh) found->second = WriteSamples(writer);
    return found->second;
  }

  void ExpectReads(const Client& reader, const Client& writer) {
    SCOPED_TRACE(reader.name + " reads what " + writer.name + " wrote");
    const Written& written = WrittenBy(writer);
    ASSERT_THAT(written.status, IsOk());
    auto read = Read(reader, writer.name, 0, 0, written.records.size());
    ASSERT_THAT(read, IsOk());
    ASSERT_EQ(read->size(), written.records.size());
    for (size_t i = 0; i < read->size(); ++i) {
      ClientRecord got = (*read)[i].record;
      EXPECT_EQ((*read)[i].offset, static_cast<int64_t>(i));
      EXPECT_GT(got.timestamp_ms, 0);
      if (!writer.sets_timestamps) got.timestamp_ms = written.records[i].timestamp_ms;
      EXPECT_TRUE(got == written.records[i]) << "offset " << i << ":\n"
                                             << Describe(got) << "\ninstead of\n"
                                             << Describe(written.records[i]);
    }
  }

 private:
  Written WriteSamples(const Client& writer) const {
    Written written;
    written.status = CreateTopic(writer.name, 1);
    for (const std::string& codec : kCodecs) {
      if (!written.status.ok()) break;
      const std::vector<ClientRecord> sample = Sample(writer, codec);
      auto acked = Write(writer, writer.name, 0, codec, sample);
      written.status = acked.status();
      if (acked.ok() && Only("acked", *acked).size() != sample.size()) {
        written.status = absl::InternalError(codec + ": not every record is acknowledged");
      }
      written.records.insert(written.records.end(), sample.begin(), sample.end());
    }
    return written;
  }

  static std::map<std::string, Written> written_;
};

std::map<std::string, ReadingTest::Written> ReadingTest::written_;

TEST_P(ReadingTest, ReadsBackWhatItWroteWithEachCodec) {
  ExpectReads(client(), client());
}

TEST_P(ReadingTest, ReadsWhatTheOthersWroteWithEachCodec) {
  for (const Client& writer : Clients()) {
    if (writer.name != client().name && writer.missing.empty()) ExpectReads(client(), writer);
  }
}

TEST_P(ReadingTest, SeeksToTheExactRecordOfATime) {
  const std::string topic = Named("times");
  ASSERT_THAT(CreateTopic(topic, 1), IsOk());
  // Two entries of many records, ten milliseconds apart; the second is compressed.
  std::vector<ClientRecord> records;
  for (int i = 0; i < 200; ++i) records.push_back({StartMs() + i * 10, std::nullopt, std::to_string(i)});
  const std::vector<ClientRecord> first(records.begin(), records.begin() + 100);
  const std::vector<ClientRecord> second(records.begin() + 100, records.end());
  ASSERT_THAT(Write(ReferenceClient(), topic, 0, "none", first), IsOk());
  ASSERT_THAT(Write(ReferenceClient(), topic, 0, "zstd", second), IsOk());

  std::string times;
  std::vector<int64_t> expected;
  for (auto [after_ms, offset] : std::map<int64_t, int64_t>{
           {-5, 0}, {0, 0}, {55, 6}, {60, 6}, {991, 100}, {1234, 124}, {1990, 199}, {1991, -1}}) {
    times += fmt::format("{}{}", times.empty() ? "" : ",", StartMs() + after_ms);
    expected.push_back(offset);
  }
  auto found = Run(client(), "seek", {{"topic", topic}, {"partition", "0"}, {"times", times}});
  ASSERT_THAT(found, IsOk());
  std::vector<int64_t> offsets;
  for (const Event& event : Only("offset", *found)) offsets.push_back(NumberOf(event, "offset"));
  EXPECT_EQ(offsets, expected);

  // And begins to read there, in the middle of an entry.
  auto read = Read(client(), topic, 0, 124, 76);
  ASSERT_THAT(read, IsOk());
  ASSERT_EQ(read->size(), 76u);
  EXPECT_EQ(read->front().offset, 124);
  EXPECT_TRUE(read->front().record == records[124]) << Describe(read->front().record);
  EXPECT_TRUE(read->back().record == records[199]) << Describe(read->back().record);
}

INSTANTIATE_TEST_SUITE_P(Client, ReadingTest,
                         testing::ValuesIn(ClientNames([](const Client&) { return true; })), ClientName);

class AdminTest : public ClientTest {};

TEST_P(AdminTest, AdministersTopicsAndGroups) {
  auto said = Administer();
  ASSERT_THAT(said, IsOk());
  EXPECT_EQ(*said, kAdministered);
}

INSTANTIATE_TEST_SUITE_P(Client, AdminTest, testing::ValuesIn(ClientNames([](const Client& client) {
                           return client.administers;
                         })),
                         ClientName);

}  // namespace
}  // namespace selvage::test
