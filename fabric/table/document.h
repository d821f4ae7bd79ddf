#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fabric/base/id128.h"
#include "fabric/table/canonical_json.h"
#include "fabric/table/stamp.h"

/// A row as its nodes keep it: what was written, with the stamps that decide between writes. docs/tables.md
/// explains the rules, fabric/table/merge.h carries them out.
namespace selvage::table {

enum class ClearKind : uint8_t { kDelete = 0, kPut = 1 };

/// The last put or delete: it removed whatever has a lower stamp. A delete is the row's tombstone.
struct Clear {
  ClearKind kind = ClearKind::kDelete;
  Write write;
};

/// When the row is hidden, and later purged; without a time never.
struct Expiry {
  std::optional<int64_t> at_ms;
  Write write;
};

/// The last set or unset of a field (a last-writer-wins register).
struct Register {
  std::optional<CanonicalJson> value;  ///< nothing: unset
  Write write;
};

/// Whose increments are added up together. A store counts anew with each opening, so neither a restored nor
/// a cloned one counts twice, and after a snapshot took rows that it counts in.
struct Contributor {
  StoreId store;
  FeedEpoch epoch;
  auto operator<=>(const Contributor&) const = default;
};

struct ContributionKey {
  Contributor by;
  /// The set that it counts on; none when there was nothing. Not an unset, nor a put or delete of the row:
  /// who knows of it and who has forgotten it must count alike.
  Stamp base;
  auto operator<=>(const ContributionKey&) const = default;
};

/// What one contributor added to a field since its base.
struct Contribution {
  JsonNumber amount = int64_t{0};
  /// Of the last increment.
  Write write;
};

struct Field {
  /// Nothing: neither set nor unset since the row's clear stamp, only incremented.
  std::optional<Register> set;
  std::map<ContributionKey, Contribution> contributions;
};

/// Invariants, kept by Merge and checked by DecodeRow: no register and no expiry has a stamp below the clear
/// stamp; no contribution has a base below the clear stamp or the field's register, or, when it counts on
/// nothing, its last increment below them; and no field is empty.
struct Row {
  /// Another node has had this row, or was sent it, also when none of its parts is what it had. Of this copy,
  /// and not of a change.
  bool shared = false;
  std::optional<Clear> clear;
  std::optional<Expiry> expiry;
  std::map<std::string, Field, std::less<>> fields;
};

/// Calls `visit` with how each part was written. `Document` is a Row, const or not.
template <class Document, class Visit>
void ForEachWrite(Document& row, const Visit& visit) {
  if (row.clear) visit(row.clear->write);
  if (row.expiry) visit(row.expiry->write);
  for (auto& [name, field] : row.fields) {
    if (field.set) visit(field.set->write);
    for (auto& [key, contribution] : field.contributions) visit(contribution.write);
  }
}

/// What an operation wrote, or a peer sent: a row that holds these parts only. Merging it applies it.
using Change = Row;

/// False of a row that is not stored, and of a change that changes nothing.
inline bool HasParts(const Row& row) {
  return row.clear || row.expiry || !row.fields.empty();
}

/// What increments of the field count on now: the set in its register, else none. `field` may be null, for
/// one that the row does not have.
Stamp BaseOf(const Field* field);
/// What a reader sees of a field: the register's value and the contributions that count on it. Nothing when
/// the field is not there.
std::optional<CanonicalJson> ValueOf(const Field& field);

/// True when readers see the row at `now_ms`: it did not expire, and it was put, or has a field.
bool IsThere(const Row& row, int64_t now_ms);
/// True when the row's expiry has passed. It takes with it what has a stamp from before that time, or from
/// before the expiry was written: on every node the same, whenever the node notices, and whatever it hears of
/// later.
bool HasExpired(const Row& row, int64_t now_ms);
/// What an expiry leaves of a row: parts that were written after it. Empty for most; without the expiry.
Row WithoutExpired(const Row& row);
/// True when the row's expiry takes something with it, or will.
bool LosesByExpiry(const Row& row);
/// The row as readers see it, canonical; nothing when it is not there.
std::optional<std::string> VisibleJson(const Row& row, int64_t now_ms);

/// Of the visible fields with the stamps they stand on: equal on every node that sees the same, whatever was
/// collected there. Stamps alone would not do, since clones may give one to two values.
using RowDigest = Id128<struct RowDigestTag>;
/// None when the row is not there.
RowDigest DigestOf(const Row& row, int64_t now_ms);

}  // namespace selvage::table
