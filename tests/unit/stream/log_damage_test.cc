#include "fabric/stream/log_damage.h"

#include <random>
#include <set>

#include "fabric/stream/log_flow.h"
#include "fabric/stream/meta_keys.h"
#include "tests/contract/log/log_node.h"
#include "tests/support/damaged_store.h"

namespace selvage {
namespace {

std::string Ranges(const std::vector<LogDamage>& damages) {
  std::string text;
  for (const LogDamage& damage : damages) {
    if (!text.empty()) text += " ";
    text += "[" + std::to_string(damage.from.value()) + "," + std::to_string(damage.to.value()) + ")";
  }
  return text;
}

class LogDamageTest : public ::testing::Test {
 protected:
  void SetUp() override { node_.RaiseFence({"rig", SessionEpoch(1)}); }
  void Fill(Log& log, std::initializer_list<int> batches, int64_t timestamp = 1000) {
    for (int records : batches) ASSERT_TRUE(node_.Append(log, ProducedBatch(records, 10, timestamp)).ok());
  }
  void Damage(EmbeddedLog& log, std::initializer_list<int64_t> bases) {
    node_.cache().Forget(log.number());
    for (int64_t base : bases) store_.Damage(Family::kLog, LogKey(log.number(), Offset(base)));
  }
  absl::StatusOr<LogPosition> Replace(EmbeddedLog& log, std::vector<FlowEntry> entries,
                                      SessionEpoch session = SessionEpoch(1)) {
    absl::StatusOr<LogPosition> outcome = absl::UnknownError("not called");
    absl::Status queued =
        log.Replace(std::move(entries), {"rig", session}, [&](const auto& position) { outcome = position; });
    if (!queued.ok()) return queued;
    node_.CommitAll();
    return outcome;
  }
  /// Reads all that can be read from the start on, stepping behind what is damaged.
  std::string ReadAround(EmbeddedLog& log) {
    std::string text;
    for (Offset next = log.state().start; next < log.state().end;) {
      auto entries = log.Read(next, 1, /*from_disk=*/true);
      if (!text.empty()) text += " ";
      if (entries.ok()) {
        text += Shape(*entries);
        next = entries->back().to;
        continue;
      }
      EXPECT_EQ(KindOfError(entries), "corrupt_entry");
      EXPECT_TRUE(IsRetryable(entries.status()));
      auto damage = log.FindDamage(next);
      if (!damage.ok() || !*damage) return text + "?";
      text += Ranges({**damage}) + "damaged";
      next = (*damage)->to;
    }
    return text;
  }

  FakeClock clock_;
  DamagedStore store_;
  LogNode node_{store_, clock_};
};

TEST_F(LogDamageTest, ADamagedEntryIsNamedByItsBoundariesAndTheRestIsRead) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3, 2, 4, 1});
  const std::vector<Entry> whole = AllEntries(log);
  Damage(log, {3});
  EXPECT_EQ(ReadAround(log), "[0,3)batch [3,5)damaged [5,9)batch [9,10)batch");
  ASSERT_EQ(Ranges(log.damages()), "[3,5)");
  const LogDamage damage = log.damages()[0];
  EXPECT_EQ(damage.hash_before, whole[1].hash_before);
  EXPECT_EQ(damage.hash_after, whole[1].hash_after);
  EXPECT_EQ(damage.bytes, whole[1].body.size());
  EXPECT_EQ(damage.log_bytes, whole[1].log_bytes);
  EXPECT_EQ(KindOfError(log.Read(Offset(4), kAll)), "corrupt_entry") << "inside of the entry";
  EXPECT_EQ(Ranges(log.damages()), "[3,5)");
}

TEST_F(LogDamageTest, FirstLastAndNeighbouringEntries) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3, 2, 4, 1, 6, 2, 2});
  const LogState state = log.state();
  Damage(log, {0, 5, 9, 18});
  EXPECT_EQ(ReadAround(log),
            "[0,3)damaged [3,5)batch [5,10)damaged [10,16)batch [16,18)batch [18,20)damaged");
  EXPECT_EQ(Ranges(log.damages()), "[0,3) [5,10) [18,20)");
  EXPECT_EQ(log.damages()[0].hash_before, state.start_hash);
  EXPECT_EQ(log.damages()[2].hash_after, state.hash);
  EXPECT_EQ(log.damages()[2].log_bytes, state.log_bytes);
}

TEST_F(LogDamageTest, AllOfALog) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3, 2});
  Damage(log, {0, 3});
  EXPECT_EQ(ReadAround(log), "[0,5)damaged");
  ASSERT_TRUE(log.Quarantine(Offset(0)).ok());
  EXPECT_EQ(Shape(AllEntries(log)), "[0,5)gap:corrupt");
}

