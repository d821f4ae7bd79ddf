#include <fmt/format.h>

#include <memory>

#include "ctl/session.h"
#include "ctl/units.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

std::string StateText(const v1::AlarmDocument& alarm) {
  if (alarm.resolved()) return "resolved";
  return alarm.needs_operator() ? "needs an operator" : "open";
}

absl::Status List(Session& session, bool all) {
  v1::ListAlarmsRequest request;
  request.set_all(all);
  SELVAGE_ASSIGN_OR_RETURN(v1::ListAlarmsResponse response, session.Ask(&Client::Stub::ListAlarms, request));
  if (session.json()) {
    PrintJson(session.out(), response);
    return absl::OkStatus();
  }
  Table table({{"id", Table::Align::kRight},
               {"state"},
               {"kind"},
               {"subject"},
               {"origin"},
               {"count", Table::Align::kRight},
               {"first"},
               {"last"},
               {"what"}});
  for (const v1::AlarmDocument& alarm : response.alarms()) {
    table.Add(
        {std::to_string(alarm.id()), StateText(alarm), alarm.kind(), alarm.subject(), alarm.origin(),
         std::to_string(alarm.count()), HumanTimeMs(alarm.first_ms()), HumanTimeMs(alarm.last_ms()),
         alarm.hint().empty() ? alarm.message() : fmt::format("{}; {}", alarm.message(), alarm.hint())});
  }
  table.Print(session.out());
  return absl::OkStatus();
}

absl::Status Resolve(Session& session, const v1::ResolveAlarmRequest& request) {
  SELVAGE_ASSIGN_OR_RETURN(v1::AlarmDocument alarm, session.Ask(&Client::Stub::ResolveAlarm, request));
  if (session.json()) {
    PrintJson(session.out(), alarm);
  } else {
    session.out() << fmt::format("alarm {} ({} of {}): {}\n", alarm.id(), Printable(alarm.kind()),
                                 Printable(alarm.subject()), StateText(alarm));
  }
  return absl::OkStatus();
}

struct ResolveOptions {
  uint64_t id = 0;
  std::string action;
};

}  // namespace

void AddAlarm(CLI::App& app, Session& session) {
  CLI::App* noun = app.add_subcommand("alarm", "What needs attention");
  noun->require_subcommand(1);
  CLI::App* list = noun->add_subcommand("list", "Open alarms");
  auto all = std::make_shared<bool>(false);
  list->add_flag("--all", *all, "Also resolved ones");
  list->callback([&session, all] { session.Finish(List(session, *all)); });

  CLI::App* resolve = noun->add_subcommand("resolve", "Settle an alarm; what it held goes on");
  auto options = std::make_shared<ResolveOptions>();
  resolve->add_option("id", options->id)->required();
  resolve->add_option("--action", options->action,
                      "The operator's word, where the alarm's hint asks for one");
  resolve->callback([&session, options] {
    v1::ResolveAlarmRequest request;
    request.set_id(options->id);
    request.set_action(options->action);
    session.Finish(Resolve(session, request));
  });
}

}  // namespace selvage::ctl
