#include "fabric/api/conditions.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "fabric/base/error.h"

namespace selvage::api {
namespace {

using table::Condition;
using table::RowDigest;

/// The value of If-Match or If-None-Match. Tags that are no version of a row match nothing, so they are not
/// kept.
struct Tags {
  bool any = false;  ///< "*"
  std::vector<RowDigest> strong;
  std::vector<RowDigest> weak;
};

absl::Status BadTags(std::string_view header) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_condition",
                   fmt::format("{} must be * or a list of entity tags", header),
                   "an entity tag is in double quotes, as in the ETag of an answer");
}

/// Takes white space and commas, of which a list may have more than it needs.
void SkipBetweenTags(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t,"), text.size()));
}

absl::StatusOr<Tags> ParseTags(std::string_view header, std::string_view text) {
  Tags tags;
  SkipBetweenTags(text);
  if (text.starts_with('*')) {
    text.remove_prefix(1);
    SkipBetweenTags(text);
    if (!text.empty()) return BadTags(header);
    tags.any = true;
    return tags;
  }
  if (text.empty()) return BadTags(header);
  while (!text.empty()) {
    const bool weak = text.starts_with("W/");
    if (weak) text.remove_prefix(2);
    const size_t end = text.starts_with('"') ? text.find('"', 1) : std::string_view::npos;
    if (end == std::string_view::npos) return BadTags(header);
    if (const auto version = RowDigest::FromHex(text.substr(1, end - 1))) {
      (weak ? tags.weak : tags.strong).push_back(*version);
    }
    text.remove_prefix(end + 1);
    if (!text.empty() && text.find_first_of(" \t,") != 0) return BadTags(header);
    SkipBetweenTags(text);
  }
  return tags;
}

absl::StatusOr<std::optional<Tags>> FindTags(const Call& call, std::string_view header) {
  const std::string* text = call.Find(header);
  if (text == nullptr) return std::nullopt;
  return ParseTags(header, *text);
}

bool Contains(const std::vector<RowDigest>& versions, const RowDigest& version) {
  return std::find(versions.begin(), versions.end(), version) != versions.end();
}

/// If-Match compares strongly: a weak tag matches nothing.
bool Matches(const Tags& if_match, const RowDigest& version) {
  return if_match.any || Contains(if_match.strong, version);
}
/// If-None-Match compares weakly.
bool MatchesWeakly(const Tags& if_none_match, const RowDigest& version) {
  return if_none_match.any || Contains(if_none_match.strong, version) ||
         Contains(if_none_match.weak, version);
}

std::vector<RowDigest> AllOf(const Tags& tags) {
  std::vector<RowDigest> all = tags.strong;
  all.insert(all.end(), tags.weak.begin(), tags.weak.end());
  return all;
}

}  // namespace

std::string ETag(const RowDigest& version) {
  return fmt::format("\"{}\"", version.hex());
}

absl::StatusOr<Condition> WriteCondition(const Call& call) {
  SELVAGE_ASSIGN_OR_RETURN(const auto match, FindTags(call, kIfMatch));
  SELVAGE_ASSIGN_OR_RETURN(const auto none_match, FindTags(call, kIfNoneMatch));
  if (!match && !none_match) return Condition{};
  if (!match) {
    if (none_match->any) return Condition{Condition::Kind::kAbsent};
    return Condition{Condition::Kind::kVersionNotIn, AllOf(*none_match)};
  }
  if (!none_match) {
    if (match->any) return Condition{Condition::Kind::kPresent};
    return Condition{Condition::Kind::kVersionIn, match->strong};
  }
  if (match->any && !none_match->any) {
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_condition",
                     "If-Match: * and a list in If-None-Match are not taken together",
                     "name the version that the row must have in If-Match");
  }
  Condition both{Condition::Kind::kVersionIn};
  for (const RowDigest& version : match->strong) {
    if (!MatchesWeakly(*none_match, version)) both.versions.push_back(version);
  }
  return both;
}

absl::StatusOr<ReadOutcome> ReadCondition(const Call& call, const std::optional<RowDigest>& version) {
  SELVAGE_ASSIGN_OR_RETURN(const auto match, FindTags(call, kIfMatch));
  SELVAGE_ASSIGN_OR_RETURN(const auto none_match, FindTags(call, kIfNoneMatch));
  if (match && !(version && Matches(*match, *version))) return ReadOutcome::kFailed;
  if (none_match && version && MatchesWeakly(*none_match, *version)) return ReadOutcome::kNotModified;
  return ReadOutcome::kSend;
}

}  // namespace selvage::api
