#include "edge/config.h"

#include <fmt/format.h>

#include "fabric/base/error.h"

namespace selvage {
namespace {

constexpr char kProgram[] = "selvage-edge";

std::vector<Setting> EdgeLinkSettings(EdgeLinkConfig& link) {
  std::vector<Setting> all = {
      AddressListSetting("link.addresses", &link.addresses)
          .Required("core.example.com:7443")
          .Help("Addresses of the core, tried in turn."),
      OptionalAddressSetting("link.proxy", &link.proxy)
          .Help("HTTP proxy through which the core is reached with CONNECT."),
      RateSetting("link.max_rate", &link.max_rate, {.min = 1000, .max = 100 * kGiB, .zero = "no limit"})
          .Default("0")
          .Help("Most that the edge sends; the core's spec for this edge may set another rate."),
  };
  AppendSettings(all, LinkTimeSettings(link.heartbeat, link.timeout));
  const Limits<absl::Duration> pause = {.min = absl::Milliseconds(10), .max = absl::Hours(24)};
  AppendSettings(
      all, {
               DurationSetting("link.backoff_min", &link.backoff_min, pause)
                   .Default("500ms")
                   .Help("Pause before the core is dialled again after a failure; it grows with each one."),
               DurationSetting("link.backoff_max", &link.backoff_max, pause)
                   .Default("60s")
                   .Help("Longest such pause."),
               SizeSetting("link.receive_window", &link.receive_window, {.min = 64 * kKiB, .max = kGiB})
                   .Default("4MiB")
                   .Help("Most that the core may have on the way here before it is stored."),
               ChoiceSetting("link.calls", {"none", "read", "write"},
                             [&link](size_t choice) { link.calls = static_cast<OverLink>(choice); })
                   .Default("read")
                   .Help("What operators at the core may do here over the link (selvagectl --edge). The core "
                         "vouches for who they are."),
           });
  return all;
}

std::vector<Setting> EdgeSettings(EdgeConfig& config) {
  std::vector<Setting> all = IdentitySettings(config, {.node_id = "site-1", .directory = "selvage-edge"});
  AppendSettings(all, EdgeLinkSettings(config.link));
  all.push_back(ListenSetting("admin.listen", &config.admin_listen)
                    .Default("127.0.0.1:7444")
                    .Help("Where selvagectl reaches this edge, with mutual TLS."));
  AppendSettings(all, NodeSettings(config, {.http_listen = "127.0.0.1:9464",
                                            .kafka_listen = "127.0.0.1:9092",
                                            .api_listen = "127.0.0.1:8480",
                                            .budget = "10GiB",
                                            .write_buffer = "8MiB",
                                            .block_cache = "8MiB",
                                            .tail_cache = "8MiB",
                                            .commit_queue_max = "16MiB",
                                            .kafka_directions = {"up", "local"}}));
  return all;
}

void CheckEdgeConfig(const EdgeConfig& config, ConfigProblems& problems) {
  const EdgeLinkConfig& link = config.link;
  CheckDaemonConfig(config, problems);
  CheckLinkTimes(link.heartbeat, link.timeout, problems);
  problems.Require(link.backoff_max >= link.backoff_min, {"link.backoff_max", "link.backoff_min"},
                   fmt::format("must be at least link.backoff_min ({})", SpellDuration(link.backoff_min)));
}

}  // namespace

EdgeConfig DefaultEdgeConfig() {
  EdgeConfig config;
  ApplyDefaults(EdgeSettings(config));
  return config;
}

absl::StatusOr<EdgeConfig> ParseEdgeConfig(std::string_view yaml, const std::string& file) {
  EdgeConfig config;
  ConfigProblems problems(file);
  ReadSettings(yaml, EdgeSettings(config), problems);
  CheckEdgeConfig(config, problems);
  SELVAGE_RETURN_IF_ERROR(problems.ToStatus());
  return config;
}

absl::StatusOr<EdgeConfig> LoadEdgeConfig(const std::string& path) {
  SELVAGE_ASSIGN_OR_RETURN(const std::string yaml, ReadConfigFile(path));
  return ParseEdgeConfig(yaml, path);
}

std::string SampleEdgeConfig() {
  EdgeConfig config;
  return SampleConfig(kProgram, EdgeSettings(config));
}

std::string EdgeConfigReference() {
  EdgeConfig config;
  return ReferenceSection(kProgram, "The daemon of an edge site.", EdgeSettings(config));
}

}  // namespace selvage
