#include "tests/clients/results.h"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"

namespace selvage::test {
namespace {

constexpr size_t kShownBytes = 40;

std::string Hex(const std::optional<std::string>& bytes) {
  return bytes ? absl::BytesToHexString(*bytes) : "-";
}

std::optional<std::string> FromHex(const boost::json::value& value) {
  if (value.is_null()) return std::nullopt;
  const boost::json::string& hex = value.as_string();
  return absl::HexStringToBytes(absl::string_view(hex.data(), hex.size()));
}

std::string Show(const std::optional<std::string>& bytes) {
  if (!bytes) return "null";
  const std::string start = absl::CHexEscape(bytes->substr(0, kShownBytes));
  return bytes->size() <= kShownBytes ? "\"" + start + "\""
                                      : fmt::format("\"{}...\" ({} bytes)", start, bytes->size());
}

}  // namespace

std::vector<Event> ParseEvents(std::string_view output) {
  std::vector<Event> events;
  for (absl::string_view line : absl::StrSplit(absl::string_view(output.data(), output.size()), '\n')) {
    if (line.empty() || line.front() != '{') continue;
    boost::json::error_code failed;
    boost::json::value value = boost::json::parse(boost::json::string_view(line.data(), line.size()), failed);
    if (!failed && value.is_object() && value.as_object().contains("event")) {
      events.push_back(std::move(value.as_object()));
    }
  }
  return events;
}

std::string_view KindOf(const Event& event) {
  const boost::json::string& kind = event.at("event").as_string();
  return {kind.data(), kind.size()};
}

std::vector<Event> Only(std::string_view kind, const std::vector<Event>& events) {
  std::vector<Event> found;
  for (const Event& event : events) {
    if (KindOf(event) == kind) found.push_back(event);
  }
  return found;
}

int64_t NumberOf(const Event& event, std::string_view name) {
  return event.at(boost::json::string_view(name.data(), name.size())).to_number<int64_t>();
}

std::string Describe(const ClientRecord& record) {
  std::string text = fmt::format("at {}: {} = {}", record.timestamp_ms, Show(record.key), Show(record.value));
  for (const auto& [name, value] : record.headers) text += fmt::format(", {}: {}", name, Show(value));
  return text;
}

std::string RecordsFile(const std::vector<ClientRecord>& records) {
  std::string text;
  for (const ClientRecord& record : records) {
    std::string headers;
    for (const auto& [name, value] : record.headers) {
      headers += fmt::format("{}{}={}", headers.empty() ? "" : ",", name, Hex(value));
    }
    text += fmt::format("{}\t{}\t{}\t{}\n", record.timestamp_ms, Hex(record.key), Hex(record.value), headers);
  }
  return text;
}

ReadRecord ParseRecord(const Event& event) {
  ReadRecord read{static_cast<int>(NumberOf(event, "partition")), NumberOf(event, "offset")};
  read.record.timestamp_ms = NumberOf(event, "timestamp");
  read.record.key = FromHex(event.at("key"));
  read.record.value = FromHex(event.at("value"));
  for (const boost::json::value& header : event.at("headers").as_array()) {
    const boost::json::array& pair = header.as_array();
    read.record.headers.emplace_back(std::string(pair.at(0).as_string()), FromHex(pair.at(1)));
  }
  return read;
}

std::vector<ReadRecord> ParseRecords(const std::vector<Event>& events) {
  std::vector<ReadRecord> records;
  for (const Event& event : events) {
    if (KindOf(event) == "record") records.push_back(ParseRecord(event));
  }
  return records;
}

}  // namespace selvage::test
