#pragma once

#include <rocksdb/compaction_filter.h>
#include <rocksdb/env.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

/// How a table gets rid of a damaged block. A compaction reads its tables from the first key to the last and
/// ends at a damaged block, but a compaction filter may have it drop a key and go on at a later one, without
/// reading what lies between. Only not where a table refers to values in blob files: of those it counts what
/// it drops, and so reads all. Private to the RocksDB store.
namespace selvage::internal {

/// What of a table cannot be read: everything behind `before` and before `behind`, both of the table.
struct TableHole {
  std::string before;  ///< the last key before it, one with a value
  std::string behind;  ///< the first key behind it; above all keys of the table where there is none
};

/// Reads through a table. Errors: kDataLoss when it cannot be opened, or when its first block is damaged, so
/// that no key lies before the hole; that of a file that cannot be read.
absl::StatusOr<std::vector<TableHole>> FindHoles(rocksdb::Env& env, const std::string& path,
                                                 const std::string& largest_key);

/// Makes the filters of one family's compactions: none, but while a table of it is mended.
class HoleSkipping : public rocksdb::CompactionFilterFactory {
 public:
  const char* Name() const override { return "selvage.HoleSkipping"; }
  bool ShouldFilterTableFileCreation(rocksdb::TableFileCreationReason reason) const override;
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context& context) override;

  /// From here on manual compactions drop the key before each hole and what is in it. Whoever sets it sees to
  /// it that all that is alive of this has been written anew, and that there is but one such compaction.
  void Skip(const std::vector<TableHole>& holes);
  void SkipNothing() { Skip({}); }

 private:
  using Holes = std::map<std::string, std::string, std::less<>>;
  class Filter;

  mutable absl::Mutex mutex_;
  std::shared_ptr<const Holes> holes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage::internal
