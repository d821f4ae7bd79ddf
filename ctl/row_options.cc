#include "ctl/row_options.h"

#include "ctl/options.h"
#include "ctl/units.h"
#include "fabric/base/error.h"
#include "fabric/config/value.h"
#include "fabric/table/document.h"

namespace selvage::ctl {
namespace {

absl::StatusOr<std::optional<int64_t>> ParseExpiryTime(std::string_view text) {
  SELVAGE_ASSIGN_OR_RETURN(const int64_t ms, ParseTimestampMs(text));
  return std::optional<int64_t>(ms);
}

absl::StatusOr<std::optional<absl::Duration>> ParseTtl(std::string_view text) {
  SELVAGE_ASSIGN_OR_RETURN(const absl::Duration ttl, ParsePositiveDuration(text));
  return std::optional<absl::Duration>(ttl);
}

}  // namespace

void RowOptions::AddTo(CLI::App& verb, Expiry expiry) {
  verb.add_option("table", table_)->required();
  verb.add_option("key", key_, "Of the row; 1 to 1024 bytes")->required();
  if (expiry != Expiry::kNotOffered) {
    const std::string otherwise = expiry == Expiry::kOrNever ? "default never" : "default as it is";
    CLI::Option* at = AddParsed(verb, "--expires-at", expires_at_ms_, ParseExpiryTime,
                                "When the row goes, as 2026-03-01T12:00:00Z or in milliseconds since 1970 (" +
                                    otherwise + ")")
                          ->group("Expiry");
    CLI::Option* ttl =
        AddParsed(verb, "--ttl", ttl_, ParseTtl, "The same, as a time from now on, such as 30m")
            ->group("Expiry")
            ->excludes(at);
    if (expiry == Expiry::kOrAsItIs) {
      verb.add_flag("--no-expiry", never_, "The row never goes by itself")
          ->group("Expiry")
          ->excludes(at)
          ->excludes(ttl);
    }
  }
  const char* group = "Conditions";
  CLI::Option* version =
      verb.add_option("--if-version", if_version_, "Only if the row has this version (see get -o json)")
          ->group(group);
  CLI::Option* present =
      verb.add_flag("--if-present", if_present_, "Only if the row is there")->group(group)->excludes(version);
  verb.add_flag("--if-absent", if_absent_, "Only if the row is not there")
      ->group(group)
      ->excludes(version)
      ->excludes(present);
}

std::optional<int64_t> RowOptions::ExpiresAtMs(absl::Time now) const {
  if (ttl_) return absl::ToUnixMillis(now + *ttl_);
  return expires_at_ms_;
}

std::optional<v1::RowExpiry> RowOptions::NewExpiry(absl::Time now) const {
  const auto at_ms = ExpiresAtMs(now);
  if (!at_ms && !never_) return std::nullopt;
  v1::RowExpiry expiry;
  if (at_ms) expiry.set_at_ms(*at_ms);
  return expiry;
}

absl::StatusOr<v1::WriteRowsRequest> RowOptions::Request() const {
  v1::WriteRowsRequest request;
  request.set_table(table_);
  v1::RowOperation& operation = *request.add_operations();
  operation.set_key(key_);
  if (if_absent_) operation.mutable_condition()->set_kind(v1::RowCondition::ABSENT);
  if (if_present_) operation.mutable_condition()->set_kind(v1::RowCondition::PRESENT);
  if (!if_version_.empty()) {
    const auto version = table::RowDigest::FromHex(if_version_);
    if (!version) {
      return MakeError(absl::StatusCode::kInvalidArgument, "bad_value",
                       QuoteValue(if_version_) + " is no version of a row",
                       "it has 32 hexadecimal digits, as selvagectl table get -o json prints it");
    }
    operation.mutable_condition()->set_kind(v1::RowCondition::VERSION_IN);
    operation.mutable_condition()->add_versions(version->bytes());
  }
  return request;
}

}  // namespace selvage::ctl
