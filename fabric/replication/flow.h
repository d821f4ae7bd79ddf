#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/flow_entry.h"
#include "fabric/base/ids.h"
#include "selvage/v1/link.pb.h"

/// The ports of a flow. Streams implement them over their logs; tables and models are further flows over the
/// same link. A session calls them from wherever it is driven, never concurrently.
///
/// What is called an offset here is where an entry begins or ends in the flow's history: of a stream an
/// offset, of a table a sequence number, of a model the index of a chunk, of a document a generation.
namespace selvage::replication {

/// Number of a flow in one session; belongs to the side that is its source and is never reused in the
/// session.
using FlowNumber = StrongInt<struct FlowNumberTag, uint32_t>;

struct FlowSettings {
  uint32_t priority = 0;  ///< 0 to 9; a higher one overtakes
  uint32_t weight = 1;    ///< share within one priority
  bool compress = true;   ///< zstd for entries that say they are worth it
};

inline constexpr size_t kHistoryMax = 64;   ///< bytes of a history's name
inline constexpr size_t kDetailMax = 1024;  ///< bytes of a position's detail

/// A place in the history of a flow: what two ends compare to resume.
struct FlowPosition {
  std::string history;  ///< names the history
  Offset offset;
  std::optional<ChainHash> hash = {};  ///< of the history up to `offset`; only of kinds that have a History
  std::string detail = {};             ///< what the kind needs besides; only its source and sink read it

  friend bool operator==(const FlowPosition&, const FlowPosition&) = default;
};

/// Where an offset lies among the entries that a node holds.
struct Located {
  std::optional<ChainHash> hash;  ///< the hash there, if it is a boundary between entries held
  // When it is none:
  Offset previous;        ///< the last boundary before it that is held; the offset itself when there is none
  Offset next;            ///< the first boundary behind it that is held
  bool in_batch = false;  ///< a batch spans it; else a gap, or nothing is held there
};

/// The past of a flow, for kinds whose two ends may come to hold different histories and can tell by hashes
/// where they part. Both ends of a flow have one, over what they hold.
class History {
 public:
  virtual ~History() = default;

  /// At the source: true when `replica` lies on this history, so that sending goes on from its offset; false
  /// when the two histories differ. An error holds the flow.
  virtual absl::StatusOr<bool> Continues(const FlowPosition& replica) = 0;
  /// The first boundary that can be compared: where the history begins, or what is held of it.
  virtual absl::StatusOr<FlowPosition> FirstBoundary() = 0;
  /// The position at the largest entry boundary <= `offset`, not before what is held.
  virtual absl::StatusOr<FlowPosition> BoundaryAtOrBefore(Offset offset) = 0;
  /// Where `offset` lies among the entries held here.
  virtual Located Locate(Offset offset) = 0;
  /// What the replica is remembered to have acknowledged; 0 when nothing is known.
  virtual Offset LastAcknowledged() = 0;
};

/// What a flow's entries are read from. Answers from synced data only.
class FlowSource {
 public:
  virtual ~FlowSource() = default;

  /// The offer, without the flow number.
  virtual v1::FlowOpen Describe() = 0;
  virtual FlowSettings settings() = 0;
  /// Offset after the last synced entry. Asked for each flow whenever something may be sent: it must be
  /// cheap.
  virtual Offset end() = 0;
  /// Entries from exactly `from` on (a hole before what is still held reads as a gap), until `max_bytes`, at
  /// least one if there is any.
  virtual absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t max_bytes) = 0;
  /// The sink holds everything before this durably. The first one of a session says where it stands: Read
  /// goes on there. It may lie before what an earlier session acknowledged, when the sink lost something.
  virtual void Acknowledged(const FlowPosition& durable) = 0;
  /// Null for kinds whose histories are not compared: such a sink begins where it says, in the history that
  /// was offered.
  virtual History* history() { return nullptr; }
};

/// Where a flow's entries go.
class FlowSink {
 public:
  /// With the position behind the entry, or the reason why nothing was stored.
  using Done = std::function<void(const absl::StatusOr<FlowPosition>& durable)>;

  virtual ~FlowSink() = default;

  /// The durable end: where the source is to go on.
  virtual FlowPosition position() = 0;
  /// Checks bytes that came from the peer, before they are persisted.
  virtual absl::Status Check(const FlowEntry& entry) = 0;
  /// Makes an entry durable that passed Check. `done` is called exactly once, on any thread, at once or
  /// later, in order within the flow.
  virtual void Persist(FlowEntry entry, Done done) = 0;
  /// Null for kinds whose histories are not compared.
  virtual History* history() { return nullptr; }
};

}  // namespace selvage::replication
