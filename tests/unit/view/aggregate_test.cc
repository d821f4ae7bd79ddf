#include "fabric/view/aggregate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "fabric/base/error.h"
#include "tests/support/seeded_random.h"
#include "tests/unit/view/samples.h"

namespace selvage::view {
namespace {

using ::testing::HasSubstr;

v1::ViewAggregate ColumnOf(v1::ViewFunction function) {
  return CompleteDefinition(samples::Aggregate({"$key"}, {{function, "a"}}))->aggregate();
}

v1::ViewAggregate AllColumns() {
  return CompleteDefinition(samples::Aggregate({"$key"}, {{v1::VIEW_COUNT, "a"},
                                                          {v1::VIEW_SUM, "a"},
                                                          {v1::VIEW_MEAN, "a"},
                                                          {v1::VIEW_MIN, "a"},
                                                          {v1::VIEW_MAX, "a"},
                                                          {v1::VIEW_DISTINCT, "a"}}))
      ->aggregate();
}

FieldValue Number(const table::JsonNumber& number) {
  return {.kind = FieldKind::kNumber, .number = number};
}
FieldValue Text(std::string_view text) {
  return {.kind = FieldKind::kText, .text = text};
}
FieldValue Boolean(bool boolean) {
  return {.kind = FieldKind::kBoolean, .boolean = boolean};
}
FieldValue Kind(FieldKind kind) {
  return {.kind = kind};
}

/// What one column shows of some values; empty: nothing.
std::string Shown(v1::ViewFunction function, const std::vector<FieldValue>& values) {
  AggregateState state(ColumnOf(function));
  for (const FieldValue& value : values) state.Feed(0, value);
  const auto visible = state.Visible(0);
  return visible ? visible->text() : "";
}

TEST(AggregateTest, CountIsOfWhatIsThere) {
  EXPECT_EQ(Shown(v1::VIEW_COUNT, {}), "0");
  EXPECT_EQ(Shown(v1::VIEW_COUNT, {Number(int64_t{1}), Text("x"), Boolean(false), Kind(FieldKind::kComposite),
                                   Kind(FieldKind::kOutOfRange), Kind(FieldKind::kAbsent)}),
            "5");
}

TEST(AggregateTest, SumMinMaxAndMeanAreOfNumbers) {
  const std::vector<FieldValue> values = {Number(int64_t{3}), Number(-0.5), Text("7"), Number(int64_t{2})};
  EXPECT_EQ(Shown(v1::VIEW_SUM, values), "4.5");
  EXPECT_EQ(Shown(v1::VIEW_MEAN, values), "1.5");
  EXPECT_EQ(Shown(v1::VIEW_MIN, values), "-0.5");
  EXPECT_EQ(Shown(v1::VIEW_MAX, values), "3");
}

TEST(AggregateTest, WithoutANumberThereIsNothingToShow) {
  for (const v1::ViewFunction function : {v1::VIEW_SUM, v1::VIEW_MEAN, v1::VIEW_MIN, v1::VIEW_MAX}) {
    EXPECT_EQ(Shown(function, {}), "");
    EXPECT_EQ(Shown(function, {Text("7"), Kind(FieldKind::kAbsent)}), "");
  }
  EXPECT_EQ(Shown(v1::VIEW_DISTINCT, {}), "0");
}

TEST(AggregateTest, NumbersAreComparedExactly) {
  constexpr int64_t kBig = (int64_t{1} << 53) + 1;
  EXPECT_EQ(Shown(v1::VIEW_MAX, {Number(kBig), Number(0x1p53 + 0.0)}), std::to_string(kBig));
  EXPECT_EQ(Shown(v1::VIEW_MIN, {Number(int64_t{1}), Number(0.5), Number(int64_t{2})}), "0.5");
}

TEST(AggregateTest, TheMeanOfManyIsRoundedOnce) {
  std::vector<FieldValue> values(10, Number(0.1));
  EXPECT_EQ(Shown(v1::VIEW_MEAN, values), "0.1");
  EXPECT_EQ(Shown(v1::VIEW_SUM, values), "1") << "adding doubles one by one leads to 0.9999999999999999";
}

TEST(AggregateTest, DistinctTellsKindsApartAndNotFormsOfNumbers) {
  EXPECT_EQ(
      Shown(v1::VIEW_DISTINCT, {Number(int64_t{1}), Number(int64_t{1}), Text("1"), Boolean(true),
                                Text("true"), Number(1.5), Boolean(false), Number(int64_t{0}), Text("")}),
      "8");
  EXPECT_NE(HashOfValue(Number(int64_t{1})), HashOfValue(Boolean(true)));
  EXPECT_NE(HashOfValue(Text(std::string_view("\0\0\0\0\0\0\0\1", 8))), HashOfValue(Number(int64_t{1})));
}

/// Hashes are stored in sketches, so they may never change. The same as of another implementation (Python's
/// xxhash).
TEST(AggregateTest, HashesAreTheSameForEver) {
  EXPECT_EQ(HashOfValue(Text("")), 0x4dc5b0cc826f6703ull);
  EXPECT_EQ(HashOfValue(Text("pump-7")), 0x21877e4b528d6ff4ull);
  EXPECT_EQ(HashOfValue(Number(int64_t{7})), 0x582c4370a86bdef4ull);
  EXPECT_EQ(HashOfValue(Number(2.5)), 0x59aa085c29079683ull);
  EXPECT_EQ(HashOfValue(Text(std::string(300, 'x'))), 0x34c297d5dc46ccffull)
      << "XXH3 hashes long texts in another way";
  EXPECT_EQ(HashOfValue(Boolean(true)), 0x9e86346c3ff551deull);
}

TEST(AggregateTest, SaysWhatBecameOfAValue) {
  const auto fed = [](v1::ViewFunction function, const FieldValue& value) {
    return AggregateState(ColumnOf(function)).Feed(0, value);
  };
  for (const v1::ViewFunction function : {v1::VIEW_SUM, v1::VIEW_MEAN, v1::VIEW_MIN, v1::VIEW_MAX}) {
    EXPECT_EQ(fed(function, Number(1.5)), Fed::kFed);
    EXPECT_EQ(fed(function, Text("1.5")), Fed::kNotANumber);
    EXPECT_EQ(fed(function, Boolean(true)), Fed::kNotANumber);
    EXPECT_EQ(fed(function, Kind(FieldKind::kComposite)), Fed::kNotANumber);
    EXPECT_EQ(fed(function, Kind(FieldKind::kOutOfRange)), Fed::kOutOfRange);
    EXPECT_EQ(fed(function, Kind(FieldKind::kAbsent)), Fed::kNoField);
  }
  EXPECT_EQ(fed(v1::VIEW_COUNT, Kind(FieldKind::kAbsent)), Fed::kFed);
  EXPECT_EQ(fed(v1::VIEW_DISTINCT, Text("x")), Fed::kFed);
  EXPECT_EQ(fed(v1::VIEW_DISTINCT, Kind(FieldKind::kComposite)), Fed::kNotAScalar);
  EXPECT_EQ(fed(v1::VIEW_DISTINCT, Kind(FieldKind::kOutOfRange)), Fed::kOutOfRange);
  EXPECT_EQ(fed(v1::VIEW_DISTINCT, Kind(FieldKind::kAbsent)), Fed::kNoField);
}

/// A state of up to `most` values.
AggregateState AnyState(test::SeededRandom& random, const v1::ViewAggregate& aggregate, uint64_t most) {
  AggregateState state(aggregate);
  for (uint64_t i = random.Spread(0, most); i > 0; --i) {
    const std::string text = random.Bytes(2);
    const FieldValue value = random.OneIn(3)   ? Text(text)
                             : random.OneIn(2) ? Number(static_cast<int64_t>(random.Next()))
                                               : Number(table::NumberOf(random.Unit() * 100 - 50));
    for (size_t column = 0; column < state.columns(); ++column) {
      if (random.OneIn(2)) state.Feed(column, value);
    }
  }
  return state;
}

TEST(AggregateTest, MergingIsAssociativeAndCommutative) {
  const v1::ViewAggregate aggregate = AllColumns();
  test::SeededRandom random(5);
  for (int round = 0; round < 300; ++round) {
    const AggregateState a = AnyState(random, aggregate, 600);
    const AggregateState b = AnyState(random, aggregate, 600);
    const AggregateState c = AnyState(random, aggregate, 600);
    AggregateState left = a;
    left.Merge(b);
    left.Merge(c);
    AggregateState right = c;
    right.Merge(b);
    AggregateState whole = right;
    whole.Merge(a);
    EXPECT_EQ(left.Encode(), whole.Encode());
    AggregateState with_nothing = a;
    with_nothing.Merge(AggregateState(aggregate));
    EXPECT_EQ(with_nothing.Encode(), a.Encode());
  }
}

TEST(AggregateTest, WhatIsEncodedIsDecoded) {
  const v1::ViewAggregate aggregate = AllColumns();
  test::SeededRandom random(6);
  for (int round = 0; round < 300; ++round) {
    const AggregateState state = AnyState(random, aggregate, 600);
    const std::string bytes = state.Encode();
    const auto decoded = AggregateState::Decode(aggregate, bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->Encode(), bytes);
    for (size_t column = 0; column < state.columns(); ++column) {
      EXPECT_EQ(decoded->Visible(column), state.Visible(column));
    }
  }
}

TEST(AggregateTest, TheStoredFormIsGolden) {
  AggregateState state(AllColumns());
  for (size_t column = 0; column < state.columns(); ++column) {
    state.Feed(column, Number(int64_t{-2}));
    state.Feed(column, Number(0.5));
  }
  std::string hex;
  for (const char byte : state.Encode()) {
    hex += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  }
  uint64_t hashes[] = {HashOfValue(Number(int64_t{-2})), HashOfValue(Number(0.5))};
  std::sort(std::begin(hashes), std::end(hashes));
  EXPECT_EQ(hex,
            "0106"
            "010000000000000002"                        // count 2
            "0200000000000000020121028000000000000001"  // sum -1.5: negative, from place 33, two digits
            "0300000000000000020121028000000000000001"  // mean, the same
            "0401fffffffffffffffe"                      // min -2
            "05023fe0000000000000"                      // max 0.5
            "060002" +
                fmt::format("{:016x}{:016x}", hashes[0], hashes[1]));
}

void ExpectCorrupt(const v1::ViewAggregate& aggregate, std::string_view bytes, std::string_view why) {
  const auto decoded = AggregateState::Decode(aggregate, bytes);
  ASSERT_FALSE(decoded.ok()) << why;
  EXPECT_EQ(decoded.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ErrorKind(decoded.status()), "corrupt_view");
  EXPECT_THAT(std::string(decoded.status().message()), HasSubstr(why));
}

TEST(AggregateTest, WhatIsCutOrLongerIsCorrupt) {
  const v1::ViewAggregate aggregate = AllColumns();
  test::SeededRandom random(7);
  for (const uint64_t most : {3u, 600u}) {
    const std::string bytes = AnyState(random, aggregate, most).Encode();
    for (size_t size = 0; size < bytes.size(); ++size) {
      ExpectCorrupt(aggregate, std::string_view(bytes).substr(0, size), "");
    }
    ExpectCorrupt(aggregate, bytes + '\0', "bytes behind the state");
  }
}

/// Whatever is taken has one form.
TEST(AggregateTest, DamagedBytesAreCorruptOrAnotherState) {
  const v1::ViewAggregate aggregate = AllColumns();
  test::SeededRandom random(8);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = AnyState(random, aggregate, 20).Encode();
    for (uint64_t i = random.Between(1, 3); i > 0; --i) {
      bytes[random.Below(bytes.size())] =
          static_cast<char>(random.OneIn(2) ? random.Next() : random.Below(3));
    }
    const auto decoded = AggregateState::Decode(aggregate, bytes);
    if (decoded.ok()) {
      EXPECT_EQ(decoded->Encode(), bytes);
      for (size_t column = 0; column < decoded->columns(); ++column) decoded->Visible(column);
    } else {
      EXPECT_EQ(ErrorKind(decoded.status()), "corrupt_view");
    }
  }
}

TEST(AggregateTest, WhatIsWrongIsSaid) {
  const std::string head("\1\1", 2);
  const v1::ViewAggregate sum = ColumnOf(v1::VIEW_SUM);
  const v1::ViewAggregate min = ColumnOf(v1::VIEW_MIN);
  const v1::ViewAggregate distinct = ColumnOf(v1::VIEW_DISTINCT);
  ExpectCorrupt(sum, std::string("\2\1", 2), "unknown format");
  ExpectCorrupt(sum, std::string("\1\2", 2), "other columns");
  ExpectCorrupt(sum, AggregateState(ColumnOf(v1::VIEW_MEAN)).Encode(), "another function");
  const std::string one = head + '\2' + std::string(7, '\0') + '\1';
  ExpectCorrupt(sum, one + std::string("\2\0\0", 3), "a sum beyond all sums");
  ExpectCorrupt(sum, one + std::string("\0\104\1\0\0\0\1", 7), "a sum beyond all sums");
  ExpectCorrupt(sum, one + std::string("\1\0\0", 3), "a sum in another form");
  ExpectCorrupt(sum, one + std::string("\0\42\2\0\0\0\1\0\0\0\0", 11), "a sum in another form");
  ExpectCorrupt(min, head + std::string("\4\3", 2), "unknown kind of number");
  ExpectCorrupt(min, head + std::string("\4\2\177\360\0\0\0\0\0\0", 10), "a double in another form");
  ExpectCorrupt(min, head + std::string("\4\2\77\360\0\0\0\0\0\0", 10), "a double in another form");
  ExpectCorrupt(distinct, head + std::string("\6\1\1", 3), "too many hashes");
  ExpectCorrupt(distinct, head + std::string("\6\0\2", 3) + std::string(16, '\1'), "hashes out of order");
  ExpectCorrupt(distinct, head + std::string("\6\377\377", 3) + std::string(3072, '\377'),
                "a register beyond all hashes");
}

TEST(AggregateTest, SketchesAreStoredInSixBitsARegister) {
  const v1::ViewAggregate aggregate = ColumnOf(v1::VIEW_DISTINCT);
  AggregateState state(aggregate);
  for (int64_t i = 0; i < 10'000; ++i) state.Feed(0, Number(i));
  const std::string bytes = state.Encode();
  EXPECT_EQ(bytes.size(), 2 + 1 + 2 + DistinctCount::kRegisters * 6 / 8);
  EXPECT_EQ(AggregateState::Decode(aggregate, bytes)->Encode(), bytes);
  const auto estimate = std::get<int64_t>(*state.Visible(0)->number());
  EXPECT_NEAR(static_cast<double>(estimate), 10'000, 500);
}

}  // namespace
}  // namespace selvage::view
