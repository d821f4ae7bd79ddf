#include "fabric/view/view_batch.h"

#include <gmock/gmock.h>

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"
#include "fabric/stream/record_format.h"
#include "fabric/table/table_types.h"
#include "tests/unit/view/samples.h"

namespace selvage::view {
namespace {

using samples::kHourMs;
using samples::kMinuteMs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr int64_t kNoon = 472'212 * kHourMs;  // 2023-11-14T12:00:00Z

v1::ViewDefinition Complete(const v1::ViewDefinition& definition) {
  return CompleteDefinition(definition).value();
}

/// Feeds a fold with records of offsets from 0 on.
class Feeder {
 public:
  explicit Feeder(const v1::ViewDefinition& definition, const PieceLimits& limits = {})
      : fold_(Complete(definition)), limits_(limits) {
    fold_.Begin({}, limits_);
  }

  bool Add(std::optional<std::string_view> key, std::optional<std::string_view> value,
           int64_t timestamp_ms = kNoon, int64_t timestamp_max_ms = ViewFold::kAnyTime) {
    const bool taken = fold_.Add({.offset = next_, .timestamp_ms = timestamp_ms, .key = key, .value = value},
                                 timestamp_max_ms);
    if (taken) next_ = next_ + 1;
    return taken;
  }

  ViewPiece Take() { return fold_.Take(); }
  /// Rows of the piece of an aggregate, as readers would see them if there was nothing before.
  std::map<std::string, std::string> Rows() { return RowsOf(Take()); }
  std::map<std::string, std::string> RowsOf(const ViewPiece& piece) const {
    std::map<std::string, std::string> rows;
    for (const GroupUpdate& group : piece.groups) {
      const auto row = VisibleRow(fold_.definition().aggregate(), group.key, group.state);
      rows.emplace(group.key, row.ok() ? samples::Json(*row) : row.status().ToString());
    }
    return rows;
  }

 private:
  ViewFold fold_;
  PieceLimits limits_;
  Offset next_;
};

std::map<std::string, std::string> NewestOf(const ViewPiece& piece) {
  std::map<std::string, std::string> rows;
  for (const NewestUpdate& newest : piece.newest) {
    rows.emplace(newest.key, newest.row ? samples::Json(*newest.row) : "deleted");
  }
  return rows;
}

/// Reason → how many, without those that are 0.
std::map<std::string, uint64_t> SkippedOf(const ViewPiece& piece) {
  std::map<std::string, uint64_t> counts;
  for (size_t i = 0; i < kSkipReasons; ++i) {
    const uint64_t count = piece.skipped.counts[i];
    if (count > 0) counts.emplace(SkipWord(static_cast<SkipReason>(i)), count);
  }
  return counts;
}

TEST(ViewFoldTest, GroupsByKeyAndWindow) {
  Feeder feeder(samples::Hourly());
  feeder.Add("pump-7", R"({"bar":2})", kNoon);
  feeder.Add("pump-7", R"({"bar":3})", kNoon + kMinuteMs);
  feeder.Add("pump-8", R"({"bar":1.5})", kNoon + 2 * kMinuteMs);
  feeder.Add("pump-7", R"({"bar":4})", kNoon + kHourMs);
  const ViewPiece piece = feeder.Take();
  EXPECT_THAT(
      feeder.RowsOf(piece),
      ElementsAre(Pair(R"("pump-7","2023-11-14T12:00:00.000Z")",
                       R"({"count":2,"key":"pump-7","mean_bar":2.5,"window":"2023-11-14T12:00:00.000Z"})"),
                  Pair(R"("pump-7","2023-11-14T13:00:00.000Z")",
                       R"({"count":1,"key":"pump-7","mean_bar":4,"window":"2023-11-14T13:00:00.000Z"})"),
                  Pair(R"("pump-8","2023-11-14T12:00:00.000Z")",
                       R"({"count":1,"key":"pump-8","mean_bar":1.5,"window":"2023-11-14T12:00:00.000Z"})")));
  EXPECT_EQ(piece.groups[0].window_end_ms, kNoon + kHourMs);
  EXPECT_EQ(piece.records, 4u);
  EXPECT_EQ(piece.after, (LogProgress{Offset(4), kNoon + kHourMs}));
  EXPECT_FALSE(piece.full);
  EXPECT_THAT(SkippedOf(piece), IsEmpty());
}

TEST(ViewFoldTest, GroupsByFieldsOfAnyScalar) {
  Feeder feeder(samples::Aggregate({"site.id", "on"}, {{v1::VIEW_COUNT, ""}}));
  feeder.Add({}, R"({"site":{"id":7},"on":true})");
  feeder.Add({}, R"({"site":{"id":7.0},"on":true})");
  feeder.Add({}, R"({"site":{"id":"7"},"on":false})");
  feeder.Add({}, R"({"site":{"id":"a,\"b"},"on":0.5})");
  EXPECT_THAT(feeder.Rows(), ElementsAre(Pair(R"("7",false)", R"({"count":1,"on":false,"site_id":"7"})"),
                                         Pair(R"("a,\"b",0.5)", R"({"count":1,"on":0.5,"site_id":"a,\"b"})"),
                                         Pair("7,true", R"({"count":2,"on":true,"site_id":7})")));
}

