#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/clock.h"
#include "fabric/base/random.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/embedded_log_store.h"
#include "fabric/table/table_store.h"
#include "fabric/view/view_batch.h"
#include "selvage/v1/view.pb.h"

namespace selvage::view {

/// How much of a log a view takes in one write.
struct PieceSizes {
  size_t bytes = 1u << 20;  ///< of entries; one always fits
  size_t rows = 5'000;      ///< that it may change; at least 1
};

/// What the views of a node stand on; all of it must outlive them.
struct ViewEnvironment {
  KvStore& store;
  Committer& committer;
  Clock& clock;
  Random& random;
  EmbeddedLogStore& logs;
  table::TableStore& tables;
  /// Whether this node has a stream of that name.
  std::function<bool(const std::string& stream)> has_stream;
  PieceSizes piece = {};
};

/// One table that a view is built into, with how far each log was read. Not thread-safe.
class ViewBuild {
 public:
  /// `definition` is complete, and the table is there.
  ViewBuild(const ViewEnvironment& env, v1::ViewDefinition definition, std::string table);

  /// Reads how far each log was read. Call once, first. Error: "corrupt_meta".
  absl::Status Open();

  const std::string& table() const { return table_; }
  /// The table has another name from here on.
  void Rename(std::string table) { table_ = std::move(table); }

  /// Feeds one piece of each log that has something new. True when something was fed, so that there may be
  /// more.
  absl::StatusOr<bool> Feed();
  /// True when all that can be read now was fed.
  bool AtTheEnd() const;
  /// As part of `batch`: forgets how far logs were read; the build must not be fed any more.
  void StageForget(WriteBatch& batch) const;
  /// Logs, what was skipped, and what is wrong.
  void DescribeTo(v1::ViewStatus& status) const;

 private:
  using Stored = v1::StoredViewLog;
  std::vector<std::shared_ptr<EmbeddedLog>> Logs() const;
  /// Where the log is to be read on; nothing while it cannot be.
  absl::StatusOr<bool> FeedLog(EmbeddedLog& log);
  /// What the view makes of the entries in one step: the fold is at its end.
  absl::Status Fold(EmbeddedLog& log, const std::vector<Entry>& entries, Stored& at);
  absl::Status Commit(const EmbeddedLog& log, ViewPiece piece, const Stored& at,
                      const std::vector<Entry>& entries);
  /// True when the log lost its end behind `at`, and went on otherwise: `first` is what it has there now.
  static bool IsAnotherHistory(const Stored& at, const Entry& first);
  absl::StatusOr<std::vector<table::TableStore::OwnedRow>> RowsOf(ViewPiece& piece, const EmbeddedLog& log,
                                                                  const std::vector<Entry>& entries) const;
  void Note(const ViewPiece& piece, const EmbeddedLog& log, Stored& at, v1::StoredViewSkips& skips) const;
  int64_t now_ms() const { return absl::ToUnixMillis(env_.clock.Wall()); }
  std::string LogKey(LogNumber log) const;
  std::string SkipsKey() const;

  const ViewEnvironment env_;
  const v1::ViewDefinition definition_;
  std::string table_;
  std::string incarnation_;  ///< of the table: what is stored of this build is found by it
  ViewFold fold_;
  std::map<LogNumber, Stored> read_;
  v1::StoredViewSkips skips_;
  absl::Status error_;  ///< of the last piece
};

}  // namespace selvage::view
