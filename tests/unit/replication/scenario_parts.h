#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/error.h"
#include "tests/unit/replication/scenario_world.h"

/// What a scenario's world consists of.
namespace selvage::replication::test {

/// A log in memory that says what kind of flow it is.
class ScenarioWorld::Source final : public LogSource {
 public:
  Source(MemoryLog& log, FlowSettings settings, uint32_t kind) : LogSource(log, settings), kind_(kind) {}

  v1::FlowOpen Describe() override {
    v1::FlowOpen open = LogSource::Describe();
    open.set_kind(kind_);
    return open;
  }

 private:
  const uint32_t kind_;
};

struct ScenarioWorld::HeldLog {
  explicit HeldLog(std::string history) : log(std::move(history)) {}

  MemoryLog log;
  std::unique_ptr<Source> source;  // of a log that is offered
  Offset start;                    // of a replica
  std::optional<std::pair<Offset, Offset>> damage;
  absl::Status refusal;  // of its offers
  absl::Duration refused_for = absl::InfiniteDuration();
  absl::Status distrust;  // of its entries
};

/// An entry on its way to the disk of a node.
struct ScenarioWorld::Persisting {
  Link* link;
  Session::Persist what;
};

struct ScenarioWorld::Node {
  std::map<std::string, HeldLog> logs;
  Session::Options options;
  size_t newest_link = 0;  // that finished its handshake here: older ones may not write
  bool disk_held = false;
  bool deaf = false;  // what is under way waits
  std::deque<Persisting> persisting;
};

/// A piece of a log that the peer asked for.
class ScenarioWorld::Piece final : public FlowSource {
 public:
  Piece(HeldLog& held, std::string name, const v1::FlowRequest& request)
      : held_(held), name_(std::move(name)), request_(request) {}

  v1::FlowOpen Describe() override {
    v1::FlowOpen open;
    open.set_kind(v1::REPAIR);
    open.set_request(request_.request());
    open.set_history(held_.log.id());
    open.set_start(request_.repair().from());
    open.set_end(request_.repair().to());
    open.mutable_repair()->set_name(name_);
    return open;
  }
  FlowSettings settings() override { return {}; }
  Offset end() override { return Offset(request_.repair().to()); }
  absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t) override {
    std::vector<FlowEntry> entries;
    for (const MemoryLog::Stored& e : held_.log.entries()) {
      if (e.from >= from && e.to <= end())
        entries.push_back({e.kind, e.from, e.to, e.body, e.hash_after, false});
    }
    return entries;
  }
  void Acknowledged(const FlowPosition&) override {}

 private:
  HeldLog& held_;
  const std::string name_;
  const v1::FlowRequest request_;
};

/// Holds a piece until it is complete, as RepairSink does.
class ScenarioWorld::PieceSink final : public FlowSink {
 public:
  explicit PieceSink(HeldLog& held) : held_(held), next_(held.damage->first) {}

  FlowPosition position() override { return {held_.log.id(), held_.damage->first, {}, {}}; }
  absl::Status Check(const FlowEntry& entry) override {
    const MemoryLog::Stored& was = held_.log.entries().at(held_.log.IndexOf(entry.from));
    if (was.from == entry.from && was.to == entry.to && was.body == entry.body) return absl::OkStatus();
    return MakeError(absl::StatusCode::kDataLoss, "chain_mismatch", "it is not what was there");
  }
  void Persist(FlowEntry entry, Done done) override {
    next_ = entry.to;
    waiting_.push_back({{held_.log.id(), entry.to, {}, {}}, std::move(done)});
    if (!held_.damage || next_ < held_.damage->second) return;
    held_.damage.reset();
    for (const auto& [position, tell] : waiting_) tell(position);
  }

 private:
  HeldLog& held_;
  Offset next_;
  std::vector<std::pair<FlowPosition, Done>> waiting_;
};

/// Writes as long as no newer link was made, as the logs of a node do.
class ScenarioWorld::FencedSink final : public FlowSink {
 public:
  FencedSink(HeldLog& held, const Node& node, size_t link) : held_(held), node_(node), link_(link) {
    sink_.start_held = held.start;
  }

  FlowPosition position() override { return sink_.position(); }
  absl::Status Check(const FlowEntry&) override { return held_.distrust; }
  History* history() override { return sink_.history(); }
  void Persist(FlowEntry entry, Done done) override {
    if (link_ == node_.newest_link) return done(sink_.Append(std::move(entry)));
    done(MakeError(absl::StatusCode::kFailedPrecondition, "stale_session", "a newer link was made"));
  }

 private:
  HeldLog& held_;
  const Node& node_;
  const size_t link_;
  LogSink sink_{held_.log};
};

struct ScenarioWorld::Link {
  /// One end of it, and what is under way to it.
  struct Half {
    std::unique_ptr<Session> session;
    std::deque<Message> arriving;
    // Flows of the peer, by their number on the link.
    std::map<FlowNumber, std::string> offered;  // the name of the log
    std::map<FlowNumber, std::unique_ptr<FlowSink>> sinks;
    // Flows of this end, by the number that Session::Offer gave.
    std::map<FlowNumber, std::string> flows;  // the name of the log
    std::vector<std::unique_ptr<Piece>> pieces;
    std::map<uint32_t, std::string> requests;  // the log of which a piece was asked for
    absl::Duration wake_at = absl::InfiniteDuration();
  };
  size_t number = 0;
  std::array<Half, 2> halves;
};

}  // namespace selvage::replication::test
