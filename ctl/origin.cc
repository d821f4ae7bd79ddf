#include <memory>

#include "ctl/session.h"
#include "ctl/text_tables.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

absl::Status List(Session& session, const v1::ListOriginsRequest& request) {
  SELVAGE_ASSIGN_OR_RETURN(v1::ListOriginsResponse response,
                           session.Ask(&Client::Stub::ListOrigins, request));
  if (session.json()) {
    PrintJson(session.out(), response);
  } else {
    PrintLogs(session.out(), response.origins());
  }
  return absl::OkStatus();
}

}  // namespace

void AddOrigin(CLI::App& app, Session& session) {
  CLI::App* noun = app.add_subcommand("origin", "Origins: which edge's partition each log is");
  noun->require_subcommand(1);
  CLI::App* verb = noun->add_subcommand("list", "Logs with their edges, slots and ends");
  auto request = std::make_shared<v1::ListOriginsRequest>();
  verb->add_option("--stream", *request->mutable_stream(), "Only of this stream");
  verb->add_option("--edge", *request->mutable_edge(), "Only of this edge");
  verb->callback([&session, request] { session.Finish(List(session, *request)); });
}

}  // namespace selvage::ctl
