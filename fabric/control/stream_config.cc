#include "fabric/control/stream_config.h"

#include "absl/time/time.h"

namespace selvage {

std::vector<v1::StreamDefinition> DefinitionsOf(const std::vector<StreamConfig>& streams) {
  std::vector<v1::StreamDefinition> definitions;
  for (const StreamConfig& stream : streams) {
    v1::StreamDefinition& definition = definitions.emplace_back();
    definition.set_name(stream.name);
    definition.set_direction(stream.direction == "up"            ? v1::UP
                             : stream.direction == "down"        ? v1::DOWN
                             : stream.direction == "down_shared" ? v1::DOWN_SHARED
                                                                 : v1::LOCAL);
    definition.set_partitions(static_cast<int32_t>(stream.partitions));
    v1::StreamSettings& settings = *definition.mutable_settings();
    settings.set_retention_ms(absl::ToInt64Milliseconds(stream.retention_age));
    settings.set_retention_bytes(static_cast<int64_t>(stream.retention_bytes));
    settings.set_on_full(stream.on_full == "drop_oldest" ? v1::DROP_OLDEST : v1::REJECT);
    settings.set_priority(stream.priority);
    settings.set_weight(stream.weight);
    settings.set_link_compression(stream.link_compression == "none" ? v1::NONE : v1::ZSTD);
    settings.set_keep_after_ack(stream.keep_after_ack);
  }
  return definitions;
}

}  // namespace selvage
