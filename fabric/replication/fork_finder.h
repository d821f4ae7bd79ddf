#pragma once

#include <optional>
#include <variant>

#include "absl/status/statusor.h"
#include "fabric/replication/flow.h"

namespace selvage::replication {

/// Compares the histories of a source and its replica: it asks the replica for chain hashes (Probe) and finds
/// the last boundary that both have. It can compare only boundaries that both hold: either end may have
/// trimmed, or have a gap in another place. A batch of the replica that spans a boundary of the source
/// belongs to another history, since a source never cuts a batch. Where nothing can be compared, the entries
/// that the replica acknowledged count as common. Pure; Sender sends the probes.
class ForkFinder {
 public:
  /// Both must outlive the finder; `history` is the source's.
  ForkFinder(FlowSource& source, History& history) : source_(source), history_(history) {}

  struct Ask {
    Offset offset;  ///< the replica is to be asked for its hash here
  };
  struct Continues {};  ///< nothing shows that the histories differ: the sender goes on at the replica's end
  struct Fork {
    FlowPosition common;  ///< the last boundary known to be common
  };
  using Step = std::variant<Ask, Continues, Fork>;

  /// The replica ends inside of a gap of the source, and the gap begins at `boundary`. Compares from there
  /// backwards.
  Step CompareBefore(const FlowPosition& boundary);
  /// The histories differ at `differs`. Looks for the last common boundary before it. Returns the source's
  /// errors.
  absl::StatusOr<Step> Bisect(Offset differs);
  /// The replica's answer to the last Ask. Returns nothing for an answer to any other one.
  absl::StatusOr<std::optional<Step>> OnReply(const v1::ProbeReply& reply);

 private:
  Ask Probe(const FlowPosition& at);
  absl::StatusOr<Step> OnCompared(const v1::ProbeReply& reply);
  absl::StatusOr<Step> OnBisected(const v1::ProbeReply& reply);
  absl::StatusOr<Step> SkipTo(Offset next);
  absl::StatusOr<Step> ProbeMiddle();
  absl::StatusOr<std::optional<FlowPosition>> Middle();
  absl::StatusOr<std::optional<FlowPosition>> BoundaryAtOrAfter(Offset offset);
  absl::StatusOr<Step> Finish(bool compared);

  FlowSource& source_;
  History& history_;
  bool bisecting_ = false;
  std::optional<FlowPosition> probed_;
  Offset differs_;  // boundaries at or after this one are not common, or not comparable
  // Bisecting:
  FlowPosition common_;        // the largest boundary known to be common, or the first that the source holds
  bool found_common_ = false;  // common_ is known to be common
  std::optional<Offset> skipped_;  // from here to probed_ nothing can be compared
};

}  // namespace selvage::replication
