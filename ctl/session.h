#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ctl/client.h"
#include "ctl/output.h"

namespace selvage::ctl {

/// What the process ends with; also in `selvagectl --help`.
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,          ///< an error; for verify: the two ends differ
  kNotCompared = 2,     ///< verify could not compare
  kOutcomeUnknown = 3,  ///< produce cannot know whether its last lines were stored
  kUsage = 64,          ///< the command line is wrong; nothing was done
};

/// What the outside world is to selvagectl; tests give their own.
struct World {
  int in = 0;  ///< file descriptor of the standard input
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  ChannelFactory connect = OpenTlsChannel;
  /// Waits; false: stop repeating.
  std::function<bool(absl::Duration)> pause;
  /// True once the operator asked to stop (SIGINT).
  std::function<bool()> interrupted;
};

/// One run: the world, the global options, and what came of it.
class Session {
 public:
  explicit Session(World world) : world(std::move(world)) {}

  World world;
  ConnectionOptions connection;
  Format format = Format::kTable;
  int exit_code = kDone;

  std::ostream& out() { return *world.out; }
  std::ostream& err() { return *world.err; }
  bool json() const { return format == Format::kJson; }

  /// A client of the node at --address, or at `address`.
  absl::StatusOr<Client> Connect() { return Connect(connection.address); }
  absl::StatusOr<Client> Connect(const std::string& address);
  /// A client of an edge, over its link to the core at --address.
  absl::StatusOr<Client> ConnectEdge(const std::string& edge);

  /// A client as these options say. Error: "bad_value" for an edge whose id can be none.
  absl::StatusOr<Client> ConnectAs(const ConnectionOptions& to);

  /// Takes over how a command ended: prints an error and sets the exit code.
  void Finish(const absl::Status& status);

  /// Connects, calls, and returns the response: what most commands do.
  template <class Service, class Request, class Response>
  absl::StatusOr<Response> Ask(Client::Method<Service, Request, Response> method, const Request& request) {
    absl::StatusOr<Client> client = Connect();
    if (!client.ok()) return client.status();
    return client->Call(method, request);
  }
};

/// Each adds the commands of one noun. `session` must outlive `app`.
void AddPki(CLI::App& app, Session& session);
void AddStream(CLI::App& app, Session& session);
void AddTable(CLI::App& app, Session& session);
void AddView(CLI::App& app, Session& session);
void AddModel(CLI::App& app, Session& session);
void AddEdge(CLI::App& app, Session& session);
void AddOrigin(CLI::App& app, Session& session);
void AddLoss(CLI::App& app, Session& session);
void AddAlarm(CLI::App& app, Session& session);
void AddGroup(CLI::App& app, Session& session);
void AddStatus(CLI::App& app, Session& session);
void AddVerify(CLI::App& app, Session& session);

/// Runs one command line, without the program's name. Returns the exit code.
int Run(std::vector<std::string> arguments, World world);

}  // namespace selvage::ctl
