#include "fabric/config/setting.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "fabric/base/error.h"

namespace selvage {
namespace {

Setting Scalar(std::string path, std::string type) {
  Setting setting;
  setting.path = std::move(path);
  setting.type = std::move(type);
  return setting;
}

template <class T>
std::string DescribeLimits(const Limits<T>& limits, const std::function<std::string(T)>& format) {
  std::string range = fmt::format("{} to {}", format(limits.min), format(limits.max));
  return limits.zero.empty() ? range : fmt::format("{}, or 0 for {}", range, limits.zero);
}

/// A scalar that is parsed, held against its limits and stored.
template <class T>
Setting Limited(std::string path, std::string type, T* target, Limits<T> limits,
                std::function<absl::StatusOr<T>(std::string_view)> parse,
                const std::function<std::string(T)>& format) {
  Setting setting = Scalar(std::move(path), std::move(type));
  setting.allowed = DescribeLimits(limits, format);
  setting.set = [target, limits, parse = std::move(parse),
                 allowed = setting.allowed](const std::string& text) {
    SELVAGE_ASSIGN_OR_RETURN(T value, parse(text));
    const bool zero = !limits.zero.empty() && value == T{};
    if (!zero && (value < limits.min || value > limits.max)) {
      return MakeError(absl::StatusCode::kOutOfRange, "bad_value",
                       fmt::format("{} is out of range: write {}", QuoteValue(text), allowed));
    }
    *target = value;
    return absl::OkStatus();
  };
  return setting;
}

absl::StatusOr<uint32_t> ParseSmallInteger(std::string_view text) {
  SELVAGE_ASSIGN_OR_RETURN(const int64_t value, ParseInteger(text));
  if (value >= 0 && value <= UINT32_MAX) return static_cast<uint32_t>(value);
  return MakeError(absl::StatusCode::kOutOfRange, "bad_value",
                   fmt::format("{} is out of range", QuoteValue(text)));
}

}  // namespace

Setting& Setting::Default(std::string text) {
  default_text = std::move(text);
  return *this;
}

Setting& Setting::Required(std::string example_text) {
  required = true;
  example = std::move(example_text);
  return *this;
}

Setting& Setting::Help(std::string text) {
  help = std::move(text);
  return *this;
}

Setting TextSetting(std::string path, std::string* target) {
  Setting setting = Scalar(std::move(path), "text");
  setting.set = [target](const std::string& text) {
    if (text.empty()) return MakeError(absl::StatusCode::kInvalidArgument, "bad_value", "must not be empty");
    *target = text;
    return absl::OkStatus();
  };
  return setting;
}

Setting CheckedTextSetting(std::string path, std::string type, std::string* target,
                           std::function<absl::StatusOr<std::string>(std::string_view)> parse) {
  Setting setting = Scalar(std::move(path), std::move(type));
  setting.set = [target, parse = std::move(parse)](const std::string& text) {
    SELVAGE_ASSIGN_OR_RETURN(*target, parse(text));
    return absl::OkStatus();
  };
  return setting;
}

Setting BoolSetting(std::string path, bool* target) {
  Setting setting = Scalar(std::move(path), "true or false");
  setting.set = [target](const std::string& text) {
    SELVAGE_ASSIGN_OR_RETURN(*target, ParseBool(text));
    return absl::OkStatus();
  };
  return setting;
}

Setting SizeSetting(std::string path, uint64_t* target, Limits<uint64_t> limits) {
  return Limited<uint64_t>(std::move(path), "size", target, std::move(limits), ParseSize, SpellSize);
}

Setting RateSetting(std::string path, uint64_t* target, Limits<uint64_t> limits) {
  return Limited<uint64_t>(std::move(path), "rate", target, std::move(limits), ParseRate, SpellRate);
}

Setting DurationSetting(std::string path, absl::Duration* target, Limits<absl::Duration> limits) {
  return Limited<absl::Duration>(std::move(path), "duration", target, std::move(limits), ParseDuration,
                                 SpellDuration);
}

Setting IntegerSetting(std::string path, uint32_t* target, Limits<uint32_t> limits) {
  return Limited<uint32_t>(std::move(path), "number", target, std::move(limits), ParseSmallInteger,
                           [](uint32_t value) { return fmt::format("{}", value); });
}

Setting DnsLabelSetting(std::string path, std::string* target) {
  return CheckedTextSetting(std::move(path), "DNS label", target, ParseDnsLabel);
}

Setting ListenSetting(std::string path, Address* target) {
  Setting setting = Scalar(std::move(path), "IP:port");
  setting.set = [target](const std::string& text) {
    SELVAGE_ASSIGN_OR_RETURN(*target, ParseListenAddress(text));
    return absl::OkStatus();
  };
  return setting;
}

Setting OptionalListenSetting(std::string path, Address* target) {
  Setting setting = Scalar(std::move(path), "IP:port or off");
  setting.set = [target](const std::string& text) {
    *target = {};
    if (text.empty() || text == "off") return absl::OkStatus();
    SELVAGE_ASSIGN_OR_RETURN(*target, ParseListenAddress(text));
    return absl::OkStatus();
  };
  return setting;
}

Setting OptionalAddressSetting(std::string path, Address* target) {
  Setting setting = Scalar(std::move(path), "host:port");
  setting.set = [target](const std::string& text) {
    *target = {};
    if (text.empty()) return absl::OkStatus();
    SELVAGE_ASSIGN_OR_RETURN(*target, ParseAddress(text));
    return absl::OkStatus();
  };
  return setting;
}

Setting AddressListSetting(std::string path, std::vector<Address>* target) {
  Setting setting = Scalar(std::move(path), "list of host:port");
  setting.shape = Setting::Shape::kList;
  setting.set = [target](const std::string& text) {
    SELVAGE_ASSIGN_OR_RETURN(Address address, ParseAddress(text));
    target->push_back(std::move(address));
    return absl::OkStatus();
  };
  return setting;
}

Setting ChoiceSetting(std::string path, std::vector<std::string> words, std::function<void(size_t)> store) {
  Setting setting = Scalar(std::move(path), "choice");
  setting.allowed = fmt::format("{}", fmt::join(words, ", "));
  setting.set = [words = std::move(words), store = std::move(store),
                 allowed = setting.allowed](const std::string& text) {
    const auto at = std::find(words.begin(), words.end(), text);
    if (at == words.end()) {
      return MakeError(absl::StatusCode::kInvalidArgument, "bad_value",
                       fmt::format("{} is not a choice: write one of {}", QuoteValue(text), allowed));
    }
    store(static_cast<size_t>(at - words.begin()));
    return absl::OkStatus();
  };
  return setting;
}

Setting ChoiceSetting(std::string path, std::vector<std::string> words, std::string* target) {
  return ChoiceSetting(std::move(path), words, [words, target](size_t chosen) { *target = words[chosen]; });
}

Setting RowsSetting(std::string path, std::function<std::vector<Setting>()> add_row) {
  Setting setting = Scalar(std::move(path), "list");
  setting.shape = Setting::Shape::kRows;
  setting.add_row = std::move(add_row);
  return setting;
}

}  // namespace selvage
