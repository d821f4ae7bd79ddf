#include "tests/e2e/calls.h"

#include <fmt/format.h>

#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

using Stub = ctl::Client::Stub;

constexpr uint32_t kPageBytes = 4u << 20;
constexpr absl::Duration kPollInterval = absl::Milliseconds(50);

absl::Status Late(const std::string& what) {
  return absl::DeadlineExceededError(what);
}

absl::Status AddEntry(const v1::FetchedEntry& entry, LogContents& contents) {
  if (entry.gap()) {
    contents.gaps.push_back({Offset(entry.from()), Offset(entry.to()), entry.gap_reason()});
    return absl::OkStatus();
  }
  SELVAGE_ASSIGN_OR_RETURN(BatchHeader header, ParseBatchHeader(entry.batch()));
  SELVAGE_ASSIGN_OR_RETURN(std::vector<Record> records, DecodeRecords(entry.batch()));
  contents.leader_epochs.push_back(header.leader_epoch);
  for (Record& record : records) contents.records.push_back(std::move(record));
  return absl::OkStatus();
}

/// How a node says that a flow stands.
std::string FlowText(Daemon& node, const std::string& stream, int32_t partition) {
  auto status = NodeStatus(node);
  if (!status.ok()) return selvage::Describe(status.status());
  for (const v1::FlowStatus& flow : status->flows()) {
    if (flow.stream() == stream && flow.partition() == partition) return flow.state() + " " + flow.detail();
  }
  return "no such flow";
}

}  // namespace

v1::LogAddress At(const std::string& stream, int32_t partition, const std::string& edge) {
  v1::LogAddress address;
  address.set_stream(stream);
  address.set_partition(partition);
  address.set_edge(edge);
  return address;
}

v1::StreamDefinition Definition(const std::string& name, v1::Direction direction, int32_t partitions) {
  v1::StreamDefinition definition;
  definition.set_name(name);
  definition.set_direction(direction);
  definition.set_partitions(partitions);
  v1::StreamSettings& settings = *definition.mutable_settings();
  settings.set_on_full(v1::REJECT);
  settings.set_priority(5);
  settings.set_weight(100);
  settings.set_link_compression(v1::ZSTD);
  settings.set_keep_after_ack(true);
  settings.set_start_at(v1::EARLIEST);
  return definition;
}

absl::StatusOr<v1::StreamDefinition> CreateStream(Daemon& node, const v1::StreamDefinition& definition) {
  v1::CreateStreamRequest request;
  *request.mutable_definition() = definition;
  return node.Call(&Stub::CreateStream, request);
}

std::string BatchOf(const std::vector<std::string>& values, Codec codec) {
  BatchBuilder builder(codec);
  const int64_t now = absl::ToUnixMillis(SystemClock().Wall());
  for (const std::string& value : values) {
    builder.Add({.offset = Offset(0), .timestamp = now, .key = std::nullopt, .value = value, .headers = {}});
  }
  return builder.Build();
}

absl::StatusOr<v1::ProduceResponse> Produce(Daemon& node, const v1::LogAddress& address,
                                            const std::string& batch) {
  v1::ProduceRequest request;
  *request.mutable_address() = address;
  request.set_batch(batch);
  return node.Call(&Stub::Produce, request);
}

absl::StatusOr<v1::ProduceResponse> ProduceSoon(Daemon& node, const v1::LogAddress& address,
                                                const std::string& batch, absl::Duration deadline) {
  absl::StatusOr<v1::ProduceResponse> response = Late("not tried");
  Eventually(
      deadline,
      [&] {
        response = Produce(node, address, batch);
        return response.ok();
      },
      kPollInterval);
  return response;
}

std::vector<std::string> LogContents::values() const {
  std::vector<std::string> values;
  for (const Record& record : records) values.push_back(record.value.value_or("(null)"));
  return values;
}

absl::StatusOr<LogContents> ReadLog(Daemon& node, const v1::LogAddress& address) {
  LogContents contents;
  v1::FetchRequest request;
  *request.mutable_address() = address;
  request.set_offset(-2);
  request.set_max_bytes(kPageBytes);
  while (true) {
    SELVAGE_ASSIGN_OR_RETURN(v1::FetchResponse page, node.Call(&Stub::Fetch, request));
    if (request.offset() < 0) contents.start = Offset(page.start());
    contents.end = Offset(page.high_watermark());
    for (const v1::FetchedEntry& entry : page.entries()) {
      SELVAGE_RETURN_IF_ERROR(AddEntry(entry, contents));
    }
    if (page.entries().empty()) return contents;
    request.set_offset(page.next_offset());
  }
}

