#include "tests/simulation/world.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/table/table_definition.h"

namespace selvage::sim {
namespace {

constexpr absl::Duration kSimulated = absl::Hours(1);
/// After the last fault everything must have come together within this.
constexpr absl::Duration kHealedWithin = absl::Hours(1);
constexpr absl::Duration kHealStep = absl::Seconds(30);
/// More than all links together carry.
constexpr uint64_t kEventsInASecond = 200'000;

}  // namespace

World::World(uint64_t seed, bool trace, bool tables)
    : time_(trace),
      random_(seed),
      limits_(Limits::Draw(random_)),
      ledger_(time_),
      tables_(time_, seed + 1, tables),
      views_(seed, tables_.on(), limits_.edges),
      here_{time_, random_, limits_, ledger_, tables_, views_},
      core_(here_) {
  outcome_.seed = seed;
  ledger_.set_payload_step(views_.payload_step());
  // One thread: looking for deadlocks would take half of the time.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  for (int i = 0; i < limits_.edges; ++i) {
    edges_.push_back(std::make_unique<SimEdge>(here_, fmt::format("edge-{}", i),
                                               [this](SimEdge& edge) { return Dial(edge); }));
  }
  // Each run has its own mix: a fault that strikes all the time hides what others do.
  for (const Fault& fault : AllFaults()) {
    if ((tables_.on() || !fault.of_tables) && random_.OneIn(3)) faults_.push_back(fault);
  }
  const auto strikes = [this](void (World::*strike)()) {
    return std::ranges::any_of(faults_, [&](const Fault& fault) { return fault.strike == strike; });
  };
  tables_.set_expiring(!strikes(&World::ClockWrong));
  if (strikes(&World::TableMadeAgain)) tables_.AddRemade();
}

World::~World() {
  // Links refer to the logs of their nodes.
  for (auto& link : links_) {
    for (SimLink::Side side : {SimLink::kEdge, SimLink::kCore}) link->Vanish(side, absl::InfiniteDuration());
  }
}

Outcome World::Run() {
  Begin();
  const absl::Duration end = time_.now() + kSimulated;
  while (time_.now() < end && !time_.violated()) {
    if (!faults_.empty() && !random_.OneIn(4)) {
      const Fault& fault = random_.Pick(faults_);
      time_.Trace("--- {}", fault.name);
      ++outcome_.faults[fault.name];
      (this->*fault.strike)();
      Settle();
    }
    if (random_.OneIn(20)) CreateSomeStream();
    if (random_.OneIn(10)) Resolve();
    Work(time_.now() + absl::Milliseconds(random_.Spread(10, 1'000'000)));
  }
  if (!time_.violated()) Heal();
  if (!time_.violated()) CheckEnd();
  if (tables_.on()) {
    if (!time_.violated()) HealTables();
    if (!time_.violated()) CheckTables();
    if (!time_.violated()) CheckCarried();
  }
  outcome_.violation = time_.violation();
  outcome_.simulated = time_.now() - absl::Seconds(1000);
  outcome_.events = time_.events();
  outcome_.digest = time_.digest();
  outcome_.acknowledged = ledger_.acknowledged();
  return outcome_;
}

void World::Begin() {
  time_.Trace("{} edges, batches up to {} bytes", limits_.edges, limits_.batch_max);
  core_.Start();
  ShapeNetwork();
  for (int i = 0; i < limits_.up_streams; ++i) CreateSomeStream();
  if (tables_.on() && tables_.random().OneIn(2)) {
    for (const std::string& table : tables_.tables()) core_.CreateTable(table);
  }
  for (auto& edge : edges_) {
    time_.After(Soon(1, 200'000), [this, e = edge.get()] {
      if (!restarting_[e] && !retired_[e]) e->Start();
    });
  }
}

void World::Work(absl::Duration until) {
  ProduceSomething(until - time_.now());
  RunUntil(until);
}

void World::RunUntil(absl::Duration until) {
  while (!time_.violated() && time_.RunNext(until)) {
    Settle();
    if (time_.now() >= second_ends_) {
      second_ends_ = time_.now() + absl::Seconds(1);
      second_events_ = time_.events();
    } else if (time_.events() - second_events_ > kEventsInASecond) {
      time_.Violate("it does not come to rest");
    }
  }
}

