#include "fabric/storage/memory_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/error.h"

namespace selvage {
namespace {

size_t IndexOf(Family family) {
  return static_cast<size_t>(family);
}

int64_t SizeOf(const std::pair<const std::string, Bytes>& row) {
  return static_cast<int64_t>(row.first.size() + row.second.size());
}

}  // namespace

class MemoryStore::Batch : public WriteBatch {
 public:
  void Put(Family family, std::string_view key, std::initializer_list<std::string_view> parts) override {
    size_t size = 0;
    for (std::string_view part : parts) size += part.size();
    std::string value;
    value.reserve(size);
    for (std::string_view part : parts) value.append(part);
    Add({Op::Kind::kPut, family, std::string(key), {}, Bytes(std::move(value))});
  }
  void Delete(Family family, std::string_view key) override {
    Add({Op::Kind::kDelete, family, std::string(key), {}, {}});
  }
  void DeleteRange(Family family, std::string_view from, std::string_view to) override {
    if (from >= to) return;
    Add({Op::Kind::kDeleteRange, family, std::string(from), std::string(to), {}});
  }
  size_t ByteSize() const override { return byte_size_; }
  bool Empty() const override { return ops_.empty(); }
  void Clear() override {
    ops_.clear();
    byte_size_ = 0;
  }

  const std::vector<Op>& ops() const { return ops_; }

 private:
  void Add(Op op) {
    byte_size_ += op.key.size() + op.range_end.size() + op.value.size();
    ops_.push_back(std::move(op));
  }

  std::vector<Op> ops_;
  size_t byte_size_ = 0;
};

class MemoryStore::SnapshotCursor : public Cursor {
 public:
  SnapshotCursor(absl::Mutex& mutex, std::shared_ptr<Table> table, std::string_view from, std::string_view to)
      : mutex_(mutex), table_(std::move(table)), from_(from), to_(std::max(from, to)) {
    begin_ = table_->lower_bound(from_);
    end_ = table_->lower_bound(to_);
    at_ = end_;
  }
  /// The store asks under its mutex whether it shares a table; giving the share back under the same mutex
  /// orders this cursor's last read before the store's next change.
  ~SnapshotCursor() override {
    absl::MutexLock lock(&mutex_);
    table_.reset();
  }

  void Seek(std::string_view key) override {
    at_ = key <= from_ ? begin_ : key >= to_ ? end_ : table_->lower_bound(key);
    valid_ = at_ != end_;
  }
  void SeekForPrev(std::string_view key) override {
    at_ = key < from_ ? begin_ : key >= to_ ? end_ : table_->upper_bound(key);
    StepBack();
  }
  void Next() override {
    SELVAGE_CHECK(valid_);
    ++at_;
    valid_ = at_ != end_;
  }
  void Prev() override {
    SELVAGE_CHECK(valid_);
    StepBack();
  }
  bool Valid() const override { return valid_; }
  std::string_view key() const override {
    SELVAGE_CHECK(valid_);
    return at_->first;
  }
  std::string_view value() const override {
    SELVAGE_CHECK(valid_);
    return at_->second.view();
  }
  absl::Status status() const override { return absl::OkStatus(); }

 private:
  void StepBack() {
    valid_ = at_ != begin_;
    if (valid_) --at_;
  }

