#include "fabric/kafka/group/subscription.h"

#include <algorithm>

#include "fabric/base/endian.h"

namespace selvage::kafka::group {
namespace {

template <class T>
std::optional<T> Take(std::string_view& bytes) {
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T value = LoadBig<T>(bytes.data());
  bytes.remove_prefix(sizeof(T));
  return value;
}

}  // namespace

std::optional<std::vector<std::string>> SubscribedTopics(std::string_view metadata) {
  const auto version = Take<int16_t>(metadata);
  const auto count = Take<int32_t>(metadata);
  if (!version || *version < 0 || !count || *count < 0) return std::nullopt;
  // Each topic takes two bytes at least, so a false count cannot ask for more memory than the input has.
  if (static_cast<size_t>(*count) > metadata.size() / 2) return std::nullopt;
  std::vector<std::string> topics;
  topics.reserve(static_cast<size_t>(*count));
  for (int32_t i = 0; i < *count; ++i) {
    const auto size = Take<int16_t>(metadata);
    if (!size || *size < 0 || static_cast<size_t>(*size) > metadata.size()) return std::nullopt;
    topics.emplace_back(metadata.substr(0, static_cast<size_t>(*size)));
    metadata.remove_prefix(static_cast<size_t>(*size));
  }
  std::sort(topics.begin(), topics.end());
  topics.erase(std::unique(topics.begin(), topics.end()), topics.end());
  return topics;
}

}  // namespace selvage::kafka::group
