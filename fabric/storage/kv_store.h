#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace selvage {

/// The tables of a store; one RocksDB column family each.
enum class Family : uint8_t {
  kMeta,   ///< small documents: identity, catalog, control, alarms, ends of logs
  kLog,    ///< entries of logs; large values, keys are log number ‖ base offset
  kGroup,  ///< consumer groups and their committed offsets
  kRow,    ///< rows of tables; keys are table number ‖ row key
  kFeed,   ///< what leads to rows of tables: by change, by expiry, by delete
};
inline constexpr Family kAllFamilies[] = {Family::kMeta, Family::kLog, Family::kGroup, Family::kRow,
                                          Family::kFeed};
std::string_view FamilyName(Family family);

/// What of a stretch of a family is alive.
struct LiveKeys {
  std::vector<std::string> keys;  ///< in order
  /// Ranges [first, second) of the stretch in which nothing else is alive, nor will be. All of `keys` lie in
  /// them.
  std::vector<std::pair<std::string, std::string>> closed;
};

/// A stretch of a family: the keys in [from, to). Does not own its bounds.
struct KeySpan {
  Family family = Family::kMeta;
  std::string_view from;
  std::string_view to;
};

/// Changes that are applied together or not at all, across families, in the order they were added.
class WriteBatch {
 public:
  virtual ~WriteBatch() = default;
  /// The value is the concatenation of `parts`, copied once, here.
  virtual void Put(Family family, std::string_view key, std::initializer_list<std::string_view> parts) = 0;
  virtual void Delete(Family family, std::string_view key) = 0;
  /// Deletes keys in [from, to).
  virtual void DeleteRange(Family family, std::string_view from, std::string_view to) = 0;
  /// Bytes that the batch holds, for limits on the size of a group.
  virtual size_t ByteSize() const = 0;
  virtual bool Empty() const = 0;
  virtual void Clear() = 0;
};

/// Walks keys in order over a snapshot taken when the cursor was made. For use by one thread at a time; must
/// not outlive its store. Check `status` when Valid() turns false: an I/O or checksum error must not look
/// like an end.
class Cursor {
 public:
  virtual ~Cursor() = default;
  /// To the first key >= `key`.
  virtual void Seek(std::string_view key) = 0;
  /// To the last key <= `key`.
  virtual void SeekForPrev(std::string_view key) = 0;
  virtual void Next() = 0;
  virtual void Prev() = 0;
  virtual bool Valid() const = 0;
  /// Valid until the cursor moves.
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
  virtual absl::Status status() const = 0;
};

/// A durable ordered map: the one thing the fabric asks of a storage engine. Safe to use from several
/// threads.
///
/// Errors: kDataLoss for damaged bytes (only the touched entry is in doubt), kInternal or kResourceExhausted
/// for what the engine cannot recover from; after such an error of Write every later Write fails too, and the
/// node must stop.
class KvStore {
 public:
  virtual ~KvStore() = default;

  virtual std::unique_ptr<WriteBatch> NewBatch() = 0;
  /// Applies the batch and, if `sync`, returns after everything written so far is on stable storage.
  virtual absl::Status Write(WriteBatch& batch, bool sync) = 0;
  virtual absl::StatusOr<std::optional<std::string>> Get(Family family, std::string_view key) = 0;
  /// A cursor over the keys in [from, to).
  virtual std::unique_ptr<Cursor> Scan(Family family, std::string_view from, std::string_view to) = 0;
  /// One cursor over each of the spans, all of one moment: what one batch wrote they all see, or none does.
  virtual std::vector<std::unique_ptr<Cursor>> ScanTogether(const std::vector<KeySpan>& spans) = 0;
  /// Gives back the space of keys deleted in [from, to). May take long; correctness never depends on it.
  virtual absl::Status Reclaim(Family family, std::string_view from, std::string_view to) = 0;
  /// Bytes of the files the store occupies now.
  virtual absl::StatusOr<uint64_t> FileBytes() = 0;
  /// Bytes free on the volume for this process.
  virtual absl::StatusOr<uint64_t> FreeBytes() = 0;
};

}  // namespace selvage
