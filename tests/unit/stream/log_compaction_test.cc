// Passes over a log: what is left of it, and that it stays a log.
#include "fabric/stream/log_compaction.h"

#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/storage/memory_store.h"
#include "tests/contract/log/log_node.h"

namespace selvage {
namespace {

constexpr size_t kEnough = 64u << 20;

class LogCompactionTest : public ::testing::Test {
 protected:
  LogCompactionTest() {
    settings_.set_cleanup(v1::CLEANUP_COMPACT);
    settings_.set_delete_retention_ms(3'600'000);
  }

  /// One batch of records of these keys, each with a value that nobody else has; "-a" is a tombstone of a.
  void Write(std::initializer_list<std::string> keys, size_t value_bytes = 100) {
    BatchBuilder builder(Codec::kZstd);
    int64_t at = log_->state().end.value();
    for (const std::string& key : keys) {
      const bool tombstone = key[0] == '-';
      const std::string name = tombstone ? key.substr(1) : key;
      std::optional<std::string> value;
      if (!tombstone) value = std::to_string(at) + std::string(value_bytes, 'v');
      wrote_[name] = {at, value};
      builder.Add({Offset(0), 1000 + at, name, value, {}});
      ++at;
    }
    ASSERT_TRUE(node_.Append(*log_, builder.Build()).ok());
  }
  /// More than is left as it is: batches nobody's key is in.
  void WriteNewest() {
    const std::string noise(300'000, '\0');
    for (int i = 0; i < 4; ++i) {
      BatchBuilder builder;
      builder.Add({Offset(0), 1000, "newest", noise, {}});
      ASSERT_TRUE(node_.Append(*log_, builder.Build()).ok());
    }
  }
  LogCompaction::Work Compact(size_t max_bytes = kEnough) {
    auto work = compaction_.Run(settings_, node_.ages().NowMs(), max_bytes);
    EXPECT_TRUE(work.ok()) << work.status();
    return work.value_or(LogCompaction::Work());
  }
  /// Reads the whole log, checks that its entries are on one chain, and returns what a reader finds of each
  /// key but "newest": the last one, and how many there are.
  struct Found {
    int64_t offset = -1;
    std::optional<std::string> value;
    int count = 0;
  };
  std::map<std::string, Found> ReadAll() {
    std::map<std::string, Found> found;
    ChainHash hash = log_->state().start_hash;
    Offset next = log_->state().start;
    for (const Entry& entry : AllEntries(*log_)) {
      EXPECT_EQ(entry.from, next);
      EXPECT_EQ(entry.hash_before, hash);
      next = entry.to;
      hash = entry.hash_after;
      if (entry.kind == EntryKind::kGap) continue;
      auto records = DecodeRecords(entry.body.view());
      EXPECT_TRUE(records.ok()) << records.status();
      for (const Record& record : *records) {
        Found& of = found[*record.key];
        of = {record.offset.value(), record.value, of.count + 1};
      }
    }
    EXPECT_EQ(next, log_->state().end);
    EXPECT_EQ(hash, log_->state().hash);
    found.erase("newest");
    return found;
  }
  void ExpectNewestOfEachKeyOnly() {
    auto found = ReadAll();
    EXPECT_EQ(found.size(), wrote_.size());
    for (const auto& [key, wrote] : wrote_) {
      EXPECT_EQ(found[key].offset, wrote.first) << key;
      EXPECT_EQ(found[key].value, wrote.second) << key;
      EXPECT_EQ(found[key].count, 1) << key;
    }
  }

  MemoryStore store_;
  FakeClock clock_;
  LogNode node_{store_, clock_};
  const std::shared_ptr<EmbeddedLog> log_ = node_.Source().shared_from_this();
  v1::StreamSettings settings_;
  LogCompaction compaction_{log_};
  std::map<std::string, std::pair<int64_t, std::optional<std::string>>> wrote_;
};

TEST_F(LogCompactionTest, OneRecordOfEachKeyIsLeft) {
  for (int i = 0; i < 50; ++i) Write({"a", "b", "key-" + std::to_string(i % 7)});
  Write({"-b"});
  WriteNewest();
  const LogState before = log_->state();
  EXPECT_GT(Compact().freed, 1000u);
  ExpectNewestOfEachKeyOnly();
  EXPECT_EQ(log_->state().position(), before.position());
  EXPECT_EQ(log_->state().log_bytes, before.log_bytes);
  EXPECT_TRUE(node_.logs().Losses()->empty()) << "nothing is lost";
  EXPECT_EQ(Compact().read, 0u) << "until more has come";
}

TEST_F(LogCompactionTest, WhatIsEmptyBecomesOneGap) {
  Write({"x"});
  for (int i = 0; i < 5; ++i) Write({"a"});
  Write({"b", "a"});
  Write({"a"});
  WriteNewest();
  Compact();
  EXPECT_THAT(Shape(AllEntries(*log_)),
              ::testing::StartsWith("[0,1)batch [1,6)gap:compacted [6,8)batch [8,9)batch "));
  EXPECT_EQ(Shape(*log_->Read(Offset(3), 1)), "[1,6)gap:compacted") << "from the middle of a gap";
  // A gap that is there already grows.
  Write({"x", "b", "a"});
  for (int i = 0; i < 4; ++i) WriteNewest();
  Compact();
  EXPECT_THAT(Shape(AllEntries(*log_)), ::testing::StartsWith("[0,13)gap:compacted [13,16)batch "));
}

TEST_F(LogCompactionTest, TheNewestPartIsLeftAsItIs) {
  for (int i = 0; i < 20; ++i) Write({"a"});
  EXPECT_EQ(Compact().read, 0u);
  EXPECT_EQ(ReadAll()["a"].count, 20);
}

TEST_F(LogCompactionTest, PiecesOfAPassAreWholeByThemselves) {
  for (int i = 0; i < 40; ++i) {
    BatchBuilder builder;
    builder.Add(
        {Offset(0), 1000, i % 2 == 0 ? "a" : "key-" + std::to_string(i), std::string(200'000, 'v'), {}});
    ASSERT_TRUE(node_.Append(*log_, builder.Build()).ok());
  }
  int rounds = 0;
  while (Compact(1).read > 0) {
    ++rounds;
    EXPECT_EQ(ReadAll().size(), 21u);
  }
  EXPECT_GT(rounds, 8);
  EXPECT_LE(ReadAll()["a"].count, 4) << "one, and those of the newest part";
}

TEST_F(LogCompactionTest, MoreKeysThanFitTakeSeveralPasses) {
  LogCompaction narrow(log_, /*keys_max=*/10);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 50; ++i) Write({"key-" + std::to_string(i)});
  }
  WriteNewest();
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(narrow.Run(settings_, node_.ages().NowMs(), kEnough).ok());
    WriteNewest();
  }
  ExpectNewestOfEachKeyOnly();
}

TEST_F(LogCompactionTest, TombstonesGoSomeTimeAfterTheFirstPass) {
  const auto pass = [&] {
    for (int i = 0; i < 3; ++i) Write({"other"});
    for (int i = 0; i < 4; ++i) WriteNewest();
    Compact();
    return ReadAll();
  };
  Write({"a"});
  Write({"-a"});
  EXPECT_EQ(pass()["a"].count, 1);
  clock_.Advance(absl::Minutes(59));
  EXPECT_EQ(pass()["a"].count, 1);
  clock_.Advance(absl::Minutes(2));
  EXPECT_FALSE(pass().contains("a"));
  EXPECT_EQ(pass()["other"].count, 1);
}

TEST_F(LogCompactionTest, ARestartGoesOnWhereThePassEnded) {
  for (int i = 0; i < 50; ++i) Write({"a", "b"});
  WriteNewest();
  Compact();
  LogNode again(store_, clock_);
  auto log = again.logs().FindEmbedded(log_->origin());
  EXPECT_EQ(log->compaction().to, log_->compaction().to);
  EXPECT_EQ(log->compaction().kept_bytes, log_->compaction().kept_bytes);
  EXPECT_EQ(LogCompaction(log).Run(settings_, again.ages().NowMs(), kEnough)->read, 0u);
}

TEST_F(LogCompactionTest, WhatCannotBeDecodedStays) {
  std::string garbage = ProducedBatch(2);
  garbage[22] = 4;  // says zstd
  StoreBig<uint32_t>(garbage.data() + 17, Crc32c(std::string_view(garbage).substr(21)));
  ASSERT_TRUE(node_.Append(*log_, garbage).ok());
  for (int i = 0; i < 5; ++i) Write({"a"});
  WriteNewest();
  Compact();
  EXPECT_THAT(Shape(AllEntries(*log_)), ::testing::StartsWith("[0,2)batch [2,6)gap:compacted [6,7)batch"));
}

TEST_F(LogCompactionTest, ReadersAndTheCacheAgree) {
  for (int i = 0; i < 50; ++i) Write({"a", "b"});
  WriteNewest();
  Compact();
  WriteNewest();
  std::vector<Entry> read;
  for (Offset next(0); next < log_->state().end;) {
    auto some = log_->Read(next, 5000);
    ASSERT_TRUE(some.ok());
    for (Entry& entry : *some) read.push_back(std::move(entry));
    next = read.back().to;
  }
  EXPECT_EQ(Shape(read), Shape(AllEntries(*log_)));
}

TEST_F(LogCompactionTest, TrimmingGoesOnBesideIt) {
  settings_.set_cleanup(v1::CLEANUP_COMPACT_DELETE);
  for (int i = 0; i < 50; ++i) Write({"a", "b"});
  WriteNewest();
  Compact();
  const Offset gone = AllEntries(*log_).front().to;
  ASSERT_TRUE(log_->Trim(gone, std::nullopt, GapReason::kExpired).ok());
  for (int i = 0; i < 4; ++i) WriteNewest();
  Compact();
  ExpectNewestOfEachKeyOnly();
}

}  // namespace
}  // namespace selvage
