#include "fabric/base/names.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace selvage {
namespace {

constexpr std::string_view kCapturePrefix = "table.";
constexpr std::string_view kCaptureSuffix = ".changes";

}  // namespace

bool IsDnsLabel(std::string_view name) {
  if (name.empty() || name.size() > 63 || name.front() == '-' || name.back() == '-') return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
  });
}

bool IsDnsName(std::string_view name) {
  if (name.size() > 253) return false;
  while (true) {
    size_t dot = name.find('.');
    if (!IsDnsLabel(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

bool IsStreamName(std::string_view name) {
  if (name.empty() || name.size() > kMaxStreamName || name == "." || name == "..") return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
}

std::string CaptureStreamOf(std::string_view table) {
  std::string name(kCapturePrefix);
  name += table;
  name += kCaptureSuffix;
  return name;
}

bool IsCaptureStream(std::string_view name) {
  return name.size() > kCapturePrefix.size() + kCaptureSuffix.size() && name.starts_with(kCapturePrefix) &&
         name.ends_with(kCaptureSuffix);
}

}  // namespace selvage