TEST(ViewFoldTest, AWindowAloneIsAGroup) {
  v1::ViewDefinition definition = samples::Hourly();
  definition.mutable_aggregate()->clear_group_by();
  Feeder feeder(definition);
  feeder.Add("a", R"({"bar":2})");
  feeder.Add({}, R"({"bar":4})");
  EXPECT_THAT(feeder.Rows(),
              ElementsAre(Pair(R"("2023-11-14T12:00:00.000Z")",
                               R"({"count":2,"mean_bar":3,"window":"2023-11-14T12:00:00.000Z"})")));
}

TEST(ViewFoldTest, EveryFunctionAtOnce) {
  Feeder feeder(samples::Aggregate({"$key"}, {{v1::VIEW_COUNT, ""},
                                              {v1::VIEW_COUNT, "a"},
                                              {v1::VIEW_SUM, "a"},
                                              {v1::VIEW_MEAN, "a"},
                                              {v1::VIEW_MIN, "a"},
                                              {v1::VIEW_MAX, "a"},
                                              {v1::VIEW_DISTINCT, "a"},
                                              {v1::VIEW_DISTINCT, "$key"}}));
  feeder.Add("k", R"({"a":1})");
  feeder.Add("k", R"({"a":2.5})");
  feeder.Add("k", R"({"a":1})");
  feeder.Add("k", R"({})");
  const ViewPiece piece = feeder.Take();
  EXPECT_THAT(feeder.RowsOf(piece),
              ElementsAre(Pair(
                  "\"k\"", R"({"count":4,"count_a":3,"distinct_a":2,"distinct_key":1,"key":"k","max_a":2.5,)"
                           R"("mean_a":1.5,"min_a":1,"sum_a":4.5})")));
  EXPECT_THAT(SkippedOf(piece), ElementsAre(Pair("no_field", 5)))
      << "each column that lacks it, but no count";
}

TEST(ViewFoldTest, WhatCannotBeUsedIsCountedAndStopsNothing) {
  Feeder feeder(samples::Aggregate({"$key", "site"}, {{v1::VIEW_COUNT, ""}, {v1::VIEW_SUM, "bar"}}));
  feeder.Add("a", "no json");
  feeder.Add("a", std::nullopt);
  feeder.Add("a", "[1]");
  feeder.Add("a", R"({"bar":1})");
  feeder.Add("a", R"({"bar":1,"site":{}})");
  feeder.Add("a", R"({"bar":1,"site":1e999})");
  feeder.Add(std::nullopt, R"({"bar":1,"site":1})");
  feeder.Add("\xff", R"({"bar":1,"site":1})");
  feeder.Add(std::string(table::kRowKeyMax, 'k'), R"({"bar":1,"site":1})");
  feeder.Add("a", R"({"bar":"much","site":1})");
  feeder.Add("a", R"({"bar":1e999,"site":1})");
  feeder.Add("a", R"({"bar":2,"site":1})");
  const ViewPiece piece = feeder.Take();
  EXPECT_THAT(SkippedOf(piece),
              ElementsAre(Pair("bad_key", 1), Pair("key_too_long", 1), Pair("no_field", 1), Pair("no_key", 1),
                          Pair("not_a_number", 1), Pair("not_a_scalar", 1), Pair("not_an_object", 1),
                          Pair("not_json", 2), Pair("out_of_range", 2)));
  EXPECT_THAT(feeder.RowsOf(piece),
              ElementsAre(Pair("\"a\",1", R"({"count":3,"key":"a","site":1,"sum_bar":2})")));
  EXPECT_EQ(piece.records, 12u);
  EXPECT_EQ(piece.after.next, Offset(12));

  ASSERT_THAT(piece.skipped.listed, SizeIs(11));
  EXPECT_THAT(piece.skipped.listed[0].what, HasSubstr("not JSON from byte 0"));
  EXPECT_EQ(piece.skipped.listed[3].reason, SkipReason::kNoField);
  EXPECT_EQ(piece.skipped.listed[3].offset, Offset(3));
  EXPECT_EQ(piece.skipped.listed[3].timestamp_ms, kNoon);
  EXPECT_EQ(piece.skipped.listed[3].what, "site");
  EXPECT_EQ(piece.skipped.listed[9].what, "bar");
}

