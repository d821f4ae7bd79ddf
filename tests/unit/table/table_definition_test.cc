#include "fabric/table/table_definition.h"

#include <gmock/gmock.h>

#include "fabric/base/error.h"

namespace selvage::table {
namespace {

v1::TableDefinition Definition(const std::string& name = "pumps") {
  v1::TableDefinition definition;
  definition.set_name(name);
  definition.set_direction(v1::TABLE_BOTH);
  return definition;
}

void ExpectInvalid(const v1::TableDefinition& definition) {
  const auto complete = CompleteDefinition(definition);
  EXPECT_EQ(ErrorKind(complete.status()), "invalid_table") << definition.ShortDebugString();
  EXPECT_EQ(complete.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(ErrorHint(complete.status()), "");
}

TEST(TableDefinitionTest, WhatIsLeftOpenIsFilledIn) {
  const auto complete = CompleteDefinition(Definition());
  ASSERT_TRUE(complete.ok()) << complete.status();
  EXPECT_EQ(complete->settings().row_bytes_max(), 1u << 20);
  EXPECT_EQ(complete->settings().weight(), 1u);
  EXPECT_EQ(complete->settings().priority(), 0u) << "0 is a priority, too";
  EXPECT_EQ(complete->settings().prefix(), "");

  v1::TableDefinition given = Definition();
  *given.mutable_settings() = DefaultTableSettings();
  EXPECT_EQ(CompleteDefinition(given)->SerializeAsString(), given.SerializeAsString());
}

TEST(TableDefinitionTest, NamesAreThoseOfStreams) {
  for (const char* name : {"a", "Pump_state.v-2"})
    EXPECT_TRUE(CompleteDefinition(Definition(name)).ok()) << name;
  for (const char* name : {"", ".", "..", "a/b", "a b", "é"}) ExpectInvalid(Definition(name));
  EXPECT_TRUE(CompleteDefinition(Definition(std::string(249, 'x'))).ok());
  ExpectInvalid(Definition(std::string(250, 'x')));
}

TEST(TableDefinitionTest, ADirectionIsNeeded) {
  v1::TableDefinition definition = Definition();
  definition.clear_direction();
  ExpectInvalid(definition);
  definition.set_direction(static_cast<v1::TableDirection>(99));
  ExpectInvalid(definition);
}

TEST(TableDefinitionTest, APrefixNamesTheEdgeOnceAndShowsWhereItEnds) {
  v1::TableDefinition definition = Definition();
  for (const char* prefix : {"", "site", "site/${edge}/", "${edge}.", "a/${edge}/pumps/", "${edge}é", "$x",
                             "{edge}", "${edge}X", "${edge}_"}) {
    definition.mutable_settings()->set_prefix(prefix);
    EXPECT_TRUE(CompleteDefinition(definition).ok()) << prefix;
  }
  for (const char* prefix : {"${edge}", "site/${edge}", "${edge}a", "${edge}0", "${edge}-",
                             "${edge}/${edge}/", "${Edge}/", "${", "${node}/", "${edge}${edge}/", "\xff"}) {
    definition.mutable_settings()->set_prefix(prefix);
    ExpectInvalid(definition);
  }
  definition.mutable_settings()->set_prefix(std::string(kTablePrefixMax, 'x'));
  EXPECT_TRUE(CompleteDefinition(definition).ok());
  definition.mutable_settings()->set_prefix(std::string(kTablePrefixMax + 1, 'x'));
  ExpectInvalid(definition);
}

TEST(TableDefinitionTest, ThePrefixOfAnEdgeHasItsId) {
  v1::TableSettings settings;
  EXPECT_EQ(PrefixOfEdge(settings, "rig-7"), "");
  settings.set_prefix("site");
  EXPECT_EQ(PrefixOfEdge(settings, "rig-7"), "site");
  settings.set_prefix("site/${edge}/pumps/");
  EXPECT_EQ(PrefixOfEdge(settings, "rig-7"), "site/rig-7/pumps/");
}

TEST(TableDefinitionTest, NumbersAreBounded) {
  const auto with = [](uint32_t row_bytes, uint32_t priority, uint32_t weight) {
    v1::TableDefinition definition = Definition();
    definition.mutable_settings()->set_row_bytes_max(row_bytes);
    definition.mutable_settings()->set_priority(priority);
    definition.mutable_settings()->set_weight(weight);
    return definition;
  };
  EXPECT_TRUE(CompleteDefinition(with(1024, 9, 1000)).ok());
  EXPECT_TRUE(CompleteDefinition(with(1 << 20, 0, 1)).ok());
  ExpectInvalid(with(1023, 0, 1));
  ExpectInvalid(with((1 << 20) + 1, 0, 1));
  ExpectInvalid(with(1024, 10, 1));
  ExpectInvalid(with(1024, 0, 1001));
}

TEST(TableDefinitionTest, ExpiredRowsAreKeptForNoNegativeTime) {
  v1::TableDefinition definition = Definition();
  definition.mutable_settings()->set_expired_kept_ms(1);
  EXPECT_TRUE(CompleteDefinition(definition).ok());
  definition.mutable_settings()->set_expired_kept_ms(-1);
  ExpectInvalid(definition);
}

TEST(TableDefinitionTest, AnIncarnationHasSixteenBytes) {
  v1::TableDefinition definition = Definition();
  definition.set_incarnation(std::string(16, 'i'));
  EXPECT_TRUE(CompleteDefinition(definition).ok());
  definition.set_incarnation("short");
  ExpectInvalid(definition);
}

TEST(TableDefinitionTest, TheDirectionIsImmutable) {
  v1::TableDefinition other = Definition();
  other.mutable_settings()->set_prefix("p");
  EXPECT_TRUE(CheckSameShape(Definition(), other).ok());
  other.set_direction(v1::TABLE_DOWN);
  EXPECT_EQ(ErrorKind(CheckSameShape(Definition(), other)), "definition_mismatch");
}

TEST(TableDefinitionTest, OnlyNamedSettingsAreTakenOver) {
  v1::TableSettings into = DefaultTableSettings();
  into.set_prefix("old");
  v1::TableSettings from;
  from.set_weight(7);
  from.set_row_bytes_max(2048);
  ASSERT_TRUE(MergeSettings(from, {"weight", "prefix"}, into).ok());
  EXPECT_EQ(into.weight(), 7u);
  EXPECT_EQ(into.prefix(), "") << "named, and empty";
  EXPECT_EQ(into.row_bytes_max(), 1u << 20) << "not named";
  EXPECT_EQ(ErrorKind(MergeSettings(from, {"colour"}, into)), "invalid_table");
}

}  // namespace
}  // namespace selvage::table
