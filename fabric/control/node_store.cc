#include "fabric/control/node_store.h"

#include <system_error>
#include <utility>

#include "absl/time/time.h"
#include "fabric/base/error.h"
#include "fabric/storage/acked_ends.h"
#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

constexpr absl::Duration kUpkeepEvery = absl::Seconds(1);
constexpr char kAckedEndsFile[] = "acked-ends";

}  // namespace

absl::StatusOr<std::unique_ptr<NodeStore>> NodeStore::Open(Options options) {
  auto store = std::unique_ptr<NodeStore>(new NodeStore(std::move(options)));
  SELVAGE_RETURN_IF_ERROR(store->Start());
  return store;
}

void NodeStore::Fail(const absl::Status& why) {
  if (failed_.exchange(true)) return;
  options_.on_failure(why);
}

absl::Status NodeStore::Start() {
  std::error_code error;
  std::filesystem::create_directories(options_.data_dir, error);
  if (error) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "data_dir_unusable",
                     "cannot make " + options_.data_dir.string() + ": " + error.message(),
                     "set data_dir to a directory this user may write");
  }
  RocksDbOptions engine_options;
  engine_options.path = options_.data_dir / "store";
  engine_options.write_buffer_bytes = options_.write_buffer_bytes;
  engine_options.block_cache_bytes = options_.block_cache_bytes;
  engine_options.max_open_files = options_.max_open_files;
  engine_options.on_background_error = [this](const absl::Status& why) { Fail(why); };
  SELVAGE_ASSIGN_OR_RETURN(engine_, RocksDbStore::Open(std::move(engine_options)));
  SELVAGE_ASSIGN_OR_RETURN(auto acknowledged_ends, ReadAckedEnds(options_.data_dir / kAckedEndsFile));

  NodeState::Options state_options = options_.state;
  state_options.commit.on_failure = [this](const absl::Status& why) { Fail(why); };
  state_ = std::make_unique<NodeState>(std::move(state_options), *engine_, SystemClock(), SystemRandom());
  committer_thread_ = std::make_unique<CommitterThread>(state_->committer());
  SELVAGE_RETURN_IF_ERROR(state_->Open(acknowledged_ends));
  ends_ = std::make_unique<SyncedEnds>(state_->logs(), std::move(acknowledged_ends));
  upkeep_ = std::thread([this] { RunUpkeep(); });
  reclaim_ = std::thread([this] { RunReclaim(); });
  return absl::OkStatus();
}

void NodeStore::RunUpkeep() {
  do {
    if (absl::Status status = state_->maintenance().RunOnce(); !status.ok() && !failed_) {
      LogWarning("upkeep of the store met an error", {{"error", Describe(status)}});
    }
    if (absl::Status status = state_->damage().RunOnce(); !status.ok() && !failed_) {
      LogWarning("damaged entries could not be dealt with", {{"error", Describe(status)}});
    }
    ReportTableDamage();
    WriteAckedEndsIfChanged();
    RunChore();
  } while (!stopping_.WaitForNotificationWithTimeout(kUpkeepEvery));
  // What the peer acknowledged last tells at the next start what it holds as well.
  if (absl::Status status = state_->logs().FlushAcknowledged(); !status.ok() && !failed_) {
    LogWarning("acknowledgements could not be stored", {{"error", Describe(status)}});
  }
}

void NodeStore::SetChore(std::function<void()> chore) {
  absl::MutexLock lock(&chore_mutex_);
  chore_ = std::move(chore);
}

void NodeStore::RunChore() {
  absl::MutexLock lock(&chore_mutex_);
  if (chore_) chore_();
}

void NodeStore::ReportTableDamage() {
  const absl::Status damage = engine_->table_damage();
  if (damage.ok() || std::exchange(table_damage_reported_, true)) return;
  state_->alarms().Report(
      {"store_damaged", state_->node(),
       "a table of the store is damaged: what is whole in it is served and replicated, but the space of "
       "what is deleted is not given back: " +
           std::string(damage.message()),
       "once everything is replicated, stop this node, give it an empty data directory on a sound disk, "
       "and start it: an edge takes its place again",
       false});
}

void NodeStore::RunReclaim() {
  while (!stopping_.WaitForNotificationWithTimeout(kUpkeepEvery)) {
    absl::Status status = state_->maintenance().Compact();
    if (!status.ok() && !failed_) LogWarning("compacting met an error", {{"error", Describe(status)}});
    status = state_->maintenance().MaybeReclaim();
    if (!status.ok() && !absl::IsCancelled(status) && !failed_) {
      LogWarning("giving back space met an error", {{"error", Describe(status)}});
    }
  }
}

void NodeStore::WriteAckedEndsIfChanged() {
  if (ends_->Update()) ends_unwritten_ = true;
  if (!ends_unwritten_) return;
  if (absl::Status status = WriteAckedEnds(options_.data_dir / kAckedEndsFile, ends_->ends()); !status.ok()) {
    LogWarning("the file of acknowledged ends could not be written", {{"error", Describe(status)}});
    return;
  }
  ends_unwritten_ = false;
}

NodeStore::~NodeStore() {
  stopping_.Notify();
  if (engine_) engine_->CancelReclaim();
  if (upkeep_.joinable()) upkeep_.join();
  if (reclaim_.joinable()) reclaim_.join();
  if (committer_thread_) committer_thread_->Stop();
  if (ends_ && upkeep_.get_id() == std::thread::id() && !failed_) WriteAckedEndsIfChanged();
}

}  // namespace selvage
