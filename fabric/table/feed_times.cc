#include "fabric/table/feed_times.h"

#include <algorithm>

namespace selvage::table {

FeedTimes::FeedTimes(const std::vector<Note>& notes) {
  for (const Note& note : notes) Add(note);
}

void FeedTimes::Add(Note note) {
  // Of a clock that was ahead: they would say nothing until it is that time.
  while (!notes_.empty() && notes_.back().at_ms >= note.at_ms) notes_.pop_back();
  if (!notes_.empty() && note.sequence < notes_.back().sequence) return;
  notes_.push_back(note);
  if (notes_.size() <= kKept) return;
  // Of the older half each second one stays: an early note only says less than it could.
  std::vector<Note> kept;
  for (size_t i = 0; i < notes_.size(); ++i) {
    if (i >= notes_.size() / 2 || i % 2 == 0) kept.push_back(notes_[i]);
  }
  notes_ = std::move(kept);
}

uint64_t FeedTimes::ReachedBy(int64_t at_ms) const {
  const auto later = std::upper_bound(notes_.begin(), notes_.end(), at_ms,
                                      [](int64_t ms, const Note& note) { return ms < note.at_ms; });
  return later == notes_.begin() ? 0 : std::prev(later)->sequence;
}

}  // namespace selvage::table