TEST_F(LogDamageTest, QuarantinePutsAGapOnTheSameChain) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3, 2, 4});
  const std::vector<Entry> whole = AllEntries(log);
  const LogState state = log.state();
  Damage(log, {3});
  ASSERT_TRUE(log.Quarantine(Offset(4)).ok());
  const std::vector<Entry> entries = AllEntries(log);
  ASSERT_EQ(Shape(entries), "[0,3)batch [3,5)gap:corrupt [5,9)batch");
  EXPECT_EQ(entries[1].hash_before, whole[1].hash_before);
  EXPECT_EQ(entries[1].hash_after, whole[1].hash_after);
  EXPECT_EQ(entries[1].log_bytes, whole[1].log_bytes);
  EXPECT_EQ(log.state().position(), state.position());
  EXPECT_TRUE(log.damages().empty());
  ASSERT_EQ(node_.logs().Losses()->size(), 1u);
  EXPECT_EQ(node_.logs().Losses()->front().gap.reason, GapReason::kCorrupt);
  Fill(log, {1});
  LogNode again(store_, clock_);
  EXPECT_EQ(Shape(AllEntries(*again.logs().FindEmbedded(log.origin()))),
            "[0,3)batch [3,5)gap:corrupt [5,9)batch [9,10)batch");
}

TEST_F(LogDamageTest, WhatCanBeReadIsNotQuarantined) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3, 2});
  ASSERT_TRUE(log.Quarantine(Offset(3)).ok());
  EXPECT_EQ(Shape(AllEntries(log)), "[0,3)batch [3,5)batch");
  EXPECT_TRUE(node_.logs().Losses()->empty());
}

TEST_F(LogDamageTest, TheSameBytesMakeItWholeAgain) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3, 2, 4, 1});
  const std::vector<Entry> whole = AllEntries(log);
  Damage(log, {3, 5});
  EXPECT_EQ(ReadAround(log), "[0,3)batch [3,9)damaged [9,10)batch");
  auto first = Replace(log, {ToReplica(whole[1])});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(*first, (LogPosition{IdOf(1), Offset(5), whole[1].hash_after}));
  EXPECT_EQ(Ranges(log.damages()), "[5,9)") << "the rest of the range still is";
  EXPECT_EQ(ReadAround(log), "[0,3)batch [3,5)batch [5,9)damaged [9,10)batch");
  ASSERT_TRUE(Replace(log, {ToReplica(whole[2])}).ok());
  EXPECT_TRUE(log.damages().empty());
  const std::vector<Entry> healed = AllEntries(log);
  ASSERT_EQ(healed.size(), whole.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(healed[i].body.view(), whole[i].body.view());
    EXPECT_EQ(healed[i].hash_before, whole[i].hash_before);
    EXPECT_EQ(healed[i].hash_after, whole[i].hash_after);
    EXPECT_EQ(healed[i].log_bytes, whole[i].log_bytes);
  }
}

TEST_F(LogDamageTest, OtherEntriesAreRefused) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3, 2, 4, 1});
  const std::vector<Entry> whole = AllEntries(log);
  EmbeddedLog& other = node_.Create(LogOrigin{"", Slot(0), "other", PartitionId(0)}, 2);
  Fill(other, {3, 2, 4}, /*timestamp=*/77);
  const std::vector<Entry> others = AllEntries(other);
  Damage(log, {3, 5});
  EXPECT_EQ(KindOfError(Replace(log, {ToReplica(whole[1])})), "range_changed") << "nobody found it yet";
  EXPECT_EQ(KindOfError(log.Read(Offset(3), kAll)), "corrupt_entry");
  EXPECT_EQ(KindOfError(Replace(log, {ToReplica(whole[2])})), "range_changed") << "not at its beginning";
  EXPECT_EQ(KindOfError(Replace(log, {ToReplica(whole[1]), ToReplica(whole[3])})), "range_changed");
  EXPECT_EQ(KindOfError(Replace(log, {ToReplica(others[1]), ToReplica(others[2])})), "chain_mismatch");
  FlowEntry shifted = ToReplica(whole[1]);
  shifted.to = Offset(6);
  EXPECT_EQ(KindOfError(Replace(log, {shifted})), "corrupt_batch");
  EXPECT_EQ(ReadAround(log), "[0,3)batch [3,9)damaged [9,10)batch") << "nothing was written";
  ASSERT_TRUE(Replace(log, {ToReplica(whole[1]), ToReplica(whole[2])}).ok());
  EXPECT_EQ(ReadAround(log), "[0,3)batch [3,5)batch [5,9)batch [9,10)batch");
  EXPECT_EQ(KindOfError(Replace(log, {ToReplica(whole[1])})), "range_changed") << "it is whole already";
}

