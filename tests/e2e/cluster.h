#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/security/pki.h"
#include "tests/e2e/daemon.h"
#include "tests/support/link_proxy.h"
#include "tests/support/process.h"
#include "tests/support/test_dir.h"

namespace selvage::test {

// The programs that the tests run, as they were built with them.
std::string EdgeProgram();
std::string CoreProgram();
std::string CtlProgram();

/// One core and some edges as real processes on this machine, with an authority of their own. Each edge
/// reaches the core through a LinkProxy. Timeouts on the link are short. The edges are "edge-0", "edge-1" and
/// so on.
class Cluster {
 public:
  struct Options {
    int edges = 1;
    /// On top of those that every core or edge gets here.
    Settings core = {};
    Settings edge = {};
  };

  explicit Cluster(Options options) : options_(std::move(options)) {}

  /// Makes identities, starts the core, then the edges. Nothing else may be called before.
  absl::Status Start();
  /// Makes all that Start makes, and starts no process.
  absl::Status Prepare();

  Daemon& core() { return *core_; }
  Daemon& edge(int number = 0) { return *edges_[static_cast<size_t>(number)]; }
  LinkProxy& link(int number = 0) { return *links_[static_cast<size_t>(number)]; }
  int edges() const { return static_cast<int>(edges_.size()); }
  static std::string EdgeName(int number);
  const TestDir& dir() const { return dir_; }
  /// Folder of the authority that everybody here trusts.
  std::string authority() const { return dir_.File("authority"); }
  /// Folder of the identities, each as `<role>-<id>`.
  std::string identities() const { return dir_.File("identities"); }
  std::string operator_identity() const { return identities() + "/operator-ops"; }

  /// One more daemon, not yet started, that is edge `name` with `settings` on top, in a directory of its own.
  absl::StatusOr<std::unique_ptr<Daemon>> MakeEdge(const std::string& name, uint16_t core_port,
                                                   const std::string& dir_name, const Settings& settings);

  /// Runs selvagectl as the operator, against `daemon`.
  absl::StatusOr<RunResult> Ctl(const Daemon& daemon, const std::vector<std::string>& args,
                                std::string_view input = {},
                                absl::Duration deadline = absl::Seconds(60)) const;

 private:
  absl::Status MakeIdentities();

  const Options options_;
  TestDir dir_;
  std::unique_ptr<Daemon> core_;
  std::vector<std::unique_ptr<LinkProxy>> links_;
  std::vector<std::unique_ptr<Daemon>> edges_;
};

}  // namespace selvage::test