void World::Settle() {
  core_.Settle();
  for (auto& edge : edges_) {
    edge->Settle();
    if (!edge->up() && !retired_[edge.get()]) RestartSoon(*edge);
  }
  if (!core_.up()) RestartSoon(core_);
  if (links_.size() > edges_.size() * 3) {
    std::erase_if(links_, [](const auto& link) { return link->over(); });
  }
}

void World::RestartSoon(SimNode& node) {
  if (std::exchange(restarting_[&node], true)) return;
  const absl::Duration wait = healed_ ? absl::Seconds(1) : Soon(10, 300'000);
  time_.After(wait, [this, &node] {
    restarting_[&node] = false;
    if (auto* edge = dynamic_cast<SimEdge*>(&node); edge != nullptr && retired_[edge]) return;
    node.Start();
  });
}

absl::Duration World::Soon(int64_t min_ms, int64_t max_ms) {
  return absl::Milliseconds(random_.Spread(static_cast<uint64_t>(min_ms), static_cast<uint64_t>(max_ms)));
}

// --- What goes on
// ----------------------------------------------------------------------------------------------

void World::ProduceSomething(absl::Duration within) {
  const auto nanoseconds = static_cast<uint64_t>(std::max<int64_t>(1, absl::ToInt64Nanoseconds(within)));
  for (auto& edge : edges_) {
    for (uint64_t n = random_.Below(6); n > 0; --n) {
      time_.After(absl::Nanoseconds(random_.Below(nanoseconds)), [e = edge.get()] { e->Produce(); });
    }
    for (uint64_t n = random_.Below(3); n > 0; --n) {
      time_.After(absl::Nanoseconds(random_.Below(nanoseconds)), [e = edge.get()] { e->UseGroups(); });
    }
    if (random_.OneIn(8)) {
      time_.After(absl::Nanoseconds(random_.Below(nanoseconds)), [e = edge.get()] { e->DeleteRecords(); });
    }
  }
  for (uint64_t n = random_.Below(3); n > 0; --n) {
    time_.After(absl::Nanoseconds(random_.Below(nanoseconds)), [this] { core_.UseGroups(); });
  }
  if (random_.OneIn(3)) {
    time_.After(absl::Nanoseconds(random_.Below(nanoseconds)), [this] { core_.DeleteRecords(); });
  }
  for (uint64_t n = random_.Below(6); n > 0; --n) {
    time_.After(absl::Nanoseconds(random_.Below(nanoseconds)), [this] { core_.Produce(); });
  }
  if (!tables_.on()) return;
  // What one writes all others get.
  for (uint64_t n = tables_.random().Below(3); n > 0; --n) {
    SimNode* node = &core_;
    if (!tables_.random().OneIn(4)) node = edges_[tables_.random().Below(edges_.size())].get();
    time_.After(absl::Nanoseconds(tables_.random().Below(nanoseconds)), [node] { node->UseTables(); });
  }
}

v1::StreamDefinition World::Definition(int number, v1::Direction direction, const std::string& prefix) {
  v1::StreamDefinition definition;
  definition.set_name(fmt::format("{}stream-{}", prefix, number));
  definition.set_direction(direction);
  // The same for each name: what disagrees waits for an operator who renames one of the two.
  definition.set_partitions(1 + number % limits_.partitions_max);
  v1::StreamSettings& settings = *definition.mutable_settings();
  settings.set_priority(static_cast<uint32_t>(random_.Below(10)));
  settings.set_weight(static_cast<uint32_t>(random_.Between(1, 10)));
  settings.set_keep_after_ack(random_.OneIn(2));
  if (random_.OneIn(3)) settings.set_retention_ms(static_cast<int64_t>(random_.Spread(1'000, 3'600'000)));
  if (random_.OneIn(3)) settings.set_retention_bytes(static_cast<int64_t>(random_.Spread(1'000, 1'000'000)));
  if (random_.OneIn(4)) {
    settings.set_on_full(v1::DROP_OLDEST);
    ledger_.MayDropOldest(definition.name());
  }
  return definition;
}

void World::CreateSomeStream() {
  const int number = streams_made_++;
  const bool down = number > 0 && random_.OneIn(3);
  if (down) {
    const v1::Direction direction = random_.OneIn(3) ? v1::DOWN_SHARED : v1::DOWN;
    return core_.CreateStream(Definition(number, direction));
  }
  // A name that would be the part of an edge that there is not.
  if (number > 0 && random_.OneIn(8)) {
    const auto earlier = static_cast<int>(random_.Below(static_cast<uint64_t>(number)));
    return AnyEdge().CreateStream(Definition(earlier, v1::UP, "plant."));
  }
  const v1::StreamDefinition definition = Definition(number, random_.OneIn(8) ? v1::LOCAL : v1::UP);
  // At the core, or first at some edges, which are offline perhaps.
  if (random_.OneIn(2) || definition.direction() == v1::LOCAL) return core_.CreateStream(definition);
  for (auto& edge : edges_) {
    if (random_.OneIn(2)) edge->CreateStream(definition);
  }
}

std::shared_ptr<SimLink> World::Dial(SimEdge& edge) {
  if (!core_.up() || core_.disk().dead() || unreachable_until_[edge.name()] > time_.now()) return nullptr;
  auto link = std::make_shared<SimLink>(here_, ++links_made_, edge, core_);
  link->Shape(SimLink::kEdge, rate_, delay_);
  link->Shape(SimLink::kCore, rate_, delay_);
  links_.push_back(link);
  core_.Link(link);
  link->Open(
      [&edge](std::function<void()> wake) { return edge.MakeUplink(std::move(wake)); },
      [&edge](const absl::Status& why, absl::Duration retry_after) { edge.LinkEnded(why, retry_after); },
      [this, &edge](std::function<void()> wake) { return core_.MakePeerLink(edge.name(), std::move(wake)); },
      [](const absl::Status&, absl::Duration) {});
  return link;
}

void World::ShapeNetwork() {
  rate_ = random_.OneIn(3) ? test::Wire::kUnlimited : static_cast<double>(random_.Spread(4'000, 10'000'000));
  delay_ = random_.OneIn(3) ? absl::ZeroDuration() : absl::Microseconds(random_.Spread(100, 800'000));
  for (auto& link : links_) {
    for (SimLink::Side side : {SimLink::kEdge, SimLink::kCore}) link->Shape(side, rate_, delay_);
  }
}

void World::Resolve(bool give_up_damaged) {
  // Of copies of one edge the operator keeps one.
  std::map<std::string, std::vector<SimEdge*>> machines;
  for (auto& edge : edges_) {
    if (!retired_[edge.get()]) machines[edge->name()].push_back(edge.get());
  }
  for (auto& [name, copies] : machines) {
    while (copies.size() > 1) {
      const size_t which = random_.Below(copies.size());
      SimEdge* away = copies[which];
      copies.erase(copies.begin() + static_cast<ptrdiff_t>(which));
      time_.Trace("the operator takes one {} away", name);
      retired_[away] = true;
      if (away->up()) away->Stop();
      // What both had is still there; the rest was with that machine alone.
      auto twin = std::find_if(copies.begin(), copies.end(), [&](SimEdge* other) {
        return away->copying() && other->copying() == away->copying();
      });
      if (twin != copies.end()) ledger_.HandOver(away->shadow(), (*twin)->shadow(), away->copying()->mark);
      ledger_.Excuse(away->shadow(), 0);
      tables_.SetBack(away->tables().copy());
    }
  }
  core_.Forgive();
  core_.ResolveAlarms(give_up_damaged);
  for (auto& edge : edges_) edge->ResolveAlarms(give_up_damaged);
  Settle();
}

// --- The end
// ---------------------------------------------------------------------------------------------------

void World::Heal() {
  time_.Trace("=== the faults end");
  healed_ = true;
  rate_ = test::Wire::kUnlimited;
  delay_ = absl::Milliseconds(20);
  unreachable_until_.clear();
  for (auto& link : links_) link->Cut(/*in_flight_lost=*/false, absl::Seconds(1), absl::Seconds(2));
  // Each node starts again with a larger disk.
  limits_.edge_disk = limits_.core_disk = {};
  std::vector<SimNode*> nodes = {&core_};
  for (auto& edge : edges_) nodes.push_back(edge.get());
  for (SimNode* node : nodes) {
    node->Stop();
    node->disk().SetCapacity(uint64_t{1} << 40);
    node->clock().SetWallError(absl::ZeroDuration());
  }
  const absl::Duration bound = time_.now() + kHealedWithin;
  const absl::Duration fetched = time_.now() + kHealedWithin / 2;
  std::string missing = "nothing was looked at";
  while (!missing.empty() && time_.now() < bound && !time_.violated()) {
    Resolve(/*give_up_damaged=*/time_.now() > fetched);
    AttachAll();
    RunUntil(time_.now() + kHealStep);
    missing = Unsettled();
  }
  if (!missing.empty()) time_.Violate("it does not come together: " + missing);
}

/// What was detached goes on where it was.
void World::AttachAll() {
  v1::SetStreamRequest attach;
  attach.add_fields("detached");
  if (core_.up()) {
    for (const v1::StreamDefinition& stream : core_.state().catalog().All()) {
      if (!stream.settings().detached()) continue;
      attach.set_stream(stream.name());
      core_.SetStream(attach);
    }
  }
  // The core may have forgotten what it told its edges, and does not know these streams: they are theirs.
  for (auto& edge : edges_) {
    if (!edge->up()) continue;
    for (const v1::StreamDefinition& stream : edge->state().catalog().All()) {
      if (!stream.settings().detached()) continue;
      attach.set_stream(stream.name());
      (void)edge->edge().SetStream(attach);
    }
  }
  Settle();
}

std::string World::HeldLog(SimNode& node) {
  for (const std::shared_ptr<EmbeddedLog>& log : node.state().embedded_logs().Logs()) {
    if (!log->held().ok()) return fmt::format("{}: {} is held", node.name(), ToString(log->origin()));
    // Reading is what finds damage.
    for (Offset next = log->state().start; node.shadow().damaged && next < log->state().end;) {
      auto entries = log->Read(next, SIZE_MAX, /*from_disk=*/true);
      if (!entries.ok())
        return fmt::format("{}: {}: {}", node.name(), ToString(log->origin()), Describe(entries.status()));
      next = entries->back().to;
    }
  }
  return "";
}

std::string World::Detached(SimNode& node) {
  for (const v1::StreamDefinition& stream : node.state().catalog().All()) {
    if (stream.settings().detached()) return fmt::format("{}: {} is detached", node.name(), stream.name());
  }
  return "";
}

/// An alarm about what is over by now.
std::string World::StaleAlarm(SimNode& node) {
  for (const v1::AlarmDocument& alarm : node.state().alarms().All(/*also_resolved=*/false)) {
    for (const char* kind : {"clock_skew", "link_refused", "spec_refused", "flow_held"}) {
      if (alarm.kind() == kind)
        return fmt::format("{}: the alarm {} of {} stays", node.name(), kind, alarm.subject());
    }
  }
  return "";
}

std::string World::Unsettled() {
  if (!core_.up()) return "the core is down";
  if (std::string detached = Detached(core_); !detached.empty()) return detached;
  if (std::string stale = StaleAlarm(core_); !stale.empty()) return stale;
  if (std::string held = HeldLog(core_); !held.empty()) return held;
  for (auto& edge : edges_) {
    if (retired_[edge.get()]) continue;
    if (!edge->up()) return edge->name() + " is down";
    if (std::string detached = Detached(*edge); !detached.empty()) return detached;
    if (std::string held = HeldLog(*edge); !held.empty()) return held;
    if (std::string stale = StaleAlarm(*edge); !stale.empty()) return stale;
    if (edge->link() == nullptr || !edge->link()->established(SimLink::kEdge))
      return edge->name() + " has no link";
    const uint64_t wanted = core_.fleet().specs.For(edge->name()).generation();
    if (edge->edge().spec().generation() != wanted) return edge->name() + " has another spec";
    const Slot slot = *core_.fleet().edges.SlotOf(edge->name());
    for (const auto& flow : edge->edge().UpFlows()) {
      const LogState state = flow->log().state();
      const LogOrigin& origin = flow->log().origin();
      // A stream that the edge heard of just now is offered in a moment, though it is empty.
      const std::shared_ptr<Log> replica =
          core_.state().logs().Find({edge->name(), slot, origin.stream, origin.partition});
      if (replica == nullptr)
        return fmt::format("{}: the core has no replica of {}", edge->name(), ToString(origin));
      if (flow->log().acknowledged() != state.end && state.end != Offset(0)) {
        return fmt::format("{}: {} is acknowledged up to {} of {}", edge->name(),
                           ToString(flow->log().origin()),
                           flow->log().acknowledged().value_or(Offset(-1)).value(), state.end.value());
      }
      // What was acknowledged may be all that a copy of this store has, of which another one wrote on: it is
      // about to come back as a new store.
      if (replica->state().position() != state.position()) {
        return fmt::format("{}: {} ends at {}, its replica at {}", edge->name(), ToString(origin),
                           state.end.value(), replica->state().end.value());
      }
    }
    auto down = core_.fleet().logs.Down(edge->name());
    if (!down.ok()) return "down logs: " + Describe(down.status());
    for (const EdgeLogs::DownLog& flow : *down) {
      const LogOrigin& origin = flow.log->origin();
      const std::shared_ptr<Log> replica =
          edge->state().logs().Find({std::string(kCoreOrigin), Slot(0), origin.stream, origin.partition});
      if (replica == nullptr) return fmt::format("{}: no replica of {}", edge->name(), ToString(origin));
      const LogState from = flow.log->state(), to = replica->state();
      // The ends alone do not tell: a log that was just forked may end where the replica of the old one does.
      if (from.position() != to.position()) {
        return fmt::format("{}: {} ends at {} of {}, in log {} of {}", edge->name(), ToString(origin),
                           to.end.value(), from.end.value(), to.id.hex(), from.id.hex());
      }
    }
  }
  return "";
}

void World::CheckEnd() {
  time_.Trace("=== everything is looked at");
  ledger_.CheckHeld(core_.shadow(), core_.state());
  core_.CheckOffsets();
  for (auto& edge : edges_) {
    if (retired_[edge.get()]) continue;
    ledger_.CheckHeld(edge->shadow(), edge->state());
    edge->CheckOffsets();
    const Slot slot = *core_.fleet().edges.SlotOf(edge->name());
    for (const auto& flow : edge->edge().UpFlows()) {
      const LogOrigin& origin = flow->log().origin();
      const std::shared_ptr<Log> replica =
          core_.state().logs().Find({edge->name(), slot, origin.stream, origin.partition});
      if (replica == nullptr) {
        time_.Violate(fmt::format("{}: the core has no replica of {}", edge->name(), ToString(origin)));
      } else {
        ledger_.CheckReplica(flow->log(), *replica);
      }
    }
    auto down = core_.fleet().logs.Down(edge->name());
    for (const EdgeLogs::DownLog& flow : *down) {
      const LogOrigin& origin = flow.log->origin();
      const std::shared_ptr<Log> replica =
          edge->state().logs().Find({std::string(kCoreOrigin), Slot(0), origin.stream, origin.partition});
      ledger_.CheckReplica(*flow.log, *replica);
    }
  }
  ledger_.CheckDelivered();
}

// --- Tables
// ---------------------------------------------------------------------------------------------------

void World::HealTables() {
  time_.Trace("=== all clocks reach one time");
  // What was written by a clock that was ahead waits until all have that time; and rows that expired are gone
  // only when nobody can put off their expiry any more.
  const absl::Duration ahead = tables_.expiring() ? absl::Hours(30) : absl::Hours(1);
  core_.clock().SetWallError(clocks_ahead_ + ahead);
  for (auto& edge : edges_) edge->clock().SetWallError(clocks_ahead_ + ahead);
  RunUntilTablesSettle();
}

void World::RunUntilTablesSettle() {
  const absl::Duration bound = time_.now() + kHealedWithin;
  std::string missing = "nothing was looked at";
  while (!missing.empty() && time_.now() < bound && !time_.violated()) {
    RunUntil(time_.now() + kHealStep);
    missing = TablesUnsettled();
  }
  if (!missing.empty()) time_.Violate("the tables do not come together: " + missing);
}

std::string World::TablesUnsettled() {
  if (!core_.up()) return "the core is down";
  for (auto& edge : edges_) {
    if (retired_[edge.get()]) continue;
    if (!edge->up()) return edge->name() + " is down";
    if (edge->link() == nullptr || !edge->link()->established(SimLink::kEdge))
      return edge->name() + " has no link";
  }
  for (const std::string& table : tables_.tables()) {
    if (std::string unsettled = TableUnsettled(table); !unsettled.empty()) return unsettled;
  }
  return "";
}

/// True when `sink` has not read all that `source` has for it, also if it has the same by other ways.
bool HasUnread(SimNode& source, SimNode& sink, const std::string& table, const std::string& prefix) {
  table::TableStore& tables = source.state().tables();
  const StoreId reader = sink.state().identity().store_id();
  const auto cursor = sink.state().tables().Cursor(table, source.state().identity().store_id());
  if (!cursor.ok() || !*cursor || (*cursor)->intervals > 0) return true;
  const table::FeedPosition& at = (*cursor)->feed;
  const auto from = tables.epochs().Resume(at.epoch, at.sequence);
  if (!from) return true;
  const auto piece = tables.ReadFeed(table, {.peer = reader, .full_to = (*cursor)->full_to, .prefix = prefix},
                                     *from, 1 << 20);
  return !piece.ok() || !piece->rows.empty() || piece->to < tables.End().sequence;
}

std::string World::TableUnsettled(const std::string& table) {
  const auto rows = [&](SimNode& node, const std::string& prefix) {
    std::map<std::string, std::string> found;
    const auto page = node.state().tables().Scan(
        table, {.prefix = prefix, .rows_max = 100'000, .bytes_max = size_t{1} << 40});
    if (!page.ok()) return std::map<std::string, std::string>{{"error", Describe(page.status())}};
    for (const table::RowView& row : page->rows) found[row.key] = row.version.hex() + " " + row.json;
    return found;
  };
  const auto wanted = core_.state().tables().Find(table);
  for (auto& edge : edges_) {
    if (retired_[edge.get()]) continue;
    const auto have = edge->state().tables().Find(table);
    if (!have && !wanted) continue;
    if (!have || !wanted || have->incarnation() != wanted->incarnation()) {
      return fmt::format("table {} is another at {} than at the core", table, edge->name());
    }
    const std::string prefix = table::PrefixOfEdge(wanted->settings(), edge->name());
    const auto at_core = rows(core_, prefix), at_edge = rows(*edge, prefix);
    for (const auto& [key, row] : at_core) {
      const auto found = at_edge.find(key);
      if (found != at_edge.end() && found->second == row) continue;
      return fmt::format("table {}: row {} is {} at the core, and {} at {}", table, key, row,
                         found == at_edge.end() ? "not" : found->second, edge->name());
    }
    for (const auto& [key, row] : at_edge) {
      if (at_core.contains(key)) continue;
      return fmt::format("table {}: row {} is {} at {}, and not at the core", table, key, row, edge->name());
    }
    if (HasUnread(*edge, core_, table, ""))
      return fmt::format("table {}: the core reads {}", table, edge->name());
    if (HasUnread(core_, *edge, table, prefix))
      return fmt::format("table {}: {} reads the core", table, edge->name());
    if (edge->state().tables().Facts(table)->quarantined > 0)
      return fmt::format("table {}: changes wait for their time at {}", table, edge->name());
  }
  if (wanted && core_.state().tables().Facts(table)->quarantined > 0)
    return fmt::format("table {}: changes wait for their time at the core", table);
  return "";
}

void World::CheckTables() {
  std::vector<SimNode*> nodes = {&core_};
  for (auto& edge : edges_) {
    if (!retired_[edge.get()]) nodes.push_back(edge.get());
  }
  for (SimNode* node : nodes) {
    while (node->state().committer().CommitOnce()) {
    }
    node->Observe();
    node->CheckTableInvariants();
    node->tables().CheckFollowed(node->state().tables());
    node->CheckViews();
  }
  tables_.CheckEnd(core_.tables().copy());
}

void World::CheckCarried() {
  for (auto& link : links_) link->Cut(/*in_flight_lost=*/true, absl::Seconds(1), absl::Seconds(1));
  RunUntil(time_.now() + absl::Seconds(2));
  RunUntilTablesSettle();
  RunUntil(time_.now() + kHealStep);
  const auto carried = [&](SimLink::Side to) {
    std::map<std::string, uint64_t> rows;
    for (auto& edge : edges_) {
      if (!retired_[edge.get()] && edge->link() != nullptr)
        rows[edge->name()] = edge->link()->rows_carried(to);
    }
    return rows;
  };
  if (time_.violated()) return;
  for (const SimLink::Side to : {SimLink::kEdge, SimLink::kCore}) {
    for (const auto& [edge, rows] : carried(to)) {
      if (rows == 0) continue;
      return time_.Violate(fmt::format("{} rows were sent {} {}, which has everything", rows,
                                       to == SimLink::kEdge ? "to" : "by", edge));
    }
  }
  SimEdge& writer = AnyEdge();
  if (!writer.state().tables().Find(TableLedger::kShared)) return;
  writer.tables().PutOne(writer.state().tables());
  Settle();
  RunUntil(time_.now() + kHealStep);
  for (const SimLink::Side to : {SimLink::kEdge, SimLink::kCore}) {
    for (const auto& [edge, rows] : carried(to)) {
      const uint64_t expected = (edge == writer.name()) == (to == SimLink::kCore) ? 1 : 0;
      if (rows == expected) continue;
      time_.Violate(fmt::format("{} wrote one row, and {} were sent {} {}", writer.name(), rows,
                                to == SimLink::kEdge ? "to" : "by", edge));
    }
  }
}

}  // namespace selvage::sim
