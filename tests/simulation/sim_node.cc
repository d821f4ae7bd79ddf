#include "tests/simulation/sim_node.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/kafka/group/stored.h"

namespace selvage::sim {

namespace {

/// What is under way when a stream is detached may still arrive.
constexpr absl::Duration kDetachedWithin = absl::Minutes(1);
constexpr const char* kGroups[] = {"team-0", "team-1", "group-0", "group-1", "group-2"};

}  // namespace

SimNode::SimNode(Surroundings world, std::string name, bool is_edge)
    : world_(world),
      name_(std::move(name)),
      is_edge_(is_edge),
      clock_(world.time),
      shadow_(name_),
      tables_(world, name_, is_edge, clock_),
      capture_(world, name_),
      views_(world, name_) {
  for (int i = 0; i < 3; ++i)
    consumers_.push_back(std::make_unique<SimConsumer>(world, *this, kGroups[0], ""));
  for (const char* instance : {"first", "second"})
    consumers_.push_back(std::make_unique<SimConsumer>(world, *this, kGroups[1], instance));
}

NodeState::Options SimNode::Options() {
  NodeState::Options options;
  options.node = name_;
  options.is_edge = is_edge_;
  options.tail_cache_bytes = world_.limits.tail_cache_bytes;
  options.batch_max = world_.limits.batch_max;
  options.disk = is_edge_ ? world_.limits.edge_disk : world_.limits.core_disk;
  options.commit.group_bytes_max = world_.limits.commit_group_max;
  options.commit.queue_bytes_max = world_.limits.commit_queue_max;
  options.commit.clock = &clock_;
  options.view_piece = world_.views.piece();
  options.commit.on_failure = [this](const absl::Status&) { disk_->Kill(); };
  return options;
}

void SimNode::Start() {
  if (up()) return;
  ++boots_;
  disk_->Restart(world_.random);
  clock_.Boot(absl::Microseconds(world_.random.Spread(1, 1'000'000'000)), 0.95 + 0.1 * world_.random.Unit());
  random_ = std::make_unique<test::SeededRandom>(world_.random.Next());
  state_ = std::make_unique<NodeState>(Options(), *disk_, clock_, *random_);
  absl::Status opened = state_->Open(disk_->acked_ends);
  ends_ = std::make_unique<SyncedEnds>(state_->logs(), disk_->acked_ends);
  if (opened.ok()) opened = OpenLogic();
  if (opened.ok()) {
    groups_ = std::make_unique<kafka::GroupService>(kafka::GroupService::PartsOf(*state_));
    opened = groups_->Open();
  }
  if (!opened.ok()) {
    world_.time.Trace("{} cannot open: {}", name_, Describe(opened));
    if (!disk_->dead() && ErrorKind(opened) != "disk_full")
      world_.time.Violate(fmt::format("{} cannot open its store: {}", name_, Describe(opened)));
    return Die("could not open");
  }
  world_.time.Trace("{} is up, boot {}, store {}", name_, state_->identity().boot_id().hex(),
                    state_->identity().store_id().hex());
  world_.ledger.CheckReopened(shadow_, *state_, disk_->acked_ends);
  for (const std::string& group : std::exchange(deleting_, {})) {
    shadow_.committed.MayBeLost([&](const auto& place) { return place.group == group; });
    shadow_.generations.Forget(group);
  }
  // Unless it was written anew, it is lost only now: members may have been told its generation meanwhile.
  if (damaged_group_) shadow_.generations.Forget(*std::exchange(damaged_group_, std::nullopt));
  shadow_.generations.Restarted();
  std::vector<std::string> without_offsets;
  for (const char* group : kGroups) {
    if (!world_.ledger.HoldsOffsets(shadow_, group)) without_offsets.push_back(group);
  }
  world_.ledger.CheckRestoredOffsets(shadow_, *groups_);
  // A commit of which nobody heard was stored; the group may have been forgotten before it.
  for (const std::string& group : without_offsets) {
    if (world_.ledger.HoldsOffsets(shadow_, group)) shadow_.generations.Forget(group);
  }
  groups_seen_ = streams_seen_ = UINT64_MAX;
  tables_.Opened(state_->tables());
  capture_.Opened(*state_);
  views_.Opened(*state_, *disk_);
  CheckTableInvariants();
  Observe();
  ScheduleUpkeep();
}

void SimNode::Die(std::string_view why) {
  if (!up()) return;
  world_.time.Trace("{} dies: {}", name_, why);
  disk_->Kill();
  Close();
}

void SimNode::Stop() {
  if (!up()) return;
  world_.time.Trace("{} stops", name_);
  while (state_->committer().CommitOnce()) {
  }
  Observe();
  Upkeep();
  disk_->Kill();
  Close();
}

void SimNode::Close() {
  ++boots_;
  Vanished();
  CloseLogic();
  newest_link_.clear();
  groups_seen_ = UINT64_MAX;
  watched_.clear();
  groups_.reset();
  ends_.reset();
  state_.reset();
  commit_scheduled_ = false;
}

void SimNode::StartOnForeign(const SimDisk::Image& image, const std::string& whose) {
  Die("it is started on the store of another");
  std::unique_ptr<SimDisk> own = std::exchange(disk_, std::make_unique<SimDisk>(image));
  disk_->Restart(world_.random);
  {
    NodeState state(Options(), *disk_, clock_, *random_);
    const absl::Status opened = state.Open(disk_->acked_ends);
    if (ErrorKind(opened) != "foreign_store") {
      world_.time.Violate(fmt::format("{} opens the store of {}: {}", name_, whose, Describe(opened)));
    }
  }
  disk_ = std::move(own);
}

void SimNode::PutDisk(std::unique_ptr<SimDisk> disk) {
  disk_ = std::move(disk);
  disk_->Kill();
  ++former_disks_;
  shadow_.Forget();
  world_.tables.SetBack(tables_.copy());
  deleting_.clear();
}

void SimNode::Observe() {
  if (!up()) return;
  LookAtStreams();
  // Only a commit makes anything visible, or makes logs.
  const uint64_t groups = state_->committer().stats().groups;
  if (std::exchange(groups_seen_, groups) == groups) return;
  tables_.Follow(state_->tables());
  for (const std::shared_ptr<EmbeddedLog>& log : state_->embedded_logs().Logs()) {
    CheckInvariants(*log);
    if (IsCaptureLog(*log)) continue;
    world_.ledger.Observe(shadow_, *state_, *log);
    // And from here on at once, before a trim can take it away.
    if (watched_.insert(log).second)
      log->Watch([this, &its = *log] { world_.ledger.Observe(shadow_, *state_, its); });
  }
}

/// The log's own, unless a bug is planted that the ledger is to find from outside.
void SimNode::CheckInvariants(const EmbeddedLog& log) {
  if (!Planted(Canary::kNone)) return;
  const absl::Status held = log.CheckInvariants();
  if (!held.ok()) {
    world_.time.Violate(
        fmt::format("{}: {}: {}", name_, ToString(log.origin()), std::string(held.message())));
  }
}

void SimNode::CheckTableInvariants() {
  if (!Planted(Canary::kNone) || !up()) return;
  const absl::Status held = state_->tables().CheckInvariants();
  if (!held.ok()) world_.time.Violate(fmt::format("{}: {}", name_, std::string(held.message())));
}

void SimNode::UseTables() {
  if (!up() || disk_->dead()) return;
  for (const std::string& table : world_.tables.tables()) {
    if (!state_->tables().Find(table)) MissTable(table);
  }
  // Some of it in one group.
  for (uint64_t n = world_.tables.random().OneIn(4) ? 3 : 1; n > 0 && !disk_->dead(); --n)
    tables_.Write(state_->tables());
}

void SimNode::Settle() {
  if (!up()) return;
  if (disk_->dead()) return Die("in the midst of a write");
  Observe();
  if (commit_scheduled_ || state_->committer().QueuedBytes() == 0) return;
  commit_scheduled_ = true;
  const absl::Duration takes = absl::Nanoseconds(
      1 + world_.random.Below(static_cast<uint64_t>(absl::ToInt64Nanoseconds(world_.limits.sync_max))));
  world_.time.After(takes, [this, boot = boots_] {
    if (boot != boots_) return;
    commit_scheduled_ = false;
    state_->committer().CommitOnce();
  });
}

void SimNode::ScheduleUpkeep() {
  world_.time.After(world_.limits.upkeep, [this, boot = boots_] {
    if (boot != boots_) return;
    Upkeep();
    ScheduleUpkeep();
  });
}

void SimNode::Upkeep() {
  if (groups_->NextDeadline() <= clock_.Monotonic()) groups_->Tick();
  absl::Status kept = state_->maintenance().RunOnce();
  kept.Update(state_->maintenance().Compact());
  kept.Update(state_->maintenance().MaybeReclaim());
  kept.Update(state_->damage().RunOnce());
  kept.Update(state_->tables().RunDue());
  if (!disk_->dead()) capture_.Follow(*state_);
  if (!disk_->dead()) views_.Feed(*state_, *disk_);
  if (disk_->dead()) return;
  if (!kept.ok() && !IsRetryable(kept)) {
    world_.time.Trace("{}: upkeep: {}", name_, Describe(kept));
  }
  if (ends_->Update()) disk_->acked_ends = ends_->ends();
}

void SimNode::LookAtStreams() {
  const uint64_t changes = state_->catalog().changes();
  if (std::exchange(streams_seen_, changes) == changes) return;
  std::map<std::string, absl::Duration> detached;
  for (const v1::StreamDefinition& stream : state_->catalog().All()) {
    if (stream.settings().detached()) detached[stream.name()] = world_.time.now();
  }
  for (const auto& [stream, since] : detached_) {
    if (auto still = detached.find(stream); still != detached.end()) {
      still->second = since;
    } else {
      world_.ledger.MayLeave(shadow_, stream);
    }
  }
  detached_ = std::move(detached);
}

void SimNode::Wrote(const EmbeddedLog& log, uint64_t payload) {
  const auto detached = detached_.find(log.origin().stream);
  if (detached == detached_.end() || world_.time.now() - detached->second < kDetachedWithin) return;
  world_.ledger.StaysHere(shadow_, log.origin().stream, payload);
}

std::vector<std::shared_ptr<EmbeddedLog>> SimNode::WrittenHere() {
  std::vector<std::shared_ptr<EmbeddedLog>> logs;
  for (const std::shared_ptr<EmbeddedLog>& log : state_->embedded_logs().Logs()) {
    // An edge may hold places that it adopted before it hears of their streams; nobody finds those.
    const bool known = state_->catalog().Find(log->origin().stream).has_value();
    if (known && !IsCaptureLog(*log) && state_->places().IsSource(log->origin()) && !log->superseded()) {
      logs.push_back(log);
    }
  }
  return logs;
}

void SimNode::DeleteRecords() {
  if (!up() || disk_->dead()) return;
  std::vector<std::shared_ptr<EmbeddedLog>> logs = WrittenHere();
  if (logs.empty()) return;
  EmbeddedLog& log = *world_.random.Pick(logs);
  const auto definition = state_->catalog().Find(log.origin().stream);
  if (!definition || !log.held().ok()) return;
  const LogState before = log.state();
  Offset to = before.end;
  if (!world_.random.OneIn(4)) {
    const auto held = static_cast<uint64_t>(before.end - before.start);
    to = before.start + static_cast<int64_t>(world_.random.Below(held + 2));  // also behind the end
  }
  // Nobody takes the last copy of what another node has yet to get.
  std::optional<Offset> at_most;
  if (state_->places().ReplicatedFromHere(log.origin(), *definition))
    at_most = std::max(before.log_start(), log.acknowledged().value_or(before.base));
  world_.ledger.DeletionAsked(shadow_, log, to);
  const absl::Status deleted = state_->streams().DeleteRecords(log, *definition, to);
  world_.time.Trace("{}: {}: records before {} are deleted: {}", name_, ToString(log.origin()), to.value(),
                    deleted.ok() ? "ok" : Describe(deleted));
  if (deleted.ok()) world_.ledger.RecordsDeleted(shadow_, log, before, to, at_most);
}

void SimNode::UseGroups() {
  if (!up() || disk_->dead()) return;
  if (world_.random.OneIn(2)) return CommitOffset();
  if (world_.random.OneIn(10)) return DeleteGroup(kGroups[world_.random.Below(std::size(kGroups))]);
  const std::string& group = world_.random.Pick(consumers_)->group();
  for (auto& consumer : consumers_) {
    if (consumer->group() == group && !world_.random.OneIn(3)) consumer->Wake();
  }
}

void SimNode::CheckViews() {
  if (up()) views_.CheckEnd(*state_, *disk_);
}

void SimNode::CheckOffsets() {
  if (up()) world_.ledger.CheckOffsets(shadow_, *groups_);
}

void SimNode::Told(const std::string& group, int32_t generation) {
  const std::string wrong =
      shadow_.generations.Told(group, generation, /*may_be_new=*/!world_.ledger.HoldsOffsets(shadow_, group));
  if (!wrong.empty()) world_.time.Violate(fmt::format("{}: {}", name_, wrong));
}

void SimNode::CommitOffset() {
  const test::CommitModel::Place place{kGroups[world_.random.Below(std::size(kGroups))],
                                       {"topic", static_cast<int32_t>(world_.random.Below(4))}};
  const int64_t offset = shadow_.committed.Submit(place);
  groups_->Commit({place.group, "", std::nullopt, -1, {{place.at, offset, -1, "simulated"}}},
                  [this, place, offset](const kafka::group::CommitAnswer& answer) {
                    const bool done = answer.partitions[0] == kafka::ErrorCode::kNone;
                    world_.time.Trace("{}: offset {} of {} {}", name_, offset, place.group,
                                      done ? "acknowledged" : "refused");
                    if (!done) return;
                    if (world_.ledger.HoldsOffsets(shadow_, place.group)) {
                      shadow_.generations.Emptied(place.group);
                    } else {
                      shadow_.generations.Forget(place.group);
                    }
                    shadow_.committed.Acknowledged(place, offset);
                  });
}

void SimNode::DeleteGroup(const std::string& group) {
  if (!deleting_.insert(group).second) return;
  groups_->DeleteGroups({group}, [this, group](const kafka::group::DeleteGroupsAnswer& answer) {
    world_.time.Trace("{}: {} is deleted: {}", name_, group, static_cast<int>(answer.groups[0]));
    // Not sure, where it is not available any more.
    if (answer.groups[0] == kafka::ErrorCode::kCoordinatorNotAvailable) return;
    deleting_.erase(group);
    if (answer.groups[0] != kafka::ErrorCode::kNone) return;
    shadow_.committed.Deleted([&](const auto& place) { return place.group == group; });
    shadow_.generations.Forget(group);
  });
}

void SimNode::DamageGroups() {
  // Of two damaged documents all between them would be lost as well.
  if (!up() || disk_->dead() || std::exchange(groups_damaged_, boots_) == boots_) return;
  std::vector<std::string> keys;
  auto cursor = disk_->Scan(Family::kGroup, "", std::string(5, '\xff'));
  for (cursor->Seek(""); cursor->Valid(); cursor->Next()) keys.emplace_back(cursor->key());
  if (keys.empty()) return;
  const std::string& key = world_.random.Pick(keys);
  const kafka::group::DocumentKey document = *kafka::group::ParseKey(key);
  world_.time.Trace("{}: a document of {} is damaged: {}", name_, document.group,
                    document.offset_of ? "an offset" : "its members");
  disk_->Damage(Family::kGroup, key);
  if (!document.offset_of) {
    damaged_group_ = document.group;
    return shadow_.generations.Forget(document.group);
  }
  shadow_.committed.MayBeLost(
      [&](const auto& place) { return place.group == document.group && place.at == *document.offset_of; });
}

void SimNode::Admitted(const std::string& edge, uint64_t link, const v1::Hello&) {
  newest_link_[edge] = link;
}

void SimNode::Persisted(const std::string& edge, uint64_t link, const absl::Status& outcome) {
  if (!outcome.ok() || newest_link_[edge] == link) return;
  world_.time.Violate(fmt::format("{}: link {} of {} wrote after link {} was admitted", name_, link, edge,
                                  newest_link_[edge]));
}

void SimNode::ResolveAlarms(bool give_up_damaged) {
  if (!up()) return;
  for (const v1::AlarmDocument& alarm : state_->alarms().All(/*also_resolved=*/false)) {
    const bool given_up = give_up_damaged && alarm.kind() == "entry_damaged";
    if ((!alarm.needs_operator() && !given_up) || disk_->dead()) continue;
    auto resolved = state_->alarms().Resolve(alarm.id(), "");
    world_.time.Trace("{}: the operator resolves {} of {}: {}", name_, alarm.kind(), alarm.subject(),
                      resolved.ok() ? "ok" : Describe(resolved.status()));
  }
}

}  // namespace selvage::sim
