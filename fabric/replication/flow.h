#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/bytes.h"
#include "fabric/base/ids.h"
#include "fabric/base/log_position.h"
#include "selvage/v1/link.pb.h"

/// The two ports of a flow. Streams implement them over their logs; tables and models are further flows over
/// the same link. A session calls them from wherever it is driven, never concurrently.
namespace selvage::replication {

/// Number of a flow in one session; belongs to the side that is its source and is never reused in the
/// session.
using FlowNumber = StrongInt<struct FlowNumberTag, uint32_t>;

struct FlowSettings {
  uint32_t priority = 0;  ///< 0 to 9; a higher one overtakes
  uint32_t weight = 1;    ///< share within one priority
  bool compress = true;   ///< zstd for entries that say they are worth it
};

/// An entry on its way out.
struct SourceEntry {
  EntryKind kind = EntryKind::kBatch;
  Offset from;
  Offset to;
  ChainHash hash_after;
  bool compressible = false;  ///< the producer did not compress it
  Bytes body;
};

/// What a flow's entries are read from. Answers from synced data only.
class FlowSource {
 public:
  virtual ~FlowSource() = default;

  /// The offer, without the flow number.
  virtual v1::FlowOpen Describe() = 0;
  virtual FlowSettings settings() = 0;
  /// Offset after the last synced entry; cheap.
  virtual Offset end() = 0;
  /// True when `replica` lies on this history, so that sending goes on from its offset; false when the two
  /// histories differ. An error holds the flow.
  virtual absl::StatusOr<bool> Continues(const LogPosition& replica) = 0;
  /// Entries from exactly `from` on (a hole before what is still held reads as a gap), until `max_bytes`, at
  /// least one if there is any.
  virtual absl::StatusOr<std::vector<SourceEntry>> Read(Offset from, size_t max_bytes) = 0;
  /// The position at the largest entry boundary <= `offset`, not before what is held.
  virtual absl::StatusOr<LogPosition> BoundaryAtOrBefore(Offset offset) = 0;
  /// The replica holds everything before this durably. May go down when a session resumes with a replica that
  /// lost.
  virtual void Acknowledged(const LogPosition& durable) = 0;
  /// What the replica is remembered to have acknowledged; 0 when nothing is known.
  virtual Offset last_acknowledged() { return Offset(0); }
};

/// An entry that arrived whole.
struct ReceivedEntry {
  EntryKind kind = EntryKind::kBatch;
  Offset from;
  Offset to;
  std::string body;
};

/// Where an offset lies among the entries that a replica holds.
struct Located {
  std::optional<ChainHash> hash;  ///< the chain hash there, if it is a boundary between entries held
  // When it is none:
  Offset previous;        ///< the last boundary before it that is held; the offset itself when there is none
  Offset next;            ///< the first boundary behind it that is held
  bool in_batch = false;  ///< a batch spans it; else a gap, or nothing is held there
};

/// Where a flow's entries go. Persisting itself is asked for through Session::Ready.
class FlowSink {
 public:
  virtual ~FlowSink() = default;

  /// The durable end: where the source is to go on.
  virtual LogPosition position() = 0;
  /// Checks bytes that came from the peer, before they are persisted.
  virtual absl::Status Check(const ReceivedEntry& entry) = 0;
  /// Where `offset` lies among the entries held here, for finding out where two histories part.
  virtual Located Locate(Offset offset) = 0;
};

}  // namespace selvage::replication
