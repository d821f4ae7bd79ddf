#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/fleet.h"
#include "edge/uplink.h"
#include "fabric/model/chunk_fetch.h"
#include "fabric/node/node_state.h"
#include "tests/contract/log/log_node.h"
#include "tests/support/damaged_store.h"
#include "tests/support/seeded_random.h"

namespace selvage {

/// One node in memory whose committer is driven by hand. The store outlives restarts.
class MemoryNode {
 public:
  MemoryNode(std::string name, bool is_edge) : name_(std::move(name)), is_edge_(is_edge) { Restart(); }

  void Restart(const std::string& take_store_of = "") {
    fleet.reset();
    edge.reset();
    state.reset();
    NodeState::Options options;
    options.node = name_;
    options.is_edge = is_edge_;
    options.take_store_of = take_store_of;
    options.tail_cache_bytes = 0;  // what is read comes from the store
    state = std::make_unique<NodeState>(options, store, clock, random_);
    SELVAGE_CHECK(state->Open({}).ok());
    if (is_edge_) {
      edge = std::make_unique<EdgeState>(EdgeState::PartsOf(*state), "test");
      SELVAGE_CHECK(edge->Open({}).ok());
    } else {
      fleet = std::make_unique<Fleet>(*state, "test");
      SELVAGE_CHECK(fleet->Open({}).ok());
    }
  }
  /// Starts again under another id, with what is stored.
  void TakeOver(std::string name) { Restart(std::exchange(name_, std::move(name))); }
  void CommitAll() {
    while (state->committer().CommitOnce()) {
    }
  }
  EmbeddedLog& Find(const LogOrigin& origin) {
    const std::shared_ptr<EmbeddedLog> log = state->embedded_logs().FindEmbedded(origin);
    SELVAGE_CHECK(log != nullptr);
    return *log;
  }
  void Append(Log& log, int records, size_t value_bytes = 50) {
    SELVAGE_CHECK(log.Append(ProducedBatch(records, value_bytes), [](const auto&) {}).ok());
    CommitAll();
  }
  void Damage(EmbeddedLog& log, std::initializer_list<int64_t> bases) {
    for (int64_t base : bases) store.Damage(Family::kLog, LogKey(log.number(), Offset(base)));
  }
  /// Reads all of a log from the store, so that what is damaged is found; what the reads gave.
  std::string ReadAll(EmbeddedLog& log) {
    std::string text;
    for (Offset next = log.state().start; next < log.state().end;) {
      auto entries = log.Read(next, 1);
      if (!text.empty()) text += " ";
      if (entries.ok()) {
        text += Shape(*entries);
        next = entries->back().to;
      } else {
        auto damage = log.FindDamage(next);
        if (!damage.ok() || !*damage) return text + "?";
        text += "[" + std::to_string(next.value()) + "," + std::to_string((*damage)->to.value()) + ")damaged";
        next = (*damage)->to;
      }
    }
    return text;
  }
  std::optional<v1::AlarmDocument> OpenAlarm(const std::string& kind) {
    for (const v1::AlarmDocument& alarm : state->alarms().All(false)) {
      if (alarm.kind() == kind) return alarm;
    }
    return std::nullopt;
  }

  DamagedStore store;
  FakeClock clock;
  std::unique_ptr<NodeState> state;
  std::unique_ptr<EdgeState> edge;  // at an edge
  std::unique_ptr<Fleet> fleet;     // at the core

 private:
  std::string name_;
  const bool is_edge_;
  test::SeededRandom random_{is_edge_ ? 1u : 2u};
};

/// An edge "rig" and a core, with the production handlers of both ends of the link and no network between
/// them.
class LinkedNodes : public ::testing::Test {
 protected:
  using Session = replication::Session;
  struct End {
    MemoryNode* node = nullptr;
    std::shared_ptr<replication::LinkHandler> handler;
    std::unique_ptr<Session> session;  // refers to the handler's flows
    struct Durable {
      replication::FlowNumber flow;
      size_t credit;
      absl::StatusOr<replication::FlowPosition> position;
    };
    std::shared_ptr<std::vector<Durable>> durable = std::make_shared<std::vector<Durable>>();
    std::shared_ptr<std::atomic<bool>> woken = std::make_shared<std::atomic<bool>>(false);
    std::vector<v1::Frame> sent;
  };

