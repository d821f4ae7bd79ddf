#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "edge/edge_state.h"
#include "fabric/kafka/group_service/group_service.h"
#include "fabric/node/node_state.h"
#include "fabric/storage/rocksdb_store.h"
#include "fabric/stream/synced_ends.h"
#include "tests/contract/log/log_node.h"
#include "tests/fault/log_model.h"
#include "tests/fault/mirrored_store.h"
#include "tests/fault/power_cut_file_system.h"
#include "tests/fault/table_model.h"
#include "tests/support/commit_model.h"

namespace selvage::test {

/// A change under way, and what is different when it is done. A crash may leave it done, not done, or done in
/// part; where a part is wrong, that is said.
struct Intent {
  std::string what;  ///< for messages
  /// Streams with their definitions as stored, or deleted, each together with its logs.
  std::map<std::string, std::optional<std::string>> catalog = {};
  std::set<std::string> anew = {};  ///< those of them that are deleted first and then made again
  /// Logs that get these ids: all or none, and with them the membership and, if it says so, a new store id.
  std::vector<std::pair<LogOrigin, LogId>> takes_over = {};
  std::map<LogNumber, LogModel::Identity> becomes = {};  ///< those of them that are there already
  std::optional<v1::StoredMembership> membership = {};
  bool new_store_id = false;
  std::optional<uint64_t> spec_generation = {};
  bool acknowledges_nothing = false;  ///< what peers acknowledged before counts no more
  std::function<absl::Status()> run;
  bool repeats = false;  ///< a peer asks for it again after a crash
};

/// An edge on the real engine over a pretended disk, from its first start over any number of crashes, with
/// all that it acknowledged. The caller's thread drives the committer. Every operation answers with OK or
/// with what is wrong with the product; that the disk failed is not.
class EdgeLife {
 public:
  struct Options {
    bool sync = true;          ///< off: a store that acknowledges what it never synced
    bool replaces = false;     ///< begins with an empty store that takes a replaced edge's place
    bool mixed_order = false;  ///< the engine's threads run beside the steps, not only between them
  };
  /// `directory` exists on the real disk, which is asked for free space only.
  EdgeLife(uint64_t seed, std::string directory, Options options);
  EdgeLife(uint64_t seed, std::string directory) : EdgeLife(seed, std::move(directory), Options{}) {}
  ~EdgeLife();

  PowerCutFileSystem& disk() { return *disk_; }

  /// Starts the node, and compares its store key by key with what was written. Errors are the product's: with
  /// a fault armed, they are to be expected.
  absl::Status Open() { return Open(/*compare=*/true); }
  /// Starts the node on a disk that was damaged: nothing is compared yet.
  absl::Status OpenDamaged() { return Open(/*compare=*/false); }
  /// Compares the node as it was opened with all that is known of it, and finishes what was cut short.
  absl::Status CheckRecovered();
  /// Does something, by chance; see edge_steps.cc.
  absl::Status Step();
  /// Compares the node as it was opened on a damaged disk: what can be read must be what was written, and
  /// what cannot must say so.
  struct DamageCounts {
    int lost_logs = 0;
    int held_logs = 0;
    int unreadable_entries = 0;
  };
  absl::StatusOr<DamageCounts> CheckDamaged();
  /// Compares every log of a running node.
  absl::Status CheckAll();
  /// Lets the engine's threads finish what they have to do.
  void LetEngineRest() const;
  /// Commits what waits and writes the acknowledged ends, as before a clean stop.
  void Settle();
  /// Ends the process, cleanly or not.
  void Close();
  /// Power off (if it is not), and on again; the node is closed.
  void CutPower();

  /// False once the disk failed: then the process has to end.
  bool usable() const { return disk_->powered() && !failed_ && !disk_->struck(); }
  /// The node says that it must stop.
  bool failed() const { return failed_; }
  /// Nothing had gone wrong on the disk when it had started.
  bool started_well() const { return started_well_; }
  bool running() const { return edge_ != nullptr; }
  uint64_t acknowledged_writes() const { return acknowledged_writes_; }

 private:
  using StepMethod = absl::Status (EdgeLife::*)();

