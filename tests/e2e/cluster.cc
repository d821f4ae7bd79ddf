#include "tests/e2e/cluster.h"

#include <fmt/format.h>

#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "tests/support/paths.h"

namespace selvage::test {
namespace {

constexpr char kTrustDomain[] = "test.selvage.example";
constexpr absl::Duration kAuthorityAge = absl::Hours(24 * 30);

Settings TlsSettings(const TlsFiles& files) {
  return {{"tls.cert", files.cert}, {"tls.key", files.key}, {"tls.ca", files.ca}};
}

void Add(const Settings& from, Settings& to) {
  for (const auto& [name, value] : from) to[name] = value;
}

}  // namespace

std::string EdgeProgram() {
  return BuildDir() + "/edge/selvage-edge";
}
std::string CoreProgram() {
  return BuildDir() + "/core/selvage-core";
}
std::string CtlProgram() {
  return BuildDir() + "/ctl/selvagectl";
}

std::string Cluster::EdgeName(int number) {
  return fmt::format("edge-{}", number);
}

absl::Status Cluster::MakeIdentities() {
  const absl::Time now = SystemClock().Wall();
  // Old enough to have issued certificates that have expired since.
  SELVAGE_RETURN_IF_ERROR(
      InitAuthority(authority(), kTrustDomain, absl::Hours(24 * 365), now - kAuthorityAge));
  auto issue = [&](Role role, const std::string& id) {
    return Issue(authority(), {role, id, absl::Hours(24 * 10), {}, {}}, identities(), now).status();
  };
  SELVAGE_RETURN_IF_ERROR(issue(Role::kCore, "core"));
  SELVAGE_RETURN_IF_ERROR(issue(Role::kOperator, "ops"));
  for (int i = 0; i < options_.edges; ++i) SELVAGE_RETURN_IF_ERROR(issue(Role::kEdge, EdgeName(i)));
  return absl::OkStatus();
}

absl::Status Cluster::Prepare() {
  SELVAGE_RETURN_IF_ERROR(MakeIdentities());
  Daemon::Options core;
  core.program = CoreProgram();
  core.dir = dir_.File("core");
  core.admin_setting = "link.listen";
  core.operator_identity = operator_identity();
  core.settings = {{"node.id", "core"}, {"link.heartbeat", "200ms"}, {"link.timeout", "1500ms"}};
  Add(TlsSettings(
          {identities() + "/core-core.crt", identities() + "/core-core.key", identities() + "/ca.crt"}),
      core.settings);
  Add(options_.core, core.settings);
  SELVAGE_ASSIGN_OR_RETURN(core_, Daemon::Make(std::move(core)));
  for (int i = 0; i < options_.edges; ++i) {
    SELVAGE_ASSIGN_OR_RETURN(auto link, LinkProxy::Start({core_->admin_port(), 0}));
    SELVAGE_ASSIGN_OR_RETURN(auto edge, MakeEdge(EdgeName(i), link->port(), EdgeName(i), {}));
    links_.push_back(std::move(link));
    edges_.push_back(std::move(edge));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Daemon>> Cluster::MakeEdge(const std::string& name, uint16_t core_port,
                                                          const std::string& dir_name,
                                                          const Settings& settings) {
  Daemon::Options edge;
  edge.program = EdgeProgram();
  edge.dir = dir_.File(dir_name);
  edge.admin_setting = "admin.listen";
  edge.operator_identity = operator_identity();
  const std::string identity = identities() + "/edge-" + name;
  edge.settings = {{"node.id", name},
                   {"link.addresses", "[\"" + LocalAddress(core_port) + "\"]"},
                   {"link.heartbeat", "200ms"},
                   {"link.timeout", "1500ms"},
                   {"link.backoff_min", "50ms"},
                   {"link.backoff_max", "500ms"}};
  Add(TlsSettings({identity + ".crt", identity + ".key", identities() + "/ca.crt"}), edge.settings);
  Add(options_.edge, edge.settings);
  Add(settings, edge.settings);
  return Daemon::Make(std::move(edge));
}

absl::Status Cluster::Start() {
  SELVAGE_RETURN_IF_ERROR(Prepare());
  SELVAGE_RETURN_IF_ERROR(core_->Start());
  for (const auto& edge : edges_) SELVAGE_RETURN_IF_ERROR(edge->Start());
  return absl::OkStatus();
}

absl::StatusOr<RunResult> Cluster::Ctl(const Daemon& daemon, const std::vector<std::string>& args,
                                       std::string_view input, absl::Duration deadline) const {
  SpawnOptions run;
  run.args = {CtlProgram(), "--address", daemon.admin_address(), "--identity", operator_identity()};
  run.args.insert(run.args.end(), args.begin(), args.end());
  return RunProgram(run, input, deadline);
}

}  // namespace selvage::test
