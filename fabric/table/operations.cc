#include "fabric/table/operations.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"

namespace selvage::table {
namespace {

/// Collects what one write replaces.
class Replaced {
 public:
  explicit Replaced(const Stamp& writer) : writer_(writer) {}

  /// What this node wrote itself it knows. But peers may never see that, since only the newest change of a
  /// field is sent: so what that one replaced is replaced by this one.
  void Add(const Write& write) {
    if (write.stamp.node != writer_.node) Add(write.stamp);
    for (const Stamp& stamp : write.replaced) {
      // Stamps that are after this one were withdrawn (restamp.h). Whoever hears of this write alone must
      // know of that as well, until their time has come.
      const bool withdrawn = stamp.hlc > writer_.hlc;
      if (withdrawn || (write.stamp.node == writer_.node && stamp.node != writer_.node)) Add(stamp);
    }
  }
  void Add(const Field& field) {
    if (field.set) Add(field.set->write);
    for (const auto& [key, contribution] : field.contributions) Add(contribution.write);
  }

  Write WriteOf() && {
    Write write{.stamp = writer_};
    for (const auto& [node, hlc] : newest_) write.replaced.push_back({hlc, node});
    return write;
  }

 private:
  void Add(const Stamp& stamp) {
    Hlc& newest = newest_[stamp.node];
    newest = std::max(newest, stamp.hlc);
  }

  Stamp writer_;
  std::map<StoreId, Hlc> newest_;
};

const Field* FindField(const Row& row, const std::string& name) {
  const auto found = row.fields.find(name);
  return found == row.fields.end() ? nullptr : &found->second;
}

Write ClearWrite(const Row& row, const Stamp& stamp) {
  Replaced replaced(stamp);
  if (row.clear) replaced.Add(row.clear->write);
  for (const auto& [name, field] : row.fields) replaced.Add(field);
  return std::move(replaced).WriteOf();
}

Write FieldWrite(const Row& row, const Field* field, const Stamp& stamp) {
  Replaced replaced(stamp);
  if (field != nullptr) replaced.Add(*field);
  // Where the field was not set, this takes the place of what the last put or delete left.
  if ((field == nullptr || !field->set) && row.clear) replaced.Add(row.clear->write);
  return std::move(replaced).WriteOf();
}

void SetField(const Row& row, const std::string& name, std::optional<CanonicalJson> value, const Stamp& stamp,
              Change& change) {
  change.fields[name].set = Register{std::move(value), FieldWrite(row, FindField(row, name), stamp)};
}

absl::Status IncrementField(const Row& row, const std::string& name, const JsonNumber& by, const Stamp& stamp,
                            const FeedEpoch& epoch, Change& change) {
  const Field* field = FindField(row, name);
  const auto value = field != nullptr ? ValueOf(*field) : std::nullopt;
  if (value && !value->number()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "not_a_number",
                     fmt::format("the field \"{}\" is not a number and cannot be incremented", name),
                     "set the field to a number first");
  }
  const FeedEpoch counted =
      Planted(Canary::kCountByStore) ? *FeedEpoch::FromBytes(std::string(16, '1')) : epoch;
  const ContributionKey key{{stamp.node, counted}, BaseOf(field)};
  Contribution contribution{by, {.stamp = stamp}};
  if (field != nullptr) {
    const auto own = field->contributions.find(key);
    if (own != field->contributions.end()) {
      for (const Stamp& replaced : own->second.write.replaced) {
        if (replaced.hlc > stamp.hlc) contribution.write.replaced.push_back(replaced);
      }
      const JsonNumber& before = own->second.amount;
      contribution.amount = Sum({before, by});
      const bool integers = std::holds_alternative<int64_t>(before) && std::holds_alternative<int64_t>(by);
      if (integers && !std::holds_alternative<int64_t>(contribution.amount)) {
        return MakeError(absl::StatusCode::kInvalidArgument, "counter_out_of_range",
                         fmt::format("the field \"{}\" cannot count that far", name),
                         "set the field to a number, which counts anew");
      }
    }
  }
  change.fields[name].contributions[key] = std::move(contribution);
  return absl::OkStatus();
}

absl::Status CheckNamedOnce(const Update& update) {
  const auto twice = [](const std::string& name) {
    return MakeError(absl::StatusCode::kInvalidArgument, "field_named_twice",
                     fmt::format("the update names the field \"{}\" more than once", name));
  };
  for (const std::string& name : update.unset) {
    if (update.set.contains(name)) return twice(name);
  }
  for (const auto& [name, by] : update.increment) {
    if (update.set.contains(name) || update.unset.contains(name)) return twice(name);
  }
  return absl::OkStatus();
}

Expiry ExpiryAt(const Row& row, std::optional<int64_t> at_ms, const Stamp& stamp) {
  Replaced replaced(stamp);
  if (row.expiry) replaced.Add(row.expiry->write);
  return {at_ms, std::move(replaced).WriteOf()};
}

}  // namespace

Change Put(const Row& row, const Fields& fields, std::optional<int64_t> expires_at_ms, const Stamp& stamp) {
  Change change;
  change.clear = Clear{ClearKind::kPut, ClearWrite(row, stamp)};
  if (expires_at_ms) change.expiry = ExpiryAt(row, expires_at_ms, stamp);
  for (const auto& [name, value] : fields) SetField(row, name, value, stamp, change);
  return change;
}

absl::StatusOr<Change> MakeUpdate(const Row& row, const Update& update, const Stamp& stamp,
                                  const FeedEpoch& epoch) {
  SELVAGE_RETURN_IF_ERROR(CheckNamedOnce(update));
  Change change;
  for (const auto& [name, value] : update.set) SetField(row, name, value, stamp, change);
  for (const std::string& name : update.unset) SetField(row, name, std::nullopt, stamp, change);
  for (const auto& [name, by] : update.increment) {
    SELVAGE_RETURN_IF_ERROR(IncrementField(row, name, by, stamp, epoch, change));
  }
  change.expiry = update.expiry ? ExpiryAt(row, update.expiry->at_ms, stamp) : row.expiry;
  return change;
}

Clear ClearOfExpiry(const Row& row, const StoreId& node) {
  const Hlc at = std::max(Hlc::AtMs(*row.expiry->at_ms), row.expiry->write.stamp.hlc);
  return {ClearKind::kDelete, ClearWrite(row, {at, node})};
}

Change Delete(const Row& row, const Stamp& stamp) {
  Change change;
  change.clear = Clear{ClearKind::kDelete, ClearWrite(row, stamp)};
  return change;
}

}  // namespace selvage::table
