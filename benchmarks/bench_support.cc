#include "benchmarks/bench_support.h"

#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>

#include "fabric/base/check.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/storage/rocksdb_store.h"
#include "fabric/stream/log_format.h"
#include "fabric/stream/record_batch.h"

namespace selvage::bench {
namespace {

constexpr size_t kEdgeWriteBuffer = 8u << 20;
constexpr size_t kCoreWriteBuffer = 32u << 20;

std::string RandomBytes(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size + 8, '\0');
  for (size_t at = 0; at < size; at += 8) StoreBig<uint64_t>(bytes.data() + at, random());
  bytes.resize(size);
  return bytes;
}

}  // namespace

ScratchDir::ScratchDir() {
  const char* parent = getenv("SELVAGE_BENCH_DIR");
  std::string pattern = std::string(parent == nullptr ? "/var/tmp" : parent) + "/selvage-bench.XXXXXX";
  SELVAGE_CHECK(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

ScratchDir::~ScratchDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string RandomBatch(size_t bytes, uint64_t seed) {
  BatchBuilder builder;
  size_t overhead = kBatchHeaderSize + 16;
  builder.Add({.offset = {},
               .timestamp = 1'700'000'000'000,
               .key = std::nullopt,
               .value = RandomBytes(bytes > overhead ? bytes - overhead : 1, seed),
               .headers = {}});
  return builder.Build();
}

std::unique_ptr<NodeStore> OpenNode(const std::filesystem::path& dir, const std::string& name, bool is_edge) {
  NodeStore::Options options;
  options.data_dir = dir;
  options.write_buffer_bytes = is_edge ? kEdgeWriteBuffer : kCoreWriteBuffer;
  options.block_cache_bytes = options.write_buffer_bytes;
  options.state.node = name;
  options.state.is_edge = is_edge;
  options.state.tail_cache_bytes = is_edge ? 8u << 20 : 64u << 20;
  options.state.batch_max = 4u << 20;
  options.state.commit.queue_bytes_max = is_edge ? 16u << 20 : 64u << 20;
  options.on_failure = [](const absl::Status& why) {
    std::fprintf(stderr, "the store failed: %s\n", Describe(why).c_str());
    std::abort();
  };
  auto store = NodeStore::Open(std::move(options));
  if (!store.ok()) std::fprintf(stderr, "%s\n", Describe(store.status()).c_str());
  SELVAGE_CHECK(store.ok());
  return *std::move(store);
}

double RawStoreSeconds(const std::filesystem::path& dir, bool is_edge, uint64_t total_bytes,
                       uint64_t group_bytes, uint64_t value_bytes) {
  RocksDbOptions options;
  options.path = dir;
  options.write_buffer_bytes = is_edge ? kEdgeWriteBuffer : kCoreWriteBuffer;
  options.block_cache_bytes = options.write_buffer_bytes;
  auto store = RocksDbStore::Open(std::move(options));
  SELVAGE_CHECK(store.ok());
  std::string value = RandomBytes(value_bytes, 1);
  auto batch = (*store)->NewBatch();
  auto begin = std::chrono::steady_clock::now();
  uint64_t written = 0, key = 0;
  while (written < total_bytes) {
    batch->Clear();
    for (uint64_t in_group = 0; in_group < group_bytes; in_group += value_bytes) {
      batch->Put(Family::kLog, LogKey(LogNumber(1), Offset(static_cast<int64_t>(key++))), {value});
      written += value_bytes;
    }
    SELVAGE_CHECK((*store)->Write(*batch, /*sync=*/true).ok());
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace selvage::bench
