/// Configuration files of both daemons.
#include "core/config.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <string>

#include "edge/config.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "tests/fuzz/input.h"

namespace selvage {
namespace {

constexpr char kFile[] = "f.yaml";

void CheckSize(uint64_t bytes) {
  const auto again = ParseSize(SpellSize(bytes));
  SELVAGE_CHECK(again.ok() && *again == bytes);
}

void CheckDuration(absl::Duration duration) {
  const auto again = ParseDuration(SpellDuration(duration));
  SELVAGE_CHECK(again.ok() && *again == duration);
}

void CheckRate(uint64_t bytes_per_second) {
  const auto again = ParseRate(SpellRate(bytes_per_second));
  SELVAGE_CHECK(again.ok() && *again == bytes_per_second);
}

void CheckListen(const Address& address) {
  const auto again = ParseListenAddress(address.ToString());
  SELVAGE_CHECK(again.ok() && *again == address);
}

void CheckStreams(const std::vector<StreamConfig>& streams) {
  std::set<std::string> names;
  for (const StreamConfig& stream : streams) {
    SELVAGE_CHECK(IsStreamName(stream.name) && names.insert(stream.name).second);
    SELVAGE_CHECK(stream.partitions >= 1 && stream.weight >= 1 && stream.priority <= 9);
    SELVAGE_CHECK(!stream.direction.empty() && !stream.on_full.empty() && !stream.link_compression.empty());
    CheckSize(stream.retention_bytes);
    CheckDuration(stream.retention_age);
  }
}

/// What was accepted keeps every promise that the daemons rely on, and can be spelled again.
void CheckAccepted(const DaemonConfig& config) {
  SELVAGE_CHECK(IsDnsLabel(config.node_id) && !config.data_dir.empty() && !config.tls.cert.empty() &&
                !config.tls.key.empty() && !config.tls.ca.empty());
  SELVAGE_CHECK(IsLoopback(config.http.listen) || config.http.allow_remote);
  CheckListen(config.http.listen);
  if (!config.kafka.listen.empty()) {
    SELVAGE_CHECK(IsLoopback(config.kafka.listen) || config.kafka.allow_remote);
    CheckListen(config.kafka.listen);
  }
  if (!config.api.listen.empty()) {
    SELVAGE_CHECK(IsLoopback(config.api.listen) || config.api.allow_remote);
    CheckListen(config.api.listen);
  }
  const StorageConfig& storage = config.storage;
  SELVAGE_CHECK(storage.budget == 0 || storage.reserve < storage.budget);
  SELVAGE_CHECK(storage.commit_queue_max >= storage.commit_group_max && storage.commit_group_max > 0);
  for (uint64_t size : {storage.budget, storage.reserve, storage.write_buffer, storage.block_cache,
                        storage.tail_cache, config.batch_max_bytes}) {
    CheckSize(size);
  }
  CheckStreams(config.streams);
}

/// One line for each problem, each with the file's name, none of which steers a terminal.
void CheckRefused(const absl::Status& status) {
  SELVAGE_CHECK(ErrorKind(status) == "bad_config");
  const std::string message(status.message().data(), status.message().size());
  SELVAGE_CHECK(std::none_of(message.begin(), message.end(), [](char c) {
    return c != '\n' && (static_cast<uint8_t>(c) < ' ' || c == 0x7f);
  }));
  std::istringstream lines(message);
  for (std::string line; std::getline(lines, line);) {
    SELVAGE_CHECK(line.find(kFile) == 0 || line.find(kFile) == 2);
  }
}

void CheckEdge(std::string_view yaml) {
  const auto config = ParseEdgeConfig(yaml, kFile);
  if (!config.ok()) return CheckRefused(config.status());
  CheckAccepted(*config);
  CheckListen(config->admin_listen);
  SELVAGE_CHECK(!config->link.addresses.empty());
  for (const Address& address : config->link.addresses) {
    const auto again = ParseAddress(address.ToString());
    SELVAGE_CHECK(again.ok() && *again == address);
  }
  SELVAGE_CHECK(config->link.timeout >= 2 * config->link.heartbeat);
  SELVAGE_CHECK(config->link.backoff_max >= config->link.backoff_min);
  CheckDuration(config->link.timeout);
  CheckRate(config->link.max_rate);
}

void CheckCore(std::string_view yaml) {
  const auto config = ParseCoreConfig(yaml, kFile);
  if (!config.ok()) return CheckRefused(config.status());
  CheckAccepted(*config);
}

}  // namespace
}  // namespace selvage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  selvage::fuzz::Input input(data, size);
  const std::string_view yaml = input.Rest();
  selvage::CheckEdge(yaml);
  selvage::CheckCore(yaml);
  return 0;
}
