#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "fabric/replication/session.h"
#include "tests/unit/replication/memory_log.h"

namespace selvage::fuzz {

/// A session and its owner, with a peer that may send anything. All that the session hands out is checked
/// against the rules of the link; a broken one ends the process.
class SessionWorld {
 public:
  struct Limits {
    bool is_edge = false;
    uint64_t receive_window =
        0;  ///< lent to the peer; at least twice an empty entry's credit and at most entry_max
    size_t entry_max = 0;
  };
  explicit SessionWorld(const Limits& limits);

  // The peer.
  void Step(const replication::Message& message);
  /// The owner's logs, as the peer may know them.
  static constexpr size_t kSources = 2;
  const replication::test::MemoryLog& log(size_t source) const { return sources_[source]->log; }
  /// Where an entry of the peer's flow must begin; 0 if there is no such flow.
  Offset EndOf(uint32_t flow) const;
  uint32_t highest_flow() const { return highest_flow_; }
  uint64_t peer_limit() const { return peer_limit_; }

  // The owner and the world around it.
  void Pass(absl::Duration time) { now_ += time; }
  /// Takes what the session has ready and checks it.
  void Take(size_t budget);
  /// The oldest entry that waits is on disk now, or the disk failed.
  void Persist(bool ok);
  void Offer(size_t source);
  void Withdraw(size_t source);
  void Accept(uint32_t flow);
  void Refuse(uint32_t flow);

  bool closed() const { return closed_; }
  /// Ends all flows. Then nothing is held any more, and the peer has exactly its window again.
  void Settle();

 private:
  struct Source {
    replication::test::MemoryLog log;
    replication::test::LogSource port{log};
    bool offered = false;
  };
  /// A replica that counts what it is given.
  struct Sink final : replication::FlowSink, replication::History {
    replication::FlowPosition position() override;
    absl::Status Check(const FlowEntry& entry) override;
    void Persist(FlowEntry, Done) override {}  // the world does
    replication::History* history() override { return this; }
    absl::StatusOr<bool> Continues(const replication::FlowPosition&) override { return true; }
    absl::StatusOr<replication::FlowPosition> FirstBoundary() override { return position(); }
    absl::StatusOr<replication::FlowPosition> BoundaryAtOrBefore(Offset) override { return position(); }
    Offset LastAcknowledged() override { return durable; }
    replication::Located Locate(Offset offset) override;

    Offset handed;  ///< end of what is to be persisted
    Offset durable;
    bool failed = false;
  };
  /// A flow of the owner, by its number on the link.
  struct Outgoing {
    bool accepted = false;
    bool ended = false;
    Offset next;                ///< where its next entry begins
    uint64_t unsent_bytes = 0;  ///< of the entry under way
  };

  void Observe(const replication::Message& message);
  void Handle(const replication::Session::Event& event);
  /// The session's own.
  void CheckInvariants() const;
  void CheckReady(const replication::Session::Ready& ready);
  void CheckPersist(const replication::Session::Persist& persist);
  void CheckMessage(const replication::Message& message);
  void CheckData(const v1::Data& data, size_t payload);
  void CheckCredit(const v1::Credit& credit);
  void CheckMemory() const;
  void SendOpen(uint32_t flow);
  void SendData(uint32_t flow, int64_t from, uint32_t size);

  const Limits limits_;
  absl::Duration now_ = absl::Seconds(100);
  std::vector<std::unique_ptr<Source>> sources_;
  std::map<uint32_t, std::unique_ptr<Sink>> sinks_;
  replication::Session session_;
  bool closed_ = false;
  const size_t heap_at_start_;

  // Flows of the peer.
  std::set<replication::FlowNumber> offered_;
  std::deque<replication::Session::Persist> to_persist_;
  uint64_t to_persist_bytes_ = 0;
  uint64_t promised_bytes_ = 0;  // sum of the sizes that data frames named: at least what began
  uint64_t received_bytes_ = 0;
  uint64_t credit_limit_;
  uint32_t highest_flow_ = 0;

  // Flows of the owner.
  std::map<uint32_t, Outgoing> outgoing_;
  bool introduced_ = false;
  uint64_t peer_window_ = 0;
  uint64_t peer_limit_ = 0;
  uint64_t begun_bytes_ = 0;
};

}  // namespace selvage::fuzz
