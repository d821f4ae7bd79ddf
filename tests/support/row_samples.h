#pragma once

#include <string>

#include "fabric/table/document.h"

/// Short names for what tests of rows are made of.
namespace selvage::table::samples {

inline StoreId Store(int n) {
  return *StoreId::FromBytes(std::string(16, static_cast<char>(n)));
}
inline FeedEpoch Epoch(int n) {
  return *FeedEpoch::FromBytes(std::string(16, static_cast<char>(n)));
}
/// An operation of store `node` at a millisecond.
inline Stamp At(int64_t ms, int node) {
  return {Hlc::AtMs(ms), Store(node)};
}
inline CanonicalJson Json(std::string_view text) {
  return CanonicalJson::Parse(text).value();
}

/// Every part that a row can have.
inline Row RowOfAllParts() {
  const Stamp put = At(1, 0x0a);
  const Stamp late{Hlc((3 << 16) | 5), Store(0x0a)};
  Row row;
  row.clear = Clear{ClearKind::kPut, {put, {}, 7, {}}};
  row.expiry = Expiry{1'000'000, {late, {}, 300, Store(0x0b)}};
  row.fields["a"].set = Register{std::nullopt, {At(2, 0x0b), {put}, 9, Store(0x0b)}};
  row.fields["b"].set = Register{Json(R"({"u":"ba"})"), {put, {}, 8, {}}};
  row.fields["n"].set = Register{Json("0"), {put, {}, 12, {}}};
  auto& counts = row.fields["n"].contributions;
  counts[{{Store(0x0a), Epoch(0xe1)}, put}] = {int64_t{5}, {late, {}, 10, {}}};
  counts[{{Store(0x0b), Epoch(0xe2)}, put}] = {2.5, {At(2, 0x0b), {}, 11, Store(0x0b)}};
  return row;
}

}  // namespace selvage::table::samples
