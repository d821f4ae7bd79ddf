#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "fabric/stream/log_store.h"
#include "selvage/v1/admin.pb.h"
#include "selvage/v1/stream.pb.h"

namespace selvage::kafka {

/// A stream, or one edge's part of one, as Kafka clients see it.
struct Topic {
  std::string name;
  int32_t partitions = 0;           ///< also those that no log belongs to yet
  v1::StreamDefinition definition;  ///< of the stream
};

/// What edge and core answer differently to Kafka clients: which topics there are and which log each
/// partition is. Safe to use from several threads; what changes or makes something may wait for the disk,
/// finding does not. Errors: "unknown_stream", "wrong_partition", those of the parts behind it.
class Topics {
 public:
  virtual ~Topics() = default;

  /// What a client sees that asks for all topics.
  virtual std::vector<Topic> List() = 0;
  /// Also a topic that is not listed: at the core `<edge>.<stream>`.
  virtual absl::StatusOr<Topic> Find(const std::string& name) = 0;
  /// The log that a partition is read from; null for a partition that is advertised ahead and has no log yet:
  /// it is empty.
  virtual absl::StatusOr<std::shared_ptr<Log>> FindForReading(const std::string& topic,
                                                              int32_t partition) = 0;
  /// Grows whenever FindForReading may give another log for some partition, or a topic comes or goes. An
  /// error may go away without that.
  virtual uint64_t changes() const = 0;
  /// The log that a partition is written to. Errors besides: "read_only_replica", which says where the stream
  /// is written; "edge_needed" for the bare name of a stream that has a log for each edge. Null when it is
  /// not there yet and MakeForWriting makes it.
  virtual absl::StatusOr<std::shared_ptr<Log>> FindForWriting(const std::string& topic,
                                                              int32_t partition) = 0;
  /// The same, never null; waits for the disk.
  virtual absl::StatusOr<std::shared_ptr<Log>> MakeForWriting(const std::string& topic, int32_t partition) {
    return FindForWriting(topic, partition);
  }

  /// A topic that a client makes; without a direction it gets that of the configuration. With `validate_only`
  /// it is not made. Errors: "stream_exists", "name_reserved", "wrong_node", those of CompleteDefinition.
  virtual absl::StatusOr<Topic> Create(v1::StreamDefinition definition, bool validate_only) = 0;
  /// Errors besides: "wrong_node", "origin_topic", "generation_mismatch".
  virtual absl::StatusOr<Topic> Set(const v1::SetStreamRequest& request) = 0;
  /// `partitions` in all. Errors besides: "immutable" for a replicated stream, "invalid_partitions".
  virtual absl::Status AddPartitions(const std::string& name, int32_t partitions, bool validate_only) = 0;
  /// Error besides: "stream_attached" for what is replicated and was not detached.
  virtual absl::Status Delete(const std::string& name) = 0;
};

}  // namespace selvage::kafka
