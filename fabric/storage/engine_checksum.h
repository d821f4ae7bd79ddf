#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "absl/status/statusor.h"

/// RocksDB checks every block, blob and record of its write-ahead log with CRC-32C. Debian's build of it
/// computes that by table, at a tenth of the speed of the processor's own instructions. Its function is a
/// global symbol that the library itself calls through the dynamic linker, so engine_checksum.cc defines
/// `rocksdb::crc32c::Extend` anew, by ISA-L, and every program that links the store exports it: what RocksDB
/// writes is the same, byte for byte. Private to the RocksDB store.
namespace selvage::internal {

enum class EngineChecksum {
  kOurs,  ///< RocksDB calls the function defined here
  kSlow,  ///< the answers are right, but RocksDB goes on with its own function, or this processor's is not
          ///< trusted
};

/// A way to have RocksDB compute the CRC-32C of bytes.
using EngineCrc32c = std::function<absl::StatusOr<uint32_t>(std::string_view bytes)>;

/// Has RocksDB compute checksums that are known, and finds out whose function it called. Error:
/// "engine_checksum_wrong" (kInternal) when an answer is wrong: then no store may be opened, since it could
/// not be read elsewhere.
absl::StatusOr<EngineChecksum> CheckEngineChecksum();
/// The same for any way to compute it.
absl::StatusOr<EngineChecksum> CheckEngineChecksum(const EngineCrc32c& engine);

}  // namespace selvage::internal
