#include "fabric/table/document.h"

#include <xxhash.h>

#include <algorithm>

#include "fabric/base/endian.h"

namespace selvage::table {
namespace {

/// True when some contribution counts on `base`.
bool IsCounted(const Field& field, const Stamp& base) {
  return std::any_of(field.contributions.begin(), field.contributions.end(),
                     [&](const auto& entry) { return entry.first.base == base; });
}

bool IsFieldThere(const Field& field) {
  return (field.set && field.set->value) || IsCounted(field, BaseOf(&field));
}

/// Whether an expiry takes what was written so.
bool IsTaken(const Expiry& expiry, const Write& write) {
  return write.stamp.hlc < Hlc::AtMs(*expiry.at_ms) || write.stamp <= expiry.write.stamp;
}

void AppendStampTo(std::string& out, const Stamp& stamp) {
  AppendBig<uint64_t>(out, stamp.hlc.packed());
  out += stamp.node.view();
}

void AppendSized(std::string& out, std::string_view text) {
  AppendBig<uint64_t>(out, text.size());
  out += text;
}

}  // namespace

bool Knew(const Write& write, const Stamp& other) {
  if (write.stamp.node == other.node) return true;
  return std::any_of(write.replaced.begin(), write.replaced.end(),
                     [&](const Stamp& seen) { return seen.node == other.node && seen >= other; });
}

Stamp BaseOf(const Field* field) {
  return field != nullptr && field->set && field->set->value ? field->set->write.stamp : Stamp();
}

std::optional<CanonicalJson> ValueOf(const Field& field) {
  std::optional<CanonicalJson> value = field.set ? field.set->value : std::nullopt;
  const Stamp base = BaseOf(&field);
  if (!IsCounted(field, base)) return value;
  std::vector<JsonNumber> numbers;
  if (value) {
    const auto number = value->number();
    // Two values under one stamp, of which increments counted on the other: there is nothing to add to.
    if (!number) return value;
    numbers.push_back(*number);
  }
  // In the order of their keys, which is the same on every node: so sums of fractions are, too.
  for (const auto& [key, contribution] : field.contributions) {
    if (key.base == base) numbers.push_back(contribution.amount);
  }
  return CanonicalJson::Of(Sum(numbers));
}

bool HasExpired(const Row& row, int64_t now_ms) {
  return row.expiry && row.expiry->at_ms && *row.expiry->at_ms <= now_ms;
}

bool LosesByExpiry(const Row& row) {
  if (!row.expiry || !row.expiry->at_ms) return false;
  const auto is_taken = [&](const Write& write) { return IsTaken(*row.expiry, write); };
  if (row.clear && is_taken(row.clear->write)) return true;
  return std::any_of(row.fields.begin(), row.fields.end(), [&](const auto& entry) {
    const Field& field = entry.second;
    return (field.set && is_taken(field.set->write)) ||
           std::any_of(field.contributions.begin(), field.contributions.end(),
                       [&](const auto& contribution) { return is_taken(contribution.second.write); });
  });
}

Row WithoutExpired(const Row& row) {
  const auto stays = [&](const Write& write) { return !IsTaken(*row.expiry, write); };
  Row rest;
  rest.shared = row.shared;
  if (row.clear && stays(row.clear->write)) rest.clear = row.clear;
  for (const auto& [name, field] : row.fields) {
    Field kept;
    if (field.set && stays(field.set->write)) kept.set = field.set;
    for (const auto& [key, contribution] : field.contributions) {
      if (stays(contribution.write)) kept.contributions.emplace(key, contribution);
    }
    if (kept.set || !kept.contributions.empty()) rest.fields.emplace(name, std::move(kept));
  }
  return rest;
}

bool IsThere(const Row& row, int64_t now_ms) {
  if (HasExpired(row, now_ms)) return IsThere(WithoutExpired(row), now_ms);
  if (row.clear && row.clear->kind == ClearKind::kPut) return true;
  return std::any_of(row.fields.begin(), row.fields.end(),
                     [&](const auto& entry) { return IsFieldThere(entry.second); });
}

std::optional<std::string> VisibleJson(const Row& row, int64_t now_ms) {
  if (HasExpired(row, now_ms)) return VisibleJson(WithoutExpired(row), now_ms);
  if (!IsThere(row, now_ms)) return std::nullopt;
  std::string json = "{";
  for (const auto& [name, field] : row.fields) {
    const auto value = ValueOf(field);
    if (!value) continue;
    if (json.size() > 1) json.push_back(',');
    AppendJsonString(json, name);
    json.push_back(':');
    json += value->text();
  }
  json.push_back('}');
  return json;
}

RowDigest DigestOf(const Row& row, int64_t now_ms) {
  if (HasExpired(row, now_ms)) return DigestOf(WithoutExpired(row), now_ms);
  if (!IsThere(row, now_ms)) return {};
  std::string seen;
  const bool expires = row.expiry && row.expiry->at_ms;
  seen.push_back(expires ? 1 : 0);
  if (expires) {
    AppendStampTo(seen, row.expiry->write.stamp);
    AppendBig<int64_t>(seen, *row.expiry->at_ms);
  }
  for (const auto& [name, field] : row.fields) {
    const auto value = ValueOf(field);
    if (!value) continue;
    AppendSized(seen, name);
    AppendStampTo(seen, BaseOf(&field));
    AppendSized(seen, value->text());
  }
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, XXH3_128bits(seen.data(), seen.size()));
  return *RowDigest::FromBytes({reinterpret_cast<const char*>(bytes.digest), sizeof bytes.digest});
}

}  // namespace selvage::table
