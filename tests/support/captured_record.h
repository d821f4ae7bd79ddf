#pragma once

#include <optional>
#include <string>
#include <utility>

#include "fabric/stream/record_batch.h"
#include "fabric/table/canonical_json.h"

namespace selvage::test {

/// A record of captured changes, as who reads the stream takes it.
struct CapturedRecord {
  std::string key;
  std::string before = "null";  ///< JSON; "null": the row was not there
  std::string after = "null";
  std::string reason;
  bool has_value = false;  ///< without one the row was deleted, or has expired
};

/// Nothing when it is not of the form that docs/tables.md says.
inline std::optional<CapturedRecord> CapturedRecordOf(const Record& record) {
  CapturedRecord captured;
  captured.key = record.key.value_or("");
  captured.has_value = record.value.has_value();
  if (record.value) {
    const auto fields = table::ParseFields(*record.value);
    if (!fields.ok()) return std::nullopt;
    for (const auto& [name, to] : {std::pair<const char*, std::string*>{"before", &captured.before},
                                   {"after", &captured.after},
                                   {"reason", &captured.reason}}) {
      const auto field = fields->find(name);
      if (field == fields->end()) return std::nullopt;
      *to = field->second.text();
    }
    return captured;
  }
  captured.before.clear();
  for (const RecordHeader& header : record.headers) {
    if (header.key == "before") captured.before = header.value.value_or("");
    if (header.key == "reason") captured.reason = header.value.value_or("");
  }
  return captured;
}

}  // namespace selvage::test
