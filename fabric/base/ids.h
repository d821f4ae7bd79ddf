#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <utility>

namespace selvage {

/// An integer that cannot be mistaken for another kind of integer. `Tag` makes the type, `Rep` holds the
/// value.
template <class Tag, class Rep>
class StrongInt {
 public:
  using rep = Rep;
  constexpr StrongInt() = default;
  constexpr explicit StrongInt(Rep value) : value_(value) {}

  constexpr Rep value() const { return value_; }
  constexpr auto operator<=>(const StrongInt&) const = default;

  constexpr StrongInt operator+(Rep n) const { return StrongInt(value_ + n); }
  constexpr StrongInt operator-(Rep n) const { return StrongInt(value_ - n); }
  constexpr Rep operator-(StrongInt other) const { return value_ - other.value_; }
  constexpr StrongInt& operator++() {
    ++value_;
    return *this;
  }

  template <class H>
  friend H AbslHashValue(H h, StrongInt v) {
    return H::combine(std::move(h), v.value_);
  }

 private:
  Rep value_{};
};

/// Position of a record in a partition, as in Kafka: the first record of a log has offset 0.
using Offset = StrongInt<struct OffsetTag, int64_t>;

/// Partition of a stream, counted from 0. At an edge the edge's own number; at the core slot × P + p (see
/// core/fleet).
using PartitionId = StrongInt<struct PartitionIdTag, int32_t>;

/// How often the source of a partition was succeeded. Stamped into every batch; never decreases along a log.
using LeaderEpoch = StrongInt<struct LeaderEpochTag, int32_t>;

/// Local number of a log inside one store: the first four bytes of its keys. Never reused within a store.
using LogNumber = StrongInt<struct LogNumberTag, uint32_t>;

/// Place of an edge in the fleet, given once and remembered for ever.
using Slot = StrongInt<struct SlotTag, uint32_t>;

/// Minted by the core for every admitted link session of an edge; a higher one fences all lower ones.
using SessionEpoch = StrongInt<struct SessionEpochTag, uint64_t>;

/// XXH3-64 over the chain so far; names a history, not only a position (docs/formats.md, "Chain hash").
using ChainHash = StrongInt<struct ChainHashTag, uint64_t>;

/// Revision of the core's control documents; an edge takes a spec only if its generation is higher than what
/// it has.
using Generation = StrongInt<struct GenerationTag, uint64_t>;

}  // namespace selvage

template <class Tag, class Rep>
struct std::hash<selvage::StrongInt<Tag, Rep>> {
  size_t operator()(selvage::StrongInt<Tag, Rep> v) const noexcept { return std::hash<Rep>{}(v.value()); }
};
