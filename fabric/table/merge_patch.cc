#include "fabric/table/merge_patch.h"

#include <compare>
#include <string>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/table/canonical_reader.h"

namespace selvage::table {
namespace {

/// Writes the members of two objects, which are sorted alike, as one object.
class MergedObject {
 public:
  void Add(std::string_view name, std::string_view value) {
    if (text_.size() > 1) text_.push_back(',');
    text_.append(name);
    text_.push_back(':');
    text_.append(value);
  }
  std::string Close() && {
    text_.push_back('}');
    return std::move(text_);
  }

 private:
  std::string text_ = "{";
};

/// RFC 7396, section 2: MergePatch(target, patch), for canonical values. An empty target is none. Canonical
/// values are no deeper than kMaxJsonDepth, and so is this.
std::string MergeValue(std::string_view target, std::string_view patch) {
  if (TypeOf(patch) != JsonType::kObject) return std::string(patch);
  if (TypeOf(target) != JsonType::kObject) target = {};
  MergedObject merged;
  CanonicalReader targets(target);
  CanonicalReader patches(patch);
  CanonicalReader::Part old;
  CanonicalReader::Part change;
  bool more_old = targets.Next(old);
  bool more_changes = patches.Next(change);
  while (more_old || more_changes) {
    // By the names themselves: an escape has another place in the order than what it stands for.
    const auto order = !more_changes             ? std::strong_ordering::less
                       : !more_old               ? std::strong_ordering::greater
                       : old.name == change.name ? std::strong_ordering::equal
                                                 : TextOf(old.name) <=> TextOf(change.name);
    if (std::is_lt(order)) {
      merged.Add(old.name, old.value);
    } else if (change.value != "null") {
      merged.Add(change.name, MergeValue(std::is_eq(order) ? old.value : std::string_view(), change.value));
    }
    if (std::is_lteq(order)) more_old = targets.Next(old);
    if (std::is_gteq(order)) more_changes = patches.Next(change);
  }
  return std::move(merged).Close();
}

}  // namespace

absl::StatusOr<Update> UpdateOfMergePatch(const Row& row, std::string_view patch_json, int64_t now_ms) {
  SELVAGE_ASSIGN_OR_RETURN(const Fields patch, ParseFields(patch_json));
  const bool there = IsThere(row, now_ms);
  Update update;
  for (const auto& [name, change] : patch) {
    if (change.text() == "null") {
      update.unset.insert(name);
      continue;
    }
    const auto field = row.fields.find(name);
    const auto value = there && field != row.fields.end() ? ValueOf(field->second) : std::nullopt;
    const std::string merged = MergeValue(value ? value->text() : std::string_view(), change.text());
    SELVAGE_ASSIGN_OR_RETURN(CanonicalJson set, CanonicalJson::FromBytes(merged));
    update.set.emplace(name, std::move(set));
  }
  return update;
}

}  // namespace selvage::table
