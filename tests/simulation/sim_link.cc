#include "tests/simulation/sim_link.h"

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/table/change_format.h"

namespace selvage::sim {

using replication::FlowPosition;
using replication::Message;
using replication::Session;

namespace {

/// A frame without a body: the sender ended the stream in order.
bool IsEnd(const Message& message) {
  return message.frame.body_case() == v1::Frame::BODY_NOT_SET;
}

absl::Status Lost(std::string_view why) {
  return MakeError(absl::StatusCode::kUnavailable, "link_lost", why, "", Retry::kYes);
}

/// What the driver keeps waiting for the network, as transport/link_driver does.
constexpr size_t kQueueLow = 256 << 10;

/// How many rows of a table an entry has.
size_t RowsOf(const FlowEntry& entry) {
  if (entry.kind == EntryKind::kTableInterval) {
    const auto interval = table::ReadIntervalBody(entry.body.view());
    return interval.ok() ? interval->rows.size() : 0;
  }
  if (entry.kind != EntryKind::kTableChanges) return 0;
  const auto changes = table::ReadChangesBody(entry.body.view());
  return changes.ok() ? changes->rows.size() : 0;
}

SimLink::Side Other(SimLink::Side side) {
  return side == SimLink::kEdge ? SimLink::kCore : SimLink::kEdge;
}

}  // namespace

SimLink::SimLink(Surroundings world, uint64_t number, SimNode& edge, SimNode& core)
    : world_(world), number_(number) {
  ends_[kEdge].node = &edge;
  ends_[kCore].node = &core;
}

SimLink::~SimLink() = default;

std::string SimLink::Name(Side side) const {
  return fmt::format("{} on link {} of {}", ends_[side].node->name(), number_, ends_[kEdge].node->name());
}

void SimLink::Open(const HandlerFactory& edge_handler, Ended edge_ended, const HandlerFactory& core_handler,
                   Ended core_ended) {
  auto wake = [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->Nudge();
  };
  for (Side side : {kCore, kEdge}) {
    End& end = ends_[side];
    const absl::Duration now = end.node->clock().Monotonic();
    end.ended = side == kEdge ? std::move(edge_ended) : std::move(core_ended);
    end.handler = side == kEdge ? edge_handler(wake) : core_handler(wake);
    end.session.emplace(side == kEdge ? world_.limits.edge_session : world_.limits.core_session, now);
    end.tick_at = now + world_.limits.tick;
    end.wake_at = now;
    end.handler->Opened(*end.session);
  }
  ends_[kEdge].node->Admitted(ends_[kEdge].node->name(), number_, {});
  Nudge();
}

void SimLink::Nudge() {
  if (nudged_) return;
  nudged_ = true;
  world_.time.After(absl::ZeroDuration(), [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->Drive();
  });
}

void SimLink::Drive() {
  nudged_ = false;
  for (bool moved = true; moved && !over() && !world_.time.violated();) {
    moved = false;
    for (Side side : {kCore, kEdge}) {
      moved = Deliver(side) || moved;
      moved = Pump(side) || moved;
    }
  }
  const absl::Duration next = NextAt();
  if (over() || next == absl::InfiniteDuration() || scheduled_ <= next) return;
  scheduled_ = next;
  world_.time.At(next, [weak = weak_from_this(), next] {
    auto self = weak.lock();
    if (self == nullptr) return;
    if (self->scheduled_ == next) self->scheduled_ = absl::InfiniteDuration();
    self->Drive();
  });
}

absl::Duration SimLink::NextAt() const {
  absl::Duration at = absl::InfiniteDuration();
  for (Side side : {kEdge, kCore}) {
    const End& end = ends_[side];
    if (open(Other(side))) at = std::min(at, std::max(end.out.NextAt(), end.stalled_until));
    if (open(side)) at = std::min(at, end.node->clock().WorldTime(std::min(end.wake_at, end.tick_at)));
  }
  // What stays behind because its receiver is gone must not be looked at for ever.
  return std::max(at, world_.time.now() + absl::Nanoseconds(1));
}

/// True when something arrived.
bool SimLink::Deliver(Side to) {
  End& end = ends_[to];
  End& from = ends_[Other(to)];
  if (from.stalled_until > world_.time.now()) return false;
  bool any = false;
  while (auto message = from.out.Arrived(world_.time.now())) {
    if (!open(to) || dead(to)) continue;
    any = true;
    if (IsEnd(*message)) {
      Close(to, Lost("the peer ended the link"));
      continue;
    }
    end.session->Step(*message, end.node->clock().Monotonic());
    CheckInvariants(to);
    // In between, so that what arrives does not wait for all that does.
    Pump(to);
  }
  return any;
}

/// True when the session had something to do.
bool SimLink::Pump(Side side) {
  End& end = ends_[side];
  bool any = false;
  if (!open(side) || dead(side)) return false;
  const absl::Duration now = end.node->clock().Monotonic();
  if (now >= end.tick_at) {
    end.tick_at = now + world_.limits.tick;
    end.handler->Tick(*end.session);
  }
  for (bool again = true; again && open(side) && !dead(side);) {
    std::vector<Durable> durable;
    durable.swap(end.durable);
    for (const Durable& d : durable) end.session->Persisted(d.flow, d.credit, d.position);
    const size_t budget = end.out.queued() < kQueueLow ? world_.limits.data_budget : 0;
    Session::Ready ready = end.session->TakeReady(now, budget);
    again = !ready.events.empty() || !ready.persist.empty() || !ready.messages.empty();
    any = any || again;
    Obey(side, std::move(ready));
    if (again) CheckInvariants(side);
  }
  return any;
}

void SimLink::Obey(Side side, Session::Ready ready) {
  End& end = ends_[side];
  for (Session::Persist& persist : ready.persist) Persist(side, std::move(persist));
  if (dead(side)) return;
  for (const Session::Event& event : ready.events) {
    if (const auto* closed = std::get_if<Session::PeerClosed>(&event)) {
      end.retry_after = closed->retry_after;
      CheckReason(side, closed->why);
    }
    if (const auto* held = std::get_if<Session::FlowHeld>(&event)) CheckReason(side, held->why);
    if (const auto* ended = std::get_if<Session::FlowEnded>(&event)) CheckReason(side, ended->why);
    end.handler->Handle(*end.session, event);
    if (dead(side)) return;
    const auto* hello = std::get_if<Session::PeerHello>(&event);
    if (hello != nullptr && end.session->established()) {
      end.node->Admitted(ends_[kEdge].node->name(), number_, hello->hello);
    }
  }
  end.wake_at = ready.wake_at;
  // A queue that is full is looked at again when it has left.
  if (ready.more) end.wake_at = std::min(end.wake_at, end.node->clock().Monotonic() + absl::Milliseconds(5));
  for (Message& message : ready.messages) Send(side, std::move(message));
  if (!ready.closed) return;
  CheckReason(side, ready.reason);
  Send(side, Message{});
  Close(side, ready.reason);
}

void SimLink::Send(Side side, Message message) {
  if (!ends_[side].dead_wire) ends_[side].out.Send(std::move(message), world_.time.now());
}

void SimLink::Persist(Side side, Session::Persist persist) {
  End& end = ends_[side];
  const size_t credit = persist.credit;
  end.persisting += credit;
  end.largest = std::max(end.largest, credit);
  // While rows come that take the place of all that are here, programs go on.
  if (persist.entry.kind == EntryKind::kTableInterval && persist.entry.from == Offset(0)) {
    const absl::Duration soon = absl::Milliseconds(world_.tables.random().Below(200));
    world_.time.After(soon, [node = end.node] { node->UseTables(); });
  }
  if (const size_t rows = RowsOf(persist.entry); rows > 0) {
    end.rows += rows;
    world_.time.Trace("{}: {} rows of a table come, [{}, {})", Name(side), rows, persist.entry.from.value(),
                      persist.entry.to.value());
  }
  const uint64_t window = std::max<uint64_t>(
      side == kEdge ? world_.limits.edge_session.receive_window : world_.limits.core_session.receive_window,
      end.largest);
  if (end.persisting > window) {
    world_.time.Violate(fmt::format("{}: {} bytes of entries are held at once; the receive window is {}",
                                    Name(side), end.persisting, window));
  }
  persist.sink->Persist(std::move(persist.entry), [weak = weak_from_this(), side, flow = persist.flow,
                                                   credit](const absl::StatusOr<FlowPosition>& position) {
    auto self = weak.lock();
    if (self == nullptr) return;
    End& mine = self->ends_[side];
    mine.persisting -= credit;
    mine.node->Persisted(self->ends_[kEdge].node->name(), self->number_, position.status());
    if (!self->open(side)) return;
    mine.durable.push_back({flow, credit, position});
    self->Nudge();
  });
}

/// Two honest ends never break the protocol towards each other.
void SimLink::CheckReason(Side side, const absl::Status& reason) {
  const std::string kind = ErrorKind(reason);
  if (kind == "protocol_error" || kind == "chain_mismatch" || kind == "out_of_sequence" ||
      kind == "corrupt_batch" || kind == "corrupt_gap" || kind == "batch_too_large" ||
      kind == "frame_too_large") {
    world_.time.Violate(fmt::format("{}: {}", Name(side), Describe(reason)));
  }
}

/// The session's own, unless a bug is planted that the world is to find from outside.
void SimLink::CheckInvariants(Side side) {
  if (!open(side) || !(Planted(Canary::kNone) || Planted(Canary::kKeepClaim))) return;
  const absl::Status held = ends_[side].session->CheckInvariants();
  if (!held.ok()) world_.time.Violate(fmt::format("{}: {}", Name(side), std::string(held.message())));
}

void SimLink::Close(Side side, const absl::Status& reason) {
  End& end = ends_[side];
  if (!open(side)) return;
  world_.time.Trace("{}: over: {}", Name(side), Describe(reason));
  end.session.reset();
  if (!dead(side)) end.handler->Closed(reason, end.retry_after);
  end.handler.reset();
  Ended ended = std::exchange(end.ended, {});
  if (ended) ended(reason, end.retry_after);
}

void SimLink::Vanish(Side side, absl::Duration notice) {
  End& end = ends_[side];
  if (!open(side)) return;
  end.session.reset();
  end.handler.reset();
  end.ended = {};
  end.dead_wire = true;
  end.out.ClearQueue();
  if (notice == absl::InfiniteDuration()) return;
  world_.time.After(notice, [weak = weak_from_this(), side] {
    if (auto self = weak.lock())
      self->Close(Other(side), Lost("the peer's machine says it knows no such connection"));
  });
}

void SimLink::Cut(bool in_flight_lost, absl::Duration edge_notice, absl::Duration core_notice) {
  for (Side side : {kEdge, kCore}) {
    ends_[side].dead_wire = true;
    ends_[side].out.ClearQueue();
    if (in_flight_lost) ends_[side].out.Clear();
    const absl::Duration notice = side == kEdge ? edge_notice : core_notice;
    if (notice == absl::InfiniteDuration()) continue;
    world_.time.After(notice, [weak = weak_from_this(), side] {
      if (auto self = weak.lock()) self->Close(side, Lost("the connection was reset"));
    });
  }
}

void SimLink::Stall(Side from, absl::Duration until) {
  ends_[from].stalled_until = std::max(ends_[from].stalled_until, until);
  world_.time.At(until, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->Nudge();
  });
}

void SimLink::Shape(Side from, double bytes_per_second, absl::Duration delay) {
  ends_[from].out.Shape(world_.time.now(), bytes_per_second, delay);
  Nudge();
}

}  // namespace selvage::sim
