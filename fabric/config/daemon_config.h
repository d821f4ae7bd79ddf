#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/config/reader.h"
#include "fabric/config/setting.h"
#include "fabric/telemetry/log.h"

namespace selvage {

/// Files of the node's identity, in PEM.
struct TlsConfig {
  std::string cert;
  std::string key;
  std::string ca;
};

struct HttpConfig {
  Address listen;
  bool allow_remote = false;
};

struct KafkaConfig {
  Address listen;     ///< empty: Kafka clients are not served
  Address advertise;  ///< empty: the listening address
  bool allow_remote = false;
  bool tls = false;
  bool auto_create = true;
  uint32_t partitions = 0;
  std::string direction;  ///< of a topic that a client makes; empty at the core, where it is local
};

struct ApiConfig {
  Address listen;  ///< empty: tables are not served over HTTP
  bool allow_remote = false;
  bool tls = false;
};

/// All in bytes.
struct StorageConfig {
  uint64_t budget = 0;  ///< 0: no limit
  uint64_t reserve = 0;
  uint64_t write_buffer = 0;
  uint64_t block_cache = 0;
  uint64_t tail_cache = 0;
  uint64_t commit_group_max = 0;
  uint64_t commit_queue_max = 0;
};

/// A stream to make at start if it is absent.
struct StreamConfig {
  std::string name;
  std::string direction;  ///< up, down, down_shared or local
  uint32_t partitions = 0;
  absl::Duration retention_age;  ///< 0: no limit
  uint64_t retention_bytes = 0;  ///< for each partition; 0: no limit
  std::string on_full;           ///< reject or drop_oldest
  uint32_t priority = 0;
  uint32_t weight = 0;
  std::string link_compression;  ///< none or zstd
  std::string start_at;          ///< earliest or latest
  bool keep_after_ack = false;
  std::string cleanup;  ///< delete, compact or compact_delete
  absl::Duration delete_retention;
  uint64_t max_batch_bytes = 0;  ///< 0: batch.max_bytes
};

/// What both daemons have.
struct DaemonConfig {
  std::string node_id;
  std::string data_dir;
  TlsConfig tls;
  HttpConfig http;
  KafkaConfig kafka;
  ApiConfig api;
  LogOptions log;
  StorageConfig storage;
  uint64_t batch_max_bytes = 0;
  std::vector<StreamConfig> streams;
  std::string take_store_of;  ///< from the command line: NodeState::Options
};

/// Defaults in which the daemons differ, as they are written in a file.
struct DaemonDefaults {
  std::string http_listen;
  std::string kafka_listen;
  std::string api_listen;
  std::string budget;
  std::string write_buffer;
  std::string block_cache;
  std::string tail_cache;
  std::string commit_queue_max;
  std::vector<std::string> kafka_directions;  ///< to choose from, the default first; empty: no choice
};

void AppendSettings(std::vector<Setting>& all, std::vector<Setting> more);

/// Examples of what has no default, different for each daemon, so that what is copied for one serves not for
/// the other.
struct DaemonExamples {
  std::string node_id;
  std::string directory;  ///< name of its directories under /var/lib and /etc
};

/// Rows for node, data_dir and tls. `config` must outlive them; likewise below.
std::vector<Setting> IdentitySettings(DaemonConfig& config, const DaemonExamples& examples);
/// Rows of the link that both ends have.
std::vector<Setting> LinkTimeSettings(absl::Duration& heartbeat, absl::Duration& timeout);
/// Rows for http, kafka, api, log, storage, batch and streams.
std::vector<Setting> NodeSettings(DaemonConfig& config, const DaemonDefaults& defaults);

/// What no single setting shows: settings that do not go together.
void CheckDaemonConfig(const DaemonConfig& config, ConfigProblems& problems);
void CheckLinkTimes(absl::Duration heartbeat, absl::Duration timeout, ConfigProblems& problems);

}  // namespace selvage
