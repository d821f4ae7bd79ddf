#include "fabric/config/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <limits>
#include <optional>
#include <span>

#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/telemetry/text_escape.h"

namespace selvage {
namespace {

/// `amount` is in the base unit of the quantity.
struct Unit {
  std::string_view name;
  uint64_t amount;
};

// Binary units first: the first that divides a size is the one it is shown in.
constexpr Unit kSizeUnits[] = {{"TiB", kTiB},   {"GiB", kGiB}, {"MiB", kMiB},         {"KiB", kKiB},
                               {"B", 1},        {"", 1},       {"TB", 1000000000000}, {"GB", 1000000000},
                               {"MB", 1000000}, {"kB", 1000}};
// In milliseconds.
constexpr Unit kDurationUnits[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
// In bits per second.
constexpr Unit kRateUnits[] = {
    {"GiB/s", 8 * kGiB}, {"MiB/s", 8 * kMiB}, {"KiB/s", 8 * kKiB}, {"GB/s", 8000000000},
    {"MB/s", 8000000},   {"kB/s", 8000},      {"B/s", 8},          {"Gbit/s", 1000000000},
    {"Mbit/s", 1000000}, {"kbit/s", 1000},    {"bit/s", 1}};

absl::Status BadValue(std::string_view text, std::string_view rest) {
  return MakeError(absl::StatusCode::kInvalidArgument, "bad_value",
                   fmt::format("{} {}", QuoteValue(text), rest));
}

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

/// digits, then perhaps blanks, then a unit; nothing when malformed or above `max`.
std::optional<uint64_t> ParseQuantity(std::string_view text, std::span<const Unit> units, uint64_t max) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || text.empty() || !IsDigit(text.front())) return std::nullopt;
  std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  if (number == 0 && unit.empty()) return 0;
  for (const Unit& candidate : units) {
    if (candidate.name != unit) continue;
    if (number > max / candidate.amount) return std::nullopt;
    return number * candidate.amount;
  }
  return std::nullopt;
}

bool IsHostName(std::string_view host) {
  if (host.empty() || host.size() > 253 || host.front() == '-' || host.front() == '.') return false;
  return std::all_of(host.begin(), host.end(), [](char c) {
    return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_';
  });
}

bool IsIpAddress(const std::string& host) {
  boost::system::error_code error;
  boost::asio::ip::make_address(host, error);
  return !error;
}

/// Splits at the port and takes the brackets off; nothing when malformed.
std::optional<Address> SplitAddress(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (error != std::errc() || end != port_text.data() + port_text.size()) return std::nullopt;
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  Address address{std::string(host), port};
  const bool valid =
      brackets ? host.find(':') != std::string_view::npos && IsIpAddress(address.host) : IsHostName(host);
  return valid ? std::optional(address) : std::nullopt;
}

}  // namespace

std::string QuoteValue(std::string_view text) {
  constexpr size_t kShownMax = 60;
  std::string quoted = "\"";
  internal::AppendTextEscaped(quoted, text.substr(0, kShownMax), true);
  return quoted + (text.size() > kShownMax ? "...\"" : "\"");
}

absl::StatusOr<uint64_t> ParseSize(std::string_view text) {
  constexpr uint64_t kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (auto bytes = ParseQuantity(text, kSizeUnits, kMax)) return *bytes;
  return BadValue(
      text,
      "is not a size: write a whole number with B, KiB, MiB, GiB, TiB, kB, MB, GB or TB, for example 64MiB");
}

std::string SpellSize(uint64_t bytes) {
  for (const Unit& unit : kSizeUnits) {
    if (unit.amount > 1 && bytes != 0 && bytes % unit.amount == 0)
      return fmt::format("{}{}", bytes / unit.amount, unit.name);
  }
  return fmt::format("{}", bytes);
}

absl::StatusOr<absl::Duration> ParseDuration(std::string_view text) {
  constexpr uint64_t kMax = uint64_t{1000} * 365 * 86400000;  // a thousand years
  if (auto ms = ParseQuantity(text, kDurationUnits, kMax))
    return absl::Milliseconds(static_cast<int64_t>(*ms));
  return BadValue(text, "is not a duration: write a whole number with ms, s, m, h or d, for example 30s");
}

std::string SpellDuration(absl::Duration duration) {
  const auto ms = static_cast<uint64_t>(absl::ToInt64Milliseconds(duration));
  for (const Unit& unit : kDurationUnits) {
    if (ms != 0 && ms % unit.amount == 0) return fmt::format("{}{}", ms / unit.amount, unit.name);
  }
  return "0";
}

absl::StatusOr<uint64_t> ParseRate(std::string_view text) {
  constexpr uint64_t kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (auto bits = ParseQuantity(text, kRateUnits, kMax)) return *bits / 8;
  return BadValue(
      text,
      "is not a rate: write a whole number with bit/s, kbit/s, Mbit/s, Gbit/s, B/s, KiB/s, MiB/s, GiB/s, "
      "kB/s, MB/s or GB/s, for example 64kbit/s");
}

std::string SpellRate(uint64_t bytes_per_second) {
  if (bytes_per_second == 0) return "0";
  const uint64_t bits = bytes_per_second * 8;
  const Unit* shortest = nullptr;
  for (const Unit& unit : kRateUnits) {
    if (bits % unit.amount == 0 && (shortest == nullptr || bits / unit.amount < bits / shortest->amount)) {
      shortest = &unit;
    }
  }
  return fmt::format("{}{}", bits / shortest->amount, shortest->name);
}

absl::StatusOr<int64_t> ParseInteger(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  return BadValue(text, "is not a whole number");
}

absl::StatusOr<bool> ParseBool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return BadValue(text, "is neither true nor false");
}

std::string Address::ToString() const {
  if (empty()) return {};
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

absl::StatusOr<Address> ParseAddress(std::string_view text) {
  if (auto address = SplitAddress(text); address && address->port != 0) return *address;
  return BadValue(
      text, "is not an address: write host:port, for example core.example.com:7443 or [2001:db8::1]:7443");
}

absl::StatusOr<Address> ParseListenAddress(std::string_view text) {
  auto address = SplitAddress(text);
  if (address && (address->host == "localhost" || IsIpAddress(address->host))) return *address;
  return BadValue(text,
                  "is not an address to listen on: write IP:port, for example 127.0.0.1:9464 or [::]:9464");
}

bool IsLoopback(const Address& address) {
  if (address.host == "localhost") return true;
  boost::system::error_code error;
  const auto ip = boost::asio::ip::make_address(address.host, error);
  return !error && ip.is_loopback();
}

bool IsAnyAddress(const Address& address) {
  boost::system::error_code error;
  const auto ip = boost::asio::ip::make_address(address.host, error);
  return !error && ip.is_unspecified();
}

absl::StatusOr<std::string> ParseDnsLabel(std::string_view text) {
  if (IsDnsLabel(text)) return std::string(text);
  return BadValue(
      text,
      "is not a DNS label: write 1 to 63 lower-case letters, digits and hyphens, no hyphen first or last");
}

}  // namespace selvage
