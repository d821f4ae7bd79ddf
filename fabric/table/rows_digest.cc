#include "fabric/table/rows_digest.h"

#include <xxhash.h>

#include "fabric/base/endian.h"

namespace selvage::table {

std::optional<RowsDigest> RowsDigest::From(std::string_view bytes, uint64_t rows) {
  if (bytes.size() != 2 * sizeof(uint64_t)) return std::nullopt;
  RowsDigest digest;
  digest.high_ = LoadBig<uint64_t>(bytes.data());
  digest.low_ = LoadBig<uint64_t>(bytes.data() + sizeof(uint64_t));
  digest.rows_ = rows;
  return digest;
}

void RowsDigest::Add(std::string_view key, const RowDigest& version) {
  std::string row = version.bytes();
  row += key;
  const XXH128_hash_t hash = XXH3_128bits(row.data(), row.size());
  high_ += hash.high64;
  low_ += hash.low64;
  ++rows_;
}

void RowsDigest::Add(const RowsDigest& other) {
  high_ += other.high_;
  low_ += other.low_;
  rows_ += other.rows_;
}

std::string RowsDigest::bytes() const {
  std::string bytes;
  AppendBig<uint64_t>(bytes, high_);
  AppendBig<uint64_t>(bytes, low_);
  return bytes;
}

}  // namespace selvage::table
