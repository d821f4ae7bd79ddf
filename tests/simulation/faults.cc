#include <fmt/format.h>

#include "tests/simulation/sim_capture.h"
#include "tests/simulation/world.h"

/// What can happen to a world. Each function strikes once, somewhere.
namespace selvage::sim {

const std::vector<World::Fault>& World::AllFaults() {
  static const std::vector<Fault> kFaults = {
      {"edge power cut", &World::EdgePowerCut},
      {"core power cut", &World::CorePowerCut},
      {"edge stopped", &World::EdgeStopped},
      {"core stopped", &World::CoreStopped},
      {"failed sync", &World::FailedSync},
      {"link cut", &World::LinkCut},
      {"link silent", &World::LinkSilent},
      {"link one-way", &World::LinkOneWay},
      {"link reshaped", &World::LinkReshaped},
      {"clock wrong", &World::ClockWrong},
      {"disk full", &World::DiskFull},
      {"bits flipped", &World::BitsFlipped},
      {"stream deleted", &World::StreamDeleted},
      {"settings changed", &World::SettingsChanged},
      {"stream detached", &World::StreamDetached},
      {"groups damaged", &World::GroupsDamaged},
      {"edge disk lost", &World::EdgeDiskLost},
      {"edge restored", &World::EdgeRestored},
      {"edge tail lost", &World::EdgeTailLost},
      {"edge cloned", &World::EdgeCloned},
      {"started on another's store", &World::ForeignStore},
      {"core restored", &World::CoreRestored},
      {"core disk lost", &World::CoreDiskLost},
      {"rows of edges changed", &World::TableRowsChanged, /*of_tables=*/true},
      {"table made again", &World::TableMadeAgain, /*of_tables=*/true},
  };
  return kFaults;
}

SimEdge& World::AnyEdge() {
  std::vector<SimEdge*> there;
  for (auto& edge : edges_) {
    if (!retired_[edge.get()]) there.push_back(edge.get());
  }
  return *random_.Pick(there);
}

SimNode& World::AnyNode() {
  if (random_.OneIn(3)) return core_;
  return AnyEdge();
}

std::shared_ptr<SimLink> World::AnyLink() {
  std::vector<std::shared_ptr<SimLink>> open;
  for (const auto& link : links_) {
    if (!link->over()) open.push_back(link);
  }
  return open.empty() ? nullptr : random_.Pick(open);
}

void World::ArmOrKill(SimNode& node) {
  if (!node.up()) return;
  if (random_.OneIn(3)) return node.Die("power cut");
  constexpr SimDisk::End kEnds[] = {SimDisk::End::kNotWritten, SimDisk::End::kNotSynced,
                                    SimDisk::End::kSynced};
  node.disk().Arm(random_.Spread(0, 50), kEnds[random_.Below(3)]);
}

void World::EdgePowerCut() {
  ArmOrKill(AnyEdge());
}
void World::CorePowerCut() {
  ArmOrKill(core_);
}
void World::EdgeStopped() {
  AnyEdge().Stop();
}
void World::CoreStopped() {
  core_.Stop();
}
void World::FailedSync() {
  SimNode& node = AnyNode();
  if (node.up()) node.disk().Arm(random_.Spread(0, 50), SimDisk::End::kFailedSync);
}

void World::LinkCut() {
  auto link = AnyLink();
  if (link == nullptr) return;
  auto notice = [this] {
    return random_.OneIn(3) ? absl::InfiniteDuration() : absl::Milliseconds(random_.Below(5'000));
  };
  link->Cut(random_.OneIn(2), notice(), notice());
  if (random_.OneIn(2)) unreachable_until_[AnyEdge().name()] = time_.now() + Soon(100, 1'000'000);
}

void World::LinkSilent() {
  auto link = AnyLink();
  if (link == nullptr) return;
  const absl::Duration until = time_.now() + Soon(100, 300'000);
  link->Stall(SimLink::kEdge, until);
  link->Stall(SimLink::kCore, until);
}

void World::LinkOneWay() {
  if (auto link = AnyLink(); link != nullptr) {
    link->Stall(random_.OneIn(2) ? SimLink::kEdge : SimLink::kCore, time_.now() + Soon(100, 300'000));
  }
}

void World::LinkReshaped() {
  ShapeNetwork();
}

void World::ClockWrong() {
  const auto seconds = static_cast<int64_t>(random_.Spread(1, 2'000'000'000));
  SimClock& clock = AnyNode().clock();
  const absl::Duration error =
      absl::Seconds(random_.OneIn(2) ? seconds : -std::min<int64_t>(seconds, 1'500'000'000));
  clocks_ahead_ = std::max(clocks_ahead_, error);
  constexpr auto kDeletesRemembered = absl::Hours(7 * 24);
  if (absl::AbsDuration(error) > kDeletesRemembered) tables_.ForgetDeletes();
  clock.SetWallError(error);
}

/// Another process takes the space, and gives it back.
void World::DiskFull() {
  SimNode& node = AnyNode();
  auto held = node.disk().FileBytes();
  if (!held.ok()) return;
  node.disk().SetCapacity(*held + random_.Spread(1, 4 << 20));
  time_.After(Soon(1'000, 600'000), [&node] { node.disk().SetCapacity(uint64_t{1} << 40); });
}

/// What is stored of some entries cannot be read any more.
void World::BitsFlipped() {
  SimNode& node = AnyNode();
  if (!node.up() || node.disk().dead()) return;
  std::vector<std::shared_ptr<EmbeddedLog>> logs;
  for (const std::shared_ptr<EmbeddedLog>& log : node.state().embedded_logs().Logs()) {
    if (IsCaptureLog(*log)) continue;
    if (log->state().start < log->state().end && log->held().ok()) logs.push_back(log);
  }
  if (logs.empty()) return;
  EmbeddedLog& log = *random_.Pick(logs);
  ledger_.BitsFlipped(node.shadow());
  for (uint64_t n = random_.Between(1, 4); n > 0; --n) {
    const LogState now = log.state();
    const auto held = static_cast<uint64_t>(now.end - now.start);
    auto at = log.BoundaryAtOrBefore(now.start + static_cast<int64_t>(random_.Below(held)));
    if (!at.ok()) continue;
    time_.Trace("{}: {} is damaged at {}", node.name(), ToString(log.origin()), at->offset.value());
    ledger_.EntryDamaged(node.shadow(), log, at->offset);
    node.disk().Damage(Family::kLog, LogKey(log.number(), at->offset));
  }
}

void World::StreamDeleted() {
  if (streams_made_ == 0) return;
  const int number = static_cast<int>(random_.Below(static_cast<uint64_t>(streams_made_)));
  const std::string name = fmt::format("stream-{}", number);
  const auto known = core_.up() ? core_.state().catalog().Find(name) : std::nullopt;
  if (!known) return;
  core_.DeleteStream(name);
  if (random_.OneIn(2)) core_.CreateStream(Definition(number, known->direction()));
}

void World::SettingsChanged() {
  if (!core_.up() || streams_made_ == 0) return;
  v1::SetStreamRequest request;
  request.set_stream(fmt::format("stream-{}", random_.Below(static_cast<uint64_t>(streams_made_))));
  v1::StreamSettings& settings = *request.mutable_settings();
  switch (random_.Below(4)) {
    case 0:
      request.add_fields("retention_ms");
      settings.set_retention_ms(static_cast<int64_t>(random_.Spread(1'000, 3'600'000)));
      break;
    case 1:
      request.add_fields("on_full");
      settings.set_on_full(random_.OneIn(2) ? v1::DROP_OLDEST : v1::REJECT);
      break;
    case 2:
      request.add_fields("keep_after_ack");
      settings.set_keep_after_ack(random_.OneIn(2));
      break;
    default:
      request.add_fields("priority");
      settings.set_priority(static_cast<uint32_t>(random_.Below(10)));
      break;
  }
  core_.SetStream(request);
}

/// An operator detaches a stream, and attaches it again after a while.
void World::StreamDetached() {
  if (!core_.up() || streams_made_ == 0) return;
  v1::SetStreamRequest request;
  request.set_stream(fmt::format("stream-{}", random_.Below(static_cast<uint64_t>(streams_made_))));
  request.add_fields("detached");
  request.mutable_settings()->set_detached(true);
  core_.SetStream(request);
  request.mutable_settings()->set_detached(false);
  time_.After(Soon(1'000, 1'200'000), [this, request] { core_.SetStream(request); });
}

/// What is stored of some consumer group cannot be read any more.
void World::GroupsDamaged() {
  AnyNode().DamageGroups();
}

// --- Disks that are not what they were
// -------------------------------------------------------------------------

void World::EdgeDiskLost() {
  SimEdge& edge = AnyEdge();
  edge.Die("its disk is lost");
  edge.PutDisk(std::make_unique<SimDisk>());
  edge.set_copying(std::nullopt);
  ledger_.SetBack(edge.shadow(), ledger_.mark());
  ledger_.Excuse(edge.shadow(), 0);
}

void World::EdgeRestored() {
  SimEdge& edge = AnyEdge();
  auto backup =
      std::find_if(backups_.begin(), backups_.end(), [&](const Backup& b) { return b.machine == &edge; });
  if (backup == backups_.end() || edge.copying()) {
    if (edge.up()) backups_.push_back({edge.disk().Copy(), ledger_.mark(), &edge});
    return;
  }
  edge.Die("it is restored from a backup");
  edge.PutDisk(std::make_unique<SimDisk>(backup->image));
  ledger_.SetBack(edge.shadow(), backup->mark);
  ledger_.Excuse(edge.shadow(), backup->mark);
  backups_.erase(backup);
}

/// A disk that lied about its syncs: the newest of what it had acknowledged is not there, while the file of
/// acknowledged ends is.
void World::EdgeTailLost() {
  SimEdge& edge = AnyEdge();
  if (!edge.up() || edge.disk().dead()) return;
  auto before = std::make_shared<SimDisk::Image>(edge.disk().Copy());
  time_.After(Soon(10, 60'000), [this, &edge, before, disks = edge.former_disks(), mark = ledger_.mark()] {
    if (!edge.up() || healed_ || retired_[&edge] || edge.former_disks() != disks) return;
    edge.Die("its disk lost what it had synced");
    before->acked_ends = edge.disk().acked_ends;
    edge.PutDisk(std::make_unique<SimDisk>(*before));
    edge.set_copying(std::nullopt);
    ledger_.SetBack(edge.shadow(), mark);
    edge.shadow().lost_tail = true;
    ledger_.Excuse(edge.shadow(), mark);
  });
}

void World::EdgeCloned() {
  SimEdge& edge = AnyEdge();
  if (!edge.up() || edge.disk().dead() || edge.copying() || edges_.size() > 24) return;
  auto clone = std::make_unique<SimEdge>(here_, edge.name(), [this](SimEdge& e) { return Dial(e); });
  clone->PutDisk(std::make_unique<SimDisk>(edge.disk().Copy()));
  clone->shadow().lost_tail = edge.shadow().lost_tail;
  clone->shadow().damaged = edge.shadow().damaged;
  for (SimEdge* each : {&edge, clone.get()}) {
    each->set_copying(SimEdge::Copying{edges_.size(), ledger_.mark()});
    ledger_.Copied(each->shadow());
  }
  edges_.push_back(std::move(clone));
}

/// A node is started on what another one holds, by mistake, and then on its own again.
void World::ForeignStore() {
  SimNode& node = AnyNode();
  SimNode& other = AnyNode();
  if (!node.up() || !other.up() || other.disk().dead() || node.name() == other.name()) return;
  node.StartOnForeign(other.disk().Copy(), other.name());
}

void World::CoreSetBack(std::optional<uint64_t> backup) {
  for (auto& edge : edges_) {
    if (retired_[edge.get()]) continue;
    const TableCopy& core = core_.tables().copy();
    for (const auto& [table, held] : edge->tables().copy().tables) {
      for (const auto& [key, fields] : held.rows) {
        if (!fields.empty()) tables_.HeldAtEdge(core, table, key);
      }
      if (!edge->up()) continue;
      const auto waiting = edge->state().tables().Quarantined(table, SIZE_MAX);
      if (!waiting.ok()) continue;  // there is no such table any more
      for (const auto& one : *waiting) tables_.HeldAtEdge(core, table, one.change.key);
    }
  }
  ledger_.SetBack(core_.shadow(), 0);
  core_.Regressed();
  ledger_.CoreRegressed(backup);
}

void World::CoreRestored() {
  auto backup =
      std::find_if(backups_.begin(), backups_.end(), [&](const Backup& b) { return b.machine == &core_; });
  if (backup == backups_.end()) {
    if (core_.up() && !core_.disk().dead()) backups_.push_back({core_.disk().Copy(), ledger_.mark(), &core_});
    return;
  }
  core_.Die("it is restored from a backup");
  core_.PutDisk(std::make_unique<SimDisk>(backup->image));
  core_.SetRestored();
  CoreSetBack(backup->mark);
  backups_.erase(backup);
}

/// An operator gives the edges other rows of a table.
void World::TableRowsChanged() {
  core_.SetTablePrefix(TableLedger::kSites, random_.OneIn(2) ? "" : "site/${edge}/");
}

void World::TableMadeAgain() {
  core_.DropTable(TableLedger::kRemade);
  if (!random_.OneIn(4)) core_.CreateTable(TableLedger::kRemade);
}

void World::CoreDiskLost() {
  core_.Die("its disk is lost");
  core_.PutDisk(std::make_unique<SimDisk>());
  CoreSetBack(std::nullopt);
}

}  // namespace selvage::sim
