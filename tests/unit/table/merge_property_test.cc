/// Properties of merging, over random histories: several nodes write one row, hand changes and whole rows to
/// each other in any order and more than once, and are cloned and restored. Four wrong merges are planted,
/// and each must be found.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fabric/base/canary.h"
#include "fabric/table/merge.h"
#include "fabric/table/operations.h"
#include "fabric/table/row_format.h"
#include "tests/support/row_samples.h"
#include "tests/support/seeded_random.h"

namespace selvage::table {
namespace {

constexpr HlcClock::Limits kClock{.max_ahead_ms = 1'000'000, .floor_ahead_ms = 3};
constexpr int64_t kBeforeAll = INT64_MIN;  // nothing has expired then

/// What does not belong to one copy, as bytes.
std::string Shared(Row row) {
  const auto forget = [](Write& write) {
    write.sequence = 0;
    write.via = StoreId();
  };
  if (row.clear) forget(row.clear->write);
  if (row.expiry) forget(row.expiry->write);
  for (auto& [name, field] : row.fields) {
    if (field.set) forget(field.set->write);
    for (auto& [key, contribution] : field.contributions) forget(contribution.write);
  }
  return EncodeRow(row);
}

Row Merged(Row row, const Change& change) {
  Merge(row, change, {});
  return row;
}

struct Replica {
  StoreId store;
  FeedEpoch epoch;
  HlcClock clock{Hlc(), kClock};
  Row row;
  uint64_t next_sequence = 1;
};

/// What was written, kept apart from the rows: the oracle.
struct Written {
  std::vector<Change> changes;
  struct Counted {
    Stamp last;  ///< of the increments
    int64_t amount = 0;
  };
  /// Base → who counted → what; of the field n.
  std::map<Stamp, std::map<Contributor, Counted>> counted;
};

/// The row that `written` must lead to, by definition and not by merging.
std::string Expected(const Written& written) {
  std::optional<Clear> clear;
  std::map<std::string, Register> registers;
  for (const Change& change : written.changes) {
    if (change.clear && (!clear || std::pair(clear->write.stamp, clear->kind) <
                                       std::pair(change.clear->write.stamp, change.clear->kind))) {
      clear = change.clear;
    }
    for (const auto& [name, field] : change.fields) {
      if (!field.set) continue;
      const auto [at, first] = registers.emplace(name, *field.set);
      if (!first && std::pair(at->second.write.stamp, at->second.value) <
                        std::pair(field.set->write.stamp, field.set->value)) {
        at->second = *field.set;
      }
    }
  }
  const Stamp cleared = clear ? clear->write.stamp : Stamp();
  std::map<std::string, CanonicalJson> seen;
  for (const std::string name : {"a", "b", "n"}) {
    const auto found = registers.find(name);
    const bool there = found != registers.end() && found->second.write.stamp >= cleared;
    std::optional<CanonicalJson> value = there ? found->second.value : std::nullopt;
    const Stamp base = value ? found->second.write.stamp : Stamp();
    // What counts on nothing is as old as its last increment.
    const Stamp oldest = there ? found->second.write.stamp : cleared;
    const bool value_is_set = value.has_value();
    const auto counted = written.counted.find(base);
    if (name == "n" && counted != written.counted.end()) {
      for (const auto& [by, count] : counted->second) {
        if (!value_is_set && count.last < oldest) continue;
        const JsonNumber before = value ? *value->number() : JsonNumber(int64_t{0});
        value = CanonicalJson::Of(Sum({before, count.amount}));
      }
    }
    if (value) seen.emplace(name, *value);
  }
  if (seen.empty() && !(clear && clear->kind == ClearKind::kPut)) return "none";
  std::string json;
  for (const auto& [name, value] : seen) json += (json.empty() ? "\"" : ",\"") + name + "\":" + value.text();
  return "{" + json + "}";
}

/// One random history over the fields a and b, which are set, and n, which is also counted.
class History {
 public:
  explicit History(uint64_t seed) : random_(seed) {
    const uint64_t count = random_.Between(3, 5);
    for (uint64_t i = 0; i < count; ++i) {
      Replica replica;
      // Now and then a clone: two stores with one id.
      const bool clone = i > 1 && random_.OneIn(4);
      replica.store = samples::Store(static_cast<int>(clone ? i - 1 : i) + 1);
      replica.epoch = NewEpoch();
      replicas_.push_back(std::move(replica));
    }
    backups_ = replicas_;
    // Few milliseconds, so that stamps meet.
    span_ms_ = static_cast<int64_t>(random_.Between(1, 20));
  }

  void Run() {
    const uint64_t steps = random_.Between(5, 60);
    for (uint64_t i = 0; i < steps; ++i) Step();
  }

  /// Everybody gets all changes, each in an order of his own.
  void DeliverAll() {
    for (Replica& replica : replicas_) {
      std::vector<Change> changes = written_.changes;
      for (size_t i = changes.size(); i > 1; --i) std::swap(changes[i - 1], changes[random_.Below(i)]);
      for (const Change& change : changes) Receive(replica, change, random_.Pick(replicas_).store);
    }
  }

