#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace selvage::kafka::group {

/// The protocol type whose member metadata is a subscription.
inline constexpr std::string_view kConsumerProtocolType = "consumer";

/// The topics that a member of type "consumer" subscribes to, in order and without repeats; nothing when the
/// bytes are no subscription. Fields behind the topics are ignored.
std::optional<std::vector<std::string>> SubscribedTopics(std::string_view metadata);

}  // namespace selvage::kafka::group
