#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "fabric/base/clock.h"
#include "fabric/base/random.h"
#include "fabric/node/alarm_book.h"
#include "fabric/node/damage_control.h"
#include "fabric/node/log_places.h"
#include "fabric/node/node_identity.h"
#include "fabric/node/node_streams.h"
#include "fabric/node/table_captures.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/embedded_log_store.h"
#include "fabric/stream/fence_table.h"
#include "fabric/stream/maintenance.h"
#include "fabric/stream/stream_catalog.h"
#include "fabric/stream/tail_cache.h"
#include "fabric/table/table_store.h"
#include "fabric/view/view_store.h"

namespace selvage {

/// Builds, opens and owns what a node keeps in its store, edge or core, in order, without threads or files of
/// its own: the daemons put RocksDB and a committer thread under it, a simulator a memory store. For whoever
/// wires a node together; all else is given the parts that it uses.
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
    view::PieceSizes view_piece;
  };

  /// The parameters must outlive the state.
  NodeState(Options options, KvStore& store, Clock& clock, Random& random);
  /// Nobody else may hold a log any more (EmbeddedLogStore), nor drive the committer.
  ~NodeState() { committer_.FailWaiting(); }

  /// Opens everything; logs that recovered less than `acknowledged_ends` are held, with an alarm. Needs a
  /// committer that runs. Error beside those of the parts: "foreign_store".
  absl::Status Open(const std::map<LogNumber, Offset>& acknowledged_ends);

  const Options& options() const { return options_; }
  NodeIdentity& identity() { return identity_; }
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
  const LogPlaces& places() const { return places_; }
  NodeStreams& streams() { return streams_; }
  TableCaptures& captures() { return captures_; }
  view::ViewStore& views() { return views_; }

 private:
  const Options options_;
  KvStore& store_;
  Clock& clock_;
  Random& random_;
  NodeIdentity identity_;
  DiskBudget budget_;  // before the committer: what waits there has a charge
  Committer committer_;
  TailCache cache_;
  FenceTable fences_;
  AgeClock ages_;
  EmbeddedLogStore logs_;
  StreamCatalog catalog_;
  AlarmBook alarms_;
  LogPlaces places_;
  Maintenance maintenance_;
  DamageControl damage_;
  NodeStreams streams_;
  table::TableStore tables_;
  TableCaptures captures_;
  view::ViewStore views_;
};

}  // namespace selvage
