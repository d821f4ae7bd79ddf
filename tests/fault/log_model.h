#pragma once

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/stream/embedded_log.h"

namespace selvage::test {

/// What one log must hold, kept from what was submitted to it and what it acknowledged alone.
///
/// The entries it acknowledged are sure. After a crash those that were submitted and not answered may be
/// there as well, but only as a prefix. The same goes for one change of its identity and for one trim.
class LogModel {
 public:
  /// What a log is apart from its entries.
  struct Identity {
    LogId id;
    Offset base;
    ChainHash base_hash;
    std::vector<std::pair<LeaderEpoch, Offset>> leader_epochs;

    friend bool operator==(const Identity&, const Identity&) = default;
  };
  static Identity IdentityOf(const LogState& state) {
    return {state.id, state.base, state.base_hash, state.leader_epochs};
  }

  /// A log that holds nothing yet.
  explicit LogModel(const LogState& made);

  /// Where the log is when everything submitted is durable.
  Offset end() const;
  ChainHash hash() const;
  const Identity& identity() const { return identity_; }
  Offset start() const { return start_; }
  bool never_written() const { return never_written_; }
  const std::vector<Entry>& sure() const { return sure_; }

  /// A batch given to the source, or the next one of its source given to a replica, stamped as it will be
  /// stored.
  void SubmitBatch(std::string stamped);
  void SubmitGap(const Gap& gap);
  /// The batches of an idempotent producer that are there, or will be when everything submitted is; oldest
  /// first.
  std::vector<Entry> BatchesOf(int64_t producer) const;
  /// The oldest entry without an answer got one: OK must name the position after that entry.
  absl::Status Answered(const absl::StatusOr<LogPosition>& answer);
  /// The process ended: nothing more is going to be answered.
  void Died();

  /// The next Check may find this identity (at a log that never held an entry, also where it begins).
  void MayBecome(Identity identity) { next_ = std::move(identity); }
  /// It did.
  void Became();
  /// The next Check may find the log trimmed, up to `to` at most; of that, what was at or after `gap_from` is
  /// covered by a gap.
  void MayTrim(Offset to, std::optional<Offset> gap_from);
  /// What a peer acknowledged; the store hears of it some time later.
  void Acknowledge(Offset offset) { acknowledged_.push_back(offset); }
  /// The last of that is stored.
  void AcknowledgementStored();

  /// Reads the whole log of a running node, from disk and by way of the cache, and compares.
  absl::Status Check(EmbeddedLog& log, size_t chunk_bytes);
  /// The same for the log as it was opened after a crash. What is found is sure from here on.
  absl::Status CheckRecovered(EmbeddedLog& log, size_t chunk_bytes);
  /// Whether CheckRecovered found the identity that the log might take.
  bool took_next() const { return took_next_; }

 private:
  /// Adds the epoch of an entry that became sure.
  void TakeEpoch(const Entry& entry);
  ChainHash SureHash() const { return sure_.empty() ? start_hash_ : sure_.back().hash_after; }
  Offset SureEnd() const { return sure_.empty() ? start_ : sure_.back().to; }
  absl::Status TakeStart(const LogState& state, const std::vector<Entry>& found);
  absl::Status TakeGap(const Entry& gap);
  absl::Status Compare(const LogState& state, const std::vector<Entry>& found);

  Identity identity_;  // with the epochs of the sure entries
  std::optional<Identity> next_;
  bool took_next_ = false;
  bool never_written_ = true;
  Offset start_;
  ChainHash start_hash_;
  std::optional<Offset> trim_to_;
  std::optional<Offset> gap_from_;
  std::vector<Entry> sure_;
  std::deque<Entry> submitted_;
  std::deque<Entry> perhaps_;  // submitted before the crash
  std::vector<std::optional<Offset>> acknowledged_ = {std::nullopt};
};

bool SameEntry(const Entry& a, const Entry& b);
/// Checks a batch's CRC and chain hash, a gap's form.
absl::Status CheckEntry(const Entry& entry);
/// Every entry of a log from its start, read in pieces; each is checked against the one before it, its chain
/// hash and its CRC.
absl::StatusOr<std::vector<Entry>> ReadWhole(EmbeddedLog& log, size_t chunk_bytes, bool from_disk);

}  // namespace selvage::test
