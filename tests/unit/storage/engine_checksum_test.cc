#include "fabric/storage/engine_checksum.h"

#include <gtest/gtest.h>

#include <string>

#include "fabric/base/crc32c.h"
#include "fabric/base/error.h"
#include "tests/support/real_function.h"

namespace rocksdb::crc32c {
uint32_t Extend(uint32_t init_crc, const char* data, size_t n);
}

namespace selvage::internal {
namespace {

/// The library's own function, in whose place ours stands.
uint32_t OfTheLibrary(uint32_t crc, std::string_view bytes) {
  static auto* real =
      test::RealFunction<uint32_t(uint32_t, const char*, size_t)>("_ZN7rocksdb6crc32c6ExtendEjPKcm");
  return real(crc, bytes.data(), bytes.size());
}

TEST(EngineChecksumTest, RocksDbCallsOurs) {
  const auto found = CheckEngineChecksum();
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, EngineChecksum::kOurs);
}

TEST(EngineChecksumTest, OursAnswersLikeTheLibrarysOwn) {
  std::string bytes(70'000, '\0');
  uint64_t state = 7;
  for (char& byte : bytes)
    byte = static_cast<char>((state = state * 6364136223846793005u + 1442695040888963407u) >> 56);
  uint32_t crc = 0;
  for (size_t i = 0; i < 3000; ++i) {
    const size_t size = i < 2000 ? i % 600 : (i * 977) % 60'000;
    const std::string_view piece = std::string_view(bytes).substr(i % 64, size);
    const uint32_t expected = OfTheLibrary(crc, piece);
    ASSERT_EQ(rocksdb::crc32c::Extend(crc, piece.data(), piece.size()), expected)
        << size << " bytes after " << crc;
    crc = expected;
  }
}

TEST(EngineChecksumTest, TellsThatTheLibraryCallsItsOwn) {
  const auto found = CheckEngineChecksum([](std::string_view bytes) { return OfTheLibrary(0, bytes); });
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, EngineChecksum::kSlow);
}

TEST(EngineChecksumTest, AWrongAnswerIsAnError) {
  // Wrong for what the portable functions take another way for.
  const auto found = CheckEngineChecksum(
      [](std::string_view bytes) { return Crc32c(bytes) ^ (bytes.size() > 5000 ? 1u : 0u); });
  EXPECT_EQ(ErrorKind(found.status()), "engine_checksum_wrong");
}

}  // namespace
}  // namespace selvage::internal
