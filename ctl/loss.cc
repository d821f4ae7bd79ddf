#include <memory>

#include "ctl/session.h"
#include "ctl/units.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

absl::Status List(Session& session, const v1::ListLossesRequest& request) {
  SELVAGE_ASSIGN_OR_RETURN(v1::ListLossesResponse response, session.Ask(&Client::Stub::ListLosses, request));
  if (session.json()) {
    PrintJson(session.out(), response);
    return absl::OkStatus();
  }
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"edge"},
               {"stream"},
               {"partition", kRight},
               {"first", kRight},
               {"last", kRight},
               {"offsets", kRight},
               {"reason"},
               {"recorded"}});
  for (const v1::Loss& loss : response.losses()) {
    table.Add({loss.edge(), loss.stream(), std::to_string(loss.partition()), std::to_string(loss.from()),
               std::to_string(loss.to() - 1), std::to_string(loss.to() - loss.from()), loss.reason(),
               HumanTimeMs(loss.recorded_ms())});
  }
  table.Print(session.out());
  return absl::OkStatus();
}

}  // namespace

void AddLoss(CLI::App& app, Session& session) {
  CLI::App* noun = app.add_subcommand("loss", "The loss ledger: offsets whose records are gone, and why");
  noun->require_subcommand(1);
  CLI::App* verb = noun->add_subcommand("list", "Every gap this node holds");
  auto request = std::make_shared<v1::ListLossesRequest>();
  verb->add_option("--stream", *request->mutable_stream(), "Only of this stream");
  verb->add_option("--edge", *request->mutable_edge(), "Only of this edge");
  verb->callback([&session, request] { session.Finish(List(session, *request)); });
}

}  // namespace selvage::ctl
