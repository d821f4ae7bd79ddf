#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/replication/flow.h"
#include "tests/support/seeded_random.h"

/// Logs in memory for the tests of replication: what is appended is durable at once.
namespace selvage::replication::test {

using selvage::test::SeededRandom;

/// What a history is called.
inline std::string TestLogId(uint8_t n) {
  return std::string(16, static_cast<char>(n));
}

class MemoryLog {
 public:
  struct Stored {
    EntryKind kind;
    Offset from;
    Offset to;
    ChainHash hash_after;
    Bytes body;
  };

  MemoryLog() = default;
  explicit MemoryLog(std::string id) : id_(std::move(id)) {}

  const std::string& id() const { return id_; }
  void set_id(std::string id) { id_ = std::move(id); }
  const std::vector<Stored>& entries() const { return entries_; }
  Offset end() const { return entries_.empty() ? Offset(0) : entries_.back().to; }
  ChainHash hash() const { return entries_.empty() ? ChainHash(0) : entries_.back().hash_after; }
  FlowPosition position() const { return {id_, end(), hash(), {}}; }

  void Append(EntryKind kind, Offset to, Bytes body) {
    Offset from = end();
    if (kind == EntryKind::kGap && body.view().starts_with(kGapThatLeadsTo)) {
      const ChainHash led_to(std::stoull(std::string(body.view().substr(kGapThatLeadsTo.size()))));
      entries_.push_back({kind, from, to, led_to, std::move(body)});
      return;
    }
    size_t mixed = std::hash<std::string_view>()(body.view());
    for (uint64_t part : {hash().value(), uint64_t(kind), uint64_t(from.value()), uint64_t(to.value())}) {
      mixed = (mixed ^ part) * 0x9E3779B97F4A7C15u;
      mixed ^= mixed >> 29;
    }
    entries_.push_back({kind, from, to, ChainHash(mixed), std::move(body)});
  }
  void AppendBatch(int64_t records, std::string body) {
    Append(EntryKind::kBatch, end() + records, Bytes(std::move(body)));
  }
  void AppendGap(int64_t records) { Append(EntryKind::kGap, end() + records, Bytes(std::string("gap"))); }
  /// A batch, or now and then a gap, of up to `size_max` bytes.
  void AppendRandom(SeededRandom& random, size_t size_max) {
    if (random.OneIn(8)) return AppendGap(static_cast<int64_t>(random.Between(1, 50)));
    std::string body(random.Spread(1, size_max), '\0');
    random.Fill(body.data(), std::min<size_t>(body.size(), 32));
    AppendBatch(static_cast<int64_t>(random.Between(1, 20)), std::move(body));
  }

  /// One gap in the place of entries [first, last]; the chain goes on as if they were there, since the gap
  /// names the hash that they led to.
  void ReplaceByGap(size_t first, size_t last) {
    const ChainHash led_to = entries_[last].hash_after;
    Stored gap{EntryKind::kGap, entries_[first].from, entries_[last].to, led_to,
               Bytes(std::string(kGapThatLeadsTo) + std::to_string(led_to.value()))};
    entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(first),
                   entries_.begin() + static_cast<ptrdiff_t>(last));
    entries_[first] = std::move(gap);
  }
  /// Index of the entry that holds `offset`; the number of entries at the end.
  size_t IndexOf(Offset offset) const {
    auto it = std::upper_bound(entries_.begin(), entries_.end(), offset,
                               [](Offset at, const Stored& e) { return at < e.to; });
    return static_cast<size_t>(it - entries_.begin());
  }
  FlowPosition BoundaryAtOrBefore(Offset offset) const {
    size_t next = IndexOf(offset);
    if (next == 0) return {id_, Offset(0), ChainHash(0), {}};
    return {id_, entries_[next - 1].to, entries_[next - 1].hash_after, {}};
  }

 private:
  static constexpr std::string_view kGapThatLeadsTo = "gap to hash ";

  std::string id_;
  std::vector<Stored> entries_;
};

class LogSource : public FlowSource, public History {
 public:
  explicit LogSource(MemoryLog& log, FlowSettings settings = {}) : log_(log), settings_(settings) {}