TEST_F(LogDamageTest, ASessionThatWasSupersededRepairsNothing) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3, 2, 4});
  const std::vector<Entry> whole = AllEntries(log);
  Damage(log, {3});
  EXPECT_EQ(ReadAround(log), "[0,3)batch [3,5)damaged [5,9)batch");
  node_.RaiseFence({"rig", SessionEpoch(2)});
  EXPECT_EQ(KindOfError(Replace(log, {ToReplica(whole[1])})), "stale_session");
  EXPECT_EQ(ReadAround(log), "[0,3)batch [3,5)damaged [5,9)batch");
  EXPECT_TRUE(Replace(log, {ToReplica(whole[1])}, SessionEpoch(2)).ok());
}

TEST_F(LogDamageTest, AGapThatAReplicaGotTakesItsPlace) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3});
  ASSERT_TRUE(node_.AppendGap(log, Offset(8), GapReason::kLostWithDisk).ok());
  Fill(log, {2});
  const std::vector<Entry> whole = AllEntries(log);
  Damage(log, {3});
  EXPECT_EQ(ReadAround(log), "[0,3)batch [3,8)damaged [8,10)batch");
  ASSERT_TRUE(Replace(log, {ToReplica(whole[1])}).ok());
  EXPECT_EQ(ReadAround(log), "[0,3)batch [3,8)gap:lost_with_disk [8,10)batch");
  EXPECT_EQ(node_.logs().Losses()->size(), 1u);
}

TEST_F(LogDamageTest, WhatLiesBetweenDamagedEntriesIsNotPassedOver) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3, 4, 2, 4, 1});
  Damage(log, {3, 7, 13});
  EXPECT_EQ(ReadAround(log), "[0,3)batch [3,9)damaged [9,13)batch [13,14)damaged");
  ASSERT_TRUE(log.Quarantine(Offset(3)).ok());
  EXPECT_EQ(ReadAround(log), "[0,3)batch [3,9)gap:corrupt [9,13)batch [13,14)damaged");
  ASSERT_TRUE(log.DeleteRecords(Offset(11)).ok());
  EXPECT_EQ(log.state().start, Offset(9));
  EXPECT_EQ(log.state().log_start(), Offset(11));
}

// Far behind the damage the search goes in steps, and may take what can be read for damaged.
TEST_F(LogDamageTest, ATrimTakesNoMoreThanItIsToldThoughDamageReachesOverWhatCanBeRead) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3, 3000, 2, 3000, 1});
  Damage(log, {3, 3003, 6005});
  ASSERT_TRUE(log.Read(Offset(3006), 1, /*from_disk=*/true).ok());
  ASSERT_TRUE(log.DeleteRecords(Offset(3010)).ok());
  EXPECT_LE(log.state().start, Offset(3005));
  EXPECT_EQ(log.state().log_start(), Offset(3010));
  EXPECT_TRUE(log.Read(Offset(3010), 1, /*from_disk=*/true).ok());
}

TEST_F(LogDamageTest, ATrimTakesDamageAlong) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3, 2, 4, 1});
  const std::vector<Entry> whole = AllEntries(log);
  Damage(log, {0, 3});
  ASSERT_TRUE(log.Trim(Offset(3), std::nullopt, GapReason::kExpired).ok());
  EXPECT_EQ(log.state().start, Offset(0)) << "the range is one to a trim";
  ASSERT_TRUE(log.Trim(Offset(9), Offset(3), GapReason::kDroppedForSpace).ok());
  EXPECT_EQ(Shape(AllEntries(log)), "[0,9)gap:dropped_for_space [9,10)batch");
  EXPECT_EQ(AllEntries(log)[0].hash_before, whole[0].hash_before);
  EXPECT_EQ(AllEntries(log)[0].hash_after, whole[2].hash_after);
  EXPECT_TRUE(log.damages().empty());
}

TEST_F(LogDamageTest, ATrimThatEndsWithDamageRemembersTheHashThere) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3, 2, 4});
  const std::vector<Entry> whole = AllEntries(log);
  Damage(log, {3});
  ASSERT_TRUE(log.Trim(Offset(5), std::nullopt, GapReason::kExpired).ok());
  EXPECT_EQ(log.state().start, Offset(5));
  EXPECT_EQ(log.state().start_hash, whole[1].hash_after);
  EXPECT_EQ(log.state().bytes_before_start, whole[1].log_bytes);
}

