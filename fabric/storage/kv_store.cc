#include "fabric/storage/kv_store.h"

namespace selvage {

std::string_view FamilyName(Family family) {
  switch (family) {
    case Family::kMeta:
      return "meta";
    case Family::kLog:
      return "log";
    case Family::kGroup:
      return "group";
    case Family::kRow:
      return "row";
    case Family::kFeed:
      return "feed";
  }
  return "unknown";
}

}  // namespace selvage
