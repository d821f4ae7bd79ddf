#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/clock.h"
#include "fabric/base/id128.h"
#include "fabric/base/random.h"
#include "fabric/node/alarm_book.h"
#include "fabric/node/damage_control.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "fabric/storage/store_identity.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/embedded_log_store.h"
#include "fabric/stream/fence_table.h"
#include "fabric/stream/maintenance.h"
#include "fabric/stream/stream_catalog.h"
#include "fabric/stream/tail_cache.h"
#include "fabric/table/table_store.h"

namespace selvage {

/// The peer's name in fences and origins at an edge: what came from the core. Not a DNS label, so no edge has
/// it.
inline constexpr std::string_view kCoreOrigin = "@core";

/// Everything a node keeps in its store, edge or core, without threads or files of its own: the daemons put
/// RocksDB and a committer thread under it, a simulator a memory store.
class NodeState {
 public:
  struct Options {
    std::string node;  ///< id of this node
    bool is_edge = true;
    std::string
        take_store_of;  ///< id of the node whose store this one may take over for good; empty: of nobody
    size_t tail_cache_bytes = 8u << 20;
    size_t batch_max = 1'048'588;
    DiskBudget::Limits disk;
    Committer::Options commit;
  };

  /// The parameters must outlive the state.
  NodeState(Options options, KvStore& store, Clock& clock, Random& random);
  /// Nobody else may hold a log any more (EmbeddedLogStore), nor drive the committer.
  ~NodeState() { committer_.FailWaiting(); }

  /// Opens everything; logs that recovered less than `acknowledged_ends` are held, with an alarm. Needs a
  /// committer that runs. Error beside those of the parts: "foreign_store".
  absl::Status Open(const std::map<LogNumber, Offset>& acknowledged_ends);

  const Options& options() const { return options_; }
  const std::string& node() const { return options_.node; }
  StoreId store_id() const {
    absl::MutexLock lock(&mutex_);
    return store_id_;
  }
  void set_store_id(StoreId id) {
    absl::MutexLock lock(&mutex_);
    store_id_ = id;
  }
  /// The id of the node whose store this was when it was opened, if that is another one:
  /// Options::take_store_of allowed it. The store becomes this node's with the batch in which its owner is
  /// staged (StageIdentity).
  const std::string& former_owner() const { return former_owner_; }
  /// This node as the owner of the store, under this id.
  void StageIdentity(WriteBatch& batch, StoreId id) const { StageStoreIdentity(batch, id, owner()); }
  BootId boot_id() const { return boot_id_; }
  KvStore& store() { return store_; }
  Clock& clock() { return clock_; }
  Random& random() { return random_; }
  Committer& committer() { return committer_; }
  FenceTable& fences() { return fences_; }
  /// The time by which entries and groups age.
  AgeClock& ages() { return ages_; }
  LogStore& logs() { return logs_; }
  /// The same, for who looks after the store that they are in.
  EmbeddedLogStore& embedded_logs() { return logs_; }
  StreamCatalog& catalog() { return catalog_; }
  AlarmBook& alarms() { return alarms_; }
  DiskBudget& budget() { return budget_; }
  Maintenance& maintenance() { return maintenance_; }
  DamageControl& damage() { return damage_; }
  table::TableStore& tables() { return tables_; }

  int64_t wall_ms() { return absl::ToUnixMillis(clock_.Wall()); }
  /// Raises the peer's fence through the committer's queue; `also` is staged in the same batch.
  absl::Status RaiseFence(const Fence& fence, std::function<absl::Status(WriteBatch&)> also);
  /// The same for several peers, in one batch.
  absl::Status RaiseFences(const std::vector<Fence>& fences, std::function<absl::Status(WriteBatch&)> also);
  /// Creates the logs of a stream that this node is the source of and that do not exist yet.
  absl::Status CreateOwnLogs(const v1::StreamDefinition& definition);
  /// Gives a local stream more partitions. One change of a stream at a time is up to the caller. Errors:
  /// "unknown_stream", "immutable", "invalid_partitions".
  absl::Status AddPartitions(const std::string& stream, int32_t partitions, bool validate_only);
  /// Deletes a stream, its definition and its logs at once, with what `also` stages. The number of logs.
  absl::StatusOr<int> DeleteStream(
      const std::string& name, const std::function<void(WriteBatch&)>& also = [](WriteBatch&) {});
  /// Gives a stream and its logs the name in `definition`, which nothing has yet. What referred to the old
  /// name goes as if the stream were deleted. Errors: those of EmbeddedLogStore::RenameStream.
  absl::Status RenameStream(const std::string& name, const v1::StreamDefinition& definition);
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
  /// True when this node is the source of a log and somebody replicates it from here.
  bool ReplicatedFromHere(const LogOrigin& origin, const v1::StreamDefinition& definition) const;
  /// Where else a log is held; nothing when its stream is not known (any more).
  /// True for what is written here: at the core also the logs of per-edge down streams.
  bool IsSource(const LogOrigin& origin) const;
  std::optional<DamageControl::OtherCopy> OtherCopyOf(const Log& log) const;

 private:
  StoreOwner owner() const {
    return {options_.is_edge ? StoreOwner::Role::kEdge : StoreOwner::Role::kCore, options_.node};
  }

  const Options options_;
  KvStore& store_;
  Clock& clock_;
  Random& random_;
  mutable absl::Mutex mutex_;
  StoreId store_id_ ABSL_GUARDED_BY(mutex_);  // a fork changes it while operators look
  std::string former_owner_;
  const BootId boot_id_;
  DiskBudget budget_;  // before the committer: what waits there has a charge
  Committer committer_;
  TailCache cache_;
  FenceTable fences_;
  AgeClock ages_;
  EmbeddedLogStore logs_;
  StreamCatalog catalog_;
  AlarmBook alarms_;
  Maintenance maintenance_;
  DamageControl damage_;
  table::TableStore tables_;
  std::function<void(const std::string&)> on_delete_ = [](const std::string&) {};
};

}  // namespace selvage