TEST(ViewFoldTest, AColumnOverKeysDoesWithoutThoseThatAreNoText) {
  Feeder feeder(samples::Aggregate(
      {"site"}, {{v1::VIEW_COUNT, ""}, {v1::VIEW_COUNT, "$key"}, {v1::VIEW_DISTINCT, "$key"}}));
  for (const char* key : {"a", "b", "\xFF", "pump-\xC3"}) feeder.Add(key, R"({"site":1})");
  feeder.Add(std::nullopt, R"({"site":1})");
  const ViewPiece piece = feeder.Take();
  EXPECT_THAT(feeder.RowsOf(piece),
              ElementsAre(Pair("1", R"({"count":5,"count_key":2,"distinct_key":2,"site":1})")));
  EXPECT_THAT(SkippedOf(piece), ElementsAre(Pair("bad_key", 4), Pair("no_key", 1)));
}

TEST(ViewFoldTest, OfEachReasonOnlySomeAreListed) {
  Feeder feeder(samples::Aggregate({"$key"}, {{v1::VIEW_SUM, "bar"}}));
  for (int i = 0; i < 1000; ++i) feeder.Add("a", "{");
  feeder.Add("a", "1");
  const ViewPiece piece = feeder.Take();
  EXPECT_EQ(piece.skipped.count(SkipReason::kNotJson), 1000u);
  EXPECT_THAT(piece.skipped.listed, SizeIs(SkippedRecords::kListedMax + 1));
}

TEST(ViewFoldTest, AViewThatWantsNoFieldDoesNotLookIntoValues) {
  Feeder feeder(samples::Aggregate({"$key"}, {{v1::VIEW_COUNT, ""}}));
  feeder.Add("a", "no json");
  feeder.Add("a", std::nullopt);
  EXPECT_THAT(feeder.Rows(), ElementsAre(Pair("\"a\"", R"({"count":2,"key":"a"})")));
}

TEST(ViewFoldTest, RecordsAreLateByTheTimeOfTheirOwnLog) {
  Feeder feeder(samples::Hourly());
  feeder.Add("p", R"({"bar":1})", kNoon);
  feeder.Add("p", R"({"bar":1})", kNoon + kHourMs + 10 * kMinuteMs - 1);
  feeder.Add("p", R"({"bar":1})", kNoon + 1);                    // in time, by a millisecond
  feeder.Add("p", "no json", kNoon + kHourMs + 10 * kMinuteMs);  // skipped, and yet time goes on
  feeder.Add("p", R"({"bar":1})", kNoon + 2);
  const ViewPiece piece = feeder.Take();
  EXPECT_THAT(SkippedOf(piece), ElementsAre(Pair("late", 1), Pair("not_json", 1)));
  EXPECT_EQ(piece.skipped.listed[1].what, "2023-11-14T12:00:00.000Z");
  EXPECT_EQ(piece.after.watermark_ms, kNoon + kHourMs + 10 * kMinuteMs);
  EXPECT_EQ(piece.groups[0].state.Visible(0)->text(), "2");
}

TEST(ViewFoldTest, TheWatermarkOfEarlierPiecesCounts) {
  ViewFold fold(Complete(samples::Hourly()));
  const InputRecord record{.offset = Offset(5), .timestamp_ms = kNoon, .key = "p", .value = R"({"bar":1})"};
  fold.Begin({Offset(5), kNoon + 2 * kHourMs}, {});
  EXPECT_TRUE(fold.Add(record));
  const ViewPiece late = fold.Take();
  EXPECT_THAT(SkippedOf(late), ElementsAre(Pair("late", 1)));
  EXPECT_EQ(late.after, (LogProgress{Offset(6), kNoon + 2 * kHourMs}));

  fold.Begin({Offset(5), std::nullopt}, {});
  EXPECT_TRUE(fold.Add(record));
  EXPECT_THAT(SkippedOf(fold.Take()), IsEmpty()) << "in another log it is the newest";
}

