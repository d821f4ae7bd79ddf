#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "fabric/node/alarm_book.h"
#include "fabric/node/node_streams.h"
#include "fabric/stream/stream_catalog.h"
#include "fabric/table/table_store.h"

namespace selvage {

/// Change capture of a node's tables: makes the streams that changes go to, and switches it on and off. Safe
/// to use from several threads; calls wait for the disk.
class TableCaptures {
 public:
  /// All of them must outlive it.
  TableCaptures(StreamCatalog& catalog, NodeStreams& streams, AlarmBook& alarms, table::TableStore& tables)
      : catalog_(catalog), streams_(streams), alarms_(alarms), tables_(tables) {}

  /// Captures the changes of a table from here on, in the stream that is returned. One that is there from
  /// before is gone on with. Errors: "unknown_table" (kNotFound), "invalid_stream" where the table's name
  /// leaves no room for the stream's, those of a log that takes no appends.
  absl::StatusOr<std::string> Start(const std::string& table);
  /// Captures nothing from here on. The stream stays, and may be deleted then. Error: "unknown_table".
  absl::Status Stop(const std::string& table);
  /// Raises the alarm "capture_stopped" for tables whose capture went off by itself, and ends those of
  /// others. To be called about once a second.
  void RunOnce();

 private:
  StreamCatalog& catalog_;
  NodeStreams& streams_;
  AlarmBook& alarms_;
  table::TableStore& tables_;
  absl::Mutex mutex_;  // one change at a time: a stream is made once
};

}  // namespace selvage
