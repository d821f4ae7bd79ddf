#include "fabric/table/change_format.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/table/row_format.h"

namespace selvage::table {
namespace {

constexpr uint8_t kHasEnd = 1;
constexpr uint8_t kKnown = 1;
constexpr uint8_t kIncomplete = 2;
constexpr size_t kEpochSize = 16;

absl::Status Corrupt(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "corrupt_changes",
                   fmt::format("changes of rows cannot be read: {}", what));
}

void AppendSize(std::string& out, size_t size) {
  AppendBig<uint32_t>(out, static_cast<uint32_t>(size));
}

/// Takes bytes from the front of what is left; none when they are not there, and `ok` turns false.
std::string_view TakeBytes(std::string_view& rest, uint64_t size, bool& ok) {
  if (size > rest.size()) {
    ok = false;
    rest = {};
    return {};
  }
  const std::string_view taken = rest.substr(0, size);
  rest.remove_prefix(size);
  return taken;
}

std::string_view TakeSized(std::string_view& rest, bool& ok) {
  const std::string_view size = TakeBytes(rest, sizeof(uint32_t), ok);
  return ok ? TakeBytes(rest, LoadBig<uint32_t>(size.data()), ok) : size;
}

/// A part without what belongs to the copy that it is read from.
template <class Part>
Part Sent(Part part) {
  part.write.sequence = 0;
  part.write.via = StoreId();
  return part;
}

/// The parts of a row for which `wanted` says yes to how they were written.
template <class Wanted>
Change PartsOf(const Row& row, const Wanted& wanted) {
  Change change;
  if (row.clear && wanted(row.clear->write)) change.clear = Sent(*row.clear);
  if (row.expiry && wanted(row.expiry->write) && !Planted(Canary::kDropExpiry))
    change.expiry = Sent(*row.expiry);
  for (const auto& [name, field] : row.fields) {
    Field sent;
    if (field.set && wanted(field.set->write)) sent.set = Sent(*field.set);
    for (const auto& [key, contribution] : field.contributions) {
      if (wanted(contribution.write)) sent.contributions.emplace(key, Sent(contribution));
    }
    if (sent.set || !sent.contributions.empty()) change.fields.emplace(name, std::move(sent));
  }
  return change;
}

std::optional<Change> UnlessEmpty(Change change) {
  if (!HasParts(change)) return std::nullopt;
  return change;
}

}  // namespace

std::optional<Change> PartsAt(const Row& row, uint64_t sequence, const StoreId& except) {
  return UnlessEmpty(PartsOf(row, [&](const Write& write) {
    return write.sequence == sequence && (except.none() || write.via != except);
  }));
}

std::optional<Change> PartsWrittenBy(const Row& row, const std::set<StoreId>& stores) {
  return UnlessEmpty(PartsOf(row, [&](const Write& write) { return stores.contains(write.stamp.node); }));
}

Change WholeRow(const Row& row) {
  return PartsOf(row, [](const Write&) { return true; });
}

void ChangesWriter::Add(const RowChange& row) {
  const std::string encoded = EncodeRow(row.change);
  rows_.push_back(static_cast<char>((row.known ? kKnown : 0) | (row.incomplete ? kIncomplete : 0)));
  AppendSize(rows_, row.key.size());
  rows_ += row.key;
  AppendSize(rows_, encoded.size());
  rows_ += encoded;
}

absl::StatusOr<std::vector<RowChange>> ReadRows(std::string_view rows) {
  std::vector<RowChange> changes;
  while (!rows.empty()) {
    bool ok = true;
    const std::string_view flags = TakeBytes(rows, 1, ok);
    const std::string_view key = TakeSized(rows, ok);
    const std::string_view encoded = TakeSized(rows, ok);
    if (!ok) return Corrupt("cut short");
    const auto flag = static_cast<uint8_t>(flags[0]);
    if (flag > (kKnown | kIncomplete)) return Corrupt("unknown flags");
    SELVAGE_RETURN_IF_ERROR(CheckRowKey(key));
    auto change = DecodeRow(encoded);
    if (!change.ok()) return Corrupt(std::string(change.status().message()));
    changes.push_back(
        {std::string(key), *std::move(change), (flag & kKnown) != 0, (flag & kIncomplete) != 0});
  }
  return changes;
}

std::string ChangesBody(const FeedPosition& seen, uint64_t source_end, std::string_view rows) {
  std::string body(seen.epoch.view());
  AppendBig<uint64_t>(body, seen.sequence);
  AppendBig<uint64_t>(body, source_end);
  body += rows;
  return body;
}

absl::StatusOr<ChangesEntry> ReadChangesBody(std::string_view body) {
  bool ok = true;
  ChangesEntry entry;
  const std::string_view epoch = TakeBytes(body, kEpochSize, ok);
  const std::string_view sequence = TakeBytes(body, sizeof(uint64_t), ok);
  const std::string_view source_end = TakeBytes(body, sizeof(uint64_t), ok);
  if (!ok) return Corrupt("cut short");
  entry.seen = {*FeedEpoch::FromBytes(epoch), LoadBig<uint64_t>(sequence.data())};
  entry.source_end = LoadBig<uint64_t>(source_end.data());
  SELVAGE_ASSIGN_OR_RETURN(entry.rows, ReadRows(body));
  return entry;
}

std::string IntervalBody(const std::optional<std::string>& upto, const FeedPosition& feed,
                         uint64_t source_end, std::string_view rows) {
  std::string body(1, static_cast<char>(upto ? kHasEnd : 0));
  body += feed.epoch.view();
  AppendBig<uint64_t>(body, feed.sequence);
  AppendBig<uint64_t>(body, source_end);
  AppendSize(body, upto ? upto->size() : 0);
  if (upto) body += *upto;
  body += rows;
  return body;
}

absl::StatusOr<Interval> ReadIntervalBody(std::string_view body) {
  bool ok = true;
  Interval interval;
  const std::string_view flags = TakeBytes(body, 1, ok);
  const std::string_view epoch = TakeBytes(body, kEpochSize, ok);
  const std::string_view sequence = TakeBytes(body, sizeof(uint64_t), ok);
  const std::string_view source_end = TakeBytes(body, sizeof(uint64_t), ok);
  const std::string_view upto = TakeSized(body, ok);
  if (!ok || static_cast<uint8_t>(flags[0]) > kHasEnd) return Corrupt("no interval");
  const bool has_end = flags[0] != 0;
  if (has_end) SELVAGE_RETURN_IF_ERROR(CheckRowKey(upto));
  if (!has_end && !upto.empty()) return Corrupt("no interval");
  if (has_end) interval.upto = std::string(upto);
  interval.feed = {*FeedEpoch::FromBytes(epoch), LoadBig<uint64_t>(sequence.data())};
  interval.source_end = LoadBig<uint64_t>(source_end.data());
  SELVAGE_ASSIGN_OR_RETURN(interval.rows, ReadRows(body));
  return interval;
}

}  // namespace selvage::table
