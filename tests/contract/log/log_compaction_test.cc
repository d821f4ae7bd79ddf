// Compaction: the newest record of each key stays where it was, and everything else about the log stays too.
#include "fabric/stream/log_compaction.h"

#include <atomic>
#include <set>
#include <thread>

#include "absl/synchronization/notification.h"
#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/stream/maintenance.h"
#include "tests/contract/log/log_contract.h"

namespace selvage {
namespace {

using ::testing::StartsWith;

constexpr size_t kEnoughForAPass = 64u << 20;

class LogCompactionContract : public LogContract {
 protected:
  LogCompactionContract() {
    settings_.set_cleanup(v1::CLEANUP_COMPACT);
    settings_.set_delete_retention_ms(3'600'000);
  }

  /// One batch with a record of each of these keys, its value its offset; "-a" is a tombstone of a.
  std::string Batch(const std::vector<std::string>& keys, Offset at, size_t value_bytes = 20) {
    BatchBuilder builder;
    for (size_t i = 0; i < keys.size(); ++i) {
      const bool tombstone = keys[i][0] == '-';
      const int64_t offset = at.value() + static_cast<int64_t>(i);
      Record record{
          .offset = {}, .timestamp = 1000 + offset, .key = keys[i], .value = std::nullopt, .headers = {}};
      if (tombstone) record.key = keys[i].substr(1);
      if (!tombstone) record.value = std::to_string(offset) + std::string(value_bytes, 'v');
      builder.Add(record);
    }
    return builder.Build();
  }
  void Write(Log& log, const std::vector<std::string>& keys, size_t value_bytes = 20) {
    ASSERT_TRUE(node().Append(log, Batch(keys, log.state().end, value_bytes)).ok());
  }
  /// More than compaction leaves alone at the end of a log.
  void WriteNewest(Log& log) {
    for (int i = 0; i < 4; ++i) Write(log, {"newest"}, 300'000);
  }
  LogCompaction::Work Compact(EmbeddedLog& log, size_t max_bytes = kEnoughForAPass) {
    LogCompaction compaction(log.shared_from_this());
    auto work = compaction.Run(settings_, node().ages().NowMs(), max_bytes);
    EXPECT_TRUE(work.ok()) << work.status();
    return work.value_or(LogCompaction::Work());
  }
  /// Each record that a reader finds, in order: "3:a", "4:-a" for a tombstone; without those of "newest".
  std::vector<std::string> Records(Log& log) {
    std::vector<std::string> found;
    for (const Entry& entry : AllEntries(log)) {
      if (entry.kind == EntryKind::kGap) continue;
      auto records = DecodeRecords(entry.body.view());
      EXPECT_TRUE(records.ok()) << records.status();
      for (const Record& record : *records) {
        if (*record.key == "newest") continue;
        if (record.value) {
          EXPECT_THAT(*record.value, StartsWith(std::to_string(record.offset.value()) + "v"));
        }
        EXPECT_EQ(record.timestamp, 1000 + record.offset.value());
        found.push_back(std::to_string(record.offset.value()) + (record.value ? ":" : ":-") + *record.key);
      }
    }
    return found;
  }
  /// The entries follow one another in offsets and hashes, from the start of the log to its end.
  void ExpectOneChain(Log& log) {
    Offset next = log.state().start;
    ChainHash hash = log.state().start_hash;
    for (const Entry& entry : AllEntries(log)) {
      EXPECT_EQ(entry.from, next);
      EXPECT_EQ(entry.hash_before, hash);
      next = entry.to;
      hash = entry.hash_after;
    }
    EXPECT_EQ(next, log.state().end);
    EXPECT_EQ(hash, log.state().hash);
  }
  static void ExpectSame(const LogState& after, const LogState& before) {
    EXPECT_EQ(after.position(), before.position());
    EXPECT_EQ(after.start, before.start);
    EXPECT_EQ(after.start_hash, before.start_hash);
    EXPECT_EQ(after.log_bytes, before.log_bytes);
    EXPECT_EQ(after.bytes_before_start, before.bytes_before_start);
    EXPECT_EQ(after.max_timestamp, before.max_timestamp);
    EXPECT_EQ(after.append_ms, before.append_ms);
    EXPECT_EQ(after.leader_epochs, before.leader_epochs);
  }

  v1::StreamSettings settings_;
};
INSTANTIATE_TEST_SUITE_P(Stores, LogCompactionContract, ::testing::ValuesIn(AllStoreKinds()), NameOfKind);

TEST_P(LogCompactionContract, TheNewestRecordOfEachKeyStaysWhereItWas) {
  EmbeddedLog& log = node().Source();
  Write(log, {"a", "b", "a"});
  Write(log, {"c"});
  Write(log, {"b", "d", "a", "d"});
  Write(log, {"c"});
  WriteNewest(log);
  const LogState before = log.state();
  const std::vector<Entry> entries = AllEntries(log);
  EXPECT_GT(Compact(log).freed, 0u);
  const std::vector<std::string> expected = {"4:b", "6:a", "7:d", "8:c"};
  EXPECT_EQ(Records(log), expected);
  EXPECT_THAT(Shape(AllEntries(log)), StartsWith("[0,4)gap:compacted [4,8)batch [8,9)batch "));
  ExpectOneChain(log);
  ExpectSame(log.state(), before);
  EXPECT_TRUE(node().logs().Losses()->empty()) << "nothing is lost";
  EXPECT_EQ(Compact(log).read, 0u) << "nothing to do until more has come";
  Reopen(EndsOf(node().logs()));
  EXPECT_TRUE(node().problems().empty());
  EXPECT_EQ(Records(SourceAgain()), expected);
  ExpectOneChain(SourceAgain());
  ExpectSame(SourceAgain().state(), before);
  EXPECT_EQ(Compact(SourceAgain()).read, 0u) << "and it is known how far it got";
}

TEST_P(LogCompactionContract, TombstonesStayForTheirTimeAndThenGo) {
  EmbeddedLog& log = node().Source();
  Write(log, {"a", "b"});
  Write(log, {"-a"});
  const auto pass = [&] {
    Write(log, {"other"});
    for (int i = 0; i < 4; ++i) WriteNewest(log);
    Compact(log);
    std::set<std::string> left;
    for (const std::string& record : Records(log)) left.insert(record.substr(record.find(':') + 1));
    return left;
  };
  EXPECT_EQ(pass(), (std::set<std::string>{"-a", "b", "other"})) << "who reads along learns that it is gone";
  clock_.Advance(absl::Minutes(59));
  EXPECT_TRUE(pass().contains("-a"));
  clock_.Advance(absl::Minutes(2));
  EXPECT_EQ(pass(), (std::set<std::string>{"b", "other"}));
  ExpectOneChain(log);
  // One that came later has a time of its own.
  Write(log, {"-b"});
  EXPECT_TRUE(pass().contains("-b"));
  EXPECT_TRUE(pass().contains("-b"));
  clock_.Advance(absl::Minutes(61));
  pass();
  clock_.Advance(absl::Minutes(61));
  EXPECT_EQ(pass(), (std::set<std::string>{"other"}));
}

TEST_P(LogCompactionContract, EveryOffsetCanStillBeAskedFor) {
  EmbeddedLog& log = node().Source();
  for (int i = 0; i < 30; ++i) Write(log, {"a", "key-" + std::to_string(i % 5), "b"});
  WriteNewest(log);
  Compact(log);
  ASSERT_EQ(Records(log).size(), 7u);
  const std::vector<Entry> entries = AllEntries(log);
  size_t at = 0;
  for (Offset offset(0); offset < log.state().end; ++offset) {
    while (entries[at].to <= offset) ++at;
    for (const bool from_disk : {false, true}) {
      auto read = log.Read(offset, 1, from_disk);
      ASSERT_TRUE(read.ok()) << offset.value() << ": " << read.status();
      EXPECT_EQ(read->front().from, entries[at].from) << "the entry that covers it, cached or not";
      EXPECT_EQ(read->front().body.view(), entries[at].body.view());
    }
    auto boundary = log.BoundaryAtOrBefore(offset);
    ASSERT_TRUE(boundary.ok()) << boundary.status();
    EXPECT_EQ(boundary->offset, entries[at].from);
    EXPECT_EQ(boundary->hash, entries[at].hash_before);
  }
  EXPECT_EQ(KindOfError(log.Read(log.state().end + 1, 1)), "offset_out_of_range");
}

TEST_P(LogCompactionContract, TimesLeadToTheFirstRecordThatIsLeft) {
  EmbeddedLog& log = node().Source();
  for (int i = 0; i < 10; ++i) Write(log, {"a", "b"});
  Write(log, {"c"});
  WriteNewest(log);
  Compact(log);
  ASSERT_EQ(Records(log), (std::vector<std::string>{"18:a", "19:b", "20:c"}));
  for (int64_t asked : {0, 1003, 1018}) {
    auto found = log.FirstRecordAtOrAfter(asked);
    ASSERT_TRUE(found.ok() && *found) << asked;
    EXPECT_EQ(**found, (RecordTime{Offset(18), 1018})) << asked;
  }
  EXPECT_EQ((*log.FirstRecordAtOrAfter(1020))->offset, Offset(20));
}

TEST_P(LogCompactionContract, ProducersAreKnownThoughTheirBatchesAreGone) {
  EmbeddedLog& log = node().Source();
  const auto numbered = [&](int32_t sequence) {
    std::string batch = Batch({"a"}, Offset(0));
    StoreBig<int64_t>(batch.data() + 43, 42);
    StoreBig<int16_t>(batch.data() + 51, 0);
    StoreBig<int32_t>(batch.data() + 53, sequence);
    StoreBig<uint32_t>(batch.data() + 17, Crc32c(std::string_view(batch).substr(21)));
    return batch;
  };
  for (int sequence = 0; sequence < 4; ++sequence) {
    ASSERT_TRUE(node().Produce(log, numbered(sequence)).ok());
  }
  for (int i = 0; i < 5; ++i) WriteNewest(log);
  Compact(log);
  ASSERT_THAT(Shape(AllEntries(log)), StartsWith("[0,3)gap:compacted "));
  for (const bool reopened : {false, true}) {
    if (reopened) Reopen();
    auto again = node().Produce(SourceAgain(), numbered(1));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_TRUE(again->duplicate);
    EXPECT_EQ(again->base, Offset(1)) << "where it was";
    EXPECT_EQ(KindOfError(node().Produce(SourceAgain(), numbered(9))), "out_of_order_sequence");
  }
  EXPECT_FALSE(node().Produce(SourceAgain(), numbered(4))->duplicate);
}

TEST_P(LogCompactionContract, WhatIsAcknowledgedAndDeletedStays) {
  EmbeddedLog& log = node().Source();
  for (int i = 0; i < 10; ++i) Write(log, {"a", "b"});
  WriteNewest(log);
  log.SetAcknowledged(Offset(7));
  ASSERT_TRUE(log.StartLeaderEpoch(LeaderEpoch(2)).ok());
  ASSERT_TRUE(log.DeleteRecords(Offset(5)).ok());
  const LogState before = log.state();
  const LogPosition boundary = *log.BoundaryAtOrBefore(Offset(18));
  Compact(log);
  for (const bool reopened : {false, true}) {
    if (reopened) {
      ASSERT_TRUE(node().logs().FlushAcknowledged().ok());
      Reopen();
    }
    EXPECT_EQ(SourceAgain().acknowledged(), Offset(7));
    EXPECT_EQ(SourceAgain().state().log_start(), Offset(5));
    ExpectSame(SourceAgain().state(), before);
    EXPECT_EQ(SourceAgain().BoundaryAtOrBefore(Offset(18))->hash, boundary.hash);
  }
  // And what is trimmed in the middle of what was compacted leaves a whole log.
  ASSERT_TRUE(SourceAgain().Trim(Offset(18), std::nullopt, GapReason::kExpired).ok());
  ExpectOneChain(SourceAgain());
  EXPECT_EQ(Records(SourceAgain()), (std::vector<std::string>{"18:a", "19:b"}));
}

// Each piece of a pass is durable by itself, so a process may end behind any of them.
TEST_P(LogCompactionContract, APassMayEndAnywhere) {
  std::map<std::string, int64_t> newest;
  const auto fill = [&](int rounds) {
    for (int i = 0; i < rounds; ++i) {
      const std::string key = i % 3 == 0 ? "a" : "key-" + std::to_string(i);
      newest[key] = SourceAgain().state().end.value();
      Write(SourceAgain(), {key}, 200'000);
    }
  };
  node().Source();
  fill(60);
  WriteNewest(SourceAgain());
  const LogState before = SourceAgain().state();
  size_t left = Records(SourceAgain()).size();
  int crashes = 0;
  // Each time a little further, so that one gets to the end.
  for (size_t bytes = 1; SourceAgain().compaction().to == Offset(0); bytes += 1u << 20, ++crashes) {
    Compact(SourceAgain(), bytes);
    Reopen(EndsOf(node().logs()));
    ASSERT_TRUE(node().problems().empty());
    ExpectOneChain(SourceAgain());
    ExpectSame(SourceAgain().state(), before);
    const std::vector<std::string> found = Records(SourceAgain());
    EXPECT_LE(found.size(), left) << "nothing comes back";
    left = found.size();
    for (const auto& [key, offset] : newest) {
      EXPECT_THAT(found, ::testing::Contains(std::to_string(offset) + ":" + key));
    }
  }
  EXPECT_GT(crashes, 10);
  EXPECT_EQ(left, newest.size());
}

TEST_P(LogCompactionContract, TheNewestPartIsLeftToThoseWhoReadAlong) {
  EmbeddedLog& log = node().Source();
  for (int i = 0; i < 20; ++i) Write(log, {"a"}, 50'000);
  EXPECT_EQ(Compact(log).read, 0u) << "all of it is new";
  for (int i = 0; i < 40; ++i) Write(log, {"a"}, 50'000);
  Compact(log);
  uint64_t untouched = 0;
  for (const Entry& entry : AllEntries(log)) {
    if (entry.from >= log.compaction().to) untouched += entry.body.size();
  }
  EXPECT_GE(untouched, LogCompaction::kNewestBytes - 60'000);
  EXPECT_LE(untouched, LogCompaction::kNewestBytes + 60'000);
  EXPECT_GT(Records(log).size(), 15u);
  EXPECT_LT(Records(log).size(), 25u);
}

TEST_P(LogCompactionContract, OnlyTheLogsOfLocalCompactedStreams) {
  StreamCatalog catalog(store(), node().committer());
  Maintenance maintenance(store(), node().logs(), catalog, node().budget(), clock_, node().ages(),
                          [](const LogOrigin&, const v1::StreamDefinition&) { return false; });
  const auto define = [&](const std::string& name, v1::CleanupPolicy cleanup) {
    v1::StreamDefinition definition;
    definition.set_name(name);
    definition.set_direction(v1::LOCAL);
    definition.set_partitions(1);
    definition.mutable_settings()->set_cleanup(cleanup);
    auto complete = CompleteDefinition(definition);
    SELVAGE_CHECK(complete.ok());
    ASSERT_TRUE(catalog.Put(*complete).ok());
  };
  define("sensors", v1::CLEANUP_COMPACT);
  define("events", v1::CLEANUP_DELETE);
  EmbeddedLog& former = node().Source(1);
  for (int i = 0; i < 5; ++i) Write(former, {"a"});
  WriteNewest(former);
  EmbeddedLog& current = node().Source(2);
  EmbeddedLog& other = node().Create(LogOrigin{"", Slot(0), "events", PartitionId(0)}, 3);
  EmbeddedLog& copy = node().Replica(4);
  for (EmbeddedLog* log : {&current, &other}) {
    for (int i = 0; i < 5; ++i) Write(*log, {"a"});
    WriteNewest(*log);
  }
  node().RaiseFence({"rig", SessionEpoch(1)});
  for (const Entry& entry : AllEntries(other)) {
    ASSERT_TRUE(node().AppendReplica(copy, ToReplica(entry)).ok());
  }
  ASSERT_TRUE(maintenance.Compact().ok());
  EXPECT_EQ(Records(current), (std::vector<std::string>{"4:a"}));
  EXPECT_EQ(Records(former).size(), 5u) << "nobody writes to it any more";
  EXPECT_EQ(Records(other).size(), 5u) << "its stream does not say so";
  EXPECT_EQ(Records(copy).size(), 5u) << "it is byte for byte what the source has";
  for (EmbeddedLog* log : {&current, &former, &other, &copy}) ExpectOneChain(*log);
}

// What is in the queue when a piece is written comes behind it, and is not touched.
TEST_P(LogCompactionContract, AppendsInTheQueueGoOn) {
  EmbeddedLog& log = node().Source();
  for (int i = 0; i < 20; ++i) Write(log, {"a", "b"});
  WriteNewest(log);
  const Offset end = log.state().end;
  int taken = 0;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(log.Append(Batch({"a"}, end + i), [&](const auto& done) { taken += done.ok(); }).ok());
  }
  Compact(log);
  node().CommitAll();
  EXPECT_EQ(taken, 3);
  EXPECT_EQ(log.state().end, end + 3);
  ExpectOneChain(log);
  const std::vector<std::string> found = Records(log);
  EXPECT_EQ(
      std::vector<std::string>(found.end() - 3, found.end()),
      (std::vector<std::string>{std::to_string(end.value()) + ":a", std::to_string(end.value() + 1) + ":a",
                                std::to_string(end.value() + 2) + ":a"}));
}

TEST_P(LogCompactionContract, WritersAndReadersGoOnBesideIt) {
  EmbeddedLog& log = node().Source();
  constexpr int kRounds = 400;
  {
    CommitterThread committer(node().committer());
    std::atomic<bool> writing{true};
    std::atomic<int> failed{0};
    std::thread writer([&] {
      for (int i = 0; i < kRounds; ++i) {
        absl::Notification done;
        const std::string key = "key-" + std::to_string(i % 7);
        const absl::Status queued = log.Append(Batch({key}, Offset(i), 20'000), [&](const auto& appended) {
          failed += !appended.ok();
          done.Notify();
        });
        failed += !queued.ok();
        if (queued.ok()) done.WaitForNotification();
      }
      writing = false;
    });
    std::thread reader([&] {
      while (writing) {
        for (Offset next(0); next < log.state().end;) {
          auto read = log.Read(next, 100'000);
          if (!read.ok() || read->empty() || read->front().from > next || read->back().to <= next) {
            ++failed;
            return;
          }
          next = read->back().to;
        }
      }
    });
    LogCompaction compaction(log.shared_from_this());
    while (writing) {
      if (!compaction.Run(settings_, node().ages().NowMs(), kEnoughForAPass).ok()) ++failed;
    }
    writer.join();
    reader.join();
    EXPECT_EQ(failed, 0);
    // Once more, however little of the time it got beside the others.
    EXPECT_TRUE(compaction.Run(settings_, node().ages().NowMs(), kEnoughForAPass).ok());
    committer.Stop();
  }
  EXPECT_GT(log.compaction().to, Offset(0)) << "or nothing was compacted";
  EXPECT_EQ(log.state().end, Offset(kRounds));
  ExpectOneChain(log);
  const std::vector<std::string> found = Records(log);
  EXPECT_LT(found.size(), 200u);
  for (int i = kRounds - 7; i < kRounds; ++i) {
    EXPECT_THAT(found, ::testing::Contains(std::to_string(i) + ":key-" + std::to_string(i % 7)));
  }
}

// What a pass keeps in memory is bounded by the number of keys, what it reads at a time by what it is told.
TEST_P(LogCompactionContract, ManyKeysTakeSeveralPasses) {
  EmbeddedLog& log = node().Source();
  constexpr int kKeys = 60;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < kKeys; ++i) Write(log, {"key-" + std::to_string(i)}, 20'000);
  }
  WriteNewest(log);
  LogCompaction narrow(log.shared_from_this(), /*keys_max=*/20);
  Offset done(0);
  for (int run = 0; done < Offset(3 * kKeys) && run < 10'000; ++run) {
    auto work = narrow.Run(settings_, node().ages().NowMs(), 1);
    ASSERT_TRUE(work.ok()) << work.status();
    EXPECT_LE(work->read, 2u << 20) << "one piece at a time";
    EXPECT_LE(log.compaction().to - done, 20) << "no more keys than it has room for";
    done = log.compaction().to;
    if (work->read == 0) WriteNewest(log);
  }
  std::set<std::string> keys;
  const std::vector<std::string> found = Records(log);
  for (const std::string& record : found) keys.insert(record.substr(record.find(':') + 1));
  EXPECT_EQ(keys.size(), static_cast<size_t>(kKeys));
  EXPECT_EQ(found.size(), static_cast<size_t>(kKeys)) << "one of each";
  ExpectOneChain(log);
}

}  // namespace
}  // namespace selvage
