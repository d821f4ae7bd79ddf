#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "ctl/model_commands.h"
#include "ctl/options.h"
#include "ctl/session.h"
#include "ctl/units.h"
#include "fabric/base/error.h"
#include "selvage/v1/rollout.pb.h"

/// selvagectl model rollout: which edges run which version of a model.
namespace selvage::ctl {
namespace {

using RolloutStub = Client::Rollouts;

/// Of an enum's value, as in MODEL_ROLLOUT_PAUSED: "paused".
std::string Word(std::string name) {
  constexpr std::string_view kPrefix = "MODEL_ROLLOUT_";
  if (name.starts_with(kPrefix)) name.erase(0, kPrefix.size());
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return name;
}

std::string RolloutStateText(const v1::ModelRollout& rollout) {
  return Word(v1::ModelRolloutState_Name(rollout.state()));
}

std::string PhaseText(const v1::ModelRollout& rollout) {
  if (static_cast<int>(rollout.phase()) >= rollout.plan().phases_size()) return "";
  return fmt::format("{} of {} ({} %)", rollout.phase() + 1, rollout.plan().phases_size(),
                     rollout.plan().phases(static_cast<int>(rollout.phase())).percent());
}

void PrintRollout(Session& session, const v1::ModelRollout& rollout, bool with_edges) {
  if (session.json()) return PrintJson(session.out(), rollout);
  const auto count = [](uint32_t number) { return std::to_string(number); };
  PrintFields(
      session.out(),
      {{"rollout", std::to_string(rollout.id())},
       {"model", rollout.plan().model()},
       {"version", std::to_string(rollout.plan().version())},
       {"state", RolloutStateText(rollout)},
       {"reason", rollout.reason()},
       {"phase", PhaseText(rollout)},
       {"revision", std::to_string(rollout.revision())},
       {"started", HumanTimeMs(rollout.started_ms())},
       {"waiting", count(rollout.waiting())},
       {"pending", count(rollout.pending())},
       {"committed", count(rollout.committed())},
       {"failed", fmt::format("{}; {} may", rollout.failed(), rollout.plan().failures_max())},
       {"unreached", fmt::format("{}; {} may be", rollout.unreached(), rollout.plan().unreached_max())},
       {"returned", count(rollout.returned())},
       {"excluded", count(rollout.excluded())}});
  if (!with_edges || rollout.edges().empty()) return;
  session.out() << '\n';
  Table table({{"edge"}, {"phase", Table::Align::kRight}, {"outcome"}, {"reason"}});
  for (const auto& edge : rollout.edges()) {
    table.Add({edge.edge(), std::to_string(edge.phase() + 1),
               Word(v1::ModelRolloutOutcome_Name(edge.outcome())), edge.reason()});
  }
  table.Print(session.out());
}

struct EdgeOptions {
  std::vector<std::string> edges;
  std::vector<std::string> labels;
  bool all = false;
};

void AddEdgeOptions(CLI::App& verb, EdgeOptions& options) {
  verb.add_option("--edge", options.edges, "An edge; may be repeated, in the order in which they are taken");
  verb.add_option("--label", options.labels, "key=value: edges that have it; may be repeated");
  verb.add_flag("--all", options.all, "All edges");
}

absl::Status FillEdges(const EdgeOptions& options, v1::ModelEdges& edges) {
  for (const std::string& edge : options.edges) edges.add_edges(edge);
  for (const std::string& text : options.labels) {
    SELVAGE_ASSIGN_OR_RETURN(const auto label, ParseLabel(text));
    (*edges.mutable_labels())[label.first] = label.second;
  }
  edges.set_all(options.all);
  return absl::OkStatus();
}

struct StartOptions {
  v1::StartRolloutRequest request;
  EdgeOptions edges;
  std::vector<uint32_t> percents = {5, 25, 100};
  uint32_t least = 1;
  absl::Duration soak = absl::Minutes(10);
  absl::Duration deadline = absl::Hours(1);
};

absl::Status StartRollout(Session& session, const StartOptions& options) {
  v1::StartRolloutRequest request = options.request;
  SELVAGE_RETURN_IF_ERROR(FillEdges(options.edges, *request.mutable_edges()));
  for (const uint32_t percent : options.percents) {
    v1::ModelRolloutPhase& phase = *request.add_phases();
    phase.set_percent(percent);
    phase.set_least(options.least);
    phase.set_soak_ms(absl::ToInt64Milliseconds(options.soak));
    phase.set_deadline_ms(absl::ToInt64Milliseconds(options.deadline));
  }
  SELVAGE_ASSIGN_OR_RETURN(const v1::ModelRollout rollout, session.Ask(&RolloutStub::StartRollout, request));
  PrintRollout(session, rollout, false);
  return absl::OkStatus();
}

absl::Status ListRollouts(Session& session, const std::string& model) {
  v1::ListRolloutsRequest request;
  request.set_model(model);
  SELVAGE_ASSIGN_OR_RETURN(const v1::ListRolloutsResponse response,
                           session.Ask(&RolloutStub::ListRollouts, request));
  if (session.json()) {
    PrintJson(session.out(), response);
    return absl::OkStatus();
  }
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"rollout", kRight},
               {"model"},
               {"version", kRight},
               {"state"},
               {"phase"},
               {"pending", kRight},
               {"committed", kRight},
               {"failed", kRight},
               {"unreached", kRight},
               {"started"}});
  for (const v1::ModelRollout& rollout : response.rollouts()) {
    table.Add({std::to_string(rollout.id()), rollout.plan().model(), std::to_string(rollout.plan().version()),
               RolloutStateText(rollout), PhaseText(rollout), std::to_string(rollout.pending()),
               std::to_string(rollout.committed()), std::to_string(rollout.failed()),
               std::to_string(rollout.unreached()), HumanTimeMs(rollout.started_ms())});
  }
  table.Print(session.out());
  return absl::OkStatus();
}