  // edge_life.cc
  absl::Status Open(bool compare);
  absl::Status CheckWhole();
  absl::Status CheckCatalog();
  absl::Status CheckLogs();
  absl::Status CheckMissing(LogNumber number, const LogOrigin& origin);
  absl::Status CheckTakenOver();
  absl::Status CheckLosses();
  absl::Status CheckProducers();
  absl::Status CheckCommittedOffsets();
  absl::Status CheckNoneHeld();
  bool AlarmAt(std::string_view kind, std::string_view subject);
  void DiscoverLogs();
  /// Runs it, and makes it sure when it succeeded.
  absl::Status Run(Intent intent);
  void MakeSure(const Intent& intent);
  /// OK when a failure has to be expected of the disk.
  absl::Status Excuse(const absl::Status& status, std::string_view what) const;

  // edge_steps.cc
  absl::Status AppendSome();
  absl::Status SendAgain();
  absl::Status SendAgain(EmbeddedLog& log, const Entry& sent);
  absl::Status ReceiveSome();
  absl::Status ReceiveRefused();
  absl::Status NoteGap();
  absl::Status Trim();
  absl::Status Maintain();
  absl::Status Reclaim();
  absl::Status StartEpoch();
  absl::Status AcknowledgeSome();
  absl::Status CreateStream();
  absl::Status ApplySpec();
  absl::Status OpenDownFlow();
  absl::Status Welcome();
  absl::Status RestoredCore();
  absl::Status Rebirth();
  absl::Status Alarm();
  absl::Status CommitOffsets();
  absl::Status RestartCleanly();
  void CommitAll();
  // table_steps.cc
  absl::Status CheckTable();
  absl::Status MakeTable();
  absl::Status WriteRows();
  absl::Status ReceiveRows();
  absl::Status FollowTable();
  table::RowOperation DrawOperation(TableModel::State& state);
  std::function<void(const absl::Status&)> TableAnswer();
  // edge_steps.cc
  std::string Batch();
  std::string BatchOfProducer(LogNumber number);
  std::vector<Entry> LastOfProducer(LogNumber number);
  std::vector<std::shared_ptr<EmbeddedLog>> LogsWhere(const std::function<bool(EmbeddedLog&)>& wanted);
  std::shared_ptr<EmbeddedLog> OneOf(const std::vector<std::shared_ptr<EmbeddedLog>>& logs);
  AppendDone Answer(LogNumber number);
  v1::StreamDefinition NewDefinition(const std::string& name, v1::Direction direction);
  void AddAdoptions(v1::Welcome& welcome, Intent& intent);
  void MayBeTrimmedByPolicy(EmbeddedLog& log);

  const std::string directory_;
  const Options options_;
  SeededRandom random_;
  SeededRandom node_random_;
  FakeClock clock_;
  const std::shared_ptr<PowerCutFileSystem> disk_;
  RocksDbOptions engine_options_;
  NodeState::Options node_options_;

  std::atomic<bool> failed_{false};
  bool started_well_ = false;
  std::unique_ptr<RocksDbStore> engine_;
  std::unique_ptr<MirroredStore> store_;
  std::unique_ptr<NodeState> state_;
  std::unique_ptr<EdgeState> edge_;
  std::unique_ptr<kafka::GroupService> groups_;

  // What the node must hold.
  Mirror mirror_;
  std::map<LogNumber, LogModel> logs_;
  std::map<LogNumber, LogOrigin> origins_;
  CommitModel committed_;
  TableModel table_;
  std::map<std::string, std::string> catalog_;
  v1::StoredMembership membership_;
  uint64_t spec_generation_ = 0;
  StoreId store_id_;
  void RecordEnds();
  std::map<LogNumber, Offset> acked_ends_;  // as in the file beside the store
  std::optional<Intent> intent_;

  absl::Status wrong_answer_;
  uint64_t acknowledged_writes_ = 0;
  std::map<LogNumber, int64_t> producers_;  // the idempotent producer that writes to a log now
  int64_t last_producer_ = 0;
  uint64_t session_ = 0;
  uint64_t generation_ = 0;
  int names_ = 0;
};

}  // namespace selvage::test
