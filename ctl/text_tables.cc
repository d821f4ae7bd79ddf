#include "ctl/text_tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "ctl/output.h"
#include "ctl/units.h"

namespace selvage::ctl {
namespace {

std::string OffsetText(int64_t offset) {
  return offset < 0 ? "-" : std::to_string(offset);
}

std::string LagText(const v1::FlowStatus& flow) {
  if (flow.source_end() < 0 || flow.replica_end() < 0) return "-";
  return std::to_string(std::max<int64_t>(0, flow.source_end() - flow.replica_end()));
}

}  // namespace

void PrintLogs(std::ostream& out, const google::protobuf::RepeatedPtrField<v1::LogSummary>& logs) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"edge"},
               {"slot", kRight},
               {"stream"},
               {"partition", kRight},
               {"topic partition", kRight},
               {"start", kRight},
               {"end", kRight},
               {"size", kRight},
               {"acknowledged", kRight},
               {"leader epoch", kRight},
               {"log"},
               {"note"}});
  for (const v1::LogSummary& log : logs) {
    table.Add({log.edge(), log.edge().empty() ? "" : std::to_string(log.slot()), log.stream(),
               std::to_string(log.partition()), std::to_string(log.topic_partition()),
               OffsetText(log.start()), OffsetText(log.end()), HumanBytes(static_cast<double>(log.bytes())),
               OffsetText(log.acked()), std::to_string(log.leader_epoch()), Hex(log.log_id()).substr(0, 8),
               log.superseded() ? "superseded" : ""});
  }
  table.Print(out);
}

void PrintFlows(std::ostream& out, const google::protobuf::RepeatedPtrField<v1::FlowStatus>& flows) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"edge"},
               {"stream"},
               {"partition", kRight},
               {"direction"},
               {"source end", kRight},
               {"replica end", kRight},
               {"lag", kRight},
               {"lag bytes", kRight},
               {"lag time", kRight},
               {"rate", kRight},
               {"catch up", kRight},
               {"state"}});
  for (const v1::FlowStatus& flow : flows) {
    table.Add({flow.edge(), flow.stream(), std::to_string(flow.partition()),
               EnumWord(v1::Direction_Name(flow.direction())), OffsetText(flow.source_end()),
               OffsetText(flow.replica_end()), LagText(flow),
               HumanBytes(static_cast<double>(flow.lag_bytes())), HumanSeconds(flow.lag_seconds()),
               HumanRate(flow.rate_bytes()), HumanSeconds(flow.catch_up_seconds()),
               flow.detail().empty() ? flow.state() : fmt::format("{}: {}", flow.state(), flow.detail())});
  }
  table.Print(out);
}

void PrintTables(std::ostream& out, const google::protobuf::RepeatedPtrField<v1::TableStatus>& tables) {
  constexpr auto kRight = Table::Align::kRight;
  Table shown({{"table"},
               {"rows", kRight},
               {"tombstones", kRight},
               {"stored", kRight},
               {"quarantined", kRight},
               {"read by"},
               {"behind", kRight}});
  for (const v1::TableStatus& table : tables) {
    const auto add = [&](const std::string& node, const std::string& behind) {
      shown.Add({table.table(), std::to_string(table.rows()), std::to_string(table.tombstones()),
                 HumanBytes(static_cast<double>(table.bytes())), std::to_string(table.quarantined()), node,
                 behind});
    };
    if (table.readers().empty()) add("", "");
    for (const v1::TableReader& reader : table.readers()) add(reader.node(), std::to_string(reader.behind()));
  }
  shown.Print(out);
}

std::string LabelText(const google::protobuf::Map<std::string, std::string>& labels) {
  std::map<std::string, std::string> sorted(labels.begin(), labels.end());
  std::string text;
  for (const auto& [key, value] : sorted) text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, value);
  return text;
}

std::string StoreText(uint64_t bytes, uint64_t budget) {
  std::string used = HumanBytes(static_cast<double>(bytes));
  return budget == 0 ? used : fmt::format("{} of {}", used, HumanBytes(static_cast<double>(budget)));
}

}  // namespace selvage::ctl