TEST(ViewFoldTest, TimesThatAreOfNoUseAreSkippedAndMakeNothingLate) {
  Feeder feeder(samples::Hourly());
  feeder.Add("p", R"({"bar":1})", -1);
  feeder.Add("p", R"({"bar":1})", std::numeric_limits<int64_t>::max());
  feeder.Add("p", R"({"bar":1})", kNoon + kHourMs * 1000, /*timestamp_max_ms=*/kNoon + kHourMs);
  feeder.Add("p", R"({"bar":1})", kNoon, /*timestamp_max_ms=*/kNoon + kHourMs);
  const ViewPiece piece = feeder.Take();
  EXPECT_THAT(SkippedOf(piece), ElementsAre(Pair("bad_timestamp", 3)));
  EXPECT_THAT(piece.groups, SizeIs(1));
  EXPECT_EQ(piece.after.watermark_ms, kNoon);
}

TEST(ViewFoldTest, WithoutWindowsTimesDoNotMatter) {
  Feeder feeder(samples::Aggregate({"$key"}, {{v1::VIEW_COUNT, ""}}));
  feeder.Add("p", "1", -1, 0);
  feeder.Add("p", "1", kNoon, 0);
  const ViewPiece piece = feeder.Take();
  EXPECT_THAT(SkippedOf(piece), IsEmpty());
  EXPECT_EQ(piece.after.watermark_ms, std::nullopt);
  EXPECT_EQ(piece.groups[0].window_end_ms, std::nullopt);
}

TEST(ViewFoldTest, WindowsThatAreGoneDoNotComeBack) {
  Feeder feeder(samples::Hourly(), {.windows_gone_ms = kNoon + kHourMs});
  feeder.Add("p", R"({"bar":1})", kNoon + kHourMs - 1);
  feeder.Add("p", R"({"bar":1})", kNoon + kHourMs);
  const ViewPiece piece = feeder.Take();
  EXPECT_THAT(SkippedOf(piece), ElementsAre(Pair("window_gone", 1)));
  EXPECT_THAT(piece.groups, SizeIs(1));
}

TEST(ViewFoldTest, APieceHoldsSoManyRowsAndTheNextGoesOn) {
  ViewFold fold(Complete(samples::Aggregate({"$key"}, {{v1::VIEW_COUNT, ""}, {v1::VIEW_SUM, "a"}})));
  const auto record = [](int64_t offset, std::string_view key) {
    return InputRecord{.offset = Offset(offset), .key = key, .value = "{}"};
  };
  const PieceLimits limits{.rows_max = 2};
  fold.Begin({}, limits);
  EXPECT_TRUE(fold.Add(record(0, "a")));
  EXPECT_TRUE(fold.Add(record(1, "b")));
  EXPECT_TRUE(fold.Add(record(2, "a")));
  EXPECT_FALSE(fold.Add(record(3, "c")));
  EXPECT_FALSE(fold.Add(record(4, "a"))) << "nothing is taken out of order";
  ViewPiece piece = fold.Take();
  EXPECT_TRUE(piece.full);
  EXPECT_EQ(piece.after.next, Offset(3));
  EXPECT_EQ(piece.records, 3u);
  EXPECT_THAT(piece.groups, SizeIs(2));
  EXPECT_EQ(piece.skipped.count(SkipReason::kNoField), 3u) << "of the records in it";

  fold.Begin(piece.after, limits);
  EXPECT_TRUE(fold.Add(record(2, "a"))) << "passed over";
  EXPECT_TRUE(fold.Add(record(3, "c")));
  piece = fold.Take();
  EXPECT_FALSE(piece.full);
  EXPECT_THAT(piece.groups, SizeIs(1));
  EXPECT_EQ(piece.groups[0].key, "\"c\"");
}

TEST(ViewFoldTest, AFullPieceKeepsTheWatermark) {
  Feeder feeder(samples::Hourly(), {.rows_max = 1});
  EXPECT_TRUE(feeder.Add("p", R"({"bar":1})", kNoon));
  EXPECT_FALSE(feeder.Add("q", R"({"bar":1})", kNoon + 5 * kHourMs));
  EXPECT_EQ(feeder.Take().after.watermark_ms, kNoon);
}

