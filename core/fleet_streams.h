#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/core_document.h"
#include "core/edge_registry.h"
#include "core/edge_specs.h"
#include "fabric/node/node_streams.h"
#include "fabric/stream/stream_catalog.h"
#include "selvage/v1/admin.pb.h"

namespace selvage {

/// The definitions of the fleet's streams: makes, changes and deletes them, with their logs at the core, and
/// lets the edges know. Durable first, then visible. Safe to use from several threads.
class FleetStreams {
 public:
  /// All of them must outlive it.
  FleetStreams(StreamCatalog& catalog, NodeStreams& streams, CoreDocument& core, const EdgeRegistry& edges,
               EdgeSpecs& specs)
      : catalog_(catalog), streams_(streams), core_(core), edges_(edges), specs_(specs) {}

  /// Makes what the configuration names and the logs that are missing. Call once; the parts must be open.
  absl::Status Open(const std::vector<v1::StreamDefinition>& configured);

  /// Errors: "stream_exists", "name_reserved", those of CompleteDefinition.
  absl::StatusOr<v1::StreamDefinition> Create(v1::StreamDefinition definition) {
    return Create(std::move(definition), Maker::kOperator);
  }
  /// What Create would make now.
  absl::StatusOr<v1::StreamDefinition> CheckNew(v1::StreamDefinition definition) const {
    return CheckNew(std::move(definition), Maker::kOperator);
  }
  /// A stream that an edge made on its own and holds records of already.
  absl::StatusOr<v1::StreamDefinition> CreateOffered(v1::StreamDefinition definition) {
    return Create(std::move(definition), Maker::kOffer);
  }
  absl::StatusOr<v1::StreamDefinition> Set(const v1::SetStreamRequest& request);
  /// More partitions for a local stream; errors of NodeStreams::AddPartitions.
  absl::Status AddPartitions(const std::string& name, int32_t partitions, bool validate_only);
  /// The number of logs that go with it.
  absl::StatusOr<int> Delete(const std::string& name);

 private:
  /// Who makes a stream.
  enum class Maker {
    kOperator,  ///< may choose another name
    kOffer,     ///< an edge that holds records of it already
  };
  /// Error: "name_reserved" for a name that means a part of another stream: of an edge that there is, and for
  /// an operator also of one that there may be.
  absl::Status CheckNameFree(const std::string& name, Maker maker) const;
  absl::StatusOr<v1::StreamDefinition> CheckNew(v1::StreamDefinition definition, Maker maker) const;
  absl::StatusOr<v1::StreamDefinition> Create(v1::StreamDefinition definition, Maker maker);
  absl::StatusOr<v1::StreamDefinition> Find(const std::string& name) const;
  absl::Status CreateSharedLogs(const v1::StreamDefinition& definition);

  StreamCatalog& catalog_;
  NodeStreams& streams_;
  CoreDocument& core_;
  const EdgeRegistry& edges_;
  EdgeSpecs& specs_;
};

}  // namespace selvage
