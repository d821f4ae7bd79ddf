#include "fabric/stream/meta_keys.h"

#include <fmt/format.h>

#include "fabric/base/check.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"

namespace selvage {

std::string LogDocumentKey(LogNumber log) {
  std::string key(kLogDocumentPrefix);
  AppendBig<uint32_t>(key, log.value());
  return key;
}

std::string GapIndexKey(LogNumber log, Offset offset) {
  std::string key(kGapIndexPrefix);
  AppendBig<uint32_t>(key, log.value());
  AppendBig<uint64_t>(key, static_cast<uint64_t>(offset.value()));
  return key;
}

std::string ProducerKeys(LogNumber log) {
  std::string key(kProducerPrefix);
  AppendBig<uint32_t>(key, log.value());
  return key;
}

std::string ProducerKey(LogNumber log, int64_t producer) {
  std::string key = ProducerKeys(log);
  AppendBig<int64_t>(key, producer);
  return key;
}

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  SELVAGE_CHECK(!end.empty());
  ++end.back();
  return end;
}

absl::Status DamagedMeta(std::string_view what) {
  return MakeError(
      absl::StatusCode::kDataLoss, "corrupt_meta", fmt::format("the store's {} is damaged", what),
      "restore the store, or start this node with an empty data directory: it adopts its place again");
}

}  // namespace selvage
