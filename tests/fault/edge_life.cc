#include "tests/fault/edge_life.h"

#include <fmt/format.h>
#include <rocksdb/env.h>

#include <algorithm>
#include <set>

#include "absl/synchronization/notification.h"
#include "fabric/base/error.h"
#include "tests/fault/wrong.h"

namespace selvage::test {
namespace {

constexpr uint64_t kKiB = 1024;

}  // namespace

EdgeLife::EdgeLife(uint64_t seed, std::string directory, Options options)
    : directory_(std::move(directory)),
      options_(options),
      random_(seed),
      node_random_(seed + 1),
      disk_(std::make_shared<PowerCutFileSystem>(seed + 2)),
      table_(StoreId::Mint(random_)) {
  disk_->AddDirectory(directory_.substr(0, directory_.rfind('/')));
  if (options_.mixed_order) disk_->set_slow_one_in(50);
  engine_options_.path = directory_;
  engine_options_.file_system = disk_;
  engine_options_.on_background_error = [this](const absl::Status&) { failed_ = true; };
  // Small, so that flushes, blob files and compactions come often.
  engine_options_.write_buffer_bytes = random_.Between(64, 128) * kKiB;
  engine_options_.max_wal_bytes = random_.Between(32, 256) * kKiB;
  engine_options_.block_cache_bytes = 256 * kKiB;
  node_options_.node = "rig";
  node_options_.tail_cache_bytes = random_.Between(1, 64) * kKiB;
  node_options_.commit.group_bytes_max = random_.Chance(0.50) ? 8 << 20 : random_.Between(1, 40) * kKiB;
  node_options_.commit.clock = &clock_;
  node_options_.commit.on_failure = [this](const absl::Status&) { failed_ = true; };
}

EdgeLife::~EdgeLife() {
  Close();
}

absl::Status EdgeLife::Open(bool compare) {
  failed_ = false;
  started_well_ = false;
  SELVAGE_ASSIGN_OR_RETURN(engine_, RocksDbStore::Open(engine_options_));
  if (compare) SELVAGE_RETURN_IF_ERROR(mirror_.Compare(*engine_));
  store_ = std::make_unique<MirroredStore>(*engine_, mirror_, options_.sync,
                                           [this] { return disk_->FileBytes(); });
  state_ = std::make_unique<NodeState>(node_options_, *store_, clock_, node_random_);
  SELVAGE_RETURN_IF_ERROR(state_->Open(acked_ends_));
  edge_ = std::make_unique<EdgeState>(EdgeState::PartsOf(*state_), "test");
  SELVAGE_RETURN_IF_ERROR(edge_->Open({}));
  groups_ = std::make_unique<kafka::GroupService>(kafka::GroupService::PartsOf(*state_));
  SELVAGE_RETURN_IF_ERROR(groups_->Open());
  started_well_ = !disk_->struck();
  return absl::OkStatus();
}

void EdgeLife::Close() {
  if (state_) {
    for (auto& [number, log] : logs_) log.Died();
  }
  if (intent_ && !intent_->repeats) intent_->run = nullptr;  // it may hold logs of this life
  edge_.reset();
  groups_.reset();
  state_.reset();
  store_.reset();
  engine_.reset();
}

void EdgeLife::CutPower() {
  disk_->CutPower();
  Close();
  disk_->RestorePower();
  disk_->Disarm();
}

void EdgeLife::LetEngineRest() const {
  // One thread for each kind of job: behind a job of ours, those before it are done. A flush may call for a
  // compaction.
  for (rocksdb::Env::Priority kind : {rocksdb::Env::HIGH, rocksdb::Env::LOW, rocksdb::Env::HIGH}) {
    absl::Notification done;
    rocksdb::Env::Default()->Schedule([](void* arg) { static_cast<absl::Notification*>(arg)->Notify(); },
                                      &done, kind);
    done.WaitForNotification();
  }
}

absl::Status EdgeLife::Excuse(const absl::Status& status, std::string_view what) const {
  if (status.ok() || !usable()) return absl::OkStatus();
  return Annotate(status, fmt::format("{} failed on a good disk", what));
}

absl::Status EdgeLife::Run(Intent intent) {
  intent_ = std::move(intent);
  for (const auto& [number, identity] : intent_->becomes) logs_.at(number).MayBecome(identity);
  for (const std::shared_ptr<EmbeddedLog>& log : state_->embedded_logs().Logs()) {
    const bool forgets = intent_->acknowledges_nothing && log->origin().edge.empty() && log->acknowledged();
    if (forgets) logs_.at(log->number()).Acknowledge(log->state().base);
  }
  const absl::Status done = intent_->run();
  if (!done.ok()) return Excuse(done, intent_->what);
  MakeSure(*intent_);
  intent_.reset();
  return absl::OkStatus();
}

void EdgeLife::MakeSure(const Intent& intent) {
  for (const auto& [name, definition] : intent.catalog) {
    if (definition) {
      catalog_[name] = *definition;
    } else {
      catalog_.erase(name);
      std::erase_if(logs_, [&](const auto& log) { return origins_.at(log.first).stream == name; });
    }
  }
  for (auto& [number, log] : logs_) log.Became();
  for (const std::string& name : intent.anew) {
    std::erase_if(logs_, [&](const auto& log) { return origins_.at(log.first).stream == name; });
  }
  if (intent.acknowledges_nothing) {
    for (auto& [number, log] : logs_) log.AcknowledgementStored();
  }
  if (intent.membership) membership_ = *intent.membership;
  if (intent.spec_generation) spec_generation_ = *intent.spec_generation;
  if (intent.new_store_id) store_id_ = state_->identity().store_id();
  DiscoverLogs();
}

void EdgeLife::DiscoverLogs() {
  for (const std::shared_ptr<EmbeddedLog>& log : state_->embedded_logs().Logs()) {
    if (logs_.contains(log->number())) continue;
    logs_.emplace(log->number(), LogModel(log->state()));
    origins_[log->number()] = log->origin();
  }
}

absl::Status EdgeLife::CheckWhole() {
  SELVAGE_RETURN_IF_ERROR(CheckNoneHeld());
  SELVAGE_RETURN_IF_ERROR(CheckLogs());
  SELVAGE_RETURN_IF_ERROR(CheckCatalog());
  SELVAGE_RETURN_IF_ERROR(CheckTakenOver());
  SELVAGE_RETURN_IF_ERROR(CheckCommittedOffsets());
  SELVAGE_RETURN_IF_ERROR(CheckTable());
  return CheckLosses();
}

absl::Status EdgeLife::CheckCommittedOffsets() {
  const std::string wrong = committed_.Restored(*groups_);
  return wrong.empty() ? absl::OkStatus() : Wrong("{}", wrong);
}

absl::Status EdgeLife::CheckRecovered() {
  SELVAGE_RETURN_IF_ERROR(Excuse(CheckWhole(), "recovery"));
  if (!usable()) return absl::OkStatus();
  DiscoverLogs();
  ++session_;
  SELVAGE_RETURN_IF_ERROR(Excuse(RaiseFences(state_->committer(), state_->fences(),
                                             {{std::string(kCoreOrigin), SessionEpoch(session_)}}),
                                 "raising the fence"));
  SELVAGE_RETURN_IF_ERROR(Annotate(CheckProducers(), "after a restart"));
  if (!intent_ || !intent_->repeats) {
    intent_.reset();
    return absl::OkStatus();
  }
  return Run(*std::exchange(intent_, std::nullopt));
}

absl::Status EdgeLife::CheckNoneHeld() {
  for (const std::shared_ptr<EmbeddedLog>& log : state_->embedded_logs().Logs()) {
    SELVAGE_RETURN_IF_ERROR(Annotate(log->held(), "a log is held"));
  }
  return absl::OkStatus();
}

absl::Status EdgeLife::CheckCatalog() {
  std::map<std::string, std::string> found;
  for (const v1::StreamDefinition& definition : state_->catalog().All()) {
    found[definition.name()] = definition.SerializeAsString();
  }
  std::set<std::string> names;
  for (const auto& [name, definition] : found) names.insert(name);
  for (const auto& [name, definition] : catalog_) names.insert(name);
  for (const std::string& name : names) {
    std::optional<std::string> have, want;
    if (found.contains(name)) have = found[name];
    if (catalog_.contains(name)) want = catalog_[name];
    const bool may_change = intent_ && intent_->catalog.contains(name);
    const bool between = intent_ && intent_->anew.contains(name) && !have;
    if (have != want && !between && (!may_change || have != intent_->catalog[name])) {
      return Wrong("stream {} {}", name,
                   !have  ? "is gone"
                   : want ? "has another definition"
                          : "was not to exist");
    }
  }
  catalog_ = std::move(found);
  for (const auto& [name, definition] : catalog_) {
    const auto stream = *state_->catalog().Find(name);
    if (stream.direction() != v1::UP && stream.direction() != v1::LOCAL) continue;
    for (int32_t p = 0; p < stream.partitions(); ++p) {
      const LogOrigin origin{"", Slot(0), name, PartitionId(p)};
      if (state_->embedded_logs().FindEmbedded(origin) == nullptr)
        return Wrong("{} has no log", ToString(origin));
    }
  }
  return absl::OkStatus();
}

absl::Status EdgeLife::CheckMissing(LogNumber number, const LogOrigin& origin) {
  if (intent_ && intent_->anew.contains(origin.stream)) return absl::OkStatus();
  const bool to_go = intent_ && intent_->catalog.contains(origin.stream) && !intent_->catalog[origin.stream];
  if (!to_go) return Wrong("log {} of {} is gone", number.value(), ToString(origin));
  if (state_->catalog().Find(origin.stream)) {
    return Wrong("{} is deleted by half: its definition is there, log {} is not", ToString(origin),
                 number.value());
  }
  return absl::OkStatus();
}

absl::Status EdgeLife::CheckLogs() {
  std::map<LogNumber, std::shared_ptr<EmbeddedLog>> found;
  for (const std::shared_ptr<EmbeddedLog>& log : state_->embedded_logs().Logs()) found[log->number()] = log;
  for (auto it = logs_.begin(); it != logs_.end();) {
    const auto log = found.find(it->first);
    if (log == found.end()) {
      SELVAGE_RETURN_IF_ERROR(CheckMissing(it->first, origins_[it->first]));
      it = logs_.erase(it);
      continue;
    }
    const std::string name = fmt::format("log {} of {}", it->first.value(), ToString(log->second->origin()));
    const bool deleted = intent_ && intent_->catalog.contains(log->second->origin().stream) &&
                         !intent_->catalog[log->second->origin().stream] &&
                         !state_->catalog().Find(log->second->origin().stream);
    if (deleted) return Wrong("{} is deleted by half: its definition is gone, the log is not", name);
    const absl::Status same = it->second.CheckRecovered(*log->second, random_.Between(1, 40 * kKiB));
    if (!same.ok()) return Annotate(same, name);
    ++it;
  }
  for (const auto& [number, log] : found) {
    if (logs_.contains(number)) continue;
    if (!intent_) return Wrong("log {} of {} was not to exist", number.value(), ToString(log->origin()));
    if (!log->state().never_written())
      return Wrong("log {} of {} is new and not empty", number.value(), ToString(log->origin()));
  }
  return absl::OkStatus();
}

absl::Status EdgeLife::CheckTakenOver() {
  const v1::StoredMembership found = edge_->membership();
  const bool as_before = found.SerializeAsString() == membership_.SerializeAsString();
  const bool as_wanted =
      intent_ && intent_->membership && found.SerializeAsString() == intent_->membership->SerializeAsString();
  if (!as_before && !as_wanted) return Wrong("the membership is neither the old nor the new one");

  const bool changed_id = state_->identity().store_id() != store_id_;
  const bool first_start = store_id_.none();
  if (changed_id && !first_start && !(intent_ && intent_->new_store_id))
    return Wrong("the store has another id");
  if (intent_ && !intent_->takes_over.empty()) {
    size_t taken = 0;
    for (const auto& [origin, id] : intent_->takes_over) {
      const std::shared_ptr<EmbeddedLog> log = state_->embedded_logs().FindEmbedded(origin);
      taken += log != nullptr && log->state().id == id;
    }
    const size_t all = intent_->takes_over.size();
    if (taken != 0 && taken != all) return Wrong("{} by half: {} of {} logs", intent_->what, taken, all);
    if (as_before != as_wanted && (taken == all) != as_wanted) {
      return Wrong("{} by half: {} of {} logs, membership {}", intent_->what, taken, all,
                   as_wanted ? "new" : "old");
    }
  }
  if (intent_ && intent_->new_store_id && as_wanted != changed_id) {
    return Wrong("{} by half: the store id is {}", intent_->what, changed_id ? "new" : "old");
  }
  const uint64_t spec = edge_->spec().generation();
  if (spec != spec_generation_ && !(intent_ && intent_->spec_generation == spec)) {
    return Wrong("the spec has generation {}, not {}", spec, spec_generation_);
  }
  spec_generation_ = spec;
  membership_ = found;
  store_id_ = state_->identity().store_id();
  return absl::OkStatus();
}

absl::Status EdgeLife::CheckLosses() {
  std::multiset<std::pair<LogOrigin, Offset>> want, have;
  for (const auto& [number, log] : logs_) {
    for (const Entry& entry : log.sure()) {
      if (entry.kind == EntryKind::kGap) want.emplace(origins_[number], entry.from);
    }
  }
  auto losses = state_->logs().Losses();
  if (!losses.ok()) return losses.status();
  for (const LogStore::LostRange& lost : *losses) have.emplace(lost.origin, lost.gap.from);
  if (have != want) return Wrong("the loss ledger names {} gaps, the logs hold {}", have.size(), want.size());
  return absl::OkStatus();
}

absl::Status EdgeLife::CheckAll() {
  for (const std::shared_ptr<EmbeddedLog>& log : state_->embedded_logs().Logs()) {
    auto model = logs_.find(log->number());
    if (model == logs_.end()) return Wrong("{}: a log that nobody made", ToString(log->origin()));
    const absl::Status same = model->second.Check(*log, random_.Between(1, 40 * kKiB));
    if (!same.ok()) return Excuse(Annotate(same, ToString(log->origin())), "reading");
  }
  return absl::OkStatus();
}

void EdgeLife::Settle() {
  CommitAll();
  if (usable()) RecordEnds();
}

void EdgeLife::RecordEnds() {
  SyncedEnds ends(state_->logs(), acked_ends_);
  ends.Update();
  acked_ends_ = ends.ends();
}

bool EdgeLife::AlarmAt(std::string_view kind, std::string_view subject) {
  const auto alarms = state_->alarms().All(/*also_resolved=*/false);
  return std::any_of(alarms.begin(), alarms.end(),
                     [&](const auto& alarm) { return alarm.kind() == kind && alarm.subject() == subject; });
}

absl::StatusOr<EdgeLife::DamageCounts> EdgeLife::CheckDamaged() {
  DamageCounts counts;
  for (const auto& [number, model] : logs_) {
    const auto logs = LogsWhere([&, n = number](EmbeddedLog& log) { return log.number() == n; });
    const std::string name = ToString(origins_[number]);
    if (logs.empty() && model.never_written()) continue;
    if (logs.empty() && !AlarmAt("log_lost", fmt::format("log {}", number.value()))) {
      return Wrong("{} is gone without a word", name);
    }
    if (logs.empty()) {
      ++counts.lost_logs;
      continue;
    }
    EmbeddedLog& log = *logs.front();
    if (!log.held().ok()) {
      if (!AlarmAt("log_held", name)) return Wrong("{} is held without an alarm", name);
      ++counts.held_logs;
      continue;
    }
    if (log.state().end != model.end()) return Wrong("{} ends elsewhere without a word", name);
    for (const Entry& wrote : model.sure()) {
      auto read = log.Read(wrote.from, 1, /*from_disk=*/true);
      if (!read.ok() && read.status().code() == absl::StatusCode::kDataLoss) {
        ++counts.unreadable_entries;
        continue;
      }
      if (!read.ok()) return Annotate(read.status(), name);
      // A trim that came last may be lost: then the entries are back for which the gap stands.
      if (wrote.kind == EntryKind::kGap) continue;
      if (!SameEntry(read->front(), wrote)) return Wrong("{}: other bytes at {}", name, wrote.from.value());
    }
  }
  return counts;
}

}  // namespace selvage::test
