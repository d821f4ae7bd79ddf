#include "tests/simulation/sim_core.h"

#include "core/peer_link.h"
#include "fabric/base/error.h"
#include "tests/simulation/sim_edge.h"

namespace selvage::sim {

SimCore::SimCore(Surroundings world) : SimNode(world, "core", /*is_edge=*/false) {}

absl::Status SimCore::OpenLogic() {
  fleet_ = std::make_unique<Fleet>(state(), "simulated");
  SELVAGE_RETURN_IF_ERROR(fleet_->Open({}));
  if (restored_) {
    SELVAGE_RETURN_IF_ERROR(fleet_->StartLineage());
    restored_ = false;
  }
  return absl::OkStatus();
}

void SimCore::CloseLogic() {
  fleet_.reset();
}

void SimCore::Vanished() {
  for (const auto& link : links_) {
    const bool silent = world_.random.OneIn(3);
    link->Vanish(SimLink::kCore,
                 silent ? absl::InfiniteDuration() : absl::Milliseconds(world_.random.Spread(1, 3'000)));
  }
  links_.clear();
}

void SimCore::Upkeep() {
  SimNode::Upkeep();
  if (!disk().dead()) (void)fleet_->reports.Flush();
  std::erase_if(links_, [](const auto& link) { return link->over(); });
}

void SimCore::Regressed() {
  boots_.clear();
  slots_.clear();
}

void SimCore::Forgive() {
  boots_.clear();
}

std::shared_ptr<replication::LinkHandler> SimCore::MakePeerLink(const std::string& edge,
                                                                std::function<void()> wake) {
  return std::make_shared<PeerLink>(fleet_->LinkParts(), metrics_, edge, std::move(wake));
}

void SimCore::Admitted(const std::string& edge, uint64_t link, const v1::Hello& hello) {
  SimNode::Admitted(edge, link, hello);
  Boots& boots = boots_[edge];
  if (boots.superseded.contains(hello.boot_id())) {
    world_.time.Violate(fmt::format("a process of {} that was superseded is admitted again", edge));
  }
  if (!boots.current.empty() && boots.current != hello.boot_id()) boots.superseded.insert(boots.current);
  boots.current = hello.boot_id();
  auto slot = fleet_->edges.SlotOf(edge);
  if (!slot) return world_.time.Violate(fmt::format("{} is admitted without a slot", edge));
  auto [at, first] = slots_.emplace(slot->value(), edge);
  if (!first && at->second != edge) {
    world_.time.Violate(fmt::format("slot {} is given to {} and was {}'s", slot->value(), edge, at->second));
  }
  world_.time.Trace("core: link {} of {} admitted, slot {}", link, edge, slot->value());
}

void SimCore::Produce() {
  if (!up() || disk().dead()) return;
  std::vector<std::shared_ptr<EmbeddedLog>> logs = WrittenHere();
  if (logs.empty()) return;
  const std::shared_ptr<EmbeddedLog> log = world_.random.Pick(logs);
  const uint64_t payload = world_.ledger.NextPayload();
  (void)log->Append(MakeBatch(world_, payload),
                    [this, log, payload](const absl::StatusOr<Appended>& appended) {
                      if (!appended.ok()) return;
                      world_.ledger.Observe(shadow(), state(), *log);
                      Wrote(*log, payload);
                    });
}

void SimCore::CreateStream(const v1::StreamDefinition& definition) {
  if (!up() || disk().dead()) return;
  auto created = fleet_->streams.Create(definition);
  world_.time.Trace("core: creates stream {}: {}", definition.name(),
                    created.ok() ? "ok" : Describe(created.status()));
}

void SimCore::DeleteStream(const std::string& name) {
  if (!up() || disk().dead() || !state().catalog().Find(name)) return;
  world_.ledger.StreamDeleted(name);
  auto deleted = fleet_->streams.Delete(name);
  world_.time.Trace("core: deletes stream {}: {}", name, deleted.ok() ? "ok" : Describe(deleted.status()));
  if (deleted.ok()) shadow().committed.Deleted([&](const auto& place) { return place.at.topic == name; });
}

void SimCore::CreateTable(const std::string& table) {
  if (!up() || disk().dead()) return;
  auto created = fleet_->tables.Create(SimTables::Definition(table));
  world_.time.Trace("core: creates table {}: {}", table, created.ok() ? "ok" : Describe(created.status()));
}

void SimCore::DropTable(const std::string& table) {
  if (!up() || disk().dead()) return;
  const absl::Status dropped = fleet_->tables.Drop(table);
  world_.time.Trace("core: drops table {}: {}", table, dropped.ok() ? "ok" : Describe(dropped));
}

void SimCore::SetTablePrefix(const std::string& table, const std::string& prefix) {
  if (!up() || disk().dead()) return;
  v1::SetTableRequest request;
  request.set_table(table);
  request.add_fields("prefix");
  request.mutable_settings()->set_prefix(prefix);
  auto set = fleet_->tables.Set(request);
  world_.time.Trace("core: edges have the rows {} of table {}: {}", prefix, table,
                    set.ok() ? "ok" : Describe(set.status()));
}

void SimCore::SetStream(const v1::SetStreamRequest& request) {
  if (!up() || disk().dead()) return;
  if (request.settings().on_full() == v1::DROP_OLDEST) world_.ledger.MayDropOldest(request.stream());
  auto set = fleet_->streams.Set(request);
  world_.time.Trace("core: changes stream {}: {}: {}", request.stream(),
                    request.settings().ShortDebugString(), set.ok() ? "ok" : Describe(set.status()));
}

}  // namespace selvage::sim
