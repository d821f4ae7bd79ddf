#pragma once

#include <rocksdb/options.h>

#include <atomic>
#include <memory>
#include <string>

#include "fabric/storage/kv_store.h"
#include "fabric/storage/rocksdb_store.h"
#include "fabric/storage/table_mending.h"

/// How RocksDB is set up, with the reason for each choice. Private to the RocksDB store.
namespace selvage::internal {

/// The column family that holds `family`. RocksDB always has a family called "default": the meta family lives
/// there.
std::string ColumnFamilyName(Family family);

rocksdb::DBOptions MakeDbOptions(const RocksDbOptions& options);
/// `cache` is shared by the families, `skipping` is the family's own.
rocksdb::ColumnFamilyOptions MakeFamilyOptions(Family family, const RocksDbOptions& options,
                                               const std::shared_ptr<rocksdb::Cache>& cache,
                                               const std::shared_ptr<HoleSkipping>& skipping);

/// A manual compaction of tables alone, which leaves values in their files, and what is compacted already.
/// Ends soon after `cancelled` turns true.
rocksdb::CompactRangeOptions CompactKeysOnly(std::atomic<bool>& cancelled);

}  // namespace selvage::internal
