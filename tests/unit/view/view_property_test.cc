// What a view adds up to depends neither on where a log is cut into pieces, nor on the order in which several
// logs are read: checked with random records against the same computed by definition.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fabric/view/view_batch.h"
#include "tests/support/seeded_random.h"
#include "tests/unit/view/samples.h"

namespace selvage::view {
namespace {

constexpr int64_t kSecond = 1000;
constexpr int64_t kLength = 10 * kSecond;
constexpr int64_t kLateness = 5 * kSecond;

struct Made {
  int64_t timestamp_ms = 0;
  std::optional<std::string> key;
  std::optional<std::string> value;
  // What is in the value, when it is of use.
  std::optional<int64_t> quarters;
};

/// A record as a sensor might send it, or something of no use. Values are in quarters, so that sums of
/// doubles are exact.
Made AnyRecord(test::SeededRandom& random, int64_t& clock_ms) {
  clock_ms += static_cast<int64_t>(random.Below(2 * kSecond));
  Made made;
  made.timestamp_ms = clock_ms - (random.OneIn(5) ? static_cast<int64_t>(random.Below(3 * kLength)) : 0);
  if (!random.OneIn(20)) made.key = fmt::format("pump-{}", random.Below(4));
  if (random.OneIn(20)) {
    if (random.OneIn(2)) made.value = "{";
    return made;
  }
  if (random.OneIn(20)) {
    made.value = R"({"bar":"text"})";
    return made;
  }
  made.quarters = static_cast<int64_t>(random.Below(2000)) - 1000;
  made.value = fmt::format(R"({{"unit":"bar","bar":{}}})", static_cast<double>(*made.quarters) / 4);
  return made;
}

v1::ViewDefinition Definition() {
  v1::ViewDefinition definition = samples::Aggregate({"$key"}, {{v1::VIEW_COUNT, ""},
                                                                {v1::VIEW_COUNT, "bar"},
                                                                {v1::VIEW_SUM, "bar"},
                                                                {v1::VIEW_MEAN, "bar"},
                                                                {v1::VIEW_MIN, "bar"},
                                                                {v1::VIEW_MAX, "bar"},
                                                                {v1::VIEW_DISTINCT, "bar"}});
  definition.mutable_aggregate()->set_window_ms(kLength);
  definition.mutable_aggregate()->set_lateness_ms(kLateness);
  return CompleteDefinition(definition).value();
}

/// What a shell stores: states by key, progress by log, and what was skipped.
struct Stored {
  std::map<std::string, std::string> states;
  std::map<std::string, std::optional<table::Fields>> newest;
  LogProgress progress;
  std::array<uint64_t, kSkipReasons> skipped{};

