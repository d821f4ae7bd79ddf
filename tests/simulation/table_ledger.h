#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fabric/table/table_store.h"
#include "tests/simulation/timeline.h"
#include "tests/support/seeded_random.h"

namespace selvage::sim {

/// What one disk holds of the tables, as a program sees it that follows their changes.
struct TableCopy {
  TableCopy(std::string node_name, bool edge) : node(std::move(node_name)), is_edge(edge) {}

  struct Table {
    table::FeedPosition at;
    std::string incarnation;
    std::map<std::string, table::Fields> rows;
    /// What was visible in each field of each row, and is not any more.
    std::map<std::pair<std::string, std::string>, std::set<std::string>> displaced;
  };
  const std::string node;
  const bool is_edge;
  std::map<std::string, Table> tables;
  /// What is seen first after a start may have come at any earlier time.
  bool fresh = true;
  /// It holds again what it did at some earlier time, and was not followed since.
  bool set_back = false;
};

/// Knows every write that a program tried, and what each disk was seen to hold of it, and checks each
/// observation:
///
/// - a field holds only what somebody wrote to it, or the sum of what was added;
/// - on one disk, a value that gave way to another, or to nothing, does not come back: so of what is there in
///   the end nothing is older than what some disk holds, and an acknowledged write that should have won is
///   there;
/// - what comes from another node is not seen before its time;
/// - in the end, a row that is put once and that some disk holds is there, unless somebody deleted it; and
/// one
///   whose delete some disk holds is not;
/// - increments sum exactly, but for those that were lost with the only disk that had them.
///
/// What a disk held counts no more once the disk is lost or set back.
class TableLedger {
 public:
  static constexpr const char* kShared = "shared";  ///< all rows are everywhere
  static constexpr const char* kSites = "sites";    ///< each edge has rows of its own
  /// One that operators drop and make again: only its end is looked at.
  static constexpr const char* kRemade = "remade";

  /// Without `on` the world has no tables; with it, two of three worlds have some.
  TableLedger(Timeline& time, uint64_t seed, bool on)
      : time_(time),
        random_(seed),
        on_(on && !random_.OneIn(3)),
        captures_(on_ && test::SeededRandom(seed ^ kCaptureSeed).OneIn(3)) {}

  bool on() const { return on_; }
  /// Whether nodes capture the changes of the shared table.
  bool captures() const { return captures_; }
  const std::vector<std::string>& tables() const { return tables_; }
  void AddRemade() { tables_.emplace_back(kRemade); }
  /// Another one for each machine.
  uint64_t NextMachine() { return ++machines_; }

  /// The choices of the programs that use tables: apart from those of the world, which goes the same way
  /// without them.
  test::SeededRandom& random() { return random_; }
  /// A clock was wrong by more than deletes are remembered: a backup may be from before one that is
  /// forgotten.
  void ForgetDeletes() { deletes_forgotten_ = true; }
  /// Whether rows expire: where clocks are wrong by more than the margin, nothing is promised of that.
  bool expiring() const { return expiring_; }
  void set_expiring(bool expiring) { expiring_ = expiring; }

  // What programs do.
  struct Target {
    std::string table;
    std::string key;
    std::string field;
    auto operator<=>(const Target&) const = default;
  };
  /// A value that nobody wrote before, about to be written. `wall_ms`: of the writer's clock.
  int64_t NextValue(const TableCopy& by, const Target& target, int64_t wall_ms);
  /// `key` is put once, and only now.
  void Putting(const std::string& table, const std::string& key, int64_t value);
  void Deleting(const std::string& table, const std::string& key);
  /// False for a row that is put once and that nobody tried to delete.
  bool MayBeDeleted(const std::string& table, const std::string& key) const;
  /// Acknowledged at this disk.
  void Deleted(const TableCopy& at, const std::string& table, const std::string& key);
  /// Only one machine adds to a field.
  void Adding(const TableCopy& by, const Target& target, int64_t amount);
  void Added(const Target& target, int64_t amount);
  /// It was refused before it was written.
  void NotAdded(const Target& target, int64_t amount);

  // What happens to disks, and what they hold.
  /// The disk is gone, or holds again what it did at some earlier time.
  void SetBack(TableCopy& copy);
  /// The core is about to be set back, and this edge holds the row, or it waits there for its time. Was it
  /// deleted, or is later, then the core may forget that before the edge is back, and take the row again.
  void HeldAtEdge(const TableCopy& core, const std::string& table, const std::string& key);
  /// The row is visible with these fields; without any it is not there. `wall_ms`: of this node's clock.
  void Saw(TableCopy& copy, const std::string& table, const std::string& key, table::Fields fields,
           int64_t wall_ms);
  /// The end: of the core's copy, which must have everything.
  void CheckEnd(const TableCopy& core);

  // Of the keys of rows, by what is done with them.
  static bool IsOnce(std::string_view key) { return key.find("once/") != std::string_view::npos; }
  static bool IsCounts(std::string_view key) { return key.find("counts") != std::string_view::npos; }
  static bool Expires(std::string_view key) { return key.find("ttl/") != std::string_view::npos; }
  /// Whatever this disk holds of the row, it brings to a core that does not have it.
  static bool Gives(const TableCopy& copy, const std::string& table, std::string_view key);
  /// A field of any row that is added to, among other things.
  static constexpr const char* kSum = "n";

 private:
  struct Written {
    const TableCopy* by;
    Target target;
    int64_t wall_ms;
  };
  struct Once {
    int64_t value = 0;
    bool delete_asked = false;
    std::set<const TableCopy*> held;
    std::set<const TableCopy*> deleted;
  };
  struct Count {
    const TableCopy* by = nullptr;
    int64_t tried = 0;         ///< at most so much was added, ever
    int64_t acknowledged = 0;  ///< since the disk was set back last
    bool set_back = false;     ///< and nothing was added since
    std::map<const TableCopy*, int64_t> seen;
    std::map<const TableCopy*, int64_t> base;  ///< seen when the disk was set back last
  };
  using RowName = std::pair<std::string, std::string>;  // table, key

  bool MayComeBack(const RowName& row) const;
  void CheckValue(const TableCopy& copy, const Target& target, const std::string& value, int64_t wall_ms);
  void SawCount(const TableCopy& copy, const Target& target, const std::string& before,
                const std::string& now);
  void Violate(const TableCopy& copy, const Target& target, const std::string& what);

  Timeline& time_;
  test::SeededRandom random_;
  static constexpr uint64_t kCaptureSeed = 0x63617074757265;  // apart from all other choices
  const bool on_;
  const bool captures_;
  std::vector<std::string> tables_ = {kShared, kSites};
  uint64_t machines_ = 0;
  bool expiring_ = false;
  bool deletes_forgotten_ = false;
  int64_t last_value_ = 0;
  std::map<int64_t, Written> written_;
  std::map<RowName, Once> once_;
  std::map<Target, Count> counts_;
  std::set<RowName> held_at_set_back_;  // HeldAtEdge
  std::set<RowName> may_come_back_;
};

}  // namespace selvage::sim
