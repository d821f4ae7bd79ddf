#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/core_admin.h"
#include "core/core_document.h"
#include "core/edge_registry.h"
#include "core/fleet_streams.h"
#include "fabric/kafka/handlers/topics.h"

namespace selvage {

/// The core's streams as Kafka topics. That of an up stream has partition slot × P + p for partition p of the
/// edge with that slot, and shows free slots ahead. `<edge>.<stream>` is one edge's part, with the edge's own
/// partitions; it is not listed. A stream of exactly that name goes before it.
class CoreTopics : public kafka::Topics {
 public:
  /// What it uses of the core. All of it must outlive it.
  struct Parts {
    const StreamCatalog& catalog;
    LogStore& logs;
    const CoreDocument& core;
    const EdgeRegistry& edges;
    FleetStreams& streams;
    CoreAdmin& admin;
  };

  /// `slots_ahead`: free slots that are shown, at least.
  CoreTopics(const Parts& parts, uint32_t slots_ahead) : parts_(parts), slots_ahead_(slots_ahead) {}

  std::vector<kafka::Topic> List() override;
  absl::StatusOr<kafka::Topic> Find(const std::string& name) override;
  absl::StatusOr<std::shared_ptr<Log>> FindForReading(const std::string& topic, int32_t partition) override;
  uint64_t changes() const override;
  absl::StatusOr<std::shared_ptr<Log>> FindForWriting(const std::string& topic, int32_t partition) override;
  absl::StatusOr<std::shared_ptr<Log>> MakeForWriting(const std::string& topic, int32_t partition) override;
  absl::StatusOr<kafka::Topic> Create(v1::StreamDefinition definition, bool validate_only) override;
  absl::StatusOr<kafka::Topic> Set(const v1::SetStreamRequest& request) override;
  absl::Status AddPartitions(const std::string& name, int32_t partitions, bool validate_only) override;
  absl::Status Delete(const std::string& name) override;

 private:
  /// What a topic's name means.
  struct Meaning {
    v1::StreamDefinition definition;
    std::string edge;  ///< empty: the stream as a whole
  };
  absl::StatusOr<Meaning> Resolve(const std::string& topic) const;
  /// The name of a stream as a whole. Error: "origin_topic".
  absl::Status CheckWhole(const std::string& topic) const;
  int32_t PartitionsOf(const Meaning& meaning) const;
  /// Null when nobody wrote to it yet.
  std::shared_ptr<Log> FindDown(const Meaning& meaning, int32_t partition);
  absl::StatusOr<std::shared_ptr<Log>> FindReplica(const Meaning& meaning, const std::string& topic,
                                                   int32_t partition);
  absl::Status RefuseWrite(const Meaning& meaning, int32_t partition) const;

  const Parts parts_;
  const uint32_t slots_ahead_;
};

/// Slots that topics show when `used` slots were given away: at least `ahead` are free, and the number grows
/// by doubling only, so that most edges that join change nothing for consumers.
uint32_t SlotsShown(uint32_t used, uint32_t ahead);

}  // namespace selvage