  void Apply(const v1::ViewDefinition& definition, ViewPiece piece) {
    for (GroupUpdate& group : piece.groups) {
      if (const auto before = states.find(group.key); before != states.end()) {
        const auto state = AggregateState::Decode(definition.aggregate(), before->second);
        ASSERT_TRUE(state.ok()) << state.status();
        group.state.Merge(*state);
      }
      states[group.key] = group.state.Encode();
    }
    for (NewestUpdate& row : piece.newest) newest[row.key] = std::move(row.row);
    for (size_t i = 0; i < kSkipReasons; ++i) skipped[i] += piece.skipped.counts[i];
    progress = piece.after;
  }
};

/// Reads a whole log in pieces, each of at most so many rows, cut also where `random` says.
void FoldLog(const v1::ViewDefinition& definition, const std::vector<Made>& log, const PieceLimits& limits,
             test::SeededRandom* random, Stored& stored) {
  ViewFold fold(definition);
  stored.progress = {};
  fold.Begin(stored.progress, limits);
  for (size_t at = 0; at < log.size();) {
    const Made& made = log[at];
    const bool taken = fold.Add({.offset = Offset(static_cast<int64_t>(at)),
                                 .timestamp_ms = made.timestamp_ms,
                                 .key = made.key,
                                 .value = made.value});
    at += taken ? 1 : 0;
    if (taken && (random == nullptr || !random->OneIn(10))) continue;
    stored.Apply(definition, fold.Take());
    EXPECT_EQ(stored.progress.next, Offset(static_cast<int64_t>(at)));
    fold.Begin(stored.progress, limits);
  }
  stored.Apply(definition, fold.Take());
}

std::map<std::string, std::string> RowsOf(const v1::ViewDefinition& definition, const Stored& stored) {
  std::map<std::string, std::string> rows;
  for (const auto& [key, bytes] : stored.states) {
    const auto state = AggregateState::Decode(definition.aggregate(), bytes);
    rows[key] = samples::Json(VisibleRow(definition.aggregate(), key, *state).value());
  }
  return rows;
}

/// The rows by definition: of each window of a key that took the record in time.
std::map<std::string, std::string> Expected(const std::vector<std::vector<Made>>& logs) {
  struct Sums {
    int64_t records = 0;
    std::vector<int64_t> quarters;
    int64_t texts = 0;
  };
  std::map<std::string, Sums> groups;
  for (const std::vector<Made>& log : logs) {
    int64_t newest_ms = INT64_MIN;
    for (const Made& made : log) {
      const int64_t start = made.timestamp_ms / kLength * kLength;
      const bool late = newest_ms != INT64_MIN && start + kLength + kLateness <= newest_ms;
      newest_ms = std::max(newest_ms, made.timestamp_ms);
      if (late || !made.key || !made.value || *made.value == "{") continue;
      Sums& sums = groups[fmt::format(R"("{}","1970-01-01T{:02}:{:02}:{:02}.000Z")", *made.key,
                                      start / 3'600'000, start / 60'000 % 60, start / 1000 % 60)];
      ++sums.records;
      if (made.quarters) {
        sums.quarters.push_back(*made.quarters);
      } else {
        ++sums.texts;
      }
    }
  }
  std::map<std::string, std::string> rows;
  for (const auto& [key, sums] : groups) {
    const auto number = [](int64_t quarters) {
      return table::CanonicalNumber(table::NumberOf(static_cast<double>(quarters) / 4));
    };
    const auto& all = sums.quarters;
    int64_t sum = 0;
    for (const int64_t quarters : all) sum += quarters;
    const size_t comma = key.find(',');
    std::string row = fmt::format(R"({{"count":{},"count_bar":{},"distinct_bar":{},"key":{})", sums.records,
                                  all.size() + static_cast<size_t>(sums.texts),
                                  std::set<int64_t>(all.begin(), all.end()).size() + (sums.texts > 0 ? 1 : 0),
                                  key.substr(0, comma));
    if (!all.empty()) {
      const double mean = static_cast<double>(sum) / 4 / static_cast<double>(all.size());
      row += fmt::format(R"(,"max_bar":{},"mean_bar":{},"min_bar":{},"sum_bar":{})",
                         number(*std::max_element(all.begin(), all.end())),
                         table::CanonicalNumber(table::NumberOf(mean)),
                         number(*std::min_element(all.begin(), all.end())), number(sum));
    }
    rows[key] = row + fmt::format(R"(,"window":{}}})", key.substr(comma + 1));
  }
  return rows;
}

TEST(ViewPropertyTest, AnyCutGivesTheSameStatesAndThoseOfTheDefinition) {
  const v1::ViewDefinition definition = Definition();
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    test::SeededRandom random(seed);
    std::vector<Made> log;
    int64_t clock_ms = static_cast<int64_t>(random.Below(1'000'000)) + 4 * kLength;
    for (uint64_t i = random.Spread(1, 1000); i > 0; --i) log.push_back(AnyRecord(random, clock_ms));
    Stored whole;
    FoldLog(definition, log, {}, nullptr, whole);
    Stored cut;
    FoldLog(definition, log, {.rows_max = random.Between(1, 20), .bytes_max = random.Spread(1, 1000)},
            &random, cut);
    EXPECT_EQ(cut.states, whole.states);
    EXPECT_EQ(cut.progress, whole.progress);
    EXPECT_EQ(cut.skipped, whole.skipped);
    ASSERT_EQ(RowsOf(definition, cut), Expected({log}));
  }
}

TEST(ViewPropertyTest, LogsMayBeReadInAnyOrder) {
  const v1::ViewDefinition definition = Definition();
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    test::SeededRandom random(seed);
    std::vector<std::vector<Made>> logs(3);
    for (std::vector<Made>& log : logs) {
      // One of them was away for long: its records are not late for that.
      int64_t clock_ms = static_cast<int64_t>(random.Below(100'000)) + 4 * kLength;
      for (int i = 0; i < 100; ++i) log.push_back(AnyRecord(random, clock_ms));
    }
    Stored forwards;
    for (const std::vector<Made>& log : logs) FoldLog(definition, log, {}, &random, forwards);
    Stored backwards;
    for (auto log = logs.rbegin(); log != logs.rend(); ++log)
      FoldLog(definition, *log, {}, &random, backwards);
    EXPECT_EQ(forwards.states, backwards.states);
    ASSERT_EQ(RowsOf(definition, forwards), Expected(logs));
  }
}

TEST(ViewPropertyTest, AnyCutGivesTheSameNewestRecords) {
  const v1::ViewDefinition definition = CompleteDefinition(samples::NewestPerKey()).value();
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    test::SeededRandom random(seed);
    std::vector<Made> log;
    int64_t clock_ms = 0;
    for (uint64_t i = random.Spread(1, 300); i > 0; --i) log.push_back(AnyRecord(random, clock_ms));
    Stored whole;
    FoldLog(definition, log, {}, nullptr, whole);
    Stored cut;
    FoldLog(definition, log, {.rows_max = random.Between(1, 3), .bytes_max = random.Spread(1, 1000)}, &random,
            cut);
    EXPECT_EQ(cut.newest, whole.newest);
    EXPECT_EQ(cut.skipped, whole.skipped);
    std::map<std::string, std::optional<table::Fields>> expected;
    for (const Made& made : log) {
      if (!made.key || made.value == "{") continue;
      expected[*made.key] =
          made.value ? std::optional(table::ParseFields(*made.value).value()) : std::nullopt;
    }
    ASSERT_EQ(whole.newest, expected);
  }
}

}  // namespace
}  // namespace selvage::view
