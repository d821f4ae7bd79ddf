#include "fabric/config/daemon_config.h"

#include <fmt/format.h>

#include <iterator>
#include <set>

#include "fabric/base/error.h"
#include "fabric/base/names.h"

namespace selvage {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

absl::StatusOr<std::string> ParseStreamName(std::string_view text) {
  if (IsStreamName(text)) return std::string(text);
  return MakeError(absl::StatusCode::kInvalidArgument, "bad_value",
                   fmt::format("{} is not a stream name: write 1 to {} letters, digits, dots, _ and -",
                               QuoteValue(text), kMaxStreamName));
}

std::vector<Setting> StreamSettingsTable(StreamConfig& stream) {
  return {
      CheckedTextSetting("name", "stream name", &stream.name, ParseStreamName)
          .Required("sensors")
          .Help("Name; Kafka clients see a topic of this name."),
      ChoiceSetting("direction", {"up", "down", "down_shared", "local"}, &stream.direction)
          .Default("up")
          .Help("Which way its records travel: from the edge to the core (up), from the core to one edge "
                "(down) or to "
                "all (down_shared), or nowhere (local). Cannot be changed later."),
      IntegerSetting("partitions", &stream.partitions, {.min = 1, .max = 1024})
          .Default("1")
          .Help("Partitions at one edge. Cannot be changed later."),
      DurationSetting("retention_age", &stream.retention_age,
                      {.min = absl::Seconds(1), .max = 36500 * kDay, .zero = "no limit"})
          .Default("7d")
          .Help("How long a batch is kept, counted from when this node stored it."),
      SizeSetting("retention_bytes", &stream.retention_bytes,
                  {.min = kKiB, .max = 1024 * kTiB, .zero = "no limit"})
          .Default("0")
          .Help("How much is kept for each partition."),
      ChoiceSetting("on_full", {"reject", "drop_oldest"}, &stream.on_full)
          .Default("reject")
          .Help("What a write does when storage.budget is used up: fail with a clear error, or make room by "
                "dropping "
                "the oldest entries, with a record of what was lost."),
      IntegerSetting("priority", &stream.priority, {.min = 0, .max = 9})
          .Default("5")
          .Help("A stream of higher priority overtakes on the link."),
      IntegerSetting("weight", &stream.weight, {.min = 1, .max = 1000})
          .Default("1")
          .Help("Share of the link among streams of the same priority."),
      ChoiceSetting("link_compression", {"zstd", "none"}, &stream.link_compression)
          .Default("zstd")
          .Help("Compression on the link of batches that the producer did not compress."),
      BoolSetting("keep_after_ack", &stream.keep_after_ack)
          .Default("true")
          .Help("Keep what the core acknowledged for as long as retention says, so that a restored core can "
                "ask again; "
                "otherwise it goes at once."),
      ChoiceSetting("start_at", {"earliest", "latest"}, &stream.start_at)
          .Default("earliest")
          .Help("Where an edge that has no copy of a down_shared stream yet begins: with the oldest record "
                "that the core "
                "holds, or behind the newest."),
      ChoiceSetting("cleanup", {"delete", "compact", "compact_delete"}, &stream.cleanup)
          .Default("delete")
          .Help("What becomes of old records: they go by retention_age and retention_bytes (delete), or when "
                "a newer "
                "one of their key has come (compact, for local streams only), or both."),
      DurationSetting("delete_retention", &stream.delete_retention,
                      {.min = absl::Milliseconds(1), .max = 36500 * kDay})
          .Default("24h")
          .Help("How long a compacted stream keeps a record without a value, which says that its key is "
                "deleted."),
      SizeSetting("max_batch_bytes", &stream.max_batch_bytes,
                  {.min = kKiB, .max = 16 * kMiB, .zero = "no limit of its own"})
          .Default("0")
          .Help("Largest record batch that is taken, where that is less than batch.max_bytes."),
  };
}

std::vector<Setting> ServiceSettings(DaemonConfig& config, const DaemonDefaults& defaults) {
  return {
      ListenSetting("http.listen", &config.http.listen)
          .Default(defaults.http_listen)
          .Help("Where /metrics, /healthz and /readyz are served, without TLS and authentication."),
      BoolSetting("http.allow_remote", &config.http.allow_remote)
          .Default("false")
          .Help("Needed as well when http.listen is not a loopback address, since anyone who reaches it can "
                "read."),
      ChoiceSetting("log.level", {"debug", "info", "warning", "error"},
                    [&config](size_t chosen) { config.log.level = static_cast<LogLevel>(chosen); })
          .Default("info")
          .Help("The least severe events that are written to standard error."),
      ChoiceSetting("log.format", {"text", "json"},
                    [&config](size_t chosen) { config.log.format = static_cast<LogFormat>(chosen); })
          .Default("text")
          .Help("One line of text or one JSON object for each event."),
  };
}

std::vector<Setting> KafkaSettings(KafkaConfig& kafka, const DaemonDefaults& defaults) {
  std::vector<Setting> all = {
      OptionalListenSetting("kafka.listen", &kafka.listen)
          .Default(defaults.kafka_listen)
          .Help("Where Kafka clients are served; off: nowhere."),
      OptionalAddressSetting("kafka.advertise", &kafka.advertise)
          .Default("")
          .Help("Address that clients are told to connect to; by default the one of kafka.listen. Needed "
                "when that is "
                "not one that clients can reach, as 0.0.0.0."),
      BoolSetting("kafka.allow_remote", &kafka.allow_remote)
          .Default("false")
          .Help("Needed as well when kafka.listen is not a loopback address, since anyone who reaches it can "
                "read and "
                "write."),
      BoolSetting("kafka.tls", &kafka.tls)
          .Default("false")
          .Help("Serve TLS, with the certificate of tls.cert; clients are not asked for one."),
      BoolSetting("kafka.auto_create", &kafka.auto_create)
          .Default("true")
          .Help("A topic that a client asks for, and allows to be made, is made."),
      IntegerSetting("kafka.partitions", &kafka.partitions, {.min = 1, .max = 1024})
          .Default("1")
          .Help("Partitions of a topic that a client makes without saying how many."),
  };
  if (!defaults.kafka_directions.empty()) {
    all.push_back(ChoiceSetting("kafka.direction", defaults.kafka_directions, &kafka.direction)
                      .Default(defaults.kafka_directions.front())
                      .Help("Direction of a topic that a client makes without saying one."));
  }
  return all;
}

std::vector<Setting> ApiSettings(ApiConfig& api, const DaemonDefaults& defaults) {
  return {
      OptionalListenSetting("api.listen", &api.listen)
          .Default(defaults.api_listen)
          .Help("Where tables are served over HTTP and JSON; off: nowhere."),
      BoolSetting("api.allow_remote", &api.allow_remote)
          .Default("false")
          .Help("Needed as well when api.listen is not a loopback address, since anyone who reaches it can "
                "read and write."),
      BoolSetting("api.tls", &api.tls)
          .Default("false")
          .Help("Serve TLS, with the certificate of tls.cert; clients are not asked for one."),
  };
}

std::vector<Setting> StorageSettings(StorageConfig& storage, const DaemonDefaults& defaults) {
  return {
      SizeSetting("storage.budget", &storage.budget,
                  {.min = 16 * kMiB, .max = 1024 * kTiB, .zero = "no limit"})
          .Default(defaults.budget)
          .Help("Most that the store's files may take; at the budget each stream's on_full decides."),
      SizeSetting("storage.reserve", &storage.reserve, {.min = kMiB, .max = kTiB})
          .Default("64MiB")
          .Help("Part of the budget that only trims, gaps and control data may use, so that a full store can "
                "recover."),
      SizeSetting("storage.write_buffer", &storage.write_buffer, {.min = kMiB, .max = kGiB})
          .Default(defaults.write_buffer)
          .Help("Memory in which writes gather before they become a file."),
      SizeSetting("storage.block_cache", &storage.block_cache, {.min = kMiB, .max = kTiB})
          .Default(defaults.block_cache)
          .Help("Memory for blocks read from disk."),
      SizeSetting("storage.tail_cache", &storage.tail_cache, {.min = kMiB, .max = kTiB, .zero = "none"})
          .Default(defaults.tail_cache)
          .Help("Memory for the newest batches, served without reading the disk."),
      SizeSetting("storage.commit_group_max", &storage.commit_group_max,
                  {.min = 64 * kKiB, .max = 256 * kMiB})
          .Default("4MiB")  // half of a core's receive window: the rest arrives while it is synced
          .Help("Most that is written and synced in one go."),
      SizeSetting("storage.commit_queue_max", &storage.commit_queue_max, {.min = 64 * kKiB, .max = 4 * kGiB})
          .Default(defaults.commit_queue_max)
          .Help("Writes waiting for a sync beyond this are refused as overload."),
  };
}

void CheckKafkaConfig(const KafkaConfig& kafka, ConfigProblems& problems) {
  if (kafka.listen.empty()) return;
  problems.Require(
      IsLoopback(kafka.listen) || kafka.allow_remote, {"kafka.listen", "kafka.allow_remote"},
      "has no authentication and is not a loopback address; set kafka.allow_remote: true if that is meant");
  problems.Require(!IsAnyAddress(kafka.listen) || !kafka.advertise.empty(),
                   {"kafka.advertise", "kafka.listen"},
                   "must be given, since clients cannot connect to an address that means all interfaces");
}

}  // namespace

