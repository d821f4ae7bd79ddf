#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"

namespace selvage {

inline bool operator==(const RecordHeader& a, const RecordHeader& b) {
  return a.key == b.key && a.value == b.value;
}
inline bool operator==(const Record& a, const Record& b) {
  return a.offset == b.offset && a.timestamp == b.timestamp && a.key == b.key && a.value == b.value &&
         a.headers == b.headers;
}

inline std::string FromHex(std::string_view hex) {
  return absl::HexStringToBytes(absl::string_view(hex.data(), hex.size()));
}
inline std::string ToHex(std::string_view bytes) {
  return absl::BytesToHexString(absl::string_view(bytes.data(), bytes.size()));
}

/// Makes length and CRC agree with the bytes again, after a test changed them.
inline std::string Reseal(std::string batch) {
  StoreBig<int32_t>(batch.data() + 8, static_cast<int32_t>(batch.size() - kBatchLogOverhead));
  StoreBig<uint32_t>(batch.data() + 17, Crc32c(std::string_view(batch).substr(21)));
  return batch;
}

/// `batch` with the big-endian integer `value` at `at`, resealed.
template <class Int>
std::string WithField(std::string batch, size_t at, Int value) {
  StoreBig<Int>(batch.data() + at, value);
  return Reseal(std::move(batch));
}

/// Keys and values null, empty and long; headers with and without value; timestamps going up and down.
inline std::vector<Record> SampleRecords() {
  return {{Offset(0), 1700000000123, "rig-7", "73.96", {}},
          {Offset(1), 1700000000100, std::nullopt, "late", {{"unit", "degC"}, {"note", std::nullopt}}},
          {Offset(2), 1700000003123, "", std::nullopt, {}},
          {Offset(3), 1700000600000, "kk", std::string(100, 'v'), {{"\xc3\xa9", ""}}}};
}

inline std::string BuildBatch(const std::vector<Record>& records, Codec codec = Codec::kNone) {
  BatchBuilder builder(codec);
  for (const Record& record : records) builder.Add(record);
  return builder.Build();
}

/// The kind of the error in a Status or StatusOr; empty for success.
inline std::string KindOf(const absl::Status& status) {
  return ErrorKind(status);
}
template <class T>
std::string KindOf(const absl::StatusOr<T>& result) {
  return ErrorKind(result.status());
}

inline constexpr size_t kNoLimit = size_t{1} << 30;

}  // namespace selvage
