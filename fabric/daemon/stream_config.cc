#include "fabric/daemon/stream_config.h"

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
    settings.set_start_at(stream.start_at == "latest" ? v1::LATEST : v1::EARLIEST);
    settings.set_cleanup(stream.cleanup == "compact"          ? v1::CLEANUP_COMPACT
                         : stream.cleanup == "compact_delete" ? v1::CLEANUP_COMPACT_DELETE
                                                              : v1::CLEANUP_DELETE);
    settings.set_delete_retention_ms(absl::ToInt64Milliseconds(stream.delete_retention));
    settings.set_max_batch_bytes(static_cast<uint32_t>(stream.max_batch_bytes));
  }
  return definitions;
}

}  // namespace selvage
