#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "fabric/base/check.h"
#include "fabric/replication/session.h"
#include "tests/support/wire.h"
#include "tests/unit/replication/memory_log.h"

/// Two sessions joined by a network of virtual time: delay, a rate with an unbounded queue in front of it,
/// cuts.
namespace selvage::replication::test {

using selvage::test::Wire;

/// One end: a session and what drives it. Persisting takes the time that `persist_time` says.
class End {
 public:
  using Event = Session::Event;

  End(bool is_edge, Session::Options options) : options_(options) { options_.is_edge = is_edge; }
  virtual ~End() = default;

  void Connect(absl::Duration now) {
    held_ = 0;
    session_ = std::make_unique<Session>(options_, now);
    wake_at_ = now;
    if (options_.is_edge) session_->SendHello({});
  }
  /// What is being persisted is lost, as in a crash, or still reaches the disk.
  void Disconnect(bool crash, absl::Duration now) {
    session_.reset();
    for (Persisting& p : persisting_) {
      if (!crash) (void)Append(p.what.flow, std::move(p.what.entry), now);
    }
    persisting_.clear();
  }
  bool connected() const { return session_ != nullptr; }
  Session& session() { return *session_; }
  Session::Options& options() { return options_; }
  uint64_t held_max() const { return held_max_; }
  const std::vector<Event>& events() const { return events_; }
  absl::Status closed() const { return closed_; }

  absl::Duration NextAt() const {
    absl::Duration at = wake_at_;
    for (const auto& p : persisting_) at = std::min(at, p.done_at);
    return session_ == nullptr ? absl::InfiniteDuration() : at;
  }
  void Receive(const Message& message, absl::Duration now) {
    const v1::Data& data = message.frame.data();
    if (message.frame.has_data() && data.position() == 0) {
      held_ += CreditOf(data.entry_size());
      held_max_ = std::max(held_max_, held_);
    }
    session_->Step(message, now);
    EXPECT_EQ(session_->CheckInvariants(), absl::OkStatus());
  }
  /// Does everything that is due; sends to `out`.
  void Pump(absl::Duration now, Wire& out) {
    while (!persisting_.empty() && persisting_.front().done_at <= now) {
      Persisting p = std::move(persisting_.front());
      persisting_.pop_front();
      auto done = Append(p.what.flow, std::move(p.what.entry), now);
      held_ -= p.what.credit;
      session_->Persisted(p.what.flow, p.what.credit, done);
    }
    for (bool again = true; again && session_ != nullptr;) {
      Session::Ready ready = session_->TakeReady(now, data_budget);
      again = ready.more || !ready.events.empty();
      wake_at_ = ready.wake_at;
      for (Session::Persist& persist : ready.persist) {
        absl::Duration at = now + persist_time();
        if (!persisting_.empty()) at = std::max(at, persisting_.back().done_at);
        persisting_.push_back({std::move(persist), at});
      }
      for (Event& event : ready.events) {
        OnEvent(event, now);
        if (keep_events) events_.push_back(std::move(event));
      }
      if (!persisting_.empty()) wake_at_ = std::min(wake_at_, persisting_.front().done_at);
      for (Message& message : ready.messages) {
        if (on_send) on_send(message);
        out.Send(std::move(message), now);
      }
      EXPECT_EQ(session_->CheckInvariants(), absl::OkStatus());
      if (ready.closed) {
        closed_ = ready.reason;
        again = false;
        wake_at_ = absl::InfiniteDuration();
      }
    }
  }

  std::function<absl::Duration()> persist_time = [] { return absl::ZeroDuration(); };
  std::function<void(const Message&)> on_send;
  size_t data_budget = 1 << 20;
  bool keep_events = true;

 protected:
  virtual void OnEvent(const Event& event, absl::Duration now) = 0;
  virtual absl::StatusOr<FlowPosition> Append(FlowNumber flow, FlowEntry entry, absl::Duration now) = 0;

 private:
  struct Persisting {
    Session::Persist what;
    absl::Duration done_at;
  };
  Session::Options options_;
  std::unique_ptr<Session> session_;
  std::deque<Persisting> persisting_;
  std::vector<Event> events_;
  absl::Status closed_;
  absl::Duration wake_at_ = absl::InfiniteDuration();
  uint64_t held_ =
      0;  // bytes of entries begun here and not yet persisted; only right while no flow is refused
  uint64_t held_max_ = 0;
};

/// An end that offers some logs and keeps replicas of whatever it is offered, by name.
class LogEnd : public End {
 public:
  using End::End;

  /// Offered whenever a session is established. Names are unique per end.
  LogSource& AddSource(const std::string& name, MemoryLog& log, FlowSettings settings = {}) {
    sources_.push_back(std::make_unique<LogSource>(log, settings));
    sources_.back()->name = name;
    return *sources_.back();
  }
  /// A replica that stands where `log` does; one is made for any other name.
  LogSink& AddReplica(const std::string& name, std::unique_ptr<MemoryLog> log) {
    Replica& replica = replicas_[name];
    replica.log = std::move(log);
    replica.sink = std::make_unique<LogSink>(*replica.log);
    return *replica.sink;
  }
  MemoryLog& replica(const std::string& name) { return *replicas_.at(name).log; }
  LogSink& sink(const std::string& name) { return *replicas_.at(name).sink; }
  const std::vector<std::unique_ptr<LogSource>>& sources() const { return sources_; }
  bool has_replica(const std::string& name) const { return replicas_.contains(name); }

