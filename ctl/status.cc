#include <fmt/format.h>

#include <memory>

#include "ctl/options.h"
#include "ctl/session.h"
#include "ctl/text_tables.h"
#include "ctl/units.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

constexpr char kClearScreen[] = "\x1b[H\x1b[2J\x1b[3J";

void Print(Session& session, const v1::GetStatusResponse& status) {
  std::string link =
      status.role() == "core"
          ? fmt::format("{} {} connected", status.links(), status.links() == 1 ? "edge" : "edges")
          : fmt::format("{} {}", status.links() > 0 ? "up:" : "down:", Printable(status.link_detail()));
  session.out() << fmt::format("{} {} ({}), up {}; store {}, {} free on its volume; link {}; {} open {}\n\n",
                               Printable(status.role()), Printable(status.node()),
                               Printable(status.version()),
                               HumanSeconds(static_cast<double>(status.uptime_ms()) / 1e3),
                               StoreText(status.store_bytes(), status.store_budget()),
                               HumanBytes(static_cast<double>(status.volume_free())), link,
                               status.open_alarms(), status.open_alarms() == 1 ? "alarm" : "alarms");
  PrintFlows(session.out(), status.flows());
  if (status.tables().empty()) return;
  session.out() << '\n';
  PrintTables(session.out(), status.tables());
}

absl::Status Once(Session& session, const Client& client, const std::string& edge, bool watching) {
  v1::GetStatusRequest request;
  request.set_edge(edge);
  absl::StatusOr<v1::GetStatusResponse> status = client.Call(&Client::Stub::GetStatus, request);
  if (!status.ok()) return status.status();
  if (session.json()) {
    session.out() << JsonText(ToJson(*status), !watching) << '\n';
    return absl::OkStatus();
  }
  if (watching && session.world.out_is_terminal) session.out() << kClearScreen;
  Print(session, *status);
  if (watching && !session.world.out_is_terminal) session.out() << '\n';
  return absl::OkStatus();
}

// Errors are shown and the watch goes on: it is there to see a node come back.
absl::Status Watch(Session& session, const Client& client, const std::string& edge, absl::Duration every) {
  do {
    if (absl::Status status = Once(session, client, edge, true); !status.ok())
      PrintError(session.err(), status);
    session.out().flush();
  } while (session.out() && session.world.pause(every));
  return absl::OkStatus();
}

struct StatusOptions {
  std::string edge;
  std::string watch;
};

absl::Status Status(Session& session, const StatusOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(Client client, session.Connect());
  if (options.watch.empty()) return Once(session, client, options.edge, false);
  SELVAGE_ASSIGN_OR_RETURN(absl::Duration every, ParsePositiveDuration(options.watch));
  return Watch(session, client, options.edge, every);
}

}  // namespace

void AddStatus(CLI::App& app, Session& session) {
  CLI::App* verb = app.add_subcommand("status", "This node, and one row for each flow between edge and core");
  auto options = std::make_shared<StatusOptions>();
  verb->add_option("--edge", options->edge, "Only flows of this edge");
  verb->add_flag("--watch{2s}", options->watch, "Again and again; --watch=5s for another interval than 2s");
  verb->callback([&session, options] { session.Finish(Status(session, *options)); });
}

}  // namespace selvage::ctl