std::optional<v1::LogSummary> FindSummary(Daemon& node, const v1::LogAddress& address) {
  v1::DescribeStreamRequest request;
  request.set_stream(address.stream());
  auto described = node.Call(&Stub::DescribeStream, request);
  if (!described.ok()) return std::nullopt;
  std::optional<v1::LogSummary> found;
  for (const v1::LogSummary& log : described->logs()) {
    if (log.superseded() || log.edge() != address.edge() || log.partition() != address.partition()) continue;
    // At the core the logs of a replaced store stay beside those of the present one, which has the higher
    // slot.
    if (!found || log.slot() > found->slot()) found = log;
  }
  return found;
}

absl::Status AwaitReplicated(Daemon& edge, const std::string& edge_name, Daemon& core,
                             const std::string& stream, int32_t partition, absl::Duration deadline) {
  int64_t source = -1;
  int64_t replica = -1;
  bool done = Eventually(
      deadline,
      [&] {
        auto at_edge = FindSummary(edge, At(stream, partition));
        auto at_core = FindSummary(core, At(stream, partition, edge_name));
        source = at_edge ? at_edge->end() : -1;
        replica = at_core ? at_core->end() : -1;
        return source >= 0 && source == replica && at_edge->log_id() == at_core->log_id();
      },
      kPollInterval);
  if (done) return absl::OkStatus();
  return Late(fmt::format("{}/{}/{}: end {} at the edge, {} at the core; {}", edge_name, stream, partition,
                          source, replica, FlowText(edge, stream, partition)));
}

absl::Status AwaitEnd(Daemon& node, const v1::LogAddress& address, Offset end, absl::Duration deadline) {
  v1::FetchRequest request;
  *request.mutable_address() = address;
  request.set_offset(-1);
  absl::StatusOr<v1::FetchResponse> page = Late("not tried");
  bool done = Eventually(
      deadline,
      [&] {
        page = node.Call(&Stub::Fetch, request);
        return page.ok() && page->high_watermark() >= end.value();
      },
      kPollInterval);
  if (done) return absl::OkStatus();
  return Late(fmt::format(
      "{}/{} ends at {}, not at {}", address.stream(), address.partition(),
      page.ok() ? fmt::format("{}", page->high_watermark()) : selvage::Describe(page.status()), end.value()));
}

absl::Status AwaitLinked(Daemon& core, const std::string& edge, absl::Duration deadline) {
  bool done = Eventually(
      deadline,
      [&] {
        auto summary = Summary(core, edge);
        return summary.ok() && summary->connected();
      },
      kPollInterval);
  return done ? absl::OkStatus() : Late(edge + " is not linked");
}

absl::StatusOr<v1::EdgeSummary> Summary(Daemon& core, const std::string& edge) {
  v1::ListEdgesRequest request;
  request.set_edge(edge);
  SELVAGE_ASSIGN_OR_RETURN(v1::ListEdgesResponse edges, core.Call(&Stub::ListEdges, request));
  if (edges.edges_size() != 1) return absl::NotFoundError("no such edge");
  return edges.edges(0);
}

std::vector<v1::AlarmDocument> Alarms(Daemon& node, bool also_resolved) {
  v1::ListAlarmsRequest request;
  request.set_all(also_resolved);
  auto response = node.Call(&Stub::ListAlarms, request);
  if (!response.ok()) return {};
  return {response->alarms().begin(), response->alarms().end()};
}

std::optional<v1::AlarmDocument> AwaitAlarm(Daemon& node, const std::string& kind, absl::Duration deadline) {
  std::optional<v1::AlarmDocument> found;
  Eventually(
      deadline,
      [&] {
        for (const v1::AlarmDocument& alarm : Alarms(node)) {
          if (alarm.kind() == kind) found = alarm;
        }
        return found.has_value();
      },
      kPollInterval);
  return found;
}

absl::StatusOr<v1::GetStatusResponse> NodeStatus(Daemon& node) {
  return node.Call(&Stub::GetStatus, v1::GetStatusRequest());
}

std::vector<v1::Loss> Losses(Daemon& node, const std::string& stream) {
  v1::ListLossesRequest request;
  request.set_stream(stream);
  auto response = node.Call(&Stub::ListLosses, request);
  if (!response.ok()) return {};
  return {response->losses().begin(), response->losses().end()};
}

}  // namespace selvage::test
