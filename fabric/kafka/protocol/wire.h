#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/bytes.h"
#include "fabric/base/endian.h"

namespace selvage::kafka {

/// The protocol's bound on a string, also where its length field could say more.
inline constexpr size_t kStringMax = 32767;

/// Reads one frame, without its size prefix, from the front. Never reads beyond it, and never believes a
/// length or a count that the frame is too short for. The first fault is kept: everything read after it is
/// zero or empty, so that callers need to look at ok() only in loops and at the end. What it returns as a
/// view or as Bytes shares the frame.
class Reader {
 public:
  explicit Reader(Bytes frame) : frame_(std::move(frame)), end_(frame_.size()), memory_(MemoryFor(end_)) {}

  bool ok() const { return reason_ == nullptr; }
  /// Bytes that are left; 0 after a fault.
  size_t left() const { return end_ - at_; }
  /// Names what is read next, for the error; `field` must outlive the reader.
  void Name(const char* field) { field_ = field; }
  /// Notes a fault at this place, unless there was one; `reason` must outlive the reader.
  void Fail(const char* reason);
  /// OK, or an error of the kind given that names the field, the place and the reason. `what` is the message
  /// that was read.
  absl::Status Finish(std::string_view kind, std::string_view what) const;

  template <class T>
  T Int() {
    const std::string_view taken = Take(sizeof(T));
    return taken.empty() ? T{} : LoadBig<T>(taken.data());
  }
  /// Of at most 32 bits.
  uint32_t Varint();
  std::string_view Take(size_t size);
  Bytes TakeBytes(size_t size);
  /// Whether an array of `count` elements can follow, each with `least` bytes or more here and `size` bytes
  /// in memory. All the arrays of a frame together may take a bounded multiple of its size.
  bool HasRoomFor(size_t count, size_t least, size_t size);

  /// Confines what is read to the next `size` bytes. Returns what Widen() takes to end that.
  size_t Narrow(size_t size);
  /// Fails unless everything within the bound was read.
  void Widen(size_t end);

 private:
  static size_t MemoryFor(size_t size) { return (size_t{1} << 20) + 16 * size; }

  Bytes frame_;
  size_t at_ = 0;
  size_t end_;
  size_t memory_;  ///< what elements of arrays may still take
  const char* field_ = "";
  const char* reason_ = nullptr;
  const char* fault_field_ = nullptr;
  size_t fault_at_ = 0;
};

/// Makes one frame with its size prefix: bytes of its own, and between them runs that others own.
class Writer {
 public:
  Writer();

  /// Bytes of its own so far, with the size prefix.
  size_t own_size() const { return own_.size(); }
  template <class T>
  void Int(T value) {
    AppendBig<T>(own_, value);
  }
  void Varint(uint32_t value);
  /// Copies.
  void Append(std::string_view bytes) { own_.append(bytes); }
  /// Shares the memory, except that of short runs, which costs more to keep track of than to copy.
  void Splice(const Bytes& bytes);
  /// Puts a varint before own bytes that were written already: a size or a count that is known only then.
  /// Nothing was spliced behind `at`.
  void InsertVarint(size_t at, uint32_t value);
  /// Notes that a field cannot be written; the first is kept. `field` and `reason` must outlive the writer.
  void Fail(const char* field, const char* reason);

  /// The segments of the frame, in order. An error ("unencodable_message") when a field or the frame is too
  /// long.
  absl::StatusOr<std::vector<Bytes>> Finish() &&;

 private:
  struct Spliced {
    size_t at;  ///< of the own bytes, this many come before it
    Bytes bytes;
  };
  std::string own_;
  std::vector<Spliced> spliced_;
  const char* field_ = nullptr;
  const char* reason_ = nullptr;
};

}  // namespace selvage::kafka
