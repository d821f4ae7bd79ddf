#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fabric/replication/link_handler.h"
#include "tests/simulation/sim_node.h"
#include "tests/support/wire.h"

namespace selvage::sim {

/// One connection between an edge and the core: at each end a production session and its handler, driven as
/// transport/link_driver drives them, and a network between them that delays, cuts and goes silent.
class SimLink : public std::enable_shared_from_this<SimLink> {
 public:
  enum Side { kEdge = 0, kCore = 1 };
  using HandlerFactory = std::function<std::shared_ptr<replication::LinkHandler>(std::function<void()> wake)>;
  /// How a connection ended, for who dialled it.
  using Ended = std::function<void(const absl::Status& reason, absl::Duration retry_after)>;

  /// The nodes must outlive it. `number` orders the connections of an edge.
  SimLink(Surroundings world, uint64_t number, SimNode& edge, SimNode& core);
  ~SimLink();

  void Open(const HandlerFactory& edge_handler, Ended edge_ended, const HandlerFactory& core_handler,
            Ended core_ended);

  uint64_t number() const { return number_; }
  bool open(Side side) const { return ends_[side].session.has_value(); }
  bool over() const { return !open(kEdge) && !open(kCore); }
  /// Past the handshake at this end.
  bool established(Side side) const { return open(side) && ends_[side].session->established(); }

  /// Rows of tables that were handed to this end.
  uint64_t rows_carried(Side to) const { return ends_[to].rows; }

  // Faults.
  /// The process at this end is gone. The other end hears of it after `notice`; infinite: only by silence.
  void Vanish(Side side, absl::Duration notice);
  /// Nothing that an end sends from here on arrives, nor, with `in_flight_lost`, what is on its way.
  void Cut(bool in_flight_lost, absl::Duration edge_notice, absl::Duration core_notice);
  /// What travels from this side waits in the network until then.
  void Stall(Side from, absl::Duration until);
  void Shape(Side from, double bytes_per_second, absl::Duration delay);

 private:
  struct Durable {
    replication::FlowNumber flow;
    size_t credit;
    absl::StatusOr<replication::FlowPosition> position;
  };
  struct End {
    SimNode* node = nullptr;
    std::shared_ptr<replication::LinkHandler> handler;  // before the session, which refers to its flows
    std::optional<replication::Session> session;
    Ended ended;
    test::Wire out;
    absl::Duration stalled_until;  // of `out`
    bool dead_wire = false;        // what is sent is lost
    std::vector<Durable> durable;
    size_t persisting = 0;  // bytes handed over and not durable yet
    size_t largest = 0;
    uint64_t rows = 0;  // of tables, that came
    absl::Duration tick_at;
    absl::Duration wake_at;
    absl::Duration retry_after;
  };

  void Drive();
  void Nudge();
  bool Deliver(Side to);
  bool Pump(Side side);
  void Obey(Side side, replication::Session::Ready ready);
  void Persist(Side side, replication::Session::Persist persist);
  void Send(Side side, replication::Message message);
  void Close(Side side, const absl::Status& reason);
  void CheckInvariants(Side side);
  void CheckReason(Side side, const absl::Status& reason);
  absl::Duration NextAt() const;
  bool dead(Side side) const { return ends_[side].node->disk().dead(); }
  std::string Name(Side side) const;

  Surroundings world_;
  const uint64_t number_;
  End ends_[2];
  bool nudged_ = false;
  absl::Duration scheduled_ = absl::InfiniteDuration();
};

}  // namespace selvage::sim
