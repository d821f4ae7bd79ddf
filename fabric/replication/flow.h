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
/// same link. A session calls the ports on the thread that drives it, one call at a time.
///
/// An offset is where an entry begins or ends in the history of a flow. A stream counts records, a table its
/// sequence numbers, a model its chunks, a document its generations.
namespace selvage::replication {

/// Number of a flow in one session. The source's side gives it, and gives no number twice in a session.
using FlowNumber = StrongInt<struct FlowNumberTag, uint32_t>;

struct FlowSettings {
  uint32_t priority = 0;  ///< 0 to 9; a higher one is sent first
  uint32_t weight = 1;    ///< flows of one priority share the link in this proportion
  bool compress = true;   ///< entries that say they are compressible are sent as zstd
};

inline constexpr size_t kHistoryMax = 64;   ///< bytes of a history's name
inline constexpr size_t kDetailMax = 1024;  ///< bytes of a position's detail

/// A place in the history of a flow. Two ends compare their positions to resume.
struct FlowPosition {
  std::string history;  ///< name of the history
  Offset offset;
  std::optional<ChainHash> hash = {};  ///< of the history up to `offset`; kinds without a History have none
  std::string detail = {};             ///< whatever else the kind needs; only its source and sink read it

  friend bool operator==(const FlowPosition&, const FlowPosition&) = default;
};

/// Where an offset lies among the entries that a node holds.
struct Located {
  std::optional<ChainHash> hash;  ///< the hash at the offset, if the node holds an entry boundary there
  // Without a boundary at the offset:
  Offset previous;        ///< the last boundary before it that the node holds; without one the offset itself
  Offset next;            ///< the first boundary behind it that the node holds
  bool in_batch = false;  ///< true inside of a batch; false inside of a gap or where nothing is held
};

/// The past of a flow. Kinds have one whose two ends may come to hold different histories, and whose hashes
/// tell where the histories part. Each end has a History of the entries that it holds itself.
class History {
 public:
  virtual ~History() = default;

  /// At the source: true when `replica` lies on this history, and the source may send from its offset on;
  /// false when the two histories differ. An error holds the flow.
  virtual absl::StatusOr<bool> Continues(const FlowPosition& replica) = 0;
  /// The first boundary that can be compared: where the history begins, or where the entries held begin.
  virtual absl::StatusOr<FlowPosition> FirstBoundary() = 0;
  /// The position at the largest entry boundary <= `offset`. Before the entries held it is where they begin.
  virtual absl::StatusOr<FlowPosition> BoundaryAtOrBefore(Offset offset) = 0;
  /// Where `offset` lies among the entries held here.
  virtual Located Locate(Offset offset) = 0;
  /// The offset up to which the replica acknowledged in this or earlier sessions; 0 when nothing is known.
  virtual Offset LastAcknowledged() = 0;
};

/// The end of a flow that entries are read from. It answers from synced data only.
class FlowSource {
 public:
  virtual ~FlowSource() = default;

  /// The offer, without the flow number.
  virtual v1::FlowOpen Describe() = 0;
  virtual FlowSettings settings() = 0;
  /// Offset after the last synced entry. The session asks each flow whenever it may send something, so the
  /// answer must be cheap.
  virtual Offset end() = 0;
  /// Entries from exactly `from` on, until `max_bytes` are reached; at least one if there is any. Where the
  /// source holds nothing any more it answers with a gap.
  virtual absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t max_bytes) = 0;
  /// The sink holds everything before `durable` on disk. The first call of a session says where the sink
  /// stands, and Read goes on there. A sink that lost something stands before what it acknowledged in an
  /// earlier session.
  virtual void Acknowledged(const FlowPosition& durable) = 0;
  /// Null for kinds whose histories are not compared. The sink of such a kind says where to begin in the
  /// history that was offered.
  virtual History* history() { return nullptr; }
};

/// The end of a flow that entries are stored at.
class FlowSink {
 public:
  /// Takes the position behind the entry, or the reason why nothing was stored.
  using Done = std::function<void(const absl::StatusOr<FlowPosition>& durable)>;

  virtual ~FlowSink() = default;

  /// The durable end. The source goes on there.
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