  const std::vector<Replica>& replicas() const { return replicas_; }
  const Written& written() const { return written_; }
  test::SeededRandom& random() { return random_; }

 private:
  void Step() {
    Replica& replica = random_.Pick(replicas_);
    switch (random_.Below(12)) {
      case 0:
      case 1:
      case 2:
        if (!written_.changes.empty()) Receive(replica, random_.Pick(written_.changes), StoreId());
        break;
      case 3:
      case 4: {
        const Replica& other = random_.Pick(replicas_);
        const Row row = other.row;
        Receive(replica, row, other.store);
        break;
      }
      case 5:
        Restart(replica);
        break;
      default:
        Write(replica);
    }
  }

  void Write(Replica& replica) {
    const Stamp stamp = Tick(replica);
    Change change;
    switch (random_.Below(6)) {
      case 0:
        change = Put(replica.row, SomeFields(), SomeExpiry(), stamp);
        break;
      case 1:
        change = Delete(replica.row, stamp);
        break;
      default:
        change = SomeUpdate(replica, stamp);
    }
    Merge(replica.row, change, {StoreId(), replica.next_sequence});
    written_.changes.push_back(std::move(change));
  }

  Change SomeUpdate(Replica& replica, const Stamp& stamp) {
    Update update;
    for (const auto& [name, value] : SomeFields()) {
      if (random_.OneIn(3)) {
        update.unset.insert(name);
      } else {
        update.set.emplace(name, value);
      }
    }
    if (!update.set.contains("n") && !update.unset.contains("n") && random_.OneIn(2)) {
      const auto by = static_cast<int64_t>(random_.Between(0, 20)) - 5;
      update.increment["n"] = by;
    }
    if (random_.OneIn(4)) update.expiry = Update::NewExpiry{SomeExpiry()};
    Change change = MakeUpdate(replica.row, update, stamp, replica.epoch).value();
    if (update.increment.empty()) return change;
    const auto field = replica.row.fields.find("n");
    const Field* held = field == replica.row.fields.end() ? nullptr : &field->second;
    const ContributionKey key{{replica.store, replica.epoch}, BaseOf(held)};
    // What was counted before in this epoch, unless it went with the row.
    int64_t before = 0;
    if (held != nullptr && held->contributions.contains(key))
      before = written_.counted[key.base][key.by].amount;
    written_.counted[key.base][key.by] = {stamp, before + std::get<int64_t>(update.increment.at("n"))};
    return change;
  }

  Fields SomeFields() {
    Fields fields;
    for (const char* name : {"a", "b", "n"}) {
      if (random_.OneIn(2)) fields.emplace(name, CanonicalJson::Of(static_cast<int64_t>(random_.Below(4))));
    }
    return fields;
  }
  std::optional<int64_t> SomeExpiry() {
    if (random_.OneIn(2)) return std::nullopt;
    return static_cast<int64_t>(random_.Below(50));
  }

  Stamp Tick(Replica& replica) {
    const auto now = static_cast<int64_t>(random_.Below(static_cast<uint64_t>(span_ms_)));
    return {replica.clock.Tick(now), replica.store};
  }
  void Receive(Replica& replica, const Change& change, const StoreId& via) {
    const auto observe = [&](const table::Write& write) { replica.clock.Observe(write.stamp.hlc, 0); };
    if (change.clear) observe(change.clear->write);
    if (change.expiry) observe(change.expiry->write);
    for (const auto& [name, field] : change.fields) {
      if (field.set) observe(field.set->write);
      for (const auto& [key, contribution] : field.contributions) observe(contribution.write);
    }
    Merge(replica.row, change, {via, replica.next_sequence++});
  }

  FeedEpoch NewEpoch() { return FeedEpoch::Mint(random_); }

  /// Opens the store again: as it is, or as it was at some time before.
  void Restart(Replica& replica) {
    const auto index = static_cast<size_t>(&replica - replicas_.data());
    if (random_.OneIn(2)) {
      backups_[index] = replica;
    } else {
      replica = backups_[index];
    }
    replica.epoch = NewEpoch();
  }

