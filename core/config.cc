#include "core/config.h"

#include "fabric/base/error.h"

namespace selvage {
namespace {

constexpr char kProgram[] = "selvage-core";

std::vector<Setting> CoreSettings(CoreConfig& config) {
  std::vector<Setting> all = IdentitySettings(config, {.node_id = "main", .directory = "selvage-core"});
  all.push_back(ListenSetting("link.listen", &config.link.listen)
                    .Default("0.0.0.0:7443")
                    .Help("Where edges and selvagectl reach the core, with mutual TLS."));
  AppendSettings(all, LinkTimeSettings(config.link.heartbeat, config.link.timeout));
  all.push_back(
      SizeSetting("link.receive_window", &config.link.receive_window, {.min = 64 * kKiB, .max = kGiB})
          .Default("8MiB")
          .Help("Most that one edge may have on the way here before it is stored."));
  all.push_back(IntegerSetting("link.max_links", &config.link.max_links, {.min = 1, .max = 1000000})
                    .Default("10000")
                    .Help("Edges that may be linked at the same time; more are told to come back later."));
  all.push_back(
      IntegerSetting("slots.ahead", &config.slots_ahead, {.min = 1, .max = 100000})
          .Default("8")
          .Help("Free slots, at least, that topics already show, so that consumers hold a new edge's "
                "partitions before it writes."));
  all.push_back(
      CheckedTextSetting("models.rollout_key", "text", &config.models.rollout_key,
                         [](std::string_view path) { return std::string(path); })
          .Default("")
          .Help("File with the Ed25519 key in PEM that signs which edge runs which model; the file's "
                "owner alone may read it. Empty: no rollouts."));
  AppendSettings(all, NodeSettings(config, {.http_listen = "127.0.0.1:9465",
                                            .kafka_listen = "127.0.0.1:9093",
                                            .api_listen = "127.0.0.1:8481",
                                            .budget = "0",
                                            .write_buffer = "32MiB",
                                            .block_cache = "32MiB",
                                            .tail_cache = "64MiB",
                                            .commit_queue_max = "64MiB",
                                            .kafka_directions = {}}));
  return all;
}

}  // namespace

CoreConfig DefaultCoreConfig() {
  CoreConfig config;
  ApplyDefaults(CoreSettings(config));
  return config;
}

absl::StatusOr<CoreConfig> ParseCoreConfig(std::string_view yaml, const std::string& file) {
  CoreConfig config;
  ConfigProblems problems(file);
  ReadSettings(yaml, CoreSettings(config), problems);
  CheckDaemonConfig(config, problems);
  CheckLinkTimes(config.link.heartbeat, config.link.timeout, problems);
  SELVAGE_RETURN_IF_ERROR(problems.ToStatus());
  return config;
}

absl::StatusOr<CoreConfig> LoadCoreConfig(const std::string& path) {
  SELVAGE_ASSIGN_OR_RETURN(const std::string yaml, ReadConfigFile(path));
  return ParseCoreConfig(yaml, path);
}

std::string SampleCoreConfig() {
  CoreConfig config;
  return SampleConfig(kProgram, CoreSettings(config));
}

std::string CoreConfigReference() {
  CoreConfig config;
  return ReferenceSection(kProgram, "The daemon in the cloud.", CoreSettings(config));
}

}  // namespace selvage