void AppendSettings(std::vector<Setting>& all, std::vector<Setting> more) {
  std::move(more.begin(), more.end(), std::back_inserter(all));
}

std::vector<Setting> IdentitySettings(DaemonConfig& config, const DaemonExamples& examples) {
  const std::string tls = fmt::format("/etc/{}/tls/", examples.directory);
  return {
      DnsLabelSetting("node.id", &config.node_id)
          .Required(examples.node_id)
          .Help("Name of this node; must equal the id in its certificate."),
      TextSetting("data_dir", &config.data_dir)
          .Required(fmt::format("/var/lib/{}", examples.directory))
          .Help("Directory of the store, for this node alone; the store of another node is refused."),
      TextSetting("tls.cert", &config.tls.cert)
          .Required(tls + "cert.pem")
          .Help("File with this node's certificate chain in PEM."),
      TextSetting("tls.key", &config.tls.key)
          .Required(tls + "key.pem")
          .Help("File with the private key of the certificate in PEM."),
      TextSetting("tls.ca", &config.tls.ca)
          .Required(tls + "ca.pem")
          .Help("File with the authorities in PEM that peers' certificates must come from."),
  };
}

std::vector<Setting> LinkTimeSettings(absl::Duration& heartbeat, absl::Duration& timeout) {
  return {
      DurationSetting("link.heartbeat", &heartbeat, {.min = absl::Milliseconds(100), .max = absl::Hours(1)})
          .Default("10s")
          .Help("A silent link says this often that it lives."),
      DurationSetting("link.timeout", &timeout, {.min = absl::Milliseconds(200), .max = absl::Hours(3)})
          .Default("30s")
          .Help("A link from which nothing arrived for so long is cut."),
  };
}

