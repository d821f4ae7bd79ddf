#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/base/ids.h"
#include "fabric/stream/record_batch.h"
#include "tests/e2e/daemon.h"

/// Calls of the admin service that many tests make.
namespace selvage::test {

v1::LogAddress At(const std::string& stream, int32_t partition = 0, const std::string& edge = {});

/// A definition with the settings of a stream that is made without any.
v1::StreamDefinition Definition(const std::string& name, v1::Direction direction, int32_t partitions = 1);
absl::StatusOr<v1::StreamDefinition> CreateStream(Daemon& node, const v1::StreamDefinition& definition);

/// A batch of records with these values and no keys.
std::string BatchOf(const std::vector<std::string>& values, Codec codec = Codec::kNone);
absl::StatusOr<v1::ProduceResponse> Produce(Daemon& node, const v1::LogAddress& address,
                                            const std::string& batch);
/// The same, again and again until it works or `deadline` (from now) is over: for streams that the node hears
/// of soon.
absl::StatusOr<v1::ProduceResponse> ProduceSoon(Daemon& node, const v1::LogAddress& address,
                                                const std::string& batch,
                                                absl::Duration deadline = absl::Seconds(15));

/// All that a node holds of one log.
struct LogContents {
  Offset start;
  Offset end;
  std::vector<Record> records;
  struct Gap {
    Offset from;
    Offset to;
    std::string reason;
  };
  std::vector<Gap> gaps;
  std::vector<LeaderEpoch> leader_epochs;  ///< of each batch

  std::vector<std::string> values() const;
};
absl::StatusOr<LogContents> ReadLog(Daemon& node, const v1::LogAddress& address);

/// The current log that a node holds of this origin (`edge` empty: its own); nothing when there is none.
std::optional<v1::LogSummary> FindSummary(Daemon& node, const v1::LogAddress& address);

/// Waits until the core holds all that the edge holds of an up stream's partition.
absl::Status AwaitReplicated(Daemon& edge, const std::string& edge_name, Daemon& core,
                             const std::string& stream, int32_t partition = 0,
                             absl::Duration deadline = absl::Seconds(60));
/// Waits until a node's log reaches this end.
absl::Status AwaitEnd(Daemon& node, const v1::LogAddress& address, Offset end,
                      absl::Duration deadline = absl::Seconds(30));
/// Waits until the core has a link with this edge.
absl::Status AwaitLinked(Daemon& core, const std::string& edge, absl::Duration deadline = absl::Seconds(30));

absl::StatusOr<v1::EdgeSummary> Summary(Daemon& core, const std::string& edge);
/// The open alarm of this kind, waited for; nothing when there is none by `deadline` (from now).
std::optional<v1::AlarmDocument> AwaitAlarm(Daemon& node, const std::string& kind,
                                            absl::Duration deadline = absl::Seconds(15));
std::vector<v1::AlarmDocument> Alarms(Daemon& node, bool also_resolved = false);
absl::StatusOr<v1::GetStatusResponse> NodeStatus(Daemon& node);
std::vector<v1::Loss> Losses(Daemon& node, const std::string& stream);

}  // namespace selvage::test