  test::SeededRandom random_;
  int64_t span_ms_ = 1;
  std::vector<Replica> replicas_;
  std::vector<Replica> backups_;
  Written written_;
};

/// What is wrong with merging in the history of `seed`; empty if nothing.
std::string Violation(uint64_t seed) {
  History history(seed);
  history.Run();
  // Whatever rows and changes there are, at this point of the history.
  std::vector<Row> parts = history.written().changes;
  if (parts.empty()) return "";
  for (const Replica& replica : history.replicas()) parts.push_back(replica.row);
  for (int i = 0; i < 20; ++i) {
    const Row& a = history.random().Pick(parts);
    const Row& b = history.random().Pick(parts);
    const Row& c = history.random().Pick(parts);
    if (Shared(Merged(a, b)) != Shared(Merged(b, a))) return "not commutative";
    if (Shared(Merged(Merged(a, b), c)) != Shared(Merged(a, Merged(b, c)))) return "not associative";
    if (Shared(Merged(a, a)) != Shared(a)) return "not idempotent";
    if (Shared(Merged(Merged(a, b), b)) != Shared(Merged(a, b))) return "a repeat changes something";
    Row row = Merged(a, b);
    if (Merge(row, b, {}).outcome == MergeOutcome::kApplied) return "a repeat is applied";
  }
  history.DeliverAll();
  const Replica& first = history.replicas().front();
  const std::string expected = Expected(history.written());
  for (const Replica& replica : history.replicas()) {
    if (Shared(replica.row) != Shared(first.row)) return "rows differ";
    if (DigestOf(replica.row, kBeforeAll) != DigestOf(first.row, kBeforeAll)) return "digests differ";
    const std::string seen = VisibleJson(replica.row, kBeforeAll).value_or("none");
    if (seen != expected) return "seen " + seen + ", expected " + expected;
    const std::string bytes = EncodeRow(replica.row);
    const auto decoded = DecodeRow(bytes);
    if (!decoded.ok() || EncodeRow(*decoded) != bytes) return "not the same when it is read again";
  }
  return "";
}

constexpr uint64_t kHistories = 3'000;

TEST(MergePropertyTest, RandomHistoriesConverge) {
  for (uint64_t seed = 0; seed < kHistories; ++seed) ASSERT_EQ(Violation(seed), "") << "seed " << seed;
}

#ifdef SELVAGE_CANARIES
class PlantedMergeTest : public ::testing::TestWithParam<Canary> {
 protected:
  void SetUp() override { planted_canary = GetParam(); }
  void TearDown() override { planted_canary = Canary::kNone; }
};

TEST_P(PlantedMergeTest, IsFound) {
  uint64_t seed = 0;
  while (seed < kHistories && Violation(seed).empty()) ++seed;
  EXPECT_LT(seed, kHistories);
}

INSTANTIATE_TEST_SUITE_P(All, PlantedMergeTest,
                         ::testing::Values(Canary::kMergeNewestArrival, Canary::kMergeIgnoreTies,
                                           Canary::kForgetTombstone, Canary::kAddContributions));
#endif

/// Nodes that hand whole rows to each other, as feeds and snapshots do in the end: nothing newer comes
/// without what is older. Each set has a value of its own.
std::string LostSilently(uint64_t seed) {
  test::SeededRandom random(seed);
  std::vector<Replica> replicas(random.Between(2, 4));
  for (size_t i = 0; i < replicas.size(); ++i) {
    replicas[i].store = samples::Store(static_cast<int>(i) + 1);
    replicas[i].epoch = FeedEpoch::Mint(random);
  }
  // By value: false until somebody replaced it who had seen it, or it was listed.
  std::map<std::string, bool> accounted;
  const auto receive = [&](Replica& replica, const Row& row, const StoreId& via) {
    for (const Conflict& conflict : Merge(replica.row, row, {via, replica.next_sequence}).conflicts) {
      if (conflict.losing_value) accounted[conflict.losing_value->text()] = true;
    }
  };
  const auto account = [&](const Row& row, const std::string& name) {
    const auto field = row.fields.find(name);
    if (field == row.fields.end() || !field->second.set || !field->second.set->value) return;
    accounted[field->second.set->value->text()] = true;
  };
  int64_t now = 0;
  for (int step = 0; step < 60; ++step) {
    Replica& replica = random.Pick(replicas);
    const std::string name = random.OneIn(2) ? "a" : "b";
    const Stamp stamp{Hlc::AtMs(++now), replica.store};
    switch (random.Below(5)) {
      case 0:
        account(replica.row, "a");
        account(replica.row, "b");
        receive(replica, Delete(replica.row, stamp), StoreId());
        break;
      case 1:
      case 2: {
        account(replica.row, name);
        const std::string value = std::to_string(step);
        accounted[value] = false;
        const Update update{.set = {{name, samples::Json(value)}}};
        receive(replica, MakeUpdate(replica.row, update, stamp, replica.epoch).value(), StoreId());
        break;
      }
      default: {
        const Replica& other = random.Pick(replicas);
        if (&other != &replica) receive(replica, Row(other.row), other.store);
      }
    }
  }
  for (int round = 0; round < 3; ++round) {
    for (Replica& replica : replicas) {
      for (const Replica& other : replicas) {
        if (&other != &replica) receive(replica, Row(other.row), other.store);
      }
    }
  }
  account(replicas[0].row, "a");
  account(replicas[0].row, "b");
  for (const auto& [value, is_accounted] : accounted) {
    if (!is_accounted) return value;
  }
  return "";
}

TEST(MergePropertyTest, WhatLostUnseenIsListedSomewhere) {
  for (uint64_t seed = 0; seed < kHistories; ++seed) ASSERT_EQ(LostSilently(seed), "") << "seed " << seed;
}

}  // namespace
}  // namespace selvage::table
