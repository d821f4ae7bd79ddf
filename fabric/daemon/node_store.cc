#include "fabric/daemon/node_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "fabric/base/error.h"
#include "fabric/storage/acked_ends.h"
#include "fabric/storage/commit.h"
#include "fabric/storage/write_mark.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/table/table_keys.h"
#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

/// A look at what changed is cheap; a view is behind its streams by so much.
constexpr absl::Duration kViewsEvery = absl::Milliseconds(50);
constexpr absl::Duration kUpkeepEvery = absl::Seconds(1);
constexpr absl::Duration kMendEvery = absl::Seconds(10);
/// Mending reads tables: it may take at most one part in so many of the time.
constexpr int kMendPause = 10;
constexpr char kTableKind[] = "store_damaged";
constexpr char kAckedEndsFile[] = "acked-ends";
constexpr char kNewestWritesFile[] = "newest-writes";
constexpr char kLostKind[] = "writes_lost";
constexpr std::string_view kGroupSubject = "group ";
constexpr size_t kGroupsNamed = 20;

/// What an operator would call what lies under a key of the meta family. What goes with entries of logs, as
/// their gaps and producers do, shows by the logs' acknowledged ends.
std::string SubjectOfMeta(std::string_view key) {
  static constexpr std::pair<std::string_view, std::string_view> kSubjects[] = {
      {kStreamPrefix, "definitions of streams"},        {kAlarmPrefix, "alarms"},
      {table::kTablePrefix, "definitions of tables"},   {kEdgePrefix, "slots and holds of edges"},
      {kCoreKey, "what the core keeps of itself"},      {kMembershipKey, "membership at the core"},
      {kSpecKey, "what the core told this edge to be"},
  };
  for (const auto& [prefix, subject] : kSubjects) {
    if (key.substr(0, prefix.size()) == prefix) return std::string(subject);
  }
  return "";
}

std::string Listed(const std::vector<std::string>& names, size_t names_max) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), names_max); ++i) text += (i > 0 ? ", " : "") + names[i];
  if (names.size() > names_max) text += fmt::format(" and {} more", names.size() - names_max);
  return text;
}

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
  store_ =
      std::make_unique<MarkedStore>(*engine_, [this](Family family, std::string_view key) -> std::string {
        if (family == Family::kMeta) return SubjectOfMeta(key);
        if (family != Family::kGroup) return "rows of tables";
        return options_.group_of ? std::string(kGroupSubject) + options_.group_of(key) : "consumer groups";
      });
  const absl::StatusOr<WriteMark> mark = ReadWriteMark(options_.data_dir / kNewestWritesFile);
  if (!mark.ok() && !absl::IsDataLoss(mark.status())) return mark.status();
  SELVAGE_ASSIGN_OR_RETURN(const uint64_t recovered, store_->Open());
  if (mark.ok()) SELVAGE_RETURN_IF_ERROR(KeepLost(*mark, recovered));

  NodeState::Options state_options = options_.state;
  state_options.commit.on_failure = [this](const absl::Status& why) { Fail(why); };
  state_ = std::make_unique<NodeState>(std::move(state_options), *store_, SystemClock(), SystemRandom());
  committer_thread_ = std::make_unique<CommitterThread>(state_->committer());
  SELVAGE_RETURN_IF_ERROR(state_->Open(acknowledged_ends));
  SELVAGE_RETURN_IF_ERROR(CompareMark(mark, recovered));
  row_damage_ = std::make_unique<RowDamage>(state_->tables(), state_->alarms());
  view_alarms_ = std::make_unique<ViewAlarms>(state_->views(), state_->alarms());
  ends_ = std::make_unique<SyncedEnds>(state_->logs(), std::move(acknowledged_ends));
  upkeep_ = std::thread([this] { RunUpkeep(); });
  reclaim_ = std::thread([this] { RunReclaim(); });
  views_ = std::thread([this] { RunViews(); });
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
    if (absl::Status status = state_->tables().RunDue(); !status.ok() && !failed_) {
      LogWarning("rows that are due could not be dealt with", {{"error", Describe(status)}});
    }
    state_->captures().RunOnce();
    row_damage_->Report();
    view_alarms_->Report();
    ReportTableDamage();
    WriteAckedEndsIfChanged();
    WriteMarkIfChanged();
    RunChore();
  } while (!stopping_.WaitForNotificationWithTimeout(kUpkeepEvery));
  // What the peer acknowledged last tells at the next start what it holds as well.
  if (absl::Status status = state_->embedded_logs().FlushAcknowledged(); !status.ok() && !failed_) {
    LogWarning("acknowledgements could not be stored", {{"error", Describe(status)}});
  }
}

