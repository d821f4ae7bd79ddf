#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

/// How quantities are written in configuration files and on command lines. Every error is "bad_value"
/// (kInvalidArgument) and says what was written and what is allowed.
namespace selvage {

inline constexpr uint64_t kKiB = uint64_t{1} << 10;
inline constexpr uint64_t kMiB = uint64_t{1} << 20;
inline constexpr uint64_t kGiB = uint64_t{1} << 30;
inline constexpr uint64_t kTiB = uint64_t{1} << 40;

/// A whole number of bytes: "64MiB", "10GB", "1048588". Units: B, KiB, MiB, GiB, TiB (powers of 1024), kB,
/// MB, GB, TB.
absl::StatusOr<uint64_t> ParseSize(std::string_view text);
/// An exact spelling, in the largest unit that gives a whole number: "64MiB", "1048588".
std::string SpellSize(uint64_t bytes);

/// A whole number of one unit: "250ms", "30s", "5m", "12h", "7d"; "0" needs none.
absl::StatusOr<absl::Duration> ParseDuration(std::string_view text);
/// The same for a duration of whole milliseconds, not negative: "30s", "7d", "0".
std::string SpellDuration(absl::Duration duration);

/// Bytes per second, from "64kbit/s", "2MiB/s" and the like; "0" needs no unit. Less than a whole byte is cut
/// off.
absl::StatusOr<uint64_t> ParseRate(std::string_view text);
/// The shortest exact spelling of so many bytes per second: "64kbit/s", "2MiB/s", "0".
std::string SpellRate(uint64_t bytes_per_second);

absl::StatusOr<int64_t> ParseInteger(std::string_view text);
absl::StatusOr<bool> ParseBool(std::string_view text);

/// A host and a port. An IPv6 address is held without its brackets.
struct Address {
  std::string host;
  uint16_t port = 0;

  bool empty() const { return host.empty(); }
  std::string ToString()
      const;  ///< "host:port", with brackets around an IPv6 address; empty when there is none
  bool operator==(const Address&) const = default;
};
/// From "core.example.com:7443", "10.0.0.1:7443" or "[2001:db8::1]:7443". The port is 1 to 65535.
absl::StatusOr<Address> ParseAddress(std::string_view text);
/// An address to listen on: the host is an IP address or "localhost", and the port may be 0 (the system
/// chooses).
absl::StatusOr<Address> ParseListenAddress(std::string_view text);
/// True when only this machine reaches it.
bool IsLoopback(const Address& address);
/// True for an address that means all interfaces, as 0.0.0.0.
bool IsAnyAddress(const Address& address);

/// 1 to 63 lower-case letters, digits and hyphens, no hyphen first or last; returned as it is.
absl::StatusOr<std::string> ParseDnsLabel(std::string_view text);

/// The text in quotes for an error message: on one line, shortened, harmless to a terminal.
std::string QuoteValue(std::string_view text);

}  // namespace selvage