TEST_F(LogDamageTest, ATimeThatMayLieInDamageIsNotAbsent) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {2}, 1000);
  Fill(log, {2}, 2000);
  Fill(log, {2}, 3000);
  Damage(log, {2});
  EXPECT_EQ((*log.FirstRecordAtOrAfter(1000))->offset, Offset(1));
  EXPECT_EQ(KindOfError(log.FirstRecordAtOrAfter(1500)), "corrupt_entry");
  EXPECT_EQ(KindOfError(log.FirstRecordAtOrAfter(2500)), "corrupt_entry") << "nobody knows any more";
  EXPECT_EQ(*log.FirstRecordAtOrAfter(3500), std::nullopt);
  ASSERT_TRUE(log.Quarantine(Offset(2)).ok());
  EXPECT_EQ((*log.FirstRecordAtOrAfter(1500))->offset, Offset(4));
}

TEST_F(LogDamageTest, AFlowGoesOnBehindTheGap) {
  EmbeddedLog& log = node_.Source();
  Fill(log, {3, 2, 4});
  const std::vector<Entry> whole = AllEntries(log);
  Damage(log, {3});
  LogFlowSource flow(log.shared_from_this(), {});
  EXPECT_TRUE(*flow.history()->Continues({IdOf(1).bytes(), Offset(3), whole[0].hash_after}));
  EXPECT_EQ(flow.Read(Offset(0), kAll)->size(), 1u) << "what is whole goes out";
  EXPECT_EQ(KindOfError(flow.Read(Offset(3), kAll)), "corrupt_entry");
  ASSERT_TRUE(log.Quarantine(Offset(3)).ok());
  auto entries = flow.Read(Offset(3), kAll);
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ(entries->front().kind, EntryKind::kGap);
  EXPECT_EQ(entries->front().hash_after, whole[1].hash_after);
}

/// Damage at random, reads at random: every record is read, or lies in a range that is named, and no range
/// reaches beyond the damaged entries it joins. Healed or quarantined, the log is whole.
TEST_F(LogDamageTest, AgreesWithAModel) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    EmbeddedLog& log = node_.Create(LogOrigin{"", Slot(0), "m" + std::to_string(round), PartitionId(0)}, 1);
    const int batches = 1 + static_cast<int>(random() % 40);
    for (int i = 0; i < batches; ++i) Fill(log, {1 + static_cast<int>(random() % 9)});
    const std::vector<Entry> whole = AllEntries(log);
    std::set<Offset> damaged;
    for (const Entry& entry : whole) {
      if (random() % 4 != 0) continue;
      damaged.insert(entry.from);
      Damage(log, {entry.from.value()});
    }
    for (int i = 0; i < 30; ++i) {
      const Offset at(static_cast<int64_t>(random() % static_cast<uint64_t>(log.state().end.value())));
      const auto entry = std::find_if(whole.begin(), whole.end(), [&](const Entry& e) { return at < e.to; });
      auto damage = log.FindDamage(at);
      ASSERT_TRUE(damage.ok()) << damage.status();
      if (damaged.contains(entry->from)) {
        ASSERT_TRUE(damage->has_value()) << at.value();
      }
      if (!*damage) continue;
      ASSERT_LE((*damage)->from, entry->from);
      ASSERT_GE((*damage)->to, entry->to);
      ASSERT_TRUE(damaged.contains((*damage)->from));
    }
    (void)ReadAround(log);
    for (const LogDamage& damage : log.damages()) {
      std::vector<FlowEntry> entries;
      for (const Entry& entry : whole) {
        if (entry.from >= damage.from && entry.to <= damage.to) entries.push_back(ToReplica(entry));
      }
      if (random() % 2 == 0) {
        ASSERT_TRUE(Replace(log, std::move(entries)).ok());
      } else {
        ASSERT_TRUE(log.Quarantine(damage.from).ok());
      }
    }
    const std::vector<Entry> after = AllEntries(log);
    ASSERT_EQ(after.back().to, log.state().end);
    ASSERT_EQ(after.back().hash_after, log.state().hash);
    for (size_t i = 1; i < after.size(); ++i) {
      ASSERT_EQ(after[i].from, after[i - 1].to);
      ASSERT_EQ(after[i].hash_before, after[i - 1].hash_after);
      ASSERT_GE(after[i].log_bytes, after[i - 1].log_bytes);
      ASSERT_GE(after[i].append_ms, after[i - 1].append_ms);
      ASSERT_GE(after[i].max_timestamp, after[i - 1].max_timestamp);
    }
  }
}

}  // namespace
}  // namespace selvage