  void Link() {
    Session::Options options;
    options.receive_window = window_;
    for (End& end : ends_) end = End();
    ends_[0].node = &edge_;
    ends_[1].node = &core_;
    for (int side : {0, 1}) {
      options.is_edge = side == 0;
      ends_[side].session = std::make_unique<Session>(options, ends_[side].node->clock.Monotonic());
    }
    Uplink::Parts uplink = Uplink::PartsOf(*edge_.state, *edge_.edge);
    uplink.chunk_fetchers = &chunk_fetchers_;
    ends_[0].handler = std::make_shared<Uplink>(
        uplink, 0, [woken = ends_[0].woken] { *woken = true; }, run_);
    ends_[1].handler = std::make_shared<PeerLink>(
        core_.fleet->LinkParts(), metrics_, name_, [woken = ends_[1].woken] { *woken = true; }, run_);
    for (End& end : ends_) end.handler->Opened(*end.session);
    Settle();
  }
  void Unlink() {
    for (End& end : ends_) {
      if (end.handler) end.handler->Closed(absl::UnavailableError("cut"), absl::ZeroDuration());
      end = End();
    }
  }
  /// Carries frames until neither end has anything to say, or so many of them.
  void Settle(int frames_max = 1 << 20) {
    for (bool busy = true; busy && frames_max > 0;) {
      busy = false;
      for (int side : {0, 1}) {
        for (v1::Frame& frame : Pump(ends_[side])) {
          busy = true;
          if (frames_max-- <= 0) return;
          Deliver(ends_[1 - side], std::move(frame));
        }
      }
    }
  }
  /// So many seconds: upkeep, ticks, and what comes of them.
  void Pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      // In steps, since a session sends no faster than it measures.
      for (int step = 0; step < 20; ++step) {
        for (MemoryNode* node : {&edge_, &core_}) node->clock.Advance(absl::Milliseconds(50));
        if (ends_[0].session) Settle();
      }
      for (MemoryNode* node : {&edge_, &core_}) {
        EXPECT_TRUE(node->state->maintenance().RunOnce().ok());
        EXPECT_TRUE(node->state->damage().RunOnce().ok());
        node->CommitAll();
      }
      for (End& end : ends_) {
        if (end.session) end.handler->Tick(*end.session);
      }
      if (ends_[0].session) Settle();
    }
  }
  /// Frames of one kind that an end sent since Link.
  int Sent(int side, v1::Frame::BodyCase kind) {
    int count = 0;
    for (const v1::Frame& frame : ends_[side].sent) count += frame.body_case() == kind ? 1 : 0;
    return count;
  }

  void CreateStream(const std::string& name, v1::Direction direction) {
    v1::StreamDefinition definition;
    definition.set_name(name);
    definition.set_direction(direction);
    definition.mutable_settings()->set_keep_after_ack(true);
    SELVAGE_CHECK(core_.fleet->streams.Create(definition).ok());
  }
  EmbeddedLog& Up() { return edge_.Find({"", Slot(0), "up", PartitionId(0)}); }
  EmbeddedLog& UpReplica() { return core_.Find({"rig", Slot(0), "up", PartitionId(0)}); }
  EmbeddedLog& Down() { return core_.Find({"rig", Slot(0), "down", PartitionId(0)}); }
  EmbeddedLog& DownReplica() {
    return edge_.Find({std::string(kCoreOrigin), Slot(0), "down", PartitionId(0)});
  }

  MemoryNode edge_{"rig", true};
  MemoryNode core_{"core", false};
  Metrics metrics_{"test"};
  std::string name_ = "rig";  // as the edge's certificate says
  uint64_t window_ = 4 << 20;
  model::ChunkFetchers chunk_fetchers_;
  Errands::Runner run_ = Errands::AtOnce();
  std::string core_lacks_;  // a capability
  End ends_[2];

  std::vector<v1::Frame> Pump(End& end) {
    if (!end.session) return {};
    end.node->CommitAll();
    const absl::Duration now = end.node->clock.Monotonic();
    for (const End::Durable& durable : std::exchange(*end.durable, {})) {
      end.session->Persisted(durable.flow, durable.credit, durable.position);
    }
    if (end.woken->exchange(false)) end.handler->Woken(*end.session);
    Session::Ready ready = end.session->TakeReady(now, 1 << 20);
    for (Session::Persist& persist : ready.persist) {
      persist.sink->Persist(std::move(persist.entry), [durable = end.durable, flow = persist.flow,
                                                       credit = persist.credit](const auto& position) {
        durable->push_back({flow, credit, position});
      });
    }
    for (const Session::Event& event : ready.events) end.handler->Handle(*end.session, event);
    EXPECT_FALSE(ready.closed) << ready.reason;
    std::vector<v1::Frame> frames;
    for (replication::Message& message : ready.messages) {
      if (message.frame.has_welcome()) {
        auto& capabilities = *message.frame.mutable_welcome()->mutable_capabilities();
        capabilities.erase(std::remove(capabilities.begin(), capabilities.end(), core_lacks_),
                           capabilities.end());
      }
      message.frame.set_payload(std::string(message.payload.view()));
      frames.push_back(std::move(message.frame));
    }
    // The handler may have queued more.
    if (frames.empty() && (!ready.events.empty() || *end.woken)) return Pump(end);
    end.sent.insert(end.sent.end(), frames.begin(), frames.end());
    return frames;
  }
  static void Deliver(End& end, v1::Frame frame) {
    if (!end.session) return;
    replication::Message message;
    message.payload = Bytes(std::exchange(*frame.mutable_payload(), {}));
    message.frame = frame;
    end.session->Step(message, end.node->clock.Monotonic());
  }
};

}  // namespace selvage
