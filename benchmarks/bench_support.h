#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "fabric/daemon/node_store.h"

namespace selvage::bench {

/// A directory on the disk under test, removed at the end. SELVAGE_BENCH_DIR names its parent; default:
/// /var/tmp.
class ScratchDir {
 public:
  ScratchDir();
  ~ScratchDir();
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A valid record batch of about `bytes`, of one record that does not compress.
std::string RandomBatch(size_t bytes, uint64_t seed);

/// A node with the defaults of an edge, or of a core.
std::unique_ptr<NodeStore> OpenNode(const std::filesystem::path& dir, const std::string& name, bool is_edge);

/// Seconds that the store alone takes to write and sync `total_bytes` in groups of `group_bytes`, each group
/// made of values of `value_bytes`, with the same engine and settings as `OpenNode` uses.
double RawStoreSeconds(const std::filesystem::path& dir, bool is_edge, uint64_t total_bytes,
                       uint64_t group_bytes, uint64_t value_bytes);

}  // namespace selvage::bench
