#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace selvage::table {

/// Which readers a change concerns, and where in the feed a reader finds what concerns it. A lane is the rows
/// of a table whose keys begin with a prefix; readers of the same rows share it. The cost of a change grows
/// with the readers that it concerns, and not with those there are.
///
/// What is known of a lane is a superset of where its changes are, as a few ranges of the feed. An example,
/// of a reader with the prefix "site/a/" that opens at 100:
///
///   Note "site/a/1" at 104, "site/b/1" at 105, "site/a/2" at 230
///   End is 231; ranges from 90 to 300: [90, 100) of which nothing is known, [104, 105), [230, 231)
///
/// Not safe to use from several threads at once.
class FeedLanes {
 public:
  /// [first, end) of the feed.
  struct Range {
    uint64_t first;
    uint64_t end;

    bool operator==(const Range&) const = default;
  };
  /// A change of the row with this key, and its sequence.
  using Change = std::pair<uint64_t, std::string>;
  /// Ranges that are known of a lane; more become one with what lies between.
  static constexpr size_t kRangesMax = 8;

  /// Changes with sequences from `known_from` on are told by Note from here on. `reader` is a number that no
  /// other open reader has.
  void Open(int reader, const std::string& table, const std::string& prefix, uint64_t known_from);
  /// Does nothing for a reader that is not open.
  void Close(int reader);

  /// Changes of one table that can be read now, with sequences in ascending order. Returns the readers that
  /// they concern, each once.
  std::vector<int> Note(const std::string& table, const std::vector<Change>& changes);

  /// All changes of the reader's rows have lower sequences; of a reader that is not open `otherwise`.
  uint64_t End(int reader, uint64_t otherwise) const;
  /// Where in [from, to) changes of the reader's rows may be, in ascending order; anywhere for a reader that
  /// is not open.
  std::vector<Range> Ranges(int reader, uint64_t from, uint64_t to) const;

 private:
  struct Lane {
    uint64_t known_from = 0;
    std::vector<Range> ranges;  // ascending, apart
    std::vector<int> readers;
    bool concerned = false;  // by what is noted now
  };
  struct Table {
    std::map<std::string, Lane, std::less<>> lanes;  // by prefix
    std::map<size_t, int> lengths;                   // of prefixes, and how many lanes have each
  };
  using Place = std::pair<std::string, std::string>;  // table, prefix

  static void Extend(Lane& lane, uint64_t sequence);
  const Lane* LaneOf(int reader) const;

  std::map<std::string, Table> tables_;
  std::map<int, Place> readers_;
};

}  // namespace selvage::table
