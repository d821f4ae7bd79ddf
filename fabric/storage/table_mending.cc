#include "fabric/storage/table_mending.h"

#include <rocksdb/iterator.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_reader.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/storage/rocksdb_internal.h"

namespace selvage::internal {
namespace {

/// The byte string in the middle of two, as numbers of so many bytes; `low` where nothing lies between.
std::string Middle(std::string_view low, std::string_view high, size_t bytes) {
  const auto digit = [](std::string_view number, size_t at) {
    return at < number.size() ? static_cast<uint8_t>(number[at]) : 0u;
  };
  std::string middle(bytes, '\0');
  unsigned carry = 0;
  for (size_t i = bytes; i-- > 0;) {
    const unsigned sum = digit(low, i) + digit(high, i) + carry;
    middle[i] = static_cast<char>(sum & 0xff);
    carry = sum >> 8;
  }
  for (size_t i = 0; i < bytes; ++i) {
    const unsigned value = (carry << 8) | static_cast<uint8_t>(middle[i]);
    middle[i] = static_cast<char>(value >> 1);
    carry = value & 1;
  }
  return middle;
}

/// Nothing that can be read must lie in a hole: from the key behind it a step back leads into the damage.
bool EndsAtDamage(rocksdb::Iterator& it) {
  if (it.Valid()) {
    it.Prev();
  } else {
    it.SeekToLast();
  }
  return !it.Valid() && it.status().IsCorruption();
}

/// A table, by seeks of which none knows of another: an iterator of RocksDB 7.8 may take a block that follows
/// a damaged one for it.
class SeekableTable {
 public:
  explicit SeekableTable(const rocksdb::Options& options) : reader_(options) {}
  rocksdb::Status Open(const std::string& path) { return reader_.Open(path); }
  std::unique_ptr<rocksdb::Iterator> Seek(const std::string& key) {
    std::unique_ptr<rocksdb::Iterator> it(reader_.NewIterator(rocksdb::ReadOptions()));
    it->Seek(ToSlice(key));
    return it;
  }

 private:
  rocksdb::SstFileReader reader_;
};

/// The first key behind the damaged block that lies behind `before`, or `above`. Seeks into one block fail
/// with one error, which says where the block lies; so where that error ends is found by halves.
std::string FirstBehind(SeekableTable& table, const std::string& before, std::string error,
                        const std::string& above) {
  std::string low = before;
  const size_t bytes = std::max(before.size(), above.size()) + 1;
  while (true) {
    const auto comes_to_it = [&](const std::string& key) {
      return table.Seek(key)->status().ToString() == error;
    };
    std::string high = above;
    while (true) {
      const std::string middle = Middle(low, high, bytes);
      if (middle <= low || middle >= high) break;
      (comes_to_it(middle) ? low : high) = middle;
    }
    // As numbers they are one, as keys the shorter ones come first.
    while (high.ends_with('\0')) {
      const std::string shorter = high.substr(0, high.size() - 1);
      if (shorter <= low || comes_to_it(shorter)) break;
      high = shorter;
    }
    const std::unique_ptr<rocksdb::Iterator> it = table.Seek(high);
    if (it->Valid()) return it->key().ToString();
    if (it->status().ok() || high >= above) return above;
    low = high;  // the next block is damaged as well
    error = it->status().ToString();
  }
}

}  // namespace

absl::StatusOr<std::vector<TableHole>> FindHoles(rocksdb::Env& env, const std::string& path,
                                                 const std::string& largest_key) {
  rocksdb::Options options;
  options.env = &env;
  SeekableTable table(options);
  if (const rocksdb::Status opened = table.Open(path); !opened.ok())
    return ToError(opened, "opening a table");
  const std::string above = largest_key + '\0';
  std::vector<TableHole> holes;
  std::string next;
  while (true) {
    std::string last;
    bool any = false;
    const std::unique_ptr<rocksdb::Iterator> it = table.Seek(next);
    for (; it->Valid(); it->Next()) {
      last = it->key().ToString();
      any = true;
    }
    const rocksdb::Status status = it->status();
    if (status.ok()) return holes;
    if (!any || !status.IsCorruption()) return ToError(status, "reading a table");
    holes.push_back({last, FirstBehind(table, last, status.ToString(), above)});
    next = holes.back().behind;
    if (!EndsAtDamage(*table.Seek(next))) {
      return MakeError(absl::StatusCode::kDataLoss, "table_not_mended",
                       "where the damage of a table ends cannot be told");
    }
  }
}

class HoleSkipping::Filter : public rocksdb::CompactionFilter {
 public:
  explicit Filter(std::shared_ptr<const Holes> holes) : holes_(std::move(holes)) {}
  const char* Name() const override { return "selvage.HoleSkipping.Filter"; }
  Decision FilterV2(int, const rocksdb::Slice& key, ValueType, const rocksdb::Slice&, std::string*,
                    std::string* skip_until) const override {
    return Decide(key, skip_until);
  }
  Decision FilterBlobByKey(int, const rocksdb::Slice& key, std::string*,
                           std::string* skip_until) const override {
    return Decide(key, skip_until);
  }

 private:
  Decision Decide(const rocksdb::Slice& key, std::string* skip_until) const {
    const auto hole = holes_->find(ToView(key));
    if (hole == holes_->end()) return Decision::kKeep;
    *skip_until = hole->second;
    return Decision::kRemoveAndSkipUntil;
  }

  const std::shared_ptr<const Holes> holes_;
};

bool HoleSkipping::ShouldFilterTableFileCreation(rocksdb::TableFileCreationReason reason) const {
  absl::MutexLock lock(&mutex_);
  return holes_ != nullptr && reason == rocksdb::TableFileCreationReason::kCompaction;
}

std::unique_ptr<rocksdb::CompactionFilter> HoleSkipping::CreateCompactionFilter(
    const rocksdb::CompactionFilter::Context& context) {
  // One that began by itself may have taken tables that hold what was written anew over a hole.
  if (!context.is_manual_compaction) return nullptr;
  absl::MutexLock lock(&mutex_);
  return holes_ == nullptr ? nullptr : std::make_unique<Filter>(holes_);
}

void HoleSkipping::Skip(const std::vector<TableHole>& holes) {
  std::shared_ptr<Holes> by_key;
  if (!holes.empty()) by_key = std::make_shared<Holes>();
  for (const TableHole& hole : holes) by_key->emplace(hole.before, hole.behind);
  absl::MutexLock lock(&mutex_);
  holes_ = std::move(by_key);
}

}  // namespace selvage::internal
