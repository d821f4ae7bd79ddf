#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/random.h"
#include "fabric/node/alarm_book.h"
#include "fabric/node/log_places.h"
#include "fabric/stream/embedded_log_store.h"
#include "fabric/stream/stream_catalog.h"
#include "fabric/table/table_store.h"

namespace selvage {

/// What is done to a stream of a node and its logs together, and what clients do to a log. Whether it may be
/// done, and one change of a stream at a time, is up to the caller.
class NodeStreams {
 public:
  /// All of them must outlive it.
  NodeStreams(Random& random, EmbeddedLogStore& logs, StreamCatalog& catalog, AlarmBook& alarms,
              const LogPlaces& places, const table::TableStore& tables)
      : random_(random), logs_(logs), catalog_(catalog), alarms_(alarms), places_(places), tables_(tables) {}

  /// Creates the logs of a stream that this node is the source of and that do not exist yet.
  absl::Status CreateLogs(const v1::StreamDefinition& definition);
  /// Gives a local stream more partitions. Errors: "unknown_stream", "immutable", "invalid_partitions".
  absl::Status AddPartitions(const std::string& stream, int32_t partitions, bool validate_only);
  /// Deletes a stream, its definition and its logs at once, with what `also` stages. The number of logs.
  /// Error: "capturing" for one that changes of a table go to.
  absl::StatusOr<int> Delete(
      const std::string& name, const std::function<void(WriteBatch&)>& also = [](WriteBatch&) {});
  /// Gives a stream and its logs the name in `definition`, which nothing has yet. What referred to the old
  /// name goes as if the stream were deleted. Errors: those of EmbeddedLogStore::RenameStream.
  absl::Status Rename(const std::string& name, const v1::StreamDefinition& definition);
  /// Hides the records of a log before `to` from readers, on a client's word; see Log::DeleteRecords. Errors
  /// besides: "offset_out_of_range" outside [0, end]; "unacknowledged" for what another node still has to get
  /// from here.
  absl::Status DeleteRecords(Log& log, const v1::StreamDefinition& definition, Offset to);
  /// Is told of each stream that is deleted, right before it and again after it: what refers to the stream is
  /// to go in any case, also when the process ends in between. Set it before streams are deleted by other
  /// threads; it must not block.
  void set_on_delete(std::function<void(const std::string& stream)> on_delete) {
    on_delete_ = std::move(on_delete);
  }

 private:
  absl::Status CheckNotCapturing(const std::string& stream) const;

  Random& random_;
  EmbeddedLogStore& logs_;
  StreamCatalog& catalog_;
  AlarmBook& alarms_;
  const LogPlaces& places_;
  const table::TableStore& tables_;
  std::function<void(const std::string&)> on_delete_ = [](const std::string&) {};
};

}  // namespace selvage
