#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/clients/results.h"
#include "tests/support/process.h"

namespace selvage::test {

/// One Kafka client under test, and what it can do.
struct Client {
  std::string name;
  std::vector<std::string> command = {};
  std::map<std::string, std::string> environment = {};
  /// Empty, or why it cannot be run here.
  std::string missing = {};

  bool administers = true;
  bool static_members = true;
  bool sets_timestamps = true;
  /// Says at what offset a record was acknowledged.
  bool tells_offsets = true;
  /// Can write keys, values and headers of any bytes, and empty ones.
  bool writes_bytes = true;
  bool writes_null_headers = true;
  /// Begins a new epoch by itself when it is told that it is not known any more.
  bool begins_anew = true;
  /// Partitions that its `flood` can write to.
  int flood_partitions = 3;
};

/// All of them, the same at each call.
const std::vector<Client>& Clients();
/// The one in C++, which needs nothing from a registry.
const Client& ReferenceClient();
/// confluent-kafka's, whose Python also has what compares views with DuckDB.
const Client& ConfluentClient();

/// Options of a client's command line, without the dashes.
using ClientOptions = std::map<std::string, std::string>;

/// Runs a command to its end; an error with what it printed unless that was a success.
absl::StatusOr<std::vector<Event>> RunClient(const Client& client, const std::string& command,
                                             const ClientOptions& options,
                                             absl::Duration deadline = absl::Seconds(90));

/// A command that goes on until it is told to end, and what it has printed so far. For one thread.
class RunningClient {
 public:
  /// `output_path` is a file of its own.
  static absl::StatusOr<std::unique_ptr<RunningClient>> Start(const Client& client,
                                                              const std::string& command,
                                                              const ClientOptions& options,
                                                              const std::string& output_path);

  /// What it has printed so far.
  const std::vector<Event>& events();
  /// Waits until `predicate` is true of the events; an error with the last of them when it is not so by
  /// `deadline` (from now) or the client has failed.
  absl::Status Await(const std::string& what, absl::FunctionRef<bool(const std::vector<Event>&)> predicate,
                     absl::Duration deadline = absl::Seconds(60));
  /// Tells it to end and waits for that; an error unless it says that it ended well.
  absl::Status Stop(absl::Duration deadline = absl::Seconds(90));
  void Kill() { process_->Kill(); }

 private:
  RunningClient(std::string name, std::unique_ptr<ChildProcess> process)
      : name_(std::move(name)), process_(std::move(process)) {}
  absl::Status Failure(const std::string& what);

  const std::string name_;
  const std::unique_ptr<ChildProcess> process_;
  /// Of the output, up to the last whole line.
  size_t parsed_bytes_ = 0;
  std::vector<Event> events_;
};

}  // namespace selvage::test
