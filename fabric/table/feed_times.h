#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace selvage::table {

/// When the change feed of a store came to which sequence, so that what is old in the feed can be told
/// without a time for each change. Pure.
///
///   noted 12:00 → 70, 13:00 → 90
///   ReachedBy(12:59) → 70: changes before sequence 70 are at least 59 minutes old
class FeedTimes {
 public:
  /// Notes are thinned out beyond so many: half of the older ones go.
  static constexpr size_t kKept = 1'000;
  struct Note {
    int64_t at_ms = 0;
    uint64_t sequence = 0;  ///< everything before it was in the feed at that time
  };

  FeedTimes() = default;
  /// As Add, one after the other.
  explicit FeedTimes(const std::vector<Note>& notes);

  /// Notes of later times go: the clock was set back. Ignored when the feed stands before the newest note.
  void Add(Note note);
  const std::vector<Note>& notes() const { return notes_; }
  /// Changes before this sequence were in the feed at `at_ms`; 0 when that is not known.
  uint64_t ReachedBy(int64_t at_ms) const;

 private:
  std::vector<Note> notes_;
};

}  // namespace selvage::table