  v1::FlowOpen Describe() override {
    v1::FlowOpen open;
    open.mutable_stream()->set_name(name);
    open.set_history(log_.id());
    open.set_start(start.value());
    open.set_end(log_.end().value());
    return open;
  }
  FlowSettings settings() override {
    ++settings_calls;
    return settings_;
  }
  Offset end() override { return log_.end(); }
  History* history() override { return compared ? this : nullptr; }
  absl::StatusOr<bool> Continues(const FlowPosition& replica) override {
    if (replica.history != log_.id() || replica.offset > log_.end()) return false;
    const FlowPosition boundary = log_.BoundaryAtOrBefore(replica.offset);
    if (boundary.offset == replica.offset) return boundary == replica;
    return log_.entries()[log_.IndexOf(replica.offset)].kind == EntryKind::kGap;
  }
  absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t max_bytes) override {
    if (!read_error.ok()) return read_error;
    std::vector<FlowEntry> entries;
    size_t bytes = 0;
    for (size_t i = log_.IndexOf(from); i < log_.entries().size() && (entries.empty() || bytes < max_bytes);
         ++i) {
      const MemoryLog::Stored& e = log_.entries()[i];
      entries.push_back({e.kind, std::max(from, e.from), e.to, e.body, e.hash_after, compressible});
      bytes += e.body.size();
    }
    return entries;
  }
  absl::StatusOr<FlowPosition> FirstBoundary() override { return BoundaryAtOrBefore(start); }
  absl::StatusOr<FlowPosition> BoundaryAtOrBefore(Offset offset) override {
    return log_.BoundaryAtOrBefore(std::max(offset, start));
  }
  Located Locate(Offset offset) override { return {{}, offset, offset}; }
  Offset LastAcknowledged() override { return remembered; }
  void Acknowledged(const FlowPosition& durable) override { acknowledged = durable; }

  MemoryLog& log() { return log_; }
  void set_settings(FlowSettings settings) { settings_ = settings; }

  std::string name;
  Offset start;  ///< nothing before it is held any more
  bool compressible = false;
  bool compared = true;  ///< it has a history that is compared
  absl::Status read_error;
  std::optional<FlowPosition> acknowledged;
  Offset remembered;  ///< what the replica acknowledged in an earlier session
  int settings_calls = 0;

 private:
  MemoryLog& log_;
  FlowSettings settings_;
};

class LogSink : public FlowSink, public History {
 public:
  explicit LogSink(MemoryLog& log) : log_(log) {}

  FlowPosition position() override { return log_.position(); }
  absl::Status Check(const FlowEntry&) override { return check_error; }
  void Persist(FlowEntry entry, Done done) override { done(Append(std::move(entry))); }
  History* history() override { return this; }
  absl::StatusOr<bool> Continues(const FlowPosition&) override { return false; }
  absl::StatusOr<FlowPosition> FirstBoundary() override { return log_.BoundaryAtOrBefore(start_held); }
  absl::StatusOr<FlowPosition> BoundaryAtOrBefore(Offset offset) override {
    return log_.BoundaryAtOrBefore(offset);
  }
  Offset LastAcknowledged() override { return Offset(0); }
  Located Locate(Offset offset) override {
    if (offset < start_held) return {{}, offset, start_held};
    if (offset > log_.end()) return {{}, log_.end(), offset};
    const FlowPosition boundary = log_.BoundaryAtOrBefore(offset);
    if (boundary.offset == offset) return {boundary.hash, offset, offset};
    const auto& entry = log_.entries()[log_.IndexOf(offset)];
    return {{}, entry.from, entry.to, entry.kind == EntryKind::kBatch};
  }
  std::optional<ChainHash> HashAt(Offset offset) { return Locate(offset).hash; }
  /// What a log's committer does with what the session hands it.
  absl::StatusOr<FlowPosition> Append(FlowEntry entry) {
    if (entry.from != log_.end()) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "out_of_sequence", "not at the end", "",
                       Retry::kYes);
    }
    log_.Append(entry.kind, entry.to, std::move(entry.body));
    return log_.position();
  }
  MemoryLog& log() { return log_; }

  absl::Status check_error;
  Offset start_held;  ///< nothing before it is held any more

 private:
  MemoryLog& log_;
};

/// True when `replica` consists of the first entries of `source`, byte for byte.
inline bool IsPrefix(const MemoryLog& replica, const MemoryLog& source) {
  if (replica.entries().size() > source.entries().size()) return false;
  for (size_t i = 0; i < replica.entries().size(); ++i) {
    const auto& a = replica.entries()[i];
    const auto& b = source.entries()[i];
    if (a.kind != b.kind || a.from != b.from || a.to != b.to || !(a.body == b.body) ||
        a.hash_after != b.hash_after) {
      return false;
    }
  }
  return true;
}

}  // namespace selvage::replication::test