  absl::Mutex& mutex_;
  std::shared_ptr<Table> table_;
  const std::string from_;
  const std::string to_;
  Table::const_iterator begin_;
  Table::const_iterator end_;
  Table::const_iterator at_;
  bool valid_ = false;
};

MemoryStore::MemoryStore(Options options) : capacity_bytes_(options.capacity_bytes) {
  for (auto& table : current_) table = std::make_shared<Table>();
}

MemoryStore::~MemoryStore() = default;

void MemoryStore::SetCapacity(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  capacity_bytes_ = bytes;
}

std::unique_ptr<WriteBatch> MemoryStore::NewBatch() {
  return std::make_unique<Batch>();
}

absl::Status MemoryStore::Write(WriteBatch& batch, bool sync) {
  auto* ours = dynamic_cast<Batch*>(&batch);
  SELVAGE_CHECK(ours != nullptr);
  absl::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  // As on a disk, what a batch deletes gives no space to the batch itself.
  if (held_bytes_ + ours->ByteSize() > capacity_bytes_) {
    failure_ = MakeError(absl::StatusCode::kResourceExhausted, "disk_full",
                         fmt::format("a write of {} bytes does not fit: {} of {} bytes are in use",
                                     ours->ByteSize(), held_bytes_, capacity_bytes_),
                         "free space on the volume, then start again");
    return failure_;
  }
  for (const Op& op : ours->ops()) held_bytes_ += Apply(op, WritableTable(op.family));
  if (!ours->Empty()) unsynced_.push_back(ours->ops());
  if (sync) {
    for (const auto& ops : unsynced_) {
      for (const Op& op : ops) Apply(op, synced_[IndexOf(op.family)]);
    }
    unsynced_.clear();
  }
  return absl::OkStatus();
}

int64_t MemoryStore::Apply(const Op& op, Table& table) {
  if (op.kind == Op::Kind::kPut) {
    auto [at, added] = table.try_emplace(op.key);
    const int64_t before = added ? 0 : SizeOf(*at);
    at->second = op.value;
    return SizeOf(*at) - before;
  }
  auto from = table.lower_bound(op.key);
  auto to = op.kind == Op::Kind::kDelete ? table.upper_bound(op.key) : table.lower_bound(op.range_end);
  int64_t freed = 0;
  for (auto at = from; at != to; ++at) freed += SizeOf(*at);
  table.erase(from, to);
  return -freed;
}

MemoryStore::Table& MemoryStore::WritableTable(Family family) {
  auto& table = current_[IndexOf(family)];
  if (table.use_count() > 1) table = std::make_shared<Table>(*table);
  return *table;
}

absl::StatusOr<std::optional<std::string>> MemoryStore::Get(Family family, std::string_view key) {
  absl::MutexLock lock(&mutex_);
  const Table& table = *current_[IndexOf(family)];
  auto found = table.find(key);
  if (found == table.end()) return std::optional<std::string>();
  return std::optional<std::string>(found->second.view());
}

std::unique_ptr<Cursor> MemoryStore::Scan(Family family, std::string_view from, std::string_view to) {
  absl::MutexLock lock(&mutex_);
  return std::make_unique<SnapshotCursor>(mutex_, current_[IndexOf(family)], from, to);
}

std::vector<std::unique_ptr<Cursor>> MemoryStore::ScanTogether(const std::vector<KeySpan>& spans) {
  std::vector<std::unique_ptr<Cursor>> cursors;
  cursors.reserve(spans.size());
  absl::MutexLock lock(&mutex_);
  for (const auto& [family, from, to] : spans) {
    cursors.push_back(std::make_unique<SnapshotCursor>(mutex_, current_[IndexOf(family)], from, to));
  }
  return cursors;
}

absl::Status MemoryStore::Reclaim(Family, std::string_view, std::string_view) {
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> MemoryStore::FileBytes() {
  absl::MutexLock lock(&mutex_);
  return held_bytes_;
}

absl::StatusOr<uint64_t> MemoryStore::FreeBytes() {
  absl::MutexLock lock(&mutex_);
  return held_bytes_ < capacity_bytes_ ? capacity_bytes_ - held_bytes_ : 0;
}

size_t MemoryStore::UnsyncedBatches() const {
  absl::MutexLock lock(&mutex_);
  return unsynced_.size();
}

void MemoryStore::LoseUnsynced(size_t keep) {
  absl::MutexLock lock(&mutex_);
  unsynced_.resize(std::min(keep, unsynced_.size()));
  for (const auto& ops : unsynced_) {
    for (const Op& op : ops) Apply(op, synced_[IndexOf(op.family)]);
  }
  unsynced_.clear();
  for (Family family : kAllFamilies) {
    current_[IndexOf(family)] = std::make_shared<Table>(synced_[IndexOf(family)]);
  }
  held_bytes_ = 0;
  for (const auto& table : current_) {
    for (const auto& row : *table) held_bytes_ += SizeOf(row);
  }
  failure_ = absl::OkStatus();
}

}  // namespace selvage