TEST(ViewFoldTest, NewestPerKeyIsTheLastValue) {
  Feeder feeder(samples::NewestPerKey());
  feeder.Add("a", R"({"bar": 1, "a": [1.0]})");
  feeder.Add("b", R"({"bar":2})", 17);
  feeder.Add("a", R"({"z":{"y":1,"x":2}})");
  feeder.Add("b", std::nullopt, 18);
  feeder.Add("c", "{}");
  const ViewPiece piece = feeder.Take();
  EXPECT_THAT(NewestOf(piece),
              ElementsAre(Pair("a", R"({"z":{"x":2,"y":1}})"), Pair("b", "deleted"), Pair("c", "{}")));
  EXPECT_EQ(piece.newest[1].offset, Offset(3));
  EXPECT_EQ(piece.newest[1].timestamp_ms, 18);
  EXPECT_EQ(piece.after.next, Offset(5));
}

TEST(ViewFoldTest, NewestPerKeyKeepsWhatWasBeforeARecordOfNoUse) {
  Feeder feeder(samples::NewestPerKey(), {.row_bytes_max = 20});
  feeder.Add("a", R"({"bar":1})");
  feeder.Add("a", "no json");
  feeder.Add("a", R"({"bar":1,"bar":2})");
  feeder.Add("a", R"({"bar":1e999})");
  feeder.Add("a", "7");
  feeder.Add("a", R"({"a":"1234567890123"})");
  feeder.Add("b", R"({"a":"123456789012"})");
  feeder.Add(std::nullopt, "{}");
  feeder.Add("", "{}");
  feeder.Add("\xc3", "{}");
  feeder.Add(std::string(table::kRowKeyMax + 1, 'k'), "{}");
  const ViewPiece piece = feeder.Take();
  EXPECT_THAT(NewestOf(piece), ElementsAre(Pair("a", R"({"bar":1})"), Pair("b", R"({"a":"123456789012"})")));
  EXPECT_THAT(SkippedOf(piece),
              ElementsAre(Pair("bad_key", 2), Pair("key_too_long", 1), Pair("no_key", 1),
                          Pair("not_an_object", 1), Pair("not_json", 3), Pair("row_too_large", 1)));
}

TEST(ViewFoldTest, APieceHoldsSoManyBytes) {
  const std::string value = R"({"a":")" + std::string(100, 'x') + R"("})";
  Feeder feeder(samples::NewestPerKey(), {.bytes_max = 250});
  EXPECT_TRUE(feeder.Add("a", value));
  EXPECT_TRUE(feeder.Add("a", value));
  EXPECT_TRUE(feeder.Add("a", value)) << "of a key only the newest counts";
  EXPECT_TRUE(feeder.Add("b", value));
  EXPECT_FALSE(feeder.Add("c", value));
  EXPECT_THAT(feeder.Take().newest, SizeIs(2));

  Feeder small(samples::NewestPerKey(), {.bytes_max = 1});
  EXPECT_TRUE(small.Add("a", value)) << "one always fits";
  EXPECT_FALSE(small.Add("b", "{}"));
}

/// A batch at `base` of records with keys and values.
std::string BatchAt(int64_t base, const std::vector<std::pair<std::string, std::string>>& records,
                    Codec codec = Codec::kNone) {
  BatchBuilder builder(codec);
  for (const auto& [key, value] : records) {
    Record record;
    record.timestamp = kNoon;
    record.key = key;
    record.value = value;
    builder.Add(record);
  }
  std::string batch = builder.Build();
  StampBatch(batch.data(), Offset(base), LeaderEpoch(1));
  return batch;
}

TEST(ViewFoldTest, ReadsBatchesOfAnyCodec) {
  for (const Codec codec : {Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd}) {
    ViewFold fold(Complete(samples::Hourly()));
    fold.Begin({Offset(11), std::nullopt}, {});
    const std::string before = BatchAt(4, {{"p", R"({"bar":9})"}}, codec);
    const std::string batch =
        BatchAt(10, {{"p", R"({"bar":9})"}, {"p", R"({"bar":1})"}, {"p", R"({"bar":2})"}}, codec);
    EXPECT_TRUE(fold.AddBatch(before).value());
    EXPECT_TRUE(fold.AddBatch(batch).value());
    fold.PassTo(Offset(20));
    const ViewPiece piece = fold.Take();
    EXPECT_EQ(piece.records, 2u) << "what is before the progress is passed over";
    EXPECT_EQ(piece.after, (LogProgress{Offset(20), kNoon}));
    EXPECT_EQ(piece.groups.at(0).state.Visible(1)->text(), "1.5");
  }
}

