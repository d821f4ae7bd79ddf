#include "tests/simulation/ledger.h"

#include <algorithm>
#include <functional>

#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"
#include "tests/simulation/sim_capture.h"

namespace selvage::sim {
namespace {

size_t Digest(const Entry& entry) {
  return std::hash<std::string_view>()(entry.body.view());
}

uint64_t PayloadOf(const Entry& entry) {
  return static_cast<uint64_t>(ParseBatchHeader(entry.body.view())->base_timestamp);
}

bool IsSource(NodeState& state, const LogOrigin& origin) {
  if (origin.edge.empty()) return true;
  auto definition = state.catalog().Find(origin.stream);
  return !state.options().is_edge && definition && definition->direction() != v1::UP;
}

constexpr size_t kReadBytes = 1 << 20;

}  // namespace

std::string Ledger::Describe(const Entry& entry) {
  std::string what = entry.kind == EntryKind::kBatch
                         ? fmt::format("batch {}", PayloadOf(entry))
                         : fmt::format("gap {}", GapReasonName(DecodeGap(entry.body.view())->reason));
  return fmt::format("[{}, {}) {} chain {:x} to {:x}", entry.from.value(), entry.to.value(), what,
                     entry.hash_before.value(), entry.hash_after.value());
}

// --- What the run did
// ------------------------------------------------------------------------------------------

void Ledger::SetBack(Shadow& disk, uint64_t to) {
  disk.set_back = true;
  set_back_.insert(disk.node);
  auto forked = forked_.find(disk.node);
  if (forked != forked_.end() && forked->second >= to) may_repeat_.insert(disk.node);
}

void Ledger::Excuse(const Shadow& disk, uint64_t since) {
  for (auto& [number, payload] : payloads_) {
    if (payload.disk == &disk && payload.mark > since) payload.excused = true;
  }
}

void Ledger::EntryDamaged(const Shadow& disk, EmbeddedLog& log, Offset at) {
  const bool at_core = !log.origin().edge.empty() && log.origin().edge != kCoreOrigin;
  if (at_core) damaged_at_core_.insert({log.number(), log.state().id});
  if (log.origin().edge.empty()) damaged_edges_.insert(disk.node);
  // Of two machines with one store, the other may have brought the core another entry at this offset. What
  // cannot be read cannot be told from that one: its loss shows at the edge, as a gap and an alarm, and not
  // at the core.
  if (!log.origin().edge.empty() || !copied_.contains(disk.node)) return;
  auto entries = log.Read(at, 1);
  if (!entries.ok() || entries->empty()) return;
  accounted_[{disk.node, {log.origin().stream, log.origin().partition}}].emplace_back(at,
                                                                                      entries->front().to);
}

void Ledger::HandOver(const Shadow& from, const Shadow& to, uint64_t until) {
  for (auto& [number, payload] : payloads_) {
    if (payload.disk == &from && payload.mark <= until) payload.disk = &to;
  }
}

void Ledger::CoreRegressed(std::optional<uint64_t> backup) {
  // It has again what it held before it was lost, and an edge has meanwhile forked against what there was
  // instead.
  const auto lost = backup ? core_losses_.upper_bound(*backup) : core_losses_.end();
  if (lost != core_losses_.end()) {
    for (const auto& [edge, forked] : forked_) {
      if (forked >= *lost) may_repeat_.insert(edge);
    }
  }
  core_regressed_ = mark();
  core_losses_.insert(mark());
  for (auto& [number, payload] : payloads_) {
    if (payload.delivered) payload.regressed = true;
    payload.delivered = false;
  }
  for (const auto& [number, place] : at_core_) were_at_core_.insert(number);
  at_core_.clear();
}

void Ledger::Acknowledged(const Shadow& disk, const std::string& edge, const LogOrigin& origin,
                          uint64_t number, Offset end) {
  Payload& payload = payloads_[number];
  payload.mark = ++acknowledged_;
  payload.disk = &disk;
  payload.edge = edge;
  payload.origin = origin;
  payload.last = end - 1;
  // Of what was acknowledged only when it was sent again, the core may have heard before, and lost it since.
  payload.regressed = were_at_core_.contains(number);
  if (auto there = at_core_.find(number); there != at_core_.end()) {
    payload.delivered = true;
    if (there->second.to != end) {
      time_.Violate(fmt::format("batch {} was acknowledged by {} up to {}, but the core has it up to {}",
                                number, edge, end.value(), there->second.to.value()));
    }
  }
  time_.Trace("{}: batch {} acknowledged, {} up to {}", disk.node, number, ToString(origin), end.value());
}

// --- What clients and operators do
// ------------------------------------------------------------------------------

void Ledger::DeletionAsked(Shadow& shadow, const EmbeddedLog& log, Offset to) {
  auto seen = shadow.seen.find(log.number());
  if (seen != shadow.seen.end()) seen->second.deletion_asked = std::max(seen->second.deletion_asked, to);
}

void Ledger::RecordsDeleted(Shadow& shadow, const EmbeddedLog& log, const LogState& before, Offset to,
                            std::optional<Offset> at_most) {
  const LogState now = log.state();
  if (at_most && to > *at_most) {
    return time_.Violate(fmt::format("{}: {}: records before {} are deleted, and are replicated up to {}",
                                     shadow.node, ToString(log.origin()), to.value(), at_most->value()));
  }
  if (now.log_start() < to || now.log_start() > std::max(to, before.log_start()) ||
      now.start > std::max(to, before.start) || now.end < before.end) {
    return time_.Violate(fmt::format(
        "{}: {}: records before {} are deleted, and it now holds {} to {}, shown from {}", shadow.node,
        ToString(log.origin()), to.value(), now.start.value(), now.end.value(), now.log_start().value()));
  }
  auto seen = shadow.seen.find(log.number());
  if (seen != shadow.seen.end()) seen->second.deleted = std::max(seen->second.deleted, to);
}

void Ledger::StaysHere(const Shadow& disk, const std::string& stream, uint64_t payload) {
  detached_[{disk.node, stream}].insert(payload);
}

void Ledger::MayLeave(const Shadow& disk, const std::string& stream) {
  detached_.erase({disk.node, stream});
}

// --- Observations
// ----------------------------------------------------------------------------------------------

void Ledger::Observe(Shadow& shadow, NodeState& state, EmbeddedLog& log) {
  if (!log.held().ok()) {
    if (ErrorKind(log.held()) != "unknown_stream" && !shadow.lost_tail && !shadow.damaged) {
      time_.Violate(fmt::format("{}: {} is held: {}", shadow.node, ToString(log.origin()),
                                selvage::Describe(log.held())));
    }
    if (!state.options().is_edge) held_at_core_.insert(log.number());
    // Once an operator accepted the loss it may end earlier, or with a gap.
    shadow.seen.erase(log.number());
    return;
  }
  LogState now = log.state();
  auto [at, added] = shadow.seen.try_emplace(log.number());
  Shadow::Seen& seen = at->second;
  // A source's log that was branched, or adopted another's place, is another log.
  if (added || seen.id != now.id || seen.base != now.base) {
    if (!added && !seen.source) {
      return time_.Violate(fmt::format("{}: {} became another log", shadow.node, ToString(log.origin())));
    }
    if (!added) {
      forked_[shadow.node] = mark();
      const auto definition = state.catalog().Find(log.origin().stream);
      if (definition && definition->settings().detached())
        forked_detached_.emplace(shadow.node, log.origin().stream);
      if (copied_.contains(shadow.node)) may_repeat_.insert(shadow.node);
    }
    // A branch begins where it shows what the log before it did; an adopted one holds nothing before its
    // base.
    if (!added && now.log_start() < std::min(now.base, seen.deleted)) {
      time_.Violate(fmt::format("{}: {} shows deleted records again in its new log, from {}", shadow.node,
                                ToString(log.origin()), now.log_start().value()));
    }
    const LogPosition first = log.BoundaryAtOrBefore(std::max(now.base, now.start)).value_or(now.position());
    seen = {log.origin(),
            IsSource(state, log.origin()),
            now.id,
            now.base,
            0,
            first.offset,
            first.hash,
            LeaderEpoch(0),
            now.deleted_to,
            now.deleted_to};
  }
  CheckBounds(shadow, seen, log);
  if (!state.options().is_edge) {
    Offset& trimmed = trimmed_at_core_[{log.number(), now.id}];
    trimmed = std::max(trimmed, now.start);
  }
  if (std::exchange(seen.trimmed, now.bytes_before_start) != now.bytes_before_start && now.start < now.end) {
    // What was dropped without being acknowledged stands at the start, as a gap.
    auto first = log.Read(now.start, 1);
    if (first.ok() && first->front().kind == EntryKind::kGap) {
      time_.Trace("{}: {}: begins with {}", shadow.node, ToString(log.origin()), Describe(first->front()));
      CheckGap(shadow, log.origin(), first->front());
    }
  }
  while (seen.end < now.end && !time_.violated()) {
    auto entries = log.Read(std::max(seen.end, now.start), kReadBytes);
    if (absl::IsDataLoss(entries.status()) && shadow.damaged) {
      auto damage = log.FindDamage(std::max(seen.end, now.start));
      if (damage.ok() && *damage) {
        seen.end = (*damage)->to;
        seen.hash = (*damage)->hash_after;
        continue;
      }
      if (damage.ok()) continue;  // whole again
    }
    if (!entries.ok()) {
      return time_.Violate(fmt::format("{}: {} cannot be read at {}: {}", shadow.node, ToString(log.origin()),
                                       seen.end.value(), selvage::Describe(entries.status())));
    }
    for (const Entry& entry : *entries) {
      if (entry.from == seen.end && entry.hash_before != seen.hash) {
        time_.Violate(fmt::format("{}: {}: {} does not follow chain {:x}", shadow.node,
                                  ToString(log.origin()), Describe(entry), seen.hash.value()));
      }
      // What was dropped before anybody looked is one gap by now.
      if (entry.from != seen.end && entry.kind != EntryKind::kGap && !shadow.damaged) {
        time_.Violate(fmt::format("{}: {}: {} does not follow offset {}", shadow.node, ToString(log.origin()),
                                  Describe(entry), seen.end.value()));
      }
      // A gap of an edge that was set back may stand for what another machine wrote in a later epoch.
      const bool bridged = entry.kind == EntryKind::kGap && set_back_.contains(log.origin().edge);
      if (LeaderEpochOf(entry) < seen.epoch && !bridged) {
        time_.Violate(fmt::format("{}: {}: the leader epoch goes back at {}", shadow.node,
                                  ToString(log.origin()), Describe(entry)));
      }
      time_.Trace("{}: {}: {} in log {} (number {}, slot {})", shadow.node, ToString(log.origin()),
                  Describe(entry), now.id.hex().substr(0, 6), log.number().value(),
                  log.origin().slot.value());
      CheckEntry(shadow, seen, entry);
      if (!seen.source) CheckMayBeHere(shadow, log.origin(), entry);
      if (!state.options().is_edge && !seen.source) Delivered(state, log, entry);
      seen.end = entry.to;
      seen.hash = entry.hash_after;
      seen.epoch = LeaderEpochOf(entry);
    }
  }
}

void Ledger::CheckBounds(const Shadow& shadow, const Shadow::Seen& seen, const EmbeddedLog& log) {
  const LogState now = log.state();
  if (now.end < std::max({now.start, now.base, now.deleted_to})) {
    time_.Violate(fmt::format("{}: {} ends at {}, begins at {}, has its base at {} and is deleted up to {}",
                              shadow.node, ToString(log.origin()), now.end.value(), now.start.value(),
                              now.base.value(), now.deleted_to.value()));
  }
  if (now.log_start() < seen.deleted) {
    time_.Violate(fmt::format("{}: {}: records before {} were deleted, and it is shown from {}", shadow.node,
                              ToString(log.origin()), seen.deleted.value(), now.log_start().value()));
  }
  if (now.deleted_to > seen.deletion_asked) {
    time_.Violate(fmt::format("{}: {}: records are deleted up to {}, which nobody asked for", shadow.node,
                              ToString(log.origin()), now.deleted_to.value()));
  }
}

void Ledger::CheckMayBeHere(const Shadow& shadow, const LogOrigin& origin, const Entry& entry) {
  if (entry.kind == EntryKind::kGap) return;
  const std::string source = origin.edge == kCoreOrigin ? "core" : origin.edge;
  const auto detached = detached_.find({source, origin.stream});
  if (detached == detached_.end() || !detached->second.contains(PayloadOf(entry))) return;
  time_.Violate(fmt::format("{}: {}: {} was written while the stream was detached, and it still is",
                            shadow.node, ToString(origin), Describe(entry)));
}

void Ledger::CheckEntry(const Shadow& shadow, const Shadow::Seen& log, const Entry& entry) {
  if (entry.kind == EntryKind::kGap) return CheckGap(shadow, log.origin, entry);
  const Known known{entry.to, entry.hash_before, entry.hash_after, Digest(entry)};
  std::vector<Known>& there = known_[log.id][entry.from];
  if (std::find(there.begin(), there.end(), known) != there.end()) return;
  if (!log.source) {
    return time_.Violate(fmt::format("{}: {}: {} is nothing that a source of log {} ever had", shadow.node,
                                     ToString(log.origin), Describe(entry), log.id.hex()));
  }
  if (!there.empty() && !shadow.set_back) {
    return time_.Violate(fmt::format("{}: {}: offset {} was given twice", shadow.node, ToString(log.origin),
                                     entry.from.value()));
  }
  there.push_back(known);
}

void Ledger::CheckGap(const Shadow& shadow, const LogOrigin& origin, const Entry& entry) {
  const Gap gap = *DecodeGap(entry.body.view());
  bool founded = false;
  switch (gap.reason) {
    case GapReason::kDroppedForSpace:
    case GapReason::kExpired:
      founded = drop_oldest_.contains(origin.stream);
      break;
    case GapReason::kLostWithDisk:
      tails_lost_ = tails_lost_ || shadow.lost_tail;
      lost_tails_.insert(origin.edge.empty() ? shadow.node : origin.edge);
      founded = tails_lost_ || flipped_;
      break;
    case GapReason::kReplicaRegressed:
      // Who joins late gets what a shared stream still holds; and a stream may be deleted at the core before
      // the edge that made it heard that the core knew it. A replica whose end was damaged resumes where it
      // can be read. The new log of an edge that was set back goes on from a former one, of which the core
      // holds what is trimmed before it is sent again.
      founded = shadow.set_back || shadow.damaged || origin.edge == kCoreOrigin ||
                deleted_.contains(origin.stream) || set_back_.contains(origin.edge);
      break;
    case GapReason::kCorrupt:
      founded = flipped_;
      break;
    case GapReason::kCompacted:  // no stream of these worlds is compacted
      break;
  }
  if (!founded) {
    time_.Violate(
        fmt::format("{}: {}: nothing gave reason for {}", shadow.node, ToString(origin), Describe(entry)));
  }
  if (gap.reason != GapReason::kReplicaRegressed) {
    const std::string& edge = origin.edge.empty() ? shadow.node : origin.edge;
    accounted_[{edge, {origin.stream, origin.partition}}].emplace_back(entry.from, entry.to);
  }
}

void Ledger::Delivered(NodeState& core, EmbeddedLog& log, const Entry& entry) {
  if (entry.kind == EntryKind::kGap) return;
  const LogOrigin& origin = log.origin();
  const uint64_t number = PayloadOf(entry);
  const Place here{log.number(), log.state().id, entry.from, entry.to};
  auto [at_core, first] = at_core_.try_emplace(number, here);
  const Place place = std::exchange(at_core->second, here);
  if (!first && (place.log != log.number() || place.from != entry.from)) {
    const std::vector<std::shared_ptr<EmbeddedLog>> logs = core.embedded_logs().Logs();
    // What a core trimmed, and gets again from an edge that does not know how far it was acknowledged, could
    // not be compared: the edge was set back, or lost the end of its log and what it remembered with it. Nor
    // what is damaged there, also when it was mended since, or in a log whose end is damaged, until an
    // operator has a look: what forked meanwhile is on its way.
    const bool held = std::any_of(logs.begin(), logs.end(), [&](const std::shared_ptr<EmbeddedLog>& other) {
      return other->number() == place.log && trimmed_at_core_[{place.log, place.id}] <= place.from &&
             !held_at_core_.contains(place.log) && !damaged_at_core_.contains({place.log, place.id}) &&
             other->held().ok() && other->Read(place.from, 1, /*from_disk=*/true).ok();
    });
    // Of an edge that did not hear the last acknowledgement the gap in place of what is damaged may be where
    // the core's log ends.
    const bool unknown = set_back_.contains(origin.edge) || lost_tails_.contains(origin.edge) ||
                         deleted_.contains(origin.stream) || damaged_edges_.contains(origin.edge);
    // Nor what was not offered when the edge forked.
    const bool detached =
        set_back_.contains(origin.edge) && forked_detached_.contains({origin.edge, origin.stream});
    if ((!held && unknown) || detached || may_repeat_.contains(origin.edge)) {
      repeated_.insert(number);
    } else if (!repeated_.contains(number)) {
      time_.Violate(fmt::format("batch {} is at the core twice: in log {} at {} and in log {} at {}", number,
                                place.log.value(), place.from.value(), log.number().value(),
                                entry.from.value()));
    }
  }
  auto at = payloads_.find(number);
  if (at == payloads_.end()) return;  // durable, but never acknowledged
  Payload& payload = at->second;
  payload.delivered = true;
  if (payload.edge != origin.edge || payload.origin.stream != origin.stream ||
      payload.origin.partition != origin.partition || payload.last != entry.to - 1) {
    time_.Violate(fmt::format(
        "batch {} was acknowledged by {} in {} up to {}, but the core has it in {} as {}", number,
        payload.edge, ToString(payload.origin), payload.last.value() + 1, ToString(origin), Describe(entry)));
  }
}

bool Ledger::MayBeForgotten(const std::string& topic) const {
  // Also a topic of one edge, `<edge>.<stream>`.
  const size_t dot = topic.find('.');
  return deleted_.contains(topic) || (dot != std::string::npos && deleted_.contains(topic.substr(dot + 1)));
}

bool Ledger::HoldsOffsets(const Shadow& shadow, const std::string& group) const {
  return shadow.committed.Holds(group, [this](const std::string& topic) { return MayBeForgotten(topic); });
}

void Ledger::CheckOffsets(const Shadow& shadow, const kafka::GroupService& groups) {
  const std::string wrong =
      shadow.committed.Compare(groups, [this](const std::string& topic) { return MayBeForgotten(topic); });
  if (!wrong.empty()) time_.Violate(fmt::format("{}: {}", shadow.node, wrong));
}

void Ledger::CheckRestoredOffsets(Shadow& shadow, const kafka::GroupService& groups) {
  const std::string wrong =
      shadow.committed.Restored(groups, [this](const std::string& topic) { return MayBeForgotten(topic); });
  if (!wrong.empty()) time_.Violate(fmt::format("{}: {}", shadow.node, wrong));
}

void Ledger::CheckReopened(Shadow& shadow, NodeState& state,
                           const std::map<LogNumber, Offset>& acknowledged_ends) {
  std::map<LogNumber, std::shared_ptr<EmbeddedLog>> logs;
  for (const std::shared_ptr<EmbeddedLog>& log : state.embedded_logs().Logs()) {
    if (IsCaptureLog(*log)) continue;
    logs[log->number()] = log;
    auto acknowledged = acknowledged_ends.find(log->number());
    if (acknowledged != acknowledged_ends.end() && log->state().end < acknowledged->second &&
        log->held().ok()) {
      time_.Violate(fmt::format("{}: {} ends at {} and had acknowledged up to {}, and is served", shadow.node,
                                ToString(log->origin()), log->state().end.value(),
                                acknowledged->second.value()));
    }
  }
  for (auto at = shadow.seen.begin(); at != shadow.seen.end();) {
    const Shadow::Seen& seen = at->second;
    auto found = logs.find(at->first);
    if (found == logs.end()) {
      if (!deleted_.contains(seen.origin.stream)) {
        time_.Violate(fmt::format("{}: {} is gone", shadow.node, ToString(seen.origin)));
      }
      at = shadow.seen.erase(at);
      continue;
    }
    EmbeddedLog& log = *found->second;
    const LogState now = log.state();
    const bool same = now.id == seen.id && log.held().ok();
    if (same && now.log_start() < seen.deleted) {
      time_.Violate(
          fmt::format("{}: {}: records before {} were deleted, and it is shown from {} after opening",
                      shadow.node, ToString(seen.origin), seen.deleted.value(), now.log_start().value()));
    }
    if (same && now.end < seen.end) {
      time_.Violate(fmt::format("{}: {} was visible up to {}, and ends at {} after opening", shadow.node,
                                ToString(seen.origin), seen.end.value(), now.end.value()));
    } else if (same && seen.end >= now.start) {
      auto boundary = log.BoundaryAtOrBefore(seen.end);
      if (!boundary.ok() || boundary->hash != seen.hash || boundary->offset != seen.end) {
        time_.Violate(fmt::format("{}: {} has another history up to {} after opening", shadow.node,
                                  ToString(seen.origin), seen.end.value()));
      }
    }
    ++at;
  }
}

// --- The end
// ---------------------------------------------------------------------------------------------------

void Ledger::CheckDelivered() {
  for (const auto& [number, payload] : payloads_) {
    if (payload.delivered || payload.regressed || payload.excused || payload.edge.empty()) continue;
    if (deleted_.contains(payload.origin.stream)) continue;
    const auto& gaps = accounted_[{payload.edge, {payload.origin.stream, payload.origin.partition}}];
    const bool accounted = std::any_of(gaps.begin(), gaps.end(), [&](const auto& gap) {
      return gap.first <= payload.last && payload.last < gap.second;
    });
    if (accounted) continue;
    return time_.Violate(fmt::format("batch {}, acknowledged by {} in {} up to {}, is not at the core",
                                     number, payload.disk->node, ToString(payload.origin),
                                     payload.last.value() + 1));
  }
}

void Ledger::CheckHeld(Shadow& shadow, NodeState& state) {
  for (const std::shared_ptr<EmbeddedLog>& log : state.embedded_logs().Logs()) {
    if (IsCaptureLog(*log)) continue;
    LogState now = log->state();
    Offset next = now.start;
    ChainHash hash = log->BoundaryAtOrBefore(now.start).value_or(now.position()).hash;
    const Shadow::Seen seen = shadow.seen[log->number()];
    while (next < now.end && !time_.violated()) {
      auto entries = log->Read(next, kReadBytes, /*from_disk=*/true);
      if (!entries.ok()) {
        return time_.Violate(fmt::format("{}: {} cannot be read at {}: {}", shadow.node,
                                         ToString(log->origin()), next.value(),
                                         selvage::Describe(entries.status())));
      }
      for (const Entry& entry : *entries) {
        if (entry.from != next || entry.hash_before != hash) {
          time_.Violate(fmt::format("{}: {}: {} does not follow {} with chain {:x}", shadow.node,
                                    ToString(log->origin()), Describe(entry), next.value(), hash.value()));
        }
        if (now.base <= entry.from) CheckEntry(shadow, seen, entry);
        next = entry.to;
        hash = entry.hash_after;
      }
    }
    if (hash != now.hash && next == now.end) {
      time_.Violate(fmt::format("{}: {}: the log's entries do not lead to the hash at its end", shadow.node,
                                ToString(log->origin())));
    }
  }
}

void Ledger::CheckReplica(Log& source, Log& replica) {
  const LogState from = source.state(), to = replica.state();
  if (from.position() != to.position()) {
    return time_.Violate(fmt::format("{} ends at {}, its replica {} at {}, in log {} and {}",
                                     ToString(source.origin()), from.end.value(), ToString(replica.origin()),
                                     to.end.value(), from.id.hex(), to.id.hex()));
  }
  for (Offset next = std::max({from.start, to.start, from.base}); next < from.end && !time_.violated();) {
    auto ours = source.Read(next, 1), theirs = replica.Read(next, 1);
    if (!ours.ok() || !theirs.ok()) return;  // CheckHeld says why
    const Entry& a = ours->front();
    const Entry& b = theirs->front();
    bool missing = a.kind == EntryKind::kBatch && b.kind == EntryKind::kGap;
    if (missing) {
      // An operator gave it up; or the source had trimmed it when it was needed again, and was then set back.
      const GapReason reason = DecodeGap(b.body.view())->reason;
      const bool given_up = flipped_ && reason == GapReason::kCorrupt;
      const std::string& edge = replica.origin().edge;
      const bool set_back =
          flipped_ || set_back_.contains(edge) || (edge == kCoreOrigin && core_regressed_.has_value());
      // A disk that lost what it had synced may have lost that something was trimmed.
      const bool trim_lost = lost_tails_.contains(replica.origin().edge) &&
                             (reason == GapReason::kDroppedForSpace || reason == GapReason::kExpired);
      missing = !given_up && !trim_lost && !(set_back && reason == GapReason::kReplicaRegressed);
    }
    const bool differs = a.kind == EntryKind::kBatch && b.kind == EntryKind::kBatch && a.body != b.body;
    if (missing || differs) {
      time_.Violate(fmt::format("{} holds {}, its replica {} holds {}", ToString(source.origin()),
                                Describe(a), ToString(replica.origin()), Describe(b)));
    }
    next = std::min(a.to, b.to);
  }
}

}  // namespace selvage::sim