std::vector<Setting> NodeSettings(DaemonConfig& config, const DaemonDefaults& defaults) {
  std::vector<Setting> all = ServiceSettings(config, defaults);
  AppendSettings(all, KafkaSettings(config.kafka, defaults));
  AppendSettings(all, ApiSettings(config.api, defaults));
  AppendSettings(all, StorageSettings(config.storage, defaults));
  all.push_back(SizeSetting("batch.max_bytes", &config.batch_max_bytes, {.min = kKiB, .max = 16 * kMiB})
                    .Default("1048588")
                    .Help("Largest record batch that a producer may write; the default is that of Kafka."));
  all.push_back(
      RowsSetting("streams", [&config] { return StreamSettingsTable(config.streams.emplace_back()); })
          .Help("Streams to make at start if they are absent. At an edge they are provisional: the core's "
                "definition wins."));
  return all;
}

void CheckDaemonConfig(const DaemonConfig& config, ConfigProblems& problems) {
  const StorageConfig& storage = config.storage;
  problems.Require(
      IsLoopback(config.http.listen) || config.http.allow_remote, {"http.listen", "http.allow_remote"},
      "has no authentication and is not a loopback address; set http.allow_remote: true if that is meant");
  CheckKafkaConfig(config.kafka, problems);
  problems.Require(
      config.api.listen.empty() || IsLoopback(config.api.listen) || config.api.allow_remote,
      {"api.listen", "api.allow_remote"},
      "has no authentication and is not a loopback address; set api.allow_remote: true if that is meant");
  problems.Require(storage.budget == 0 || storage.reserve < storage.budget,
                   {"storage.reserve", "storage.budget"},
                   fmt::format("must be less than storage.budget ({})", SpellSize(storage.budget)));
  problems.Require(
      storage.commit_queue_max >= storage.commit_group_max,
      {"storage.commit_queue_max", "storage.commit_group_max"},
      fmt::format("must be at least storage.commit_group_max ({})", SpellSize(storage.commit_group_max)));
  std::set<std::string> names;
  for (size_t i = 0; i < config.streams.size(); ++i) {
    const std::string& name = config.streams[i].name;
    const std::string path = fmt::format("streams[{}].name", i);
    problems.Require(name.empty() || names.insert(name).second, {path},
                     fmt::format("{} is already the name of another stream", QuoteValue(name)));
    problems.Require(config.streams[i].cleanup == "delete" || config.streams[i].direction == "local",
                     {fmt::format("streams[{}].cleanup", i), fmt::format("streams[{}].direction", i)},
                     "only a stream of direction local can be compacted");
  }
}

void CheckLinkTimes(absl::Duration heartbeat, absl::Duration timeout, ConfigProblems& problems) {
  problems.Require(timeout >= 2 * heartbeat, {"link.timeout", "link.heartbeat"},
                   fmt::format("must be at least twice link.heartbeat ({})", SpellDuration(heartbeat)));
}

}  // namespace selvage