TEST(ViewFoldTest, APieceMayEndWithinABatch) {
  ViewFold fold(Complete(samples::NewestPerKey()));
  const std::string batch = BatchAt(10, {{"a", "{}"}, {"b", "{}"}, {"c", "{}"}});
  const PieceLimits limits{.rows_max = 2};
  fold.Begin({Offset(10), std::nullopt}, limits);
  EXPECT_FALSE(fold.AddBatch(batch).value());
  fold.PassTo(Offset(13));
  EXPECT_FALSE(fold.AddBatch(BatchAt(13, {{"a", "{}"}})).value());
  ViewPiece piece = fold.Take();
  EXPECT_TRUE(piece.full);
  EXPECT_EQ(piece.after.next, Offset(12));
  fold.Begin(piece.after, limits);
  EXPECT_TRUE(fold.AddBatch(batch).value());
  piece = fold.Take();
  EXPECT_THAT(NewestOf(piece), ElementsAre(Pair("c", "{}")));
  EXPECT_EQ(piece.after.next, Offset(13));
}

TEST(ViewFoldTest, ADamagedBatchIsAnErrorAndAddsNothing) {
  ViewFold fold(Complete(samples::NewestPerKey()));
  fold.Begin({Offset(10), std::nullopt}, {});
  std::string batch = BatchAt(10, {{"a", "{}"}});
  batch.back() = static_cast<char>(batch.back() ^ 1);
  EXPECT_EQ(ErrorKind(fold.AddBatch(batch).status()), "corrupt_batch");
  EXPECT_EQ(ErrorKind(fold.AddBatch("short").status()), "corrupt_batch");
  const ViewPiece piece = fold.Take();
  EXPECT_THAT(piece.newest, IsEmpty());
  EXPECT_EQ(piece.after.next, Offset(10));
}

TEST(ViewFoldTest, WhatAProducerMadeWronglyIsSkippedToTheEndOfItsBatch) {
  // The header says that the records are compressed, which they are not; the CRC is right.
  const std::string batch = BatchAt(10, {{"a", "{}"}, {"b", "{}"}}, Codec::kZstd);
  std::string wrong = BatchAt(10, {{"a", "{}"}, {"b", "{}"}});
  constexpr size_t kCodecAt = record_format::kAttributesAt + 1;
  wrong[kCodecAt] = batch[kCodecAt];
  StoreBig<uint32_t>(wrong.data() + record_format::kCrcAt,
                     Crc32c(std::string_view(wrong).substr(record_format::kAttributesAt)));
  ViewFold fold(Complete(samples::NewestPerKey()));
  fold.Begin({Offset(10), std::nullopt}, {});
  EXPECT_TRUE(fold.AddBatch(wrong).value());
  EXPECT_TRUE(fold.AddBatch(BatchAt(12, {{"c", "{}"}})).value());
  const ViewPiece piece = fold.Take();
  EXPECT_THAT(SkippedOf(piece), ElementsAre(Pair("unreadable", 1)));
  EXPECT_THAT(piece.skipped.listed[0].what, HasSubstr("zstd"));
  EXPECT_EQ(piece.skipped.listed[0].offset, Offset(10));
  EXPECT_THAT(NewestOf(piece), ElementsAre(Pair("c", "{}")));
  EXPECT_EQ(piece.after.next, Offset(13));
}

TEST(ViewFoldTest, AKeyOfAnotherViewHasNoRow) {
  const auto hourly = Complete(samples::Hourly()).aggregate();
  const AggregateState state(hourly);
  EXPECT_TRUE(VisibleRow(hourly, R"("a","2023-11-14T12:00:00.000Z")", state).ok());
  for (const std::string_view key :
       {"", "a", "\"a\"", "1,2,3", "1, 2", "1,2]", "1,", "1,2],[3", "\"a\",\"b"}) {
    const auto row = VisibleRow(hourly, key, state);
    EXPECT_EQ(ErrorKind(row.status()), "corrupt_view") << key;
  }
}

TEST(ViewFoldTest, EveryReasonHasAWord) {
  std::map<std::string_view, int> words;
  for (size_t i = 0; i < kSkipReasons; ++i) ++words[SkipWord(static_cast<SkipReason>(i))];
  EXPECT_THAT(words, SizeIs(kSkipReasons));
  EXPECT_EQ(SkipWord(SkipReason::kNotJson), "not_json");
  EXPECT_EQ(SkipWord(SkipReason::kUnreadable), "unreadable");
}

}  // namespace
}  // namespace selvage::view
