#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "core/config.h"
#include "edge/config.h"
#include "fabric/base/error.h"
#include "tests/support/paths.h"

namespace selvage {
namespace {

constexpr char kIdentity[] = R"(
node: {id: rig-7}
data_dir: /data
tls: {cert: /tls/cert.pem, key: /tls/key.pem, ca: /tls/ca.pem}
)";

std::string EdgeYaml(const std::string& link, const std::string& rest = "") {
  return std::string(kIdentity) + "link: {addresses: [core:7443]" + link + "}\n" + rest;
}

std::string EdgeRefusal(const std::string& yaml) {
  const auto config = ParseEdgeConfig(yaml, "edge.yaml");
  return config.ok() ? "" : std::string(config.status().message().data(), config.status().message().size());
}

TEST(EdgeConfig, DefaultsAreTheDocumentedOnes) {
  const auto config = ParseEdgeConfig(EdgeYaml(""), "edge.yaml");
  ASSERT_TRUE(config.ok()) << Describe(config.status());
  EXPECT_EQ(config->node_id, "rig-7");
  EXPECT_EQ(config->data_dir, "/data");
  EXPECT_EQ(config->tls.key, "/tls/key.pem");
  EXPECT_THAT(config->link.addresses, ::testing::ElementsAre(Address{"core", 7443}));
  EXPECT_TRUE(config->link.proxy.empty());
  EXPECT_EQ(config->link.max_rate, 0u);
  EXPECT_EQ(config->link.heartbeat, absl::Seconds(10));
  EXPECT_EQ(config->link.timeout, absl::Seconds(30));
  EXPECT_EQ(config->link.backoff_min, absl::Milliseconds(500));
  EXPECT_EQ(config->link.backoff_max, absl::Seconds(60));
  EXPECT_EQ(config->link.receive_window, 4 * kMiB);
  EXPECT_EQ(config->admin_listen.ToString(), "127.0.0.1:7444");
  EXPECT_EQ(config->http.listen.ToString(), "127.0.0.1:9464");
  EXPECT_EQ(config->kafka.listen.ToString(), "127.0.0.1:9092");
  EXPECT_EQ(config->api.listen.ToString(), "127.0.0.1:8480");
  EXPECT_TRUE(config->kafka.advertise.empty());
  EXPECT_FALSE(config->kafka.tls);
  EXPECT_TRUE(config->kafka.auto_create);
  EXPECT_EQ(config->kafka.partitions, 1u);
  EXPECT_EQ(config->kafka.direction, "up");
  EXPECT_EQ(config->log.level, LogLevel::kInfo);
  EXPECT_EQ(config->log.format, LogFormat::kText);
  EXPECT_EQ(config->storage.budget, 10 * kGiB);
  EXPECT_EQ(config->storage.reserve, 64 * kMiB);
  EXPECT_EQ(config->storage.write_buffer, 8 * kMiB);
  EXPECT_EQ(config->storage.block_cache, 8 * kMiB);
  EXPECT_EQ(config->storage.tail_cache, 8 * kMiB);
  EXPECT_EQ(config->storage.commit_group_max, 4 * kMiB);
  EXPECT_EQ(config->storage.commit_queue_max, 16 * kMiB);
  EXPECT_EQ(config->batch_max_bytes, 1048588u);
  EXPECT_TRUE(config->streams.empty());
}

TEST(CoreConfig, DefaultsAreTheDocumentedOnes) {
  const auto config = ParseCoreConfig(kIdentity, "core.yaml");
  ASSERT_TRUE(config.ok()) << Describe(config.status());
  EXPECT_EQ(config->link.listen.ToString(), "0.0.0.0:7443");
  EXPECT_EQ(config->link.heartbeat, absl::Seconds(10));
  EXPECT_EQ(config->link.timeout, absl::Seconds(30));
  EXPECT_EQ(config->link.receive_window, 8 * kMiB);
  EXPECT_EQ(config->link.max_links, 10000u);
  EXPECT_EQ(config->slots_ahead, 8u);
  EXPECT_EQ(config->kafka.direction, "");
  EXPECT_EQ(config->http.listen.ToString(), "127.0.0.1:9465");
  EXPECT_EQ(config->storage.budget, 0u);
  EXPECT_EQ(config->storage.write_buffer, 32 * kMiB);
  EXPECT_EQ(config->storage.block_cache, 32 * kMiB);
  EXPECT_EQ(config->storage.tail_cache, 64 * kMiB);
  EXPECT_EQ(config->storage.commit_queue_max, 64 * kMiB);
}

TEST(EdgeConfig, KafkaIsServedWhereClientsCanFindIt) {
  for (const char* off : {"off", "''"}) {
    const auto config = ParseEdgeConfig(EdgeYaml("", fmt::format("kafka: {{listen: {}}}", off)), "edge.yaml");
    ASSERT_TRUE(config.ok()) << Describe(config.status());
    EXPECT_TRUE(config->kafka.listen.empty());
  }
  EXPECT_THAT(EdgeRefusal(EdgeYaml("", "kafka: {listen: '10.0.0.7:9092'}")),
              ::testing::HasSubstr("set kafka.allow_remote: true"));
  EXPECT_THAT(EdgeRefusal(EdgeYaml("", "kafka: {listen: '0.0.0.0:9092', allow_remote: true}")),
              ::testing::HasSubstr("kafka.advertise"));
  EXPECT_EQ(EdgeRefusal(
                EdgeYaml("", "kafka: {listen: '0.0.0.0:9092', allow_remote: true, advertise: 'rig-7:9092'}")),
            "");
  EXPECT_NE(EdgeRefusal(EdgeYaml("", "kafka: {direction: down}")), "");
}

TEST(EdgeConfig, TablesAreServedRemotelyOnlyWhenThatIsSaidTwice) {
  const auto off = ParseEdgeConfig(EdgeYaml("", "api: {listen: off}"), "edge.yaml");
  ASSERT_TRUE(off.ok()) << Describe(off.status());
  EXPECT_TRUE(off->api.listen.empty());
  EXPECT_THAT(EdgeRefusal(EdgeYaml("", "api: {listen: '10.0.0.7:8480'}")),
              ::testing::HasSubstr("set api.allow_remote: true"));
  EXPECT_EQ(EdgeRefusal(EdgeYaml("", "api: {listen: '0.0.0.0:8480', allow_remote: true, tls: true}")), "");
}

TEST(EdgeConfig, ReadsLinkLogAndStreams) {
  const auto config = ParseEdgeConfig(EdgeYaml(", proxy: 'proxy:3128', max_rate: 64kbit/s", R"(
log: {level: error, format: json}
streams:
  - name: alarms
    direction: up
    partitions: 2
    retention_age: 30d
    retention_bytes: 1GiB
    on_full: drop_oldest
    priority: 9
    weight: 10
    link_compression: none
    keep_after_ack: false
  - {name: commands, direction: down}
)"),
                                      "edge.yaml");
  ASSERT_TRUE(config.ok()) << Describe(config.status());
  EXPECT_EQ(config->link.proxy, (Address{"proxy", 3128}));
  EXPECT_EQ(config->link.max_rate, 8000u);
  EXPECT_EQ(config->log.level, LogLevel::kError);
  EXPECT_EQ(config->log.format, LogFormat::kJson);
  ASSERT_EQ(config->streams.size(), 2u);
  const StreamConfig& alarms = config->streams[0];
  EXPECT_EQ(alarms.name, "alarms");
  EXPECT_EQ(alarms.direction, "up");
  EXPECT_EQ(alarms.partitions, 2u);
  EXPECT_EQ(alarms.retention_age, absl::Hours(30 * 24));
  EXPECT_EQ(alarms.retention_bytes, kGiB);
  EXPECT_EQ(alarms.on_full, "drop_oldest");
  EXPECT_EQ(alarms.priority, 9u);
  EXPECT_EQ(alarms.weight, 10u);
  EXPECT_EQ(alarms.link_compression, "none");
  EXPECT_FALSE(alarms.keep_after_ack);
  EXPECT_EQ(config->streams[1].direction, "down");
  EXPECT_EQ(config->streams[1].on_full, "reject");
  EXPECT_TRUE(config->streams[1].keep_after_ack);
}

TEST(EdgeConfig, SettingsThatDoNotGoTogetherAreRefused) {
  EXPECT_EQ(EdgeRefusal(EdgeYaml("", "http: {listen: '0.0.0.0:9464'}")),
            "edge.yaml:6:16: http.listen has no authentication and is not a loopback address; set "
            "http.allow_remote: "
            "true if that is meant");
  EXPECT_EQ(EdgeRefusal(EdgeYaml("", "http: {listen: '0.0.0.0:9464', allow_remote: true}")), "");
  EXPECT_EQ(EdgeRefusal(EdgeYaml("", "storage: {budget: 64MiB}")),
            "edge.yaml: storage.reserve must be less than storage.budget (64MiB)");
  EXPECT_EQ(EdgeRefusal(EdgeYaml("", "storage: {commit_group_max: 32MiB}")),
            "edge.yaml: storage.commit_queue_max must be at least storage.commit_group_max (32MiB)");
  EXPECT_EQ(EdgeRefusal(EdgeYaml(", timeout: 15s")),
            "edge.yaml:5:41: link.timeout must be at least twice link.heartbeat (10s)");
  EXPECT_EQ(EdgeRefusal(EdgeYaml(", backoff_max: 100ms")),
            "edge.yaml:5:45: link.backoff_max must be at least link.backoff_min (500ms)");
  EXPECT_EQ(EdgeRefusal(EdgeYaml("", "streams: [{name: a}, {name: a}]")),
            "edge.yaml:6:29: streams[1].name: \"a\" is already the name of another stream");
}

TEST(EdgeConfig, OutOfRangeAndForeignSettingsAreRefused) {
  EXPECT_EQ(EdgeRefusal(EdgeYaml("", "batch: {max_bytes: 20MiB}")),
            "edge.yaml:6:20: batch.max_bytes: \"20MiB\" is out of range: write 1KiB to 16MiB");
  EXPECT_EQ(EdgeRefusal(EdgeYaml("", "streams: [{name: a/b}]")),
            "edge.yaml:6:18: streams[0].name: \"a/b\" is not a stream name: write 1 to 249 letters, digits, "
            "dots, _ and -");
  EXPECT_EQ(EdgeRefusal(EdgeYaml("", "slots: {ahead: 8}")),
            "edge.yaml:6:1: slots is not a setting; allowed here: node, data_dir, tls, link, models, admin, "
            "http, log, "
            "kafka, api, storage, batch, streams");
}

TEST(LoadConfig, ReadsAFileAndNamesItInErrors) {
  const std::string path =
      ::testing::TempDir() + "/selvage-daemon-config-" + std::to_string(getpid()) + ".yaml";
  std::ofstream(path) << EdgeYaml("");
  EXPECT_TRUE(LoadEdgeConfig(path).ok());
  EXPECT_EQ(
      LoadCoreConfig(path).status().message(),
      path +
          ":5:8: link.addresses is not a setting; allowed here: listen, heartbeat, timeout, receive_window, "
          "max_links");
  EXPECT_EQ(ErrorKind(LoadEdgeConfig(path + ".none").status()), "config_unreadable");
  unlink(path.c_str());
}

TEST(Samples, LoadAndSayTheDefaults) {
  const auto edge = ParseEdgeConfig(SampleEdgeConfig(), "sample");
  ASSERT_TRUE(edge.ok()) << Describe(edge.status());
  EXPECT_EQ(edge->storage.budget, DefaultEdgeConfig().storage.budget);
  EXPECT_EQ(edge->link.backoff_max, DefaultEdgeConfig().link.backoff_max);
  EXPECT_TRUE(edge->streams.empty());
  const auto core = ParseCoreConfig(SampleCoreConfig(), "sample");
  ASSERT_TRUE(core.ok()) << Describe(core.status());
  EXPECT_EQ(core->slots_ahead, DefaultCoreConfig().slots_ahead);
}

TEST(Samples, OfTheTwoDaemonsShareNoDirectoryAndNoPort) {
  const auto edge = ParseEdgeConfig(SampleEdgeConfig(), "sample");
  const auto core = ParseCoreConfig(SampleCoreConfig(), "sample");
  ASSERT_TRUE(edge.ok() && core.ok());
  EXPECT_NE(edge->node_id, core->node_id);
  EXPECT_NE(edge->data_dir, core->data_dir);
  EXPECT_NE(edge->tls.cert, core->tls.cert);
  EXPECT_NE(edge->tls.key, core->tls.key);
  std::set<int> ports;
  for (const Address& listen : {edge->http.listen, edge->kafka.listen, edge->api.listen, edge->admin_listen,
                                core->http.listen, core->kafka.listen, core->api.listen, core->link.listen}) {
    EXPECT_TRUE(ports.insert(listen.port).second) << listen.ToString() << " is taken twice";
  }
}

TEST(Samples, TheStreamExampleLoadsWhenUncommented) {
  // From "#  - name" on, without the comment signs and without the explanations.
  std::istringstream sample(SampleEdgeConfig());
  std::string yaml, line;
  while (std::getline(sample, line) && line != "streams: []") yaml += line + "\n";
  yaml += "streams:\n";
  while (std::getline(sample, line)) {
    if (line.starts_with("# ") && line.find("# ", 2) == std::string::npos &&
        line.find(": ") != std::string::npos) {
      yaml += line.substr(2) + "\n";
    }
  }
  const auto config = ParseEdgeConfig(yaml, "sample");
  ASSERT_TRUE(config.ok()) << Describe(config.status()) << yaml;
  ASSERT_EQ(config->streams.size(), 1u);
  EXPECT_EQ(config->streams[0].name, "sensors");
  EXPECT_EQ(config->streams[0].retention_age, absl::Hours(168));
}

/// docs/configuration.md is written by this test when SELVAGE_UPDATE_DOCS is set, and compared otherwise.
TEST(Reference, PageInTheRepositoryIsWhatTheTablesSay) {
  const std::string path = selvage::test::SourceDir() + "/docs/configuration.md";
  const std::string page = ReferenceIntroduction() + EdgeConfigReference() + CoreConfigReference();
  if (std::getenv("SELVAGE_UPDATE_DOCS") != nullptr) std::ofstream(path) << page;
  std::ostringstream stored;
  stored << std::ifstream(path).rdbuf();
  EXPECT_EQ(stored.str(), page) << "run this test with SELVAGE_UPDATE_DOCS=1";
}

}  // namespace
}  // namespace selvage
