#include "ctl/session.h"

#include <fmt/format.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>

#include "ctl/options.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/telemetry/build_info.h"

namespace selvage::ctl {
namespace {

constexpr char kFooter[] =
    "Exit codes: 0 done; 1 an error (verify: the two ends differ); 2 verify could not compare;\n"
    "3 produce cannot know whether its last lines were stored; 64 the command line is wrong.\n"
    "Environment: SELVAGE_ADDRESS, SELVAGE_IDENTITY, SELVAGE_CERT, SELVAGE_KEY, SELVAGE_CA.";

void AddGlobalOptions(CLI::App& app, Session& session) {
  ConnectionOptions& to = session.connection;
  const char* group = "Connection";
  app.add_option("--address", to.address, "Core or edge to talk to, host:port")
      ->envname("SELVAGE_ADDRESS")
      ->capture_default_str()
      ->group(group);
  app.add_option("--identity", to.identity, "DIR/NAME: short for NAME.crt, NAME.key and ca.crt in DIR")
      ->envname("SELVAGE_IDENTITY")
      ->group(group);
  app.add_option("--cert", to.cert, "Own certificate, PEM")->envname("SELVAGE_CERT")->group(group);
  app.add_option("--key", to.key, "Its private key, PEM")->envname("SELVAGE_KEY")->group(group);
  app.add_option("--ca", to.ca, "Authorities to trust, PEM")->envname("SELVAGE_CA")->group(group);
  app.add_option("--edge", to.edge,
                 "Ask this edge, over the link that it holds to the core at --address; of commands that have "
                 "an --edge of their own, write it before the command")
      ->group(group);
  AddParsed(app, "--timeout", to.timeout, ParsePositiveDuration, "How long one call may take (default 10s)")
      ->group(group);
  AddChoice<Format>(app, "-o,--output", session.format, {{"table", Format::kTable}, {"json", Format::kJson}},
                    "How to print what is read (default table)");
}

}  // namespace

absl::StatusOr<Client> Session::ConnectAs(const ConnectionOptions& to) {
  // It goes into a call's metadata, where gRPC ends the process over what is no printable ASCII.
  if (!to.edge.empty() && !IsDnsLabel(to.edge)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "bad_value",
                     fmt::format("{} is not the id of an edge", QuoteValue(to.edge)),
                     "selvagectl edge list shows the edges");
  }
  SELVAGE_ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> channel, world.connect(to));
  return Client(std::move(channel), to);
}

absl::StatusOr<Client> Session::Connect(const std::string& address) {
  ConnectionOptions to = connection;
  to.address = address;
  return ConnectAs(to);
}

absl::StatusOr<Client> Session::ConnectEdge(const std::string& edge) {
  ConnectionOptions to = connection;
  to.edge = edge;
  return ConnectAs(to);
}

void Session::Finish(const absl::Status& status) {
  if (status.ok()) return;
  out().flush();
  PrintError(err(), status);
  if (exit_code == kDone) exit_code = kFailed;
}

int Run(std::vector<std::string> arguments, World world) {
  Session session(std::move(world));
  CLI::App app("Operates Selvage: streams, tables, edges, alarms, consumer groups, identities, verification.",
               "selvagectl");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", VersionLine("selvagectl"));
  app.footer(kFooter);
  AddGlobalOptions(app, session);
  AddPki(app, session);
  AddStream(app, session);
  AddTable(app, session);
  AddView(app, session);
  AddModel(app, session);
  AddEdge(app, session);
  AddOrigin(app, session);
  AddLoss(app, session);
  AddAlarm(app, session);
  AddGroup(app, session);
  AddStatus(app, session);
  AddVerify(app, session);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error, session.out(), session.err()) == 0 ? kDone : kUsage;
  }
  session.out().flush();
  if (!session.out() && session.exit_code == kDone)
    return kFailed;  // for example a full disk behind the output
  return session.exit_code;
}

}  // namespace selvage::ctl
