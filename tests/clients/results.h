#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace selvage::test {

/// One line that a client printed.
using Event = boost::json::object;

/// The lines of results in what a client printed, without whatever else its library says.
std::vector<Event> ParseEvents(std::string_view output);

/// What "event" says, such as "record".
std::string_view KindOf(const Event& event);
/// Those of this kind, in order.
std::vector<Event> Only(std::string_view kind, const std::vector<Event>& events);
int64_t NumberOf(const Event& event, std::string_view name);

/// A record as it is written, and as it is read.
struct ClientRecord {
  int64_t timestamp_ms = 0;
  std::optional<std::string> key = {};
  std::optional<std::string> value = {};
  std::vector<std::pair<std::string, std::optional<std::string>>> headers = {};

  bool operator==(const ClientRecord&) const = default;
};

/// For messages of assertions: long values are cut.
std::string Describe(const ClientRecord& record);
/// The file of records that clients read (README.md).
std::string RecordsFile(const std::vector<ClientRecord>& records);

struct ReadRecord {
  int partition = 0;
  int64_t offset = 0;
  ClientRecord record = {};
};

ReadRecord ParseRecord(const Event& event);
std::vector<ReadRecord> ParseRecords(const std::vector<Event>& events);

}  // namespace selvage::test
