#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fabric/storage/memory_store.h"
#include "fabric/table/table_flow.h"
#include "selvage/v1/link.pb.h"
#include "tests/contract/table/table_node.h"

/// Nodes that have one table, and links between them that a test drives step by step.
namespace selvage::table {

inline const Incarnation kIncarnation = *Incarnation::FromBytes(std::string(16, 'i'));

inline v1::TableDefinition Shared(v1::TableDirection direction = v1::TABLE_BOTH) {
  v1::TableDefinition definition = Definition("t", direction);
  definition.set_incarnation(kIncarnation.bytes());
  return definition;
}

inline std::unique_ptr<MemoryStore> CopyOf(KvStore& store) {
  auto copy = std::make_unique<MemoryStore>();
  auto batch = copy->NewBatch();
  for (const Family family : kAllFamilies) {
    auto cursor = store.Scan(family, "", std::string(8, '\xff'));
    for (cursor->Seek(""); cursor->Valid(); cursor->Next())
      batch->Put(family, cursor->key(), {cursor->value()});
  }
  EXPECT_TRUE(copy->Write(*batch, true).ok());
  return copy;
}

/// A node with a table that outlives its processes.
class Site {
 public:
  Site(int id, bool is_edge, Random& random, v1::TableDirection direction = v1::TABLE_BOTH)
      : id_(id), is_edge_(is_edge), random_(random) {
    Open();
    EXPECT_EQ(tables().Create(Shared(direction)), absl::OkStatus());
  }

  TableNode& node() { return *node_; }
  TableStore& tables() { return node_->tables(); }
  FakeClock& clock() { return clock_; }
  StoreId store_id() const { return samples::Store(id_); }
  std::string name() const { return is_edge_ ? "edge-" + std::to_string(id_) : "core"; }
  int64_t now_ms() { return absl::ToUnixMillis(clock_.Wall()); }