  /// Called for each entry that a replica took.
  std::function<void(const std::string& name, const MemoryLog::Stored&, absl::Duration now)> on_stored;
  /// The answer to an offer; OK accepts.
  std::function<absl::Status(const v1::FlowOpen&)> on_offer;

 protected:
  void OnEvent(const Event& event, absl::Duration) override {
    const bool greeted = std::holds_alternative<Session::PeerHello>(event);
    if (greeted) session().SendWelcome({});
    if (greeted || std::holds_alternative<Session::PeerWelcome>(event)) {
      for (auto& source : sources_) session().Offer(*source);
    }
    if (const auto* offered = std::get_if<Session::FlowOffered>(&event)) OnOffered(*offered);
  }
  void OnOffered(const Session::FlowOffered& offered) {
    const absl::Status answer = on_offer ? on_offer(offered.open) : absl::OkStatus();
    if (!answer.ok()) {
      const absl::Duration again = IsRetryable(answer) ? absl::Seconds(1) : absl::InfiniteDuration();
      return session().Refuse(offered.flow, answer, again);
    }
    const std::string& name = offered.open.stream().name();
    if (!replicas_.contains(name)) AddReplica(name, std::make_unique<MemoryLog>(offered.open.history()));
    flows_[offered.flow] = name;
    session().Accept(offered.flow, sink(name));
  }
  absl::StatusOr<FlowPosition> Append(FlowNumber flow, FlowEntry entry, absl::Duration now) override {
    const std::string& name = flows_.at(flow);
    auto done = sink(name).Append(std::move(entry));
    if (done.ok() && on_stored) on_stored(name, replica(name).entries().back(), now);
    return done;
  }

 private:
  struct Replica {
    std::unique_ptr<MemoryLog> log;
    std::unique_ptr<LogSink> sink;
  };
  std::vector<std::unique_ptr<LogSource>> sources_;
  std::map<std::string, Replica> replicas_;
  std::map<FlowNumber, std::string> flows_;
};

/// An edge and a core, the wires between them and the time.
class VirtualLink {
 public:
  VirtualLink(End& edge, End& core) : edge_(edge), core_(core) {}

  absl::Duration now() const { return now_; }
  Wire& up() { return up_; }
  Wire& down() { return down_; }
  /// Both directions, from now on.
  void Shape(double bytes_per_second, absl::Duration round_trip) {
    up_.Shape(now_, bytes_per_second, round_trip / 2);
    down_.Shape(now_, bytes_per_second, round_trip / 2);
  }
  void Connect() {
    edge_.Connect(now_);
    core_.Connect(now_);
    Settle();
  }
  /// What is under way is lost; both ends notice at once, or crash.
  void Cut(bool crash) {
    edge_.Disconnect(crash, now_);
    core_.Disconnect(crash, now_);
    up_.Clear();
    down_.Clear();
  }
  /// Runs until that time, or until `done`. True when it was.
  bool RunUntil(absl::Duration until, const std::function<bool()>& done = {}) {
    Settle();
    while (!done || !done()) {
      absl::Duration next = std::min({up_.NextAt(), down_.NextAt(), edge_.NextAt(), core_.NextAt()});
      if (next > until) {
        now_ = until;
        Settle();
        return done && done();
      }
      SELVAGE_CHECK(next > now_ || ++idle_turns_ < 10000);  // an end asks to be woken again and again
      if (next > now_) idle_turns_ = 0;
      now_ = std::max(now_, next);
      Settle();
    }
    return true;
  }
  bool RunFor(absl::Duration time, const std::function<bool()>& done = {}) {
    return RunUntil(now_ + time, done);
  }
  /// Something changed at an end (a source grew): look at it.
  void Settle() {
    bool moved = true;
    while (moved) {
      moved = false;
      if (core_.connected()) {
        while (auto message = up_.Arrived(now_)) {
          core_.Receive(*message, now_);
          core_.Pump(now_, down_);
          moved = true;
        }
        core_.Pump(now_, down_);
      }
      if (edge_.connected()) {
        while (auto message = down_.Arrived(now_)) {
          edge_.Receive(*message, now_);
          edge_.Pump(now_, up_);
          moved = true;
        }
        edge_.Pump(now_, up_);
      }
      // With no delay a reply may be there already.
      moved = moved || up_.NextAt() <= now_ || down_.NextAt() <= now_;
    }
  }

 private:
  End& edge_;
  End& core_;
  Wire up_;
  Wire down_;
  absl::Duration now_ = absl::Seconds(1000);
  int idle_turns_ = 0;
};

}  // namespace selvage::replication::test
