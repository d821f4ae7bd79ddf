#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "fabric/table/document.h"
#include "fabric/table/operations.h"
#include "fabric/table/rows_digest.h"

/// What a program asks of a table, and what it is answered. TableStore does it.
namespace selvage::table {

inline constexpr size_t kRowKeyMax = 1024;            ///< bytes of a row's key
inline constexpr size_t kRowBytesDefault = 1u << 20;  ///< of a row's JSON
inline constexpr size_t kBatchOperationsMax = 10'000;
inline constexpr size_t kBatchBytesMax = 4u << 20;  ///< keys and JSON of the operations of one batch

/// Error: "invalid_key" (kInvalidArgument).
absl::Status CheckRowKey(std::string_view key);

/// The error "corrupt_row" (kDataLoss): what is stored of the row does not decode. Says how to get out.
absl::Status DamagedRow(std::string_view key);

/// A row as readers see it.
struct RowView {
  std::string key;
  std::string json;   ///< canonical
  RowDigest version;  ///< equal on every node that sees the same; the ETag over HTTP
  std::optional<int64_t> expires_at_ms;
};

/// What must hold of a row for an operation to be done, here at this node and at this time.
struct Condition {
  enum class Kind {
    kNone,
    kAbsent,     ///< the row is not there
    kPresent,    ///< the row is there
    kVersionIn,  ///< the row is there in one of `versions`
    kVersionNotIn,
  };
  Kind kind = Kind::kNone;
  std::vector<RowDigest> versions = {};
};

/// One operation on one row.
struct RowOperation {
  struct Put {
    Fields fields;
    std::optional<int64_t> expires_at_ms = {};
  };
  /// RFC 7396, for the row's JSON: null unsets a field; an object is merged into the object that the field
  /// holds.
  struct MergePatch {
    std::string json;
    std::optional<Update::NewExpiry> expiry = {};
  };
  struct Delete {};

  std::string key;
  std::variant<Put, Update, MergePatch, Delete> what;
  Condition condition = {};
  /// Of a put or delete: also in place of a damaged row, if there is no condition. It wins over all that the
  /// row had and that others had of it when it was damaged.
  bool replace_damaged = false;
};

/// What became of one operation.
struct RowWritten {
  RowDigest version;     ///< of the row afterwards; none: it is not there
  bool created = false;  ///< it was not there before
};

/// A place in the change feed of a store. Later places compare greater while the store is not restored.
struct FeedPosition {
  FeedEpoch epoch;
  uint64_t sequence = 0;  ///< everything before it was read; 0: the beginning
  /// Of who reads from the beginning and has not come so far yet: where the feed ended when it began. It need
  /// not hear of deletes from before. Otherwise 0.
  uint64_t began_at = 0;

  /// "<32 hexadecimal digits>-<sequence>", and "-<began_at>" where it is not 0; for clients who resume.
  std::string Text() const;
  /// Nothing for anything else.
  static std::optional<FeedPosition> Parse(std::string_view text);
  bool operator==(const FeedPosition&) const = default;
};

struct ScanRequest {
  std::string from = {};    ///< first key; empty: the first of all
  std::string to = {};      ///< keys before it; empty: to the last
  std::string prefix = {};  ///< keys that begin with it, of these
  size_t rows_max = 1000;
  size_t bytes_max = 1u << 20;     ///< of keys and JSON; one row always fits
  size_t looked_at_max = 100'000;  ///< rows that are read, there or not; 64 MiB of them at most
  /// Go on behind damaged rows, and name them. Else a page ends before one, and begins at none.
  bool past_damaged = false;
};

struct ScanPage {
  std::vector<RowView> rows;        ///< in the order of the bytes of their keys
  std::optional<std::string> next;  ///< ScanRequest::from of the page that follows; nothing: this is the last
  uint64_t looked_at = 0;
  std::vector<std::string> damaged;  ///< keys of rows that were left out, with ScanRequest::past_damaged
};

struct DigestRequest {
  // As of ScanRequest.
  std::string from = {};
  std::string to = {};
  std::string prefix = {};
  size_t rows_max = 50'000;
  bool versions = false;
  std::optional<int64_t> at_ms = {};  ///< rows are seen as at this time; nothing: now
};

struct DigestPage {
  RowsDigest digest;                ///< of the rows from DigestRequest::from on and before `next`
  std::optional<std::string> next;  ///< where the next page begins; nothing: this is the last
  int64_t at_ms = 0;
  /// With DigestRequest::versions, each row's, in the order of their keys.
  std::vector<std::pair<std::string, RowDigest>> versions;
};

/// The newest state of a row that changed. What it was in between is not kept.
struct RowChanged {
  std::string key;
  std::optional<RowView> row;  ///< nothing: it is not there any more
  FeedPosition position;       ///< everything up to here was read
};

struct ChangePage {
  std::vector<RowChanged> changes;
  FeedPosition next;  ///< where to go on, also behind what was not wanted
  bool more = false;  ///< there is more to read now
};

/// How much a table holds.
struct TableCounts {
  uint64_t rows = 0;        ///< that are there, or expired and not removed yet
  uint64_t tombstones = 0;  ///< of deleted rows
  uint64_t bytes = 0;       ///< of stored rows, tombstones as well
};

/// Change capture of a table at this node.
struct CaptureState {
  bool on = false;
  std::string stopped;  ///< why it went off by itself: its log took no appends; empty: it did not
};

/// An index of a table, as its node has it.
struct IndexFacts {
  std::string name;
  std::string path;
  bool ready = false;        ///< it has all rows, and is used
  uint64_t rows_read = 0;    ///< to build it, so far
  uint64_t rows_unread = 0;  ///< damaged ones among these, which it does not have
};

struct TableFacts {
  TableCounts counts;
  FeedPosition end;               ///< changes from here on come after everything that can be read now
  uint64_t quarantined = 0;       ///< changes that wait for their time
  uint64_t conflicts_listed = 0;  ///< since the table was made here; the newest are kept
  CaptureState capture;
  /// Keys of damaged rows that somebody met since the start, and that nothing was put in place of; at most
  /// TableStore::kDamagedKnown.
  std::vector<std::string> damaged;
};

}  // namespace selvage::table
