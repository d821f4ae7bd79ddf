#include "tests/simulation/sim_views.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/stream/meta_keys.h"

namespace selvage::sim {
namespace {

constexpr size_t kViewReadBytes = 1 << 20;
/// More than the steps that any world needs.
constexpr int kStepsAtEnd = 200'000;

/// How far each log was read, as stored (docs/formats.md).
std::map<LogNumber, v1::StoredViewLog> StoredPositions(KvStore& store, const std::string& incarnation) {
  std::map<LogNumber, v1::StoredViewLog> found;
  const std::string keys = "view_log/" + incarnation;
  auto cursor = store.Scan(Family::kMeta, keys, PrefixEnd(keys));
  for (cursor->Seek(keys); cursor->Valid(); cursor->Next()) {
    const LogNumber log(LoadBig<uint32_t>(cursor->key().data() + keys.size()));
    (void)found[log].ParseFromString(std::string(cursor->value()));
  }
  return found;
}

std::vector<std::string> TablesOf(const v1::ViewDefinition& view) {
  return {view.name(), view.name() + ".rebuild"};
}

}  // namespace

void SimViews::Opened(NodeState& state, SimDisk& disk) {
  if (!world_.views.on()) return;
  CatchUp(state, disk.views, /*started=*/true);
  for (const v1::ViewDefinition& view : state.views().All()) {
    for (const std::string& table : TablesOf(view)) {
      const auto definition = state.tables().Find(table);
      if (definition) Compare(state, table, disk.views[definition->incarnation()], /*all=*/true);
    }
  }
}

void SimViews::Feed(NodeState& state, SimDisk& disk) {
  if (!world_.views.on()) return;
  if (state.views().All().empty()) {
    if (!world_.views.HasView(node_)) return;
    Make(state);
  } else if (world_.views.random().OneIn(50)) {
    const absl::Status rebuilding = state.views().Rebuild(ViewRecords::kView);
    world_.time.Trace("{}: the view is built anew: {}", node_, rebuilding.ok() ? "ok" : Describe(rebuilding));
  }
  bool more = true;
  for (uint64_t steps = world_.views.random().Between(1, 3); more && steps > 0; --steps) {
    if (disk.dead() || world_.time.violated()) return;
    more = Run(state, disk);
  }
}

void SimViews::Make(NodeState& state) {
  const v1::ViewDefinition definition = world_.views.DefinitionAt(node_);
  const auto made = state.views().Create(definition);
  if (ErrorKind(made.status()) == "unknown_stream") return;
  world_.time.Trace("{}: the view of {} is made: {}", node_, definition.stream(),
                    made.ok() ? definition.ShortDebugString() : Describe(made.status()));
}

bool SimViews::Run(NodeState& state, SimDisk& disk) {
  starts_.clear();
  for (const auto& log : state.embedded_logs().Logs()) starts_[log->number()] = log->state().log_start();
  const uint64_t groups = state.committer().stats().groups;
  const auto more = state.views().RunOnce();
  if (disk.dead()) return false;
  if (!more.ok()) world_.time.Trace("{}: the view is not fed: {}", node_, Describe(more.status()));
  if (state.committer().stats().groups != groups) CatchUp(state, disk.views, /*started=*/false);
  return more.ok() && *more;
}

void SimViews::CatchUp(NodeState& state, ViewModel& model, bool started) {
  std::set<std::string> there;
  for (const v1::ViewDefinition& view : state.views().All()) {
    for (const std::string& table : TablesOf(view)) {
      const auto definition = state.tables().Find(table);
      if (!definition) continue;
      there.insert(definition->incarnation());
      test::ViewBuildModel& build = model[definition->incarnation()];
      for (const auto& [number, now] : StoredPositions(state.store(), definition->incarnation())) {
        const auto known = build.places.find(number);
        const bool is_known = known != build.places.end() &&
                              known->second.stored.SerializeAsString() == now.SerializeAsString();
        if (is_known || build.unknown() || world_.time.violated()) continue;
        const std::shared_ptr<EmbeddedLog> log = state.embedded_logs().FindEmbedded(number);
        if (log != nullptr && CatchUpWith(*log, view, now, build, started)) continue;
        world_.time.Trace("{}: nobody can tell any more what {} has read", node_, table);
        build.set_unknown();
      }
      Compare(state, table, build, /*all=*/false);
      if (build.unknown()) (void)state.views().Rebuild(view.name());
    }
  }
  std::erase_if(model, [&](const auto& build) { return !there.contains(build.first); });
}

bool SimViews::CatchUpWith(EmbeddedLog& log, const v1::ViewDefinition& view, const v1::StoredViewLog& now,
                           test::ViewBuildModel& build, bool started) {
  const LogState held = log.state();
  const bool is_first = !build.places.contains(log.number());
  test::ViewBuildModel::Place& place = build.places[log.number()];
  const v1::StoredViewLog before = place.stored;
  const auto name = [&] { return ToString(log.origin()); };
  // What was taken away since, and in the same group, nobody finds here.
  if (is_first && !started && starts_[log.number()] != held.log_start()) return false;
  const auto trimmed = static_cast<int64_t>(now.trimmed() - before.trimmed());
  const Offset from = is_first ? held.log_start() : Offset(before.next()) + trimmed;
  if (trimmed < 0 || (is_first && trimmed != 0) || (trimmed > 0 && from > held.log_start())) {
    Violate(fmt::format("{}: it passes over records as trimmed, from {} to {}, and the log begins at {}",
                        name(), before.next(), from.value(), held.log_start().value()));
  }
  if (from < held.start) return false;

  if (trimmed > 0) place.entry_from = Offset(-1);
  uint64_t records = 0, lost = 0;
  const Offset end(now.next());
  for (Offset next = from; next < end;) {
    const auto entries = log.Read(next, kViewReadBytes);
    if (!entries.ok() || entries->empty()) return false;
    if (next == from && !is_first) CheckHistory(log, place, now, entries->front());
    for (const Entry& entry : *entries) {
      if (next >= end) break;
      if (entry.kind == EntryKind::kGap) {
        lost += static_cast<uint64_t>(entry.to - next);
        if (entry.to > end) Violate(fmt::format("{}: it stops within a gap, at {}", name(), end.value()));
      } else {
        const BatchHeader header = *ParseBatchHeader(entry.body.view());
        const auto& batch = world_.views.Of(static_cast<uint64_t>(header.base_timestamp));
        for (; next < std::min(entry.to, end); ++next, ++records) {
          build.Read(view, place, {entry.max_timestamp, log.number(), next},
                     batch[static_cast<size_t>(next - entry.from)]);
        }
      }
      next = entry.to;
      place.entry_from = next > end ? entry.from : entry.to;
      place.hash = next > end ? entry.hash_before : entry.hash_after;
    }
  }
  const uint64_t records_said = now.records() - before.records(), lost_said = now.lost() - before.lost();
  if (records != records_said || lost != lost_said) {
    // The start may have been moved since, in the same group.
    if (is_first && started) return false;
    Violate(fmt::format("{}: from {} to {} are {} records, and {} lost ones: the view says {} and {}", name(),
                        from.value(), end.value(), records, lost, records_said, lost_said));
  }
  world_.time.Trace("{}: {} is read from {} to {} of {}: {} records, {} lost, {} trimmed{}", node_, name(),
                    before.next(), end.value(), held.end.value(), records, lost, trimmed,
                    now.has_diverged_at() ? ", of another log" : "");
  place.stored = now;
  return true;
}

void SimViews::CheckHistory(const EmbeddedLog& log, const test::ViewBuildModel::Place& before,
                            const v1::StoredViewLog& now, const Entry& first) {
  const bool same_place = first.from == before.entry_from;
  const bool another = before.entry_from >= Offset(0) &&
                       (same_place ? first.hash_before != before.hash : first.kind == EntryKind::kBatch);
  v1::StoredViewLog expected = before.stored;
  if (another && !expected.has_diverged_at()) expected.set_diverged_at(before.stored.next());
  if (expected.has_diverged_at() == now.has_diverged_at() && expected.diverged_at() == now.diverged_at()) {
    return;
  }
  Violate(
      fmt::format("{}: at {} it is {} that was read before, and the view says {}", ToString(log.origin()),
                  before.stored.next(), another ? "another log than the one" : "the log",
                  now.has_diverged_at() ? fmt::format("another from {} on", now.diverged_at()) : "nothing"));
}

void SimViews::Compare(NodeState& state, const std::string& table, test::ViewBuildModel& build, bool all) {
  const std::set<std::string> touched = build.TakeTouched();
  if (build.unknown() || world_.time.violated()) return;
  if (!all) {
    for (const std::string& key : touched) {
      const auto row = state.tables().Get(table, key);
      if (!row.ok()) return Violate(fmt::format("{}: row {}: {}", table, key, Describe(row.status())));
      CompareRow(table, key, *row ? std::optional((*row)->json) : std::nullopt, build);
    }
    return;
  }
  const auto page = state.tables().Scan(table, {.rows_max = 1'000'000, .bytes_max = size_t{1} << 40});
  if (!page.ok()) return Violate(fmt::format("{} cannot be read: {}", table, Describe(page.status())));
  std::set<std::string> missing = build.Keys();
  for (const table::RowView& row : page->rows) {
    CompareRow(table, row.key, row.json, build);
    missing.erase(row.key);
  }
  for (const std::string& key : missing) CompareRow(table, key, std::nullopt, build);
}

void SimViews::CompareRow(const std::string& table, const std::string& key,
                          const std::optional<std::string>& row, test::ViewBuildModel& build) {
  const std::optional<std::string> expected = build.Row(key);
  if (row == expected) return;
  // Where clocks are wrong tables may forget deletes at any time.
  if (!world_.tables.expiring() && build.TakeInstead(key, row)) return;
  const auto shown = [](const std::optional<std::string>& json) {
    return json ? json->substr(0, 200) : std::string("not there");
  };
  Violate(fmt::format("{}: row {} is {}, and the records up to its position make it {}", table, key,
                      shown(row), shown(expected)));
}

void SimViews::CheckEnd(NodeState& state, SimDisk& disk) {
  if (!world_.views.on()) return;
  bool more = true;
  for (int steps = 0; more && !world_.time.violated(); ++steps) {
    more = Run(state, disk);
    if (steps > kStepsAtEnd) return Violate("a view does not come to the end of its logs");
  }
  Opened(state, disk);
  CheckRead(state);
}

void SimViews::CheckRead(NodeState& state) {
  for (const v1::ViewDefinition& view : state.views().All()) {
    const auto definition = state.tables().Find(view.name());
    if (!definition) return Violate("a view has no table");
    const Stored stored = StoredPositions(state.store(), definition->incarnation());
    for (const auto& log : state.embedded_logs().Logs()) {
      if (log->origin().stream != view.stream() || !log->held().ok()) continue;
      const LogState held = log->state();
      if (held.log_start() >= held.end) continue;
      const auto at = stored.find(log->number());
      if (at != stored.end() && Offset(at->second.next()) >= held.end) continue;
      Violate(fmt::format("{} ends at {}, and its view has read it to {}", ToString(log->origin()),
                          held.end.value(), at == stored.end() ? -1 : at->second.next()));
    }
  }
}

void SimViews::Violate(const std::string& what) {
  world_.time.Violate(fmt::format("{}: {}", node_, what));
}

}  // namespace selvage::sim
