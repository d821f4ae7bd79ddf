#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/clock.h"
#include "fabric/base/random.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/embedded_log_store.h"
#include "fabric/table/table_store.h"
#include "fabric/view/view_build.h"
#include "selvage/v1/view.pb.h"

namespace selvage::view {

/// What operators watch of a view.
struct ViewFacts {
  BuildFacts serving;
  std::optional<BuildFacts> rebuilt;  ///< of the table beside it, while the view is built anew
};

/// The views of one node: tables that are fed from streams of this node. A view's rows, what it keeps of each
/// of them, and how far it has read each log are written together, so every record counts once. It reads what
/// is synced, from every log of the stream: at the core one for each edge and partition, also of edges that
/// join later. Safe to use from several threads; calls that change something wait for the disk, and for the
/// piece that is being fed, and those that ask do not.
///
/// A view is rebuilt beside the one that serves, in a table of its own, which takes the name once it has come
/// to the ends of all logs.
class ViewStore {
 public:
  /// All of them must outlive it.
  explicit ViewStore(const ViewEnvironment& env) : env_(env) {}

  /// Reads the definitions. Call once, first; the tables must be open.
  absl::Status Open();

  /// Makes a view and its table; it is fed from the start of the logs. Errors: those of CompleteDefinition,
  /// "unknown_stream" (kNotFound), "view_exists", "table_exists" (kAlreadyExists).
  absl::StatusOr<v1::ViewDefinition> Create(v1::ViewDefinition definition);
  std::vector<v1::ViewDefinition> All() const;
  /// Error: "unknown_view" (kNotFound).
  absl::StatusOr<v1::ViewStatus> Describe(const std::string& name) const;
  std::map<std::string, ViewFacts> AllFacts() const;
  /// Begins to build the view anew. Errors: "unknown_view", "rebuilding" (kFailedPrecondition).
  absl::Status Rebuild(const std::string& name);
  /// Removes the view and its table. Error: "unknown_view".
  absl::Status Drop(const std::string& name);

  /// Feeds each view one piece of each log that has something new. True when there is more to do now. The
  /// first error; the other views were fed all the same.
  absl::StatusOr<bool> RunOnce();

 private:
  struct View {
    v1::ViewDefinition definition;
    std::shared_ptr<ViewBuild> serving;
    std::shared_ptr<ViewBuild> rebuilt;  ///< null, unless it is being built
  };

  absl::StatusOr<View> Find(const std::string& name) const ABSL_LOCKS_EXCLUDED(mutex_);
  void Keep(View view) ABSL_LOCKS_EXCLUDED(mutex_);
  static absl::Status Unknown(const std::string& name);
  absl::Status Load(const v1::StoredView& stored) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::shared_ptr<ViewBuild>> MakeBuild(const v1::ViewDefinition& definition,
                                                       const std::string& table,
                                                       const table::TableStore::Also& also);
  absl::StatusOr<bool> Feed(const View& view) ABSL_EXCLUSIVE_LOCKS_REQUIRED(work_mutex_);
  /// Gives the rebuilt table the indexes that the one that serves has now.
  absl::Status CopyIndexes(const View& view) ABSL_EXCLUSIVE_LOCKS_REQUIRED(work_mutex_);
  absl::Status PutInPlace(View view) ABSL_EXCLUSIVE_LOCKS_REQUIRED(work_mutex_);

  const ViewEnvironment env_;
  /// One piece is fed, or one view changed, at a time: held over waits for the disk. Taken before mutex_.
  absl::Mutex work_mutex_;
  mutable absl::Mutex mutex_;
  std::map<std::string, View> views_ ABSL_GUARDED_BY(mutex_);
  uint64_t seen_ ABSL_GUARDED_BY(mutex_) = 0;  // changes of logs
  bool more_ ABSL_GUARDED_BY(mutex_) = true;   // there may be something to feed
};

}  // namespace selvage::view