absl::Status ShowRollout(Session& session, uint64_t id, bool with_edges) {
  v1::GetRolloutRequest request;
  request.set_id(id);
  SELVAGE_ASSIGN_OR_RETURN(const v1::ModelRollout rollout, session.Ask(&RolloutStub::GetRollout, request));
  PrintRollout(session, rollout, with_edges);
  return absl::OkStatus();
}

absl::Status ChangeRollout(Session& session, const v1::ChangeRolloutRequest& request) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::ModelRollout rollout, session.Ask(&RolloutStub::ChangeRollout, request));
  PrintRollout(session, rollout, false);
  return absl::OkStatus();
}

absl::Status RemoveModel(Session& session, const std::string& model, const EdgeOptions& edges) {
  v1::RemoveModelRequest request;
  request.set_model(model);
  SELVAGE_RETURN_IF_ERROR(FillEdges(edges, *request.mutable_edges()));
  SELVAGE_ASSIGN_OR_RETURN(const v1::RemoveModelResponse response,
                           session.Ask(&RolloutStub::RemoveModel, request));
  if (session.json()) {
    PrintJson(session.out(), response);
  } else {
    session.out() << fmt::format("{} edges are to remove model {}\n", response.edges(), model);
  }
  return absl::OkStatus();
}

void AddStart(CLI::App& noun, Session& session) {
  auto options = std::make_shared<StartOptions>();
  v1::StartRolloutRequest* request = &options->request;
  CLI::App* verb = noun.add_subcommand("start", "Bring a version to edges, phase by phase");
  verb->add_option_function<std::string>(
          "MODEL", [request](const std::string& model) { request->set_model(model); }, "Name of the model")
      ->required();
  verb->add_option_function<uint64_t>(
          "VERSION", [request](uint64_t version) { request->set_version(version); }, "One that is published")
      ->required();
  AddEdgeOptions(*verb, options->edges);
  verb->add_option("--phases", options->percents, "Percent of the edges in each phase, rising to 100")
      ->delimiter(',')
      ->capture_default_str();
  verb->add_option("--least", options->least, "So many edges of a phase have to confirm")
      ->capture_default_str();
  AddParsed(*verb, "--soak", options->soak, ParsePositiveDuration,
            "How long an edge has to run it before it counts; 10m unless given");
  AddParsed(*verb, "--deadline", options->deadline, ParsePositiveDuration,
            "After which a connected edge that does not confirm has failed; 1h unless given");
  verb->add_option_function<uint32_t>(
      "--failures-max", [request](uint32_t max) { request->set_failures_max(max); },
      "Edges that may fail; one more aborts the rollout. 0 unless given");
  verb->add_option_function<uint32_t>(
      "--unreached-max", [request](uint32_t max) { request->set_unreached_max(max); },
      "Edges that may stay unreached; with more the rollout pauses. 0 unless given");
  verb->callback([&session, options] { session.Finish(StartRollout(session, *options)); });
}

