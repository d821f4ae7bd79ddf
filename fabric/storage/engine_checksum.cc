#include "fabric/storage/engine_checksum.h"

#include <fmt/format.h>
#include <rocksdb/file_checksum.h>

#include <memory>
#include <string>

#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"

namespace selvage::internal {
namespace {

// Of this thread: a count that all threads share would cost more than the checksum of a short key.
thread_local uint64_t checksums_computed = 0;

}  // namespace
}  // namespace selvage::internal

namespace rocksdb::crc32c {

// As RocksDB's util/crc32c.h declares it, which is not installed. Weak, since an archive of RocksDB defines
// it as well.
__attribute__((weak, visibility("default"))) uint32_t Extend(uint32_t init_crc, const char* data, size_t n);
uint32_t Extend(uint32_t init_crc, const char* data, size_t n) {
  ++selvage::internal::checksums_computed;
  return selvage::ExtendCrc32c(init_crc, {data, n});
}

// Where RocksDB is linked from an archive, --wrap leads its calls to this name.
extern "C" __attribute__((alias("_ZN7rocksdb6crc32c6ExtendEjPKcm"))) uint32_t
// NOLINTNEXTLINE(bugprone-reserved-identifier): the linker's name
__wrap__ZN7rocksdb6crc32c6ExtendEjPKcm(uint32_t init_crc, const char* data, size_t n);

}  // namespace rocksdb::crc32c

namespace selvage::internal {
namespace {

/// By the checksum that RocksDB offers for whole files: code inside of the library that calls Extend as all
/// of it does.
absl::StatusOr<uint32_t> ByRocksDb(std::string_view bytes) {
  const std::unique_ptr<rocksdb::FileChecksumGenerator> generator =
      rocksdb::GetFileChecksumGenCrc32cFactory()->CreateFileChecksumGenerator({});
  if (generator == nullptr) {
    return MakeError(absl::StatusCode::kInternal, "engine_checksum_wrong",
                     "the storage engine has no CRC-32C");
  }
  generator->Update(bytes.data(), bytes.size());
  generator->Finalize();
  const std::string answer = generator->GetChecksum();
  if (answer.size() != sizeof(uint32_t)) {
    return MakeError(absl::StatusCode::kInternal, "engine_checksum_wrong",
                     fmt::format("the storage engine gives a CRC-32C of {} bytes", answer.size()));
  }
  return LoadBig<uint32_t>(answer.data());
}

}  // namespace

absl::StatusOr<EngineChecksum> CheckEngineChecksum() {
  return CheckEngineChecksum(&ByRocksDb);
}

absl::StatusOr<EngineChecksum> CheckEngineChecksum(const EngineCrc32c& engine) {
  struct Known {
    std::string bytes;
    uint32_t crc;
  };
  // The first from RFC 3720, B.4; the last two long enough for implementations in wide steps, with the
  // answers of RocksDB 7.8's own table.
  const Known known[] = {{"123456789", 0xe3069283u},
                         {std::string(32, '\0'), 0x8a9136aau},
                         {std::string(32, '\xff'), 0x62a8ab43u},
                         {std::string(4096, 'a'), 0x26c74ca2u},
                         {std::string(100'003, '\x5a'), 0x0ae53b5cu}};
  const uint64_t before = checksums_computed;
  for (const auto& [bytes, crc] : known) {
    SELVAGE_ASSIGN_OR_RETURN(const uint32_t answer, engine(bytes));
    if (answer != crc) {
      return MakeError(absl::StatusCode::kInternal, "engine_checksum_wrong",
                       fmt::format("the CRC-32C of {} known bytes is {:08x}, the storage engine says {:08x}",
                                   bytes.size(), crc, answer),
                       "no store can be trusted to this machine: check its processor and its memory");
    }
  }
  return checksums_computed != before && Crc32cIsTrusted() ? EngineChecksum::kOurs : EngineChecksum::kSlow;
}

}  // namespace selvage::internal
