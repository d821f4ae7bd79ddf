#include "fabric/replication/fork_finder.h"

#include <algorithm>

#include "fabric/base/error.h"

namespace selvage::replication {

ForkFinder::Ask ForkFinder::Probe(const FlowPosition& at) {
  probed_ = at;
  return {at.offset};
}

ForkFinder::Step ForkFinder::CompareBefore(const FlowPosition& boundary) {
  bisecting_ = false;
  differs_ = boundary.offset + 1;
  return Probe(boundary);
}

absl::StatusOr<ForkFinder::Step> ForkFinder::Bisect(Offset differs) {
  bisecting_ = true;
  differs_ = differs;
  found_common_ = false;
  skipped_.reset();
  SELVAGE_ASSIGN_OR_RETURN(common_, history_.FirstBoundary());
  return Probe(common_);
}

absl::StatusOr<std::optional<ForkFinder::Step>> ForkFinder::OnReply(const v1::ProbeReply& reply) {
  if (!probed_ || Offset(reply.offset()) != probed_->offset) return std::nullopt;
  return bisecting_ ? OnBisected(reply) : OnCompared(reply);
}

absl::StatusOr<ForkFinder::Step> ForkFinder::OnCompared(const v1::ProbeReply& reply) {
  const bool same = reply.known() && ChainHash(reply.hash()) == probed_->hash;
  if (same) return Continues{};
  if (reply.known() || reply.in_batch()) return Bisect(probed_->offset);
  const Offset previous(reply.previous());
  if (previous < probed_->offset) {
    SELVAGE_ASSIGN_OR_RETURN(const FlowPosition boundary, history_.BoundaryAtOrBefore(previous));
    if (boundary.offset < probed_->offset) return Probe(boundary);
  }
  // Nothing is left that both hold. It is one history if the replica acknowledged all up to the gap.
  if (history_.LastAcknowledged() >= differs_ - 1) return Continues{};
  SELVAGE_ASSIGN_OR_RETURN(common_, history_.FirstBoundary());
  return Finish(/*compared=*/false);
}

absl::StatusOr<ForkFinder::Step> ForkFinder::OnBisected(const v1::ProbeReply& reply) {
  if (reply.known() && ChainHash(reply.hash()) == probed_->hash) {
    common_ = *probed_;
    found_common_ = true;
    skipped_.reset();
    return ProbeMiddle();
  }
  if (!reply.known() && !reply.in_batch()) return SkipTo(Offset(reply.next()));
  // A boundary that nothing common comes before: the histories part before anything that can be compared.
  if (!found_common_) return Finish(/*compared=*/true);
  differs_ = skipped_.value_or(probed_->offset);
  skipped_.reset();
  return ProbeMiddle();
}

/// The replica has trimmed or has a gap at the boundary that was probed, and holds one again at `next`.
absl::StatusOr<ForkFinder::Step> ForkFinder::SkipTo(Offset next) {
  if (!skipped_) skipped_ = probed_->offset;
  if (next > probed_->offset) {
    SELVAGE_ASSIGN_OR_RETURN(const auto boundary, BoundaryAtOrAfter(next));
    if (boundary && boundary->offset > probed_->offset) return Probe(*boundary);
  }
  if (!found_common_) return Finish(/*compared=*/false);
  differs_ = *std::exchange(skipped_, std::nullopt);
  return ProbeMiddle();
}

/// The first boundary of the source's in [offset, differs_).
absl::StatusOr<std::optional<FlowPosition>> ForkFinder::BoundaryAtOrAfter(Offset offset) {
  if (offset >= differs_) return std::nullopt;
  SELVAGE_ASSIGN_OR_RETURN(FlowPosition boundary, history_.BoundaryAtOrBefore(offset));
  if (boundary.offset < offset) {
    // An entry spans the offset: its end is the next boundary.
    SELVAGE_ASSIGN_OR_RETURN(const auto entries, source_.Read(boundary.offset, 1));
    if (entries.empty()) return std::nullopt;
    boundary.offset = entries.front().to;
    boundary.hash = entries.front().hash_after;
  }
  if (boundary.offset >= differs_) return std::nullopt;
  return boundary;
}

absl::StatusOr<ForkFinder::Step> ForkFinder::ProbeMiddle() {
  SELVAGE_ASSIGN_OR_RETURN(const auto middle, Middle());
  if (!middle) return Finish(/*compared=*/true);
  return Probe(*middle);
}

/// A boundary between common_ and differs_, the middle one if the entries allow; nothing when there is none.
absl::StatusOr<std::optional<FlowPosition>> ForkFinder::Middle() {
  if (differs_ - common_.offset <= 1) return std::nullopt;
  const Offset half = common_.offset + (differs_ - common_.offset) / 2;
  SELVAGE_ASSIGN_OR_RETURN(const FlowPosition middle, history_.BoundaryAtOrBefore(half));
  // Beyond: what lay between was trimmed meanwhile.
  if (middle.offset >= differs_) return std::nullopt;
  if (middle.offset > common_.offset) return middle;
  return BoundaryAtOrAfter(common_.offset + 1);
}

absl::StatusOr<ForkFinder::Step> ForkFinder::Finish(bool compared) {
  if (found_common_) return Fork{common_};
  // What the replica acknowledged it had; the rest is sent again rather than lost.
  const Offset acknowledged = std::min(history_.LastAcknowledged(), differs_ - 1);
  if (!compared || acknowledged < probed_->offset) {
    auto boundary = history_.BoundaryAtOrBefore(acknowledged);
    if (boundary.ok() && boundary->offset > common_.offset) common_ = *boundary;
  }
  return Fork{common_};
}

}  // namespace selvage::replication
