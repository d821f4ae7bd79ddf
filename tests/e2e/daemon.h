#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "ctl/client.h"
#include "tests/support/process.h"
#include "tests/support/reserved_port.h"

namespace selvage::test {

/// A configuration file: values by dotted name. They are written as they are, so a list is "[a, b]".
using Settings = std::map<std::string, std::string>;

/// The YAML text.
std::string ConfigText(const Settings& settings);

/// A free port of 127.0.0.1, as "127.0.0.1:port".
std::string LocalAddress(uint16_t port);

/// One daemon with a configuration file, a data directory and a log file under one directory, on ports of its
/// own that stay the same over restarts. Starting and stopping is for one thread; the other calls are safe
/// from several, also while the daemon is down.
class Daemon {
 public:
  struct Options {
    std::string program;
    std::string dir;                ///< made if need be; holds config.yaml, log and data/
    std::string admin_setting;      ///< name of the setting that takes the port of the admin service
    Settings settings = {};         ///< without ports and data_dir
    std::string operator_identity;  ///< DIR/NAME, for client()
  };

  static absl::StatusOr<std::unique_ptr<Daemon>> Make(Options options);

  /// Starts it and waits until it is ready. The error holds how it ended and the end of its log.
  absl::Status Start();
  /// The same with these arguments beside --config, this time.
  absl::Status StartWith(const std::vector<std::string>& args);
  /// Starts it and waits for nothing.
  absl::Status Spawn(const std::vector<std::string>& args = {});
  /// The same under limits of the system: `limits` are arguments of the shell's ulimit, such as "-v 300000".
  absl::Status SpawnUnder(const std::string& limits);
  /// Waits until a spawned daemon is ready.
  absl::Status AwaitReady();
  /// SIGKILL.
  void Kill();
  /// SIGTERM; an error unless it ends with exit code 0 within the ten seconds that it promises.
  absl::Status Stop();
  /// How a spawned daemon ended by itself; nothing when it still runs at `deadline` (from now).
  std::optional<ExitStatus> AwaitExit(absl::Duration deadline);
  bool running() { return process_ != nullptr && process_->running(); }
  ChildProcess& process() { return *process_; }

  /// Changes the file; for the next start.
  absl::Status Set(const std::string& name, const std::string& value);

  std::string data_dir() const { return options_.dir + "/data"; }
  std::string config_path() const { return options_.dir + "/config.yaml"; }
  std::string log_path() const { return options_.dir + "/log"; }
  uint16_t admin_port() const { return admin_port_.port(); }
  std::string admin_address() const { return LocalAddress(admin_port()); }
  /// Where Kafka clients connect.
  uint16_t kafka_port() const { return kafka_port_.port(); }
  std::string kafka_address() const { return LocalAddress(kafka_port()); }
  /// Where tables are served over HTTP.
  uint16_t api_port() const { return api_port_.port(); }

  /// A client of the admin service as the operator; another one after each start, so that no call waits for a
  /// connection's backoff. Calls take 10 s at most.
  std::shared_ptr<const ctl::Client> client();

  /// Makes one call; its error is what the node said.
  template <class Request, class Response>
  absl::StatusOr<Response> Call(ctl::Client::Method<ctl::Client::Stub, Request, Response> method,
                                const Request& request) {
    return client()->Call(method, request);
  }

  /// GET over HTTP from 127.0.0.1: the body of a 200, else an error.
  absl::StatusOr<std::string> Get(const std::string& path) const;
  /// The value of a series as it is written in /metrics, with its labels; 0 when it is not there.
  double Metric(const std::string& series) const;
  /// How often an error of this kind was counted.
  double ErrorsCounted(const std::string& kind) const {
    return Metric("selvage_errors_total{kind=\"" + kind + "\"}");
  }

 private:
  Daemon(Options options, ReservedPort admin, ReservedPort http, ReservedPort kafka, ReservedPort api)
      : options_(std::move(options)),
        admin_port_(std::move(admin)),
        http_port_(std::move(http)),
        kafka_port_(std::move(kafka)),
        api_port_(std::move(api)) {}
  absl::Status Launch(std::vector<std::string> args);
  absl::Status WriteConfig() const;
  std::string LogTail() const;

  Options options_;
  const ReservedPort admin_port_;
  const ReservedPort http_port_;
  const ReservedPort kafka_port_;
  const ReservedPort api_port_;
  std::unique_ptr<ChildProcess> process_;
  absl::Mutex mutex_;
  std::shared_ptr<const ctl::Client> client_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage::test
