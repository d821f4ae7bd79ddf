#pragma once

#include <optional>
#include <variant>

#include "absl/status/statusor.h"
#include "fabric/replication/flow.h"

namespace selvage::replication {

/// Compares the histories of a source and its replica by asking the replica for chain hashes (Probe), and
/// finds the last boundary that both have. Only boundaries that both hold can be compared: either side may
/// have trimmed, or have a gap in another place. A batch of the replica that spans a boundary of the source's
/// is another history, since a source never cuts a batch. Where nothing can be compared, what the replica
/// acknowledged counts as common. Pure; Sender sends the probes.
class ForkFinder {
 public:
  /// Both must outlive the finder; `history` is the source's.
  ForkFinder(FlowSource& source, History& history) : source_(source), history_(history) {}

  struct Ask {
    Offset offset;  ///< to be probed
  };
  struct Continues {};  ///< nothing shows that the histories differ: sending goes on at the replica's end
  struct Fork {
    FlowPosition common;  ///< the last boundary known to be common
  };
  using Step = std::variant<Ask, Continues, Fork>;

  /// The replica ends inside of an entry of the source's, a gap, and `boundary` is where that begins:
  /// compares from there backwards.
  Step CompareBefore(const FlowPosition& boundary);
  /// The histories differ: looks for the last common boundary before `differs`. Errors are the source's.
  absl::StatusOr<Step> Bisect(Offset differs);
  /// The replica's answer to what was asked last; another one is ignored (nothing).
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
  bool found_common_ = false;  // it is known to be
  std::optional<Offset> skipped_;  // from here to probed_ nothing can be compared
};

}  // namespace selvage::replication
