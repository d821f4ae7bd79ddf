#include "fabric/api/conditions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/base/error.h"

namespace selvage::api {
namespace {

using table::Condition;
using table::RowDigest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const RowDigest kOne = *RowDigest::FromHex("11111111111111111111111111111111");
const RowDigest kTwo = *RowDigest::FromHex("22222222222222222222222222222222");

Call CallWith(const std::string& if_match, const std::string& if_none_match = "") {
  Call call;
  if (!if_match.empty()) call.values[std::string(kIfMatch)] = if_match;
  if (!if_none_match.empty()) call.values[std::string(kIfNoneMatch)] = if_none_match;
  return call;
}

Condition ConditionOf(const Call& call) {
  const auto condition = WriteCondition(call);
  EXPECT_TRUE(condition.ok()) << Describe(condition.status());
  return condition.value_or(Condition{});
}

TEST(ApiConditionsTest, WithoutHeadersNothingIsAsked) {
  EXPECT_EQ(ConditionOf({}).kind, Condition::Kind::kNone);
}

TEST(ApiConditionsTest, IfMatchNamesTheVersionsThatMayBeWritten) {
  const Condition list = ConditionOf(CallWith(ETag(kOne) + " ,, " + ETag(kTwo)));
  EXPECT_EQ(list.kind, Condition::Kind::kVersionIn);
  EXPECT_THAT(list.versions, ElementsAre(kOne, kTwo));
  EXPECT_EQ(ConditionOf(CallWith("*")).kind, Condition::Kind::kPresent);
  // A weak tag matches nothing here, nor does the tag of something else.
  const Condition none = ConditionOf(CallWith("W/" + ETag(kOne) + ", \"xyzzy\", \"\""));
  EXPECT_EQ(none.kind, Condition::Kind::kVersionIn);
  EXPECT_THAT(none.versions, IsEmpty());
}

TEST(ApiConditionsTest, IfNoneMatchNamesTheVersionsThatMustNotBeWritten) {
  EXPECT_EQ(ConditionOf(CallWith("", "*")).kind, Condition::Kind::kAbsent);
  const Condition list = ConditionOf(CallWith("", "W/" + ETag(kOne)));
  EXPECT_EQ(list.kind, Condition::Kind::kVersionNotIn);
  EXPECT_THAT(list.versions, ElementsAre(kOne));
}

TEST(ApiConditionsTest, BothTogetherHoldWhereBothHold) {
  const Condition both = ConditionOf(CallWith(ETag(kOne) + "," + ETag(kTwo), ETag(kOne)));
  EXPECT_EQ(both.kind, Condition::Kind::kVersionIn);
  EXPECT_THAT(both.versions, ElementsAre(kTwo));
  const Condition never = ConditionOf(CallWith("*", "*"));
  EXPECT_EQ(never.kind, Condition::Kind::kVersionIn);
  EXPECT_THAT(never.versions, IsEmpty());
}

TEST(ApiConditionsTest, WhatIsNoListOfTagsIsRefused) {
  for (const std::string text :
       {"x", ",", "\"", "\"a", "\"a\"\"b\"", "* , *", "*,\"a\"", "w/\"a\"", "\"a\" b"}) {
    const auto condition = WriteCondition(CallWith(text));
    EXPECT_EQ(ErrorKind(condition.status()), "invalid_condition") << text;
    EXPECT_EQ(ErrorKind(ReadCondition(CallWith("", text), kOne).status()), "invalid_condition") << text;
  }
}

TEST(ApiConditionsTest, ReadingTellsWhatTheClientHasAlready) {
  const auto outcome = [](const Call& call, std::optional<RowDigest> version) {
    return ReadCondition(call, version).value();
  };
  EXPECT_EQ(outcome({}, kOne), ReadOutcome::kSend);
  EXPECT_EQ(outcome(CallWith("", ETag(kOne)), kOne), ReadOutcome::kNotModified);
  EXPECT_EQ(outcome(CallWith("", "W/" + ETag(kOne)), kOne), ReadOutcome::kNotModified);
  EXPECT_EQ(outcome(CallWith("", "*"), kOne), ReadOutcome::kNotModified);
  EXPECT_EQ(outcome(CallWith("", ETag(kOne)), kTwo), ReadOutcome::kSend);
  EXPECT_EQ(outcome(CallWith("", "*"), std::nullopt), ReadOutcome::kSend);
  EXPECT_EQ(outcome(CallWith(ETag(kOne)), kOne), ReadOutcome::kSend);
  EXPECT_EQ(outcome(CallWith(ETag(kOne)), kTwo), ReadOutcome::kFailed);
  EXPECT_EQ(outcome(CallWith("*"), std::nullopt), ReadOutcome::kFailed);
  EXPECT_EQ(outcome(CallWith("W/" + ETag(kOne)), kOne), ReadOutcome::kFailed);
}

}  // namespace
}  // namespace selvage::api
