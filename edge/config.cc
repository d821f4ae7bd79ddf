#include "edge/config.h"

#include <fmt/format.h>

#include "edge/model_gate.h"
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

absl::StatusOr<std::string> ParseRootDigest(std::string_view text) {
  const bool is_digest = text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
  if (text.empty() || is_digest) return std::string(text);
  return absl::InvalidArgumentError("is no digest: 64 hexadecimal digits in lower case are one");
}

/// The shell says what is wrong with it.
absl::StatusOr<std::string> ParseCommand(std::string_view text) {
  return std::string(text);
}

absl::StatusOr<std::string> ParseGateAddress(std::string_view text) {
  if (text.empty()) return std::string();
  SELVAGE_RETURN_IF_ERROR(CheckGateUrl(std::string(text)));
  return std::string(text);
}

std::vector<Setting> ModelSettings(EdgeModelsConfig& models) {
  return {
      CheckedTextSetting("models.root", "digest", &models.root, ParseRootDigest)
          .Help("SHA-256 of the root of models that this edge believes, as selvagectl model root show prints "
                "it. Without one models are refused. It never comes from the core."),
      SizeSetting("models.quota", &models.quota, {.min = kMiB, .max = 1024 * kGiB, .zero = "no limit"})
          .Default("2GiB")
          .Help("Most that models may take on the disk, their chunks and their files together; it counts "
                "against storage.budget too."),
      CheckedTextSetting("models.gate.command", "command", &models.gate_command, ParseCommand)
          .Help("Run by /bin/sh to find out whether a new version works, with SELVAGE_MODEL, "
                "SELVAGE_MODEL_VERSION, SELVAGE_MODEL_MANIFEST and SELVAGE_MODEL_PATH in its environment. "
                "Any status but 0 brings the last good version back."),
      CheckedTextSetting("models.gate.http", "URL", &models.gate_http, ParseGateAddress)
          .Help("Address on this machine that answers 200 once a new version works; asked with the "
                "parameters model and manifest. Asked after the command where there is one."),
      DurationSetting("models.gate.timeout", &models.gate_timeout,
                      {.min = absl::Milliseconds(100), .max = absl::Hours(1)})
          .Default("60s")
          .Help("How long the gate may take, and the hook."),
      CheckedTextSetting("models.hook", "command", &models.hook, ParseCommand)
          .Help("Run like the gate's command after a version was committed, returned to or removed. What "
                "becomes of it is reported and changes nothing."),
  };
}

std::vector<Setting> EdgeSettings(EdgeConfig& config) {
  std::vector<Setting> all = IdentitySettings(config, {.node_id = "site-1", .directory = "selvage-edge"});
  AppendSettings(all, EdgeLinkSettings(config.link));
  AppendSettings(all, ModelSettings(config.models));
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