void NodeStore::RunViews() {
  std::string said;
  while (!stopping_.HasBeenNotified()) {
    const absl::StatusOr<bool> more = state_->views().RunOnce();
    if (!more.ok() && !failed_ && !IsRetryable(more.status()) && said != more.status().message()) {
      said = std::string(more.status().message());
      LogWarning("a view cannot be fed", {{"error", Describe(more.status())}});
    }
    if (more.ok() && *more) continue;
    stopping_.WaitForNotificationWithTimeout(more.ok() ? kViewsEvery : kUpkeepEvery);
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
  if (damage.ok() || state_->alarms().IsOpen(kTableKind, state_->options().node)) return;
  state_->alarms().Report(
      {kTableKind, state_->options().node,
       "a table of the store is damaged: what is whole in it is served and replicated, but the space of "
       "what is deleted is not given back: " +
           std::string(damage.message()),
       "look at the disk. The table is mended, and this alarm ends, once what was in it is fetched again or "
       "given up. If it stays: once everything is replicated, stop this node, give it an empty data "
       "directory on a sound disk, and start it: an edge takes its place again",
       false});
}

/// An open alarm may be of before the start: then nothing is known of the damage but that there was some.
void NodeStore::MendTables() {
  if (engine_->table_damage().ok() && !state_->alarms().IsOpen(kTableKind, state_->options().node)) return;
  if (SystemClock().Monotonic() < next_mending_) return;
  const absl::Duration began = SystemClock().Monotonic();
  const absl::Status mended = engine_->MendTables([this](std::string_view from, std::string_view to) {
    return state_->embedded_logs().LiveEntries(from, to);
  });
  const absl::Duration ended = SystemClock().Monotonic();
  next_mending_ = ended + std::max(kMendEvery, (ended - began) * kMendPause);
  if (mended.ok()) {
    LogInfo("no table of the store is damaged any more");
    state_->alarms().Clear(kTableKind, state_->options().node);
  } else if (!absl::IsCancelled(mended) && !failed_) {
    LogWarning("a damaged table of the store is not mended yet", {{"error", Describe(mended)}});
  }
}

void NodeStore::RunReclaim() {
  while (!stopping_.WaitForNotificationWithTimeout(kUpkeepEvery)) {
    MendTables();
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

/// What is written from here on has numbers that the mark has for what was lost: until the alarm is stored,
/// the mark says of it that no number will do.
absl::Status NodeStore::KeepLost(const WriteMark& mark, uint64_t recovered) {
  const LostWrites lost = LostOf(mark, recovered);
  if (lost.none()) return absl::OkStatus();
  WriteMark kept = mark;
  for (const std::string& subject : lost.subjects) kept.newest[subject] = UINT64_MAX;
  if (lost.perhaps_others) kept.left_out = UINT64_MAX;
  return StoreWriteMark(options_.data_dir / kNewestWritesFile, kept);
}

absl::Status NodeStore::CompareMark(const absl::StatusOr<WriteMark>& mark, uint64_t recovered) {
  if (!mark.ok()) {
    state_->alarms().Report({"write_mark_damaged", state_->options().node,
                             std::string(mark.status().message()), ErrorHint(mark.status()), false});
  } else if (const LostWrites lost = LostOf(*mark, recovered); !lost.none()) {
    ReportLost(lost);
  } else {
    return absl::OkStatus();
  }
  // The alarm is stored before the old mark goes: a crash in between must not make the loss silent.
  SELVAGE_RETURN_IF_ERROR(Commit(state_->committer(), [](WriteBatch&) { return absl::OkStatus(); }));
  return StoreWriteMark(options_.data_dir / kNewestWritesFile, store_->mark());
}

void NodeStore::ReportLost(const LostWrites& lost) {
  std::vector<std::string> groups, others;
  for (const std::string& subject : lost.subjects) {
    if (std::string_view(subject).substr(0, kGroupSubject.size()) == kGroupSubject) {
      groups.push_back(subject.substr(kGroupSubject.size()));
    } else {
      others.push_back(subject);
    }
  }
  std::string what;
  if (!groups.empty()) {
    what += fmt::format("; consumer groups and the offsets that they committed: {}",
                        Listed(groups, kGroupsNamed));
  }
  if (!others.empty()) what += "; " + Listed(others, others.size());
  if (lost.perhaps_others) what += "; and perhaps others, more than are kept count of";
  state_->alarms().Report(
      {kLostKind, state_->options().node,
       "the store came back without what was written last: its write-ahead log is damaged, or was cut off. "
       "These are as they were some time before" +
           what,
       "check the disk. A group reads again what it had committed: compare selvagectl group describe, and "
       "set "
       "its offsets with selvagectl group reset where that matters",
       false});
}

void NodeStore::WriteMarkIfChanged() {
  const uint64_t last = store_->last();
  if (last == marked_) return;
  if (absl::Status status = StoreWriteMark(options_.data_dir / kNewestWritesFile, store_->mark());
      !status.ok()) {
    LogWarning("the file of newest writes could not be written", {{"error", Describe(status)}});
    return;
  }
  marked_ = last;
}

NodeStore::~NodeStore() {
  stopping_.Notify();
  if (engine_) engine_->CancelReclaim();
  if (upkeep_.joinable()) upkeep_.join();
  if (reclaim_.joinable()) reclaim_.join();
  if (views_.joinable()) views_.join();
  if (committer_thread_) committer_thread_->Stop();
  if (ends_ && upkeep_.get_id() == std::thread::id() && !failed_) {
    WriteAckedEndsIfChanged();
    WriteMarkIfChanged();
  }
}

}  // namespace selvage
