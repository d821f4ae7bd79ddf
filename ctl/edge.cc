#include <fmt/format.h>

#include <memory>

#include "ctl/options.h"
#include "ctl/session.h"
#include "ctl/text_tables.h"
#include "ctl/units.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

using Stub = Client::Stub;

std::string StateText(const v1::EdgeSummary& edge) {
  if (edge.retired()) return "retired";
  if (edge.held()) return "held";
  return edge.connected() ? "connected" : "offline";
}

std::string MaxRateText(const v1::EdgeSummary& edge) {
  return edge.max_rate() == 0 ? "" : HumanBitRate(static_cast<double>(edge.max_rate()));
}

void PrintEdge(Session& session, const v1::EdgeSummary& edge) {
  if (session.json()) {
    PrintJson(session.out(), edge);
    return;
  }
  std::string former;
  for (uint32_t slot : edge.former_slots()) former += fmt::format("{}{}", former.empty() ? "" : ", ", slot);
  const v1::EdgeStatus& status = edge.status();
  PrintFields(session.out(), {{"edge", edge.edge()},
                              {"state", StateText(edge)},
                              {"slot", std::to_string(edge.slot())},
                              {"former slots", former},
                              {"labels", LabelText(edge.labels())},
                              {"max rate", MaxRateText(edge)},
                              {"models", edge.hold_models() ? "held" : ""},
                              {"last seen", HumanTimeMs(edge.last_seen_ms())},
                              {"session epoch", std::to_string(edge.session_epoch())},
                              {"spec generation", fmt::format("{} (the edge has {})", edge.spec_generation(),
                                                              status.spec_generation())},
                              {"store id", Hex(edge.store_id())},
                              {"version", status.version()},
                              {"store", StoreText(status.store_bytes(), status.store_budget())},
                              {"volume free", HumanBytes(static_cast<double>(status.volume_free()))},
                              {"reported", HumanTimeMs(status.time_ms())}});
  if (status.flows().empty()) return;
  session.out() << '\n';
  PrintFlows(session.out(), status.flows());
}

absl::Status List(Session& session, const v1::ListEdgesRequest& request) {
  SELVAGE_ASSIGN_OR_RETURN(v1::ListEdgesResponse response, session.Ask(&Stub::ListEdges, request));
  if (session.json()) {
    PrintJson(session.out(), response);
    return absl::OkStatus();
  }
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"edge"},
               {"state"},
               {"slot", kRight},
               {"last seen"},
               {"version"},
               {"store", kRight},
               {"generation", kRight},
               {"max rate", kRight},
               {"labels"}});
  for (const v1::EdgeSummary& edge : response.edges()) {
    table.Add({edge.edge(), StateText(edge), std::to_string(edge.slot()), HumanTimeMs(edge.last_seen_ms()),
               edge.status().version(), StoreText(edge.status().store_bytes(), edge.status().store_budget()),
               fmt::format("{}/{}", edge.status().spec_generation(), edge.spec_generation()),
               MaxRateText(edge), LabelText(edge.labels())});
  }
  table.Print(session.out());
  return absl::OkStatus();
}

absl::Status DescribeEdge(Session& session, const std::string& name) {
  v1::ListEdgesRequest request;
  request.set_edge(name);
  SELVAGE_ASSIGN_OR_RETURN(v1::ListEdgesResponse response, session.Ask(&Stub::ListEdges, request));
  if (response.edges().empty()) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_edge",
                     fmt::format("the core has never seen an edge {}", QuoteValue(name)),
                     "selvagectl edge list shows those it knows");
  }
  PrintEdge(session, response.edges(0));
  return absl::OkStatus();
}

absl::Status Change(Session& session, const v1::SetEdgeRequest& request) {
  SELVAGE_ASSIGN_OR_RETURN(v1::EdgeSummary edge, session.Ask(&Stub::SetEdge, request));
  PrintEdge(session, edge);
  return absl::OkStatus();
}