void AddChange(CLI::App& noun, Session& session, const std::string& name, const std::string& help,
               v1::ModelRolloutChange change) {
  auto request = std::make_shared<v1::ChangeRolloutRequest>();
  request->set_change(change);
  CLI::App* verb = noun.add_subcommand(name, help);
  const auto text = [&](const std::string& option, auto set, const std::string& what) {
    return verb->add_option_function<std::string>(option, set, what);
  };
  verb->add_option_function<uint64_t>(
          "ROLLOUT", [request](uint64_t id) { request->set_id(id); }, "Its number")
      ->required();
  verb->add_option_function<uint64_t>(
          "--revision", [request](uint64_t revision) { request->set_revision(revision); },
          "That its status shows: refused when it has changed since")
      ->required();
  if (change == v1::MODEL_ROLLOUT_ABORT) {
    text(
        "--reason", [request](const std::string& why) { request->set_reason(why); }, "Why, for its status");
  }
  if (change == v1::MODEL_ROLLOUT_EXCLUDE) {
    text(
        "--edge", [request](const std::string& edge) { request->set_edge(edge); }, "The edge")
        ->required();
  }
  verb->callback([&session, request] { session.Finish(ChangeRollout(session, *request)); });
}

}  // namespace

void AddRollouts(CLI::App& model, Session& session) {
  CLI::App* noun = model.add_subcommand("rollout", "Which edges run which version");
  noun->require_subcommand(1);
  AddStart(*noun, session);
  struct Options {
    uint64_t id = 0;
    bool edges = false;
    std::string model;
  };
  auto options = std::make_shared<Options>();
  CLI::App* list = noun->add_subcommand("list", "Rollouts, the newest first");
  list->add_option("--model", options->model, "Only of this model");
  list->callback([&session, options] { session.Finish(ListRollouts(session, options->model)); });
  CLI::App* status = noun->add_subcommand("status", "How a rollout stands");
  status->add_option("ROLLOUT", options->id, "Its number")->required();
  status->add_flag("--edges", options->edges, "Also each edge");
  status->callback(
      [&session, options] { session.Finish(ShowRollout(session, options->id, options->edges)); });
  AddChange(*noun, session, "pause", "No further edge begins", v1::MODEL_ROLLOUT_PAUSE);
  AddChange(*noun, session, "resume", "Go on; edges that failed or were not reached have another try",
            v1::MODEL_ROLLOUT_RESUME);
  AddChange(*noun, session, "abort", "End it; edges that moved go back", v1::MODEL_ROLLOUT_ABORT);
  AddChange(*noun, session, "promote", "Open the gate of the phase, whoever has confirmed",
            v1::MODEL_ROLLOUT_PROMOTE);
  AddChange(*noun, session, "exclude", "Take an edge out; it goes back", v1::MODEL_ROLLOUT_EXCLUDE);

  struct RemoveOptions {
    std::string model;
    EdgeOptions edges;
  };
  auto remove = std::make_shared<RemoveOptions>();
  CLI::App* verb = model.add_subcommand("remove", "Take a model away from edges, at once");
  verb->add_option("MODEL", remove->model, "Name of the model")->required();
  AddEdgeOptions(*verb, remove->edges);
  verb->callback([&session, remove] { session.Finish(RemoveModel(session, remove->model, remove->edges)); });
}

}  // namespace selvage::ctl
