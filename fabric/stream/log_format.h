#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "fabric/base/bytes.h"
#include "fabric/base/flow_entry.h"
#include "fabric/base/ids.h"
#include "fabric/base/log_position.h"

/// The stored form of a log (docs/formats.md, "Log"). Key: log number ‖ base offset. Value: entry header ‖
/// body, where the body is a record batch v2 or a gap. Integers are big-endian. Bodies travel the link
/// unchanged; headers belong to one copy, but for the chain hashes, which agree on every copy.
namespace selvage {

/// Why records are missing. The numbers are stored.
enum class GapReason : uint8_t {
  kDroppedForSpace = 1,   ///< the disk budget was used up and the stream's policy is drop_oldest
  kExpired = 2,           ///< retention reached what was not yet acknowledged and the policy allows it
  kCorrupt = 3,           ///< damaged bytes were quarantined
  kLostWithDisk = 4,      ///< acknowledged here, lost before it was replicated
  kReplicaRegressed = 5,  ///< the replica lost it and the source no longer holds it
  kCompacted = 6,         ///< newer records of the same keys have come: nothing is lost
};
std::string_view GapReasonName(GapReason reason);

/// A hole `[from, to)` in a log, stored and replicated like a batch. For example, where hN is the chain hash
/// at offset N:
///
///   offset   0     3     5       10  11      15
///   source   |--a--|--b--|---c---|-d-|---e---|    what was written
///   source         |-----gap-----|-d-|---e---|    the replica was known to hold a when b and c were dropped
///   replica  |--a--|--b--|                        what it holds when it links again
///   replica  |--a--|--b--|--gap--|-d-|---e---|    what it holds then
///
/// The gap [3, 10) leads from h3 to the h10 that b and c led to, so d follows on both ends as if nothing had
/// happened. The replica stands inside of the gap: it gets the rest of it, [5, 10), which leads to h10 as
/// well, and keeps b. A gap at the end of a log, where nothing is known of what is missing, begins a chain of
/// its own: h10 is then computed from h3 and the gap (ChainGap).
struct Gap {
  Offset from;
  Offset to;
  GapReason reason = GapReason::kDroppedForSpace;
  LeaderEpoch leader_epoch;
  /// Chain hash at `to`. A gap that takes the place of entries keeps the hash they led to, so the chain goes
  /// on.
  ChainHash hash_after;
  int64_t recorded_ms = 0;  ///< wall time when the gap was made; information only

  friend bool operator==(const Gap&, const Gap&) = default;
};
inline constexpr size_t kGapSize = 37;
std::string EncodeGap(const Gap& gap);
/// "corrupt_gap" for a wrong size, an unknown reason or an empty range.
absl::StatusOr<Gap> DecodeGap(std::string_view body);

/// One entry of a log, with what its header says of it.
struct Entry {
  EntryKind kind = EntryKind::kBatch;
  Offset from;                ///< base offset
  Offset to;                  ///< offset after the last record
  ChainHash hash_before;      ///< at `from`
  ChainHash hash_after;       ///< at `to`
  int64_t append_ms = 0;      ///< when this copy stored it, by its AgeClock; never decreases along a log
  int64_t max_timestamp = 0;  ///< largest record timestamp in the log up to and including this entry
  uint64_t log_bytes = 0;     ///< body bytes of the log up to and including this entry, since it began
  Bytes body;
  /// Records were taken out of the batch: its header is not the one that the chain was made with.
  bool compacted = false;
};

inline constexpr size_t kEntryHeaderSize = 48;
inline constexpr size_t kLogKeySize = 12;

std::string LogKey(LogNumber log, Offset offset);
/// The offset of a key made by LogKey; the caller knows the log.
Offset OffsetOfLogKey(std::string_view key);

/// The header for `entry`; for a gap its checksum also covers the body.
std::string EncodeEntryHeader(const Entry& entry);
/// Decodes a stored value that was found under base offset `from`. `body` shares the memory of `value`.
/// Errors: "corrupt_entry" (kDataLoss) when header, gap or batch header are damaged or disagree with the key.
/// The records' own CRC is not checked here.
absl::StatusOr<Entry> DecodeEntry(Offset from, const Bytes& value);

/// The leader epoch that the entry's body carries. `entry` was decoded, or is about to be stored.
LeaderEpoch LeaderEpochOf(const Entry& entry);

/// The chain hash after a batch: XXH3-64 over the hash before it and the batch's 61 header bytes, which hold
/// its stamped offset, epoch and CRC.
ChainHash ChainBatch(ChainHash before, std::string_view batch_header);
/// The chain hash after a gap made at the end of a log, where it replaces nothing known.
ChainHash ChainGap(ChainHash before, const Gap& gap);

}  // namespace selvage