absl::Status Label(Session& session, const std::string& edge, const std::vector<std::string>& texts) {
  SELVAGE_ASSIGN_OR_RETURN(LabelChanges changes, ParseLabelChanges(texts));
  v1::SetEdgeRequest request;
  request.set_edge(edge);
  request.mutable_set_labels()->insert(changes.set.begin(), changes.set.end());
  for (const std::string& key : changes.remove) request.add_remove_labels(key);
  return Change(session, request);
}

absl::Status Retire(Session& session, const std::string& name) {
  v1::RetireEdgeRequest request;
  request.set_edge(name);
  SELVAGE_ASSIGN_OR_RETURN(v1::EdgeSummary edge, session.Ask(&Stub::RetireEdge, request));
  PrintEdge(session, edge);
  return absl::OkStatus();
}

void AddList(CLI::App& noun, Session& session) {
  CLI::App* verb = noun.add_subcommand("list", "Edges that the core knows");
  auto labels = std::make_shared<std::vector<std::string>>();
  verb->add_option("--label", *labels, "key=value: only edges with it; may be repeated");
  verb->callback([&session, labels] {
    v1::ListEdgesRequest request;
    for (const std::string& text : *labels) {
      absl::StatusOr<std::pair<std::string, std::string>> label = ParseLabel(text);
      if (!label.ok()) return session.Finish(label.status());
      (*request.mutable_labels())[label->first] = label->second;
    }
    session.Finish(List(session, request));
  });
}

void AddLabel(CLI::App& noun, Session& session) {
  CLI::App* verb = noun.add_subcommand("label", "Set and remove labels");
  struct Options {
    std::string edge;
    std::vector<std::string> labels;
  };
  auto options = std::make_shared<Options>();
  verb->add_option("edge", options->edge)->required();
  verb->add_option("labels", options->labels, "key=value, or key- to remove it")->required();
  verb->callback([&session, options] { session.Finish(Label(session, options->edge, options->labels)); });
}

void AddSet(CLI::App& noun, Session& session) {
  CLI::App* verb = noun.add_subcommand("set", "Change the link budget, or hold the edge out of rollouts");
  struct Options {
    std::string edge;
    uint64_t max_rate = 0;
    bool hold_models = false;
  };
  auto options = std::make_shared<Options>();
  verb->add_option("edge", options->edge)->required();
  CLI::Option* max_rate =
      AddParsed(*verb, "--max-rate", options->max_rate, ParseRateOrNone,
                "Upwards on its link, for example 64kbit/s; none: what the edge's own configuration says");
  CLI::Option* hold_models = verb->add_flag("--hold-models,!--take-models", options->hold_models,
                                            "No rollout changes its models until --take-models");
  verb->require_option(2, 0);
  verb->callback([&session, options, max_rate, hold_models] {
    v1::SetEdgeRequest request;
    request.set_edge(options->edge);
    request.set_set_max_rate(max_rate->count() > 0);
    request.set_max_rate(options->max_rate);
    if (hold_models->count() > 0) request.set_hold_models(options->hold_models);
    session.Finish(Change(session, request));
  });
}

// A verb whose only parameter is the edge.
void AddNamed(CLI::App& noun, Session& session, const char* name, const char* help,
              absl::Status (*run)(Session&, const std::string&)) {
  auto edge = std::make_shared<std::string>();
  CLI::App* verb = noun.add_subcommand(name, help);
  verb->add_option("edge", *edge)->required();
  verb->callback([&session, edge, run] { session.Finish(run(session, *edge)); });
}

}  // namespace

void AddEdge(CLI::App& app, Session& session) {
  CLI::App* noun = app.add_subcommand("edge", "Edges: what they are and what they should be");
  noun->require_subcommand(1);
  AddList(*noun, session);
  AddNamed(*noun, session, "describe", "All about one edge, with its flows", DescribeEdge);
  AddLabel(*noun, session);
  AddSet(*noun, session);
  AddNamed(*noun, session, "retire", "Refuse this edge from now on; its data stay at the core", Retire);
}

}  // namespace selvage::ctl