  std::string Do(RowOperation operation) { return node_->Do({std::move(operation)}); }
  std::string Json(std::string_view key) { return node_->Json(key); }
  void Commit() {
    while (node_->committer().CommitOnce()) {
    }
  }
  void Restart() {
    node_.reset();
    Open();
  }
  /// Another number after each opening.
  int openings() const { return openings_; }
  void Back() { backup_ = CopyOf(*store_); }
  /// As it was at the last backup. A core that is restored begins a new lineage.
  void DropBackup() { backup_.reset(); }
  void Restore() {
    if (!backup_) return;
    node_.reset();
    store_ = CopyOf(*backup_);
    Open();
    if (is_edge_) return;
    auto batch = store_->NewBatch();
    tables().StageForgetCursors(*batch);
    EXPECT_TRUE(store_->Write(*batch, true).ok());
  }
  /// As it was at the last backup, as by a disk that lost what it had synced: nobody notices.
  void SetBack() {
    node_.reset();
    store_ = CopyOf(*backup_);
    Open();
  }
  /// Of all rows as readers see them.
  std::map<std::string, RowDigest> Digests() {
    std::map<std::string, RowDigest> digests;
    const auto page = tables().Scan("t", {.rows_max = 100'000, .bytes_max = kAll});
    for (const RowView& row : page->rows) digests[row.key] = row.version;
    return digests;
  }
  std::string Text() {
    std::string text;
    const auto page = tables().Scan("t", {.rows_max = 100'000, .bytes_max = kAll});
    for (const RowView& row : page->rows) text += row.key + "=" + row.json + "\n";
    return text;
  }
  TableCounts Counts() { return tables().Facts("t")->counts; }

 private:
  void Open() {
    node_.emplace(*store_, clock_, random_, is_edge_, store_id());
    ++openings_;
  }

  const int id_;
  const bool is_edge_;
  Random& random_;
  FakeClock clock_;
  std::unique_ptr<MemoryStore> store_ = std::make_unique<MemoryStore>();
  std::unique_ptr<MemoryStore> backup_;
  std::optional<TableNode> node_;
  int openings_ = 0;
};

/// One direction of a link while it lasts.
class Flow {
 public:
  /// With `lost`, what these stores wrote goes back to an edge that lost it.
  Flow(Site& from, Site& to, std::string prefix, bool snapshots, Fence fence, uint64_t unsent,
       Life reader_life = {}, std::set<StoreId> lost = {})
      : from_(from),
        to_(to),
        opening_(from.openings()),
        watch_(from.tables().WatchRows("t", prefix, [this] { ++wakes_; })),
        source_(
            from.tables(),
            {.table = "t",
             .definition = *from.tables().Find("t"),
             .store_id = from.store_id(),
             .prefix = prefix,
             .snapshots = snapshots,
             .written_by = lost,
             .reader_life = reader_life,
             .reader = to.name()},
            [] {}, watch_) {
    to.node().fences().Raise(fence);
    test::SeededRandom random(fence.epoch.value());
    const v1::FlowOpen open = source_.Describe();
    const auto cursor = to.tables().Cursor("t", from.store_id());
    const TableCursor at = TableSink::Resume(*cursor, open, random);
    set_back_ = at.source_set_back;
    needed_snapshot_ = TableSink::NeedsSnapshot(at);
    sink_.emplace(to.tables(),
                  TableSink::Options{.table = "t",
                                     .incarnation = kIncarnation,
                                     .store_id = to.store_id(),
                                     .peer = from.store_id(),
                                     .allowed = "",
                                     .fence = fence,
                                     .snapshots = snapshots,
                                     .sweeps = lost.empty(),
                                     .unsent = unsent},
                  at, open.history(), [](const std::function<void()>& run) { run(); });
    if (TableSink::IsAnotherLife(*cursor, at)) sink_->Remember();
    to.Commit();
    at_ = sink_->position().offset;
    source_.Acknowledged(sink_->position());
  }

  ~Flow() {
    // Nodes may go while links to them last.
    if (from_.openings() == opening_) from_.tables().Unwatch(watch_);
  }
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;

  Life life() const { return sink_->source_life(); }
  bool was_set_back() const { return set_back_; }
  /// How often the source was told that rows of its own changed.
  int wakes() const { return wakes_; }
  bool needed_snapshot() const { return needed_snapshot_; }
  TableSource& source() { return source_; }
  bool CaughtUp() { return at_ >= source_.end(); }
  Offset at() const { return at_; }
  /// One entry, as the session carries it. False when there is none.
  bool Step(size_t bytes_max = 300) {
    const std::optional<FlowEntry> entry = Next(bytes_max);
    if (!entry) return false;
    const auto durable = Hand(*entry);
    to_.Commit();
    EXPECT_TRUE(*durable && (*durable)->ok()) << (*durable ? (*durable)->status() : absl::OkStatus());
    if (!*durable || !(*durable)->ok()) return false;
    EXPECT_EQ((**durable)->offset, entry->to);
    at_ = entry->to;
    source_.Acknowledged(***durable);
    return true;
  }
  /// One entry that is under way to the disk when all ends.
  void StepInVain() {
    if (const auto entry = Next(300)) Hand(*entry);
  }
  /// What becomes of an entry of a session that another one superseded: the kind of the error. Nothing when
  /// there is none.
  std::optional<std::string> StepStale() {
    const std::optional<FlowEntry> entry = Next(300);
    if (!entry) return std::nullopt;
    const auto durable = Hand(*entry);
    to_.Commit();
    return *durable ? ErrorKind((*durable)->status()) : "not finished";
  }
  void Drain() {
    while (Step(1 << 20)) {
    }
  }
  /// Of rows and intervals, as they went over the link.
  size_t bytes() const { return bytes_; }

 private:
  using Durable = std::optional<absl::StatusOr<replication::FlowPosition>>;

  std::optional<FlowEntry> Next(size_t bytes_max) {
    if (CaughtUp()) return std::nullopt;
    const auto entries = source_.Read(at_, bytes_max);
    EXPECT_EQ(entries.status(), absl::OkStatus());
    if (!entries.ok() || entries->empty()) return std::nullopt;
    EXPECT_EQ(entries->size(), 1u);
    const FlowEntry& entry = entries->front();
    EXPECT_EQ(entry.from, at_);
    EXPECT_LT(entry.from, entry.to);
    EXPECT_EQ(sink_->Check(entry), absl::OkStatus());
    CheckTimes(entry);
    return entry;
  }
  /// What others wrote is not handed on before its time.
  void CheckTimes(const FlowEntry& entry) {
    const bool interval = entry.kind == EntryKind::kTableInterval;
    const auto changes =
        interval ? ReadIntervalBody(entry.body.view())->rows : ReadChangesBody(entry.body.view())->rows;
    for (const RowChange& change : changes) {
      for (const auto& [name, field] : change.change.fields) {
        if (!field.set || field.set->write.stamp.node == from_.store_id()) continue;
        EXPECT_LE(field.set->write.stamp.hlc.ms(), from_.now_ms() + kClockMarginMs);
      }
    }
  }
  std::shared_ptr<Durable> Hand(const FlowEntry& entry) {
    const bool interval = entry.kind == EntryKind::kTableInterval;
    bytes_ += entry.body.size() - (interval ? 0 : ChangesBody({}, 0, "").size());
    auto durable = std::make_shared<Durable>();
    sink_->Persist(entry, [durable](const auto& done) { *durable = done; });
    return durable;
  }

  Site& from_;
  Site& to_;
  int wakes_ = 0;
  const int opening_;
  const int watch_;
  TableSource source_;
  std::optional<TableSink> sink_;
  Offset at_;
  bool needed_snapshot_ = false;
  bool set_back_ = false;
  size_t bytes_ = 0;
};

/// A link between an edge and the core: up first, and down once what the edge wrote is there, if the edge
/// needs a snapshot.
class Session {
 public:
  Session(Site& edge, Site& core, uint64_t epoch, std::string prefix = "")
      : edge_(edge),
        core_(core),
        epoch_(epoch),
        prefix_(std::move(prefix)),
        up_(edge, core, "", false, Fence{"edge", SessionEpoch(epoch)}, 0) {
    edge.node().fences().Raise(Fence{"@core", SessionEpoch(epoch)});
  }

  Flow& up() { return up_; }
  bool StepUp() { return up_.Step(); }
  bool StepDown() {
    if (!down_) {
      if (!up_.CaughtUp()) return false;
      const uint64_t unsent = up_.source().acknowledged().value_or(0);
      down_.emplace(core_, edge_, prefix_, true, Fence{"@core", SessionEpoch(epoch_)}, unsent, up_.life());
    }
    return down_->Step();
  }
  /// Until neither has anything to say.
  void Drain() {
    bool any = true;
    while (any) {
      any = StepUp();
      any = StepDown() || any;
    }
  }
  std::optional<Flow>& down() { return down_; }

 private:
  Site& edge_;
  Site& core_;
  const uint64_t epoch_;
  const std::string prefix_;
  Flow up_;
  std::optional<Flow> down_;
};

}  // namespace selvage::table
