#include "ctl/line_batcher.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <cstdint>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/config/value.h"

namespace selvage::ctl {

std::pair<LineBatch, LineBatch> SplitInTwo(const LineBatch& batch, Codec codec) {
  const absl::StatusOr<std::vector<Record>> records = DecodeRecords(batch.bytes, SIZE_MAX);
  SELVAGE_CHECK(records.ok() && records->size() > 1 && records->size() == batch.value_hashes.size());
  std::pair<LineBatch, LineBatch> halves;
  BatchBuilder first(codec), second(codec);
  for (size_t i = 0; i < records->size(); ++i) {
    const bool in_first = i < records->size() / 2;
    LineBatch& half = in_first ? halves.first : halves.second;
    (in_first ? first : second).Add((*records)[i]);
    half.value_hashes.push_back(batch.value_hashes[i]);
    half.value_bytes += (*records)[i].value->size();
  }
  halves.first.bytes = first.Build();
  halves.second.bytes = second.Build();
  return halves;
}

absl::Status LineBatcher::Add(std::string_view line, absl::Time wall, absl::Duration now) {
  Record record;
  record.timestamp = absl::ToUnixMillis(wall);
  if (!options_.key.empty()) record.key = options_.key;
  if (!options_.key_separator.empty()) {
    size_t at = line.find(options_.key_separator);
    if (at == std::string_view::npos) {
      return MakeError(absl::StatusCode::kInvalidArgument, "no_key",
                       fmt::format("the line {} has no separator {}", QuoteValue(line),
                                   QuoteValue(options_.key_separator)),
                       "with --key-separator every line is key, separator, value");
    }
    record.key = std::string(line.substr(0, at));
    line.remove_prefix(at + options_.key_separator.size());
  }
  record.value = std::string(line);
  if (builder_.empty()) started_ = now;
  builder_.Add(record);
  batch_.value_hashes.push_back(XXH3_64bits(line.data(), line.size()));
  batch_.value_bytes += line.size();
  return absl::OkStatus();
}

bool LineBatcher::full() const {
  return builder_.count() >= options_.max_records || builder_.EstimatedSize() >= options_.max_bytes;
}

std::optional<absl::Duration> LineBatcher::due() const {
  if (builder_.empty()) return std::nullopt;
  return started_ + options_.linger;
}

LineBatch LineBatcher::Take() {
  batch_.bytes = builder_.Build();
  return std::exchange(batch_, LineBatch());
}

}  // namespace selvage::ctl
