#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/ids.h"
#include "selvage/v1/view.pb.h"

namespace selvage::test {

/// What a record says to a view. The field that views add up is `v`, and they group by the record's key,
/// which JSON needs no escapes for.
struct ViewRecord {
  std::optional<std::string> key;
  std::optional<std::string> value;
  bool is_object = false;         ///< the value is canonical JSON
  std::optional<int64_t> number;  ///< v, when it is one
  std::optional<std::string> text;
  int64_t timestamp_ms = 0;
};

/// What one table of a view must hold: made from the records of its logs up to where the view has read them,
/// one by one, and with nothing that the view is made of.
class ViewBuildModel {
 public:
  /// How far the view had read a log, as it stored that last, and which entry it was to go on with.
  struct Place {
    v1::StoredViewLog stored;
    Offset entry_from{-1};  ///< -1: not known
    ChainHash hash;
    std::optional<int64_t> watermark_ms;
  };
  std::map<LogNumber, Place> places;

  /// Where a record is. `log_time_ms`: the greatest time in the log up to the end of its entry.
  struct At {
    int64_t log_time_ms = 0;
    LogNumber log;
    Offset offset;
    auto operator<=>(const At&) const = default;
  };
  /// The view has read `record`, which outlives this.
  void Read(const v1::ViewDefinition& definition, Place& place, const At& at, const ViewRecord& record);

  /// The row as JSON; nothing where there is none.
  std::optional<std::string> Row(const std::string& key) const;
  /// The keys of all rows that are or were there.
  std::set<std::string> Keys() const;
  /// The rows that were read about since this was called last.
  std::set<std::string> TakeTouched() { return std::exchange(touched_, {}); }
  /// Whether this may be the row instead. A delete is remembered only as long as the table remembers it, so
  /// that an older record of another log may show after it; then it is the newest one from here on.
  bool TakeInstead(const std::string& key, const std::optional<std::string>& row);

  /// It cannot be told any more what the view has read.
  void set_unknown() { unknown_ = true; }
  bool unknown() const { return unknown_; }

 private:
  struct Group {
    int64_t count = 0;
    std::optional<int64_t> sum, min, max;
    std::set<std::string> distinct;  // as JSON
    std::string key;
    std::string window;  // when it begins; empty: none
  };
  struct Newest {
    At at;
    const ViewRecord* record = nullptr;
    std::vector<std::pair<At, const ViewRecord*>> older;  // that came after it had deleted the row
  };

  void ReadNewest(const At& at, const ViewRecord& record);
  void ReadIntoGroup(const v1::ViewAggregate& aggregate, Place& place, const ViewRecord& record);

  std::map<std::string, Group> groups_;
  std::map<std::string, Newest> newest_;
  std::set<std::string> touched_;
  bool unknown_ = false;
};

}  // namespace selvage::test
