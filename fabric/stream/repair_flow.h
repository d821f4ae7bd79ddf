#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "fabric/replication/flow.h"
#include "fabric/stream/log_repair.h"
#include "fabric/stream/log_store.h"
#include "selvage/v1/link.pb.h"

/// A piece of a log that is damaged at one end travels from the other as a flow of its own, which ends where
/// the piece ends. For example, where hN is the chain hash at offset N:
///
///   offset   0     3     5       10  11
///   peer     |--a--|--b--|---c---|-d-|
///   here     |--a--|///damaged///|-d-|    h3 and h10 are known from a and d
///
/// This end asks for [3, 10) with h3 and h10. The peer sees that it has the same hashes there, and offers
/// what fits one piece: all of it, or b alone, as [3, 5). With b in its place h5 is known, and [5, 10) is
/// asked for next:
///
///   here     |--a--|--b--|damaged|-d-|
///   here     |--a--|--b--|---c---|-d-|
///
/// c must lead to h10, or it is refused as chain_mismatch. Had the peer a gap [0, 5), it would hold no
/// boundary at 3 and refuse with range_not_held. While a piece is incomplete nothing of it is stored.
namespace selvage {

/// The kinds of error with which RepairSource::Make refuses.
inline constexpr std::string_view kRangeNotHeld = "range_not_held";  ///< for good: nobody holds it any more
inline constexpr std::string_view kCorruptEntry = "corrupt_entry";   ///< it is damaged here as well

/// What is given at once at most; a larger entry comes alone.
inline constexpr uint64_t kRepairPieceMax = 1u << 20;

/// Offers what the peer asked for. The session calls the port.
class RepairSource : public replication::FlowSource {
 public:
  /// Over the range that was asked for, or as much of it from its beginning as `request` allows. Errors:
  /// "range_not_held" when the range is not held whole, or a gap reaches into it; "chain_mismatch" when this
  /// log holds another history; "corrupt_entry". `number` is the asker's number of the request.
  static absl::StatusOr<std::unique_ptr<RepairSource>> Make(std::shared_ptr<Log> log, uint32_t number,
                                                            const v1::RepairRequest& request);

  /// The peer has all of it.
  bool finished() const { return finished_; }

  v1::FlowOpen Describe() override;
  replication::FlowSettings settings() override;
  Offset end() override { return to_; }
  /// Errors: "log_branched" and "range_not_held", when the log changed since it was asked for.
  absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t max_bytes) override;
  void Acknowledged(const replication::FlowPosition& durable) override;

 private:
  RepairSource(std::shared_ptr<Log> log, uint32_t request, Offset from, Offset to)
      : log_(std::move(log)), id_(log_->state().id), request_(request), from_(from), to_(to) {}

  const std::shared_ptr<Log> log_;
  const LogId id_;
  const uint32_t request_;
  const Offset from_;
  const Offset to_;
  bool finished_ = false;
};

/// Takes what was asked for, holds it until it is complete, and puts it in the place of what is damaged. The
/// session calls the port; all calls are made on the link's strand.
class RepairSink : public replication::FlowSink {
 public:
  /// `log` has Log::repair. `to`: where the piece ends, not behind the range. `fence`: of the link's session.
  RepairSink(std::shared_ptr<Log> log, LogDamage damage, Offset to, size_t batch_max, Fence fence)
      : log_(std::move(log)),
        damage_(std::move(damage)),
        to_(to),
        batch_max_(batch_max),
        fence_(std::move(fence)),
        history_(log_->state().id.bytes()),
        expected_(damage_.hash_before) {}
  ~RepairSink() override { Abandon(); }

  /// No more comes: what is held is given up.
  void Abandon();
  /// The piece is in its place, durably.
  bool stored() const { return *stored_; }

  replication::FlowPosition position() override;
  absl::Status Check(const FlowEntry& entry) override;
  /// `done` runs when all of the piece is durable, or with the reason why nothing was written.
  void Persist(FlowEntry entry, Done done) override;

 private:
  struct Waiting {
    Done done;
    Offset end;  ///< of the entry
  };

  const std::shared_ptr<Log> log_;
  const LogDamage damage_;
  const Offset to_;
  const size_t batch_max_;
  const Fence fence_;
  const std::string history_;  // the log's id when the flow began; a fork may give it another one meanwhile
  ChainHash expected_;         // at the end of what passed Check
  bool abandoned_ = false;
  std::vector<FlowEntry> entries_;
  std::vector<Waiting> waiting_;
  const std::shared_ptr<std::atomic<bool>> stored_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace selvage
