#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fabric/table/document.h"

namespace selvage::table {

/// Of many rows, whatever their order: the sum of a hash of each row's key and version, so that digests of
/// the parts of a range add up to that of the range. It finds what went wrong, and is no protection against
/// somebody who wants it to be equal.
class RowsDigest {
 public:
  RowsDigest() = default;
  /// As bytes() and rows() gave them; nothing for another length.
  static std::optional<RowsDigest> From(std::string_view bytes, uint64_t rows);

  /// A row that is there, once.
  void Add(std::string_view key, const RowDigest& version);
  /// The rows of another part.
  void Add(const RowsDigest& other);

  uint64_t rows() const { return rows_; }
  /// 16 bytes.
  std::string bytes() const;
  bool operator==(const RowsDigest&) const = default;

 private:
  uint64_t high_ = 0;
  uint64_t low_ = 0;
  uint64_t rows_ = 0;
};

}  // namespace selvage::table
