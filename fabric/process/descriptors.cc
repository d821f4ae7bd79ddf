#include "fabric/process/descriptors.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

/// Standard streams, listeners, pollers, timers, files read for a moment, the link that an edge dials.
constexpr uint64_t kOwn = 48;
/// Of the engine beside tables and values: write-ahead logs, manifest, directories, files being written.
constexpr uint64_t kStoreOwn = 32;
constexpr uint64_t kLimitMin = 192;

}  // namespace

absl::StatusOr<DescriptorShares> ShareDescriptors(uint64_t limit, const DescriptorWants& wants) {
  if (limit < kLimitMin) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, "too_few_descriptors",
        fmt::format("this process may open {} files and connections; it needs {}, and more for its clients",
                    limit, kLimitMin),
        "raise the limit of open files: ulimit -n, LimitNOFILE= of a systemd unit, --ulimit nofile= of a "
        "container");
  }
  DescriptorShares shares;
  shares.limit = limit;
  const uint64_t store_files = std::clamp<uint64_t>(limit / 4, 32, 256);
  const uint64_t operators = std::clamp<uint64_t>(limit / 16, 8, 64);  // of each kind
  shares.store_files = static_cast<int>(store_files);
  shares.http = shares.admin = operators;
  uint64_t left = limit - kOwn - kStoreOwn - store_files - 2 * operators;
  shares.api = std::min<uint64_t>(wants.api, left / 5);
  left -= shares.api;
  // Where there are too few for both, neither gets less than half because of the other.
  shares.links =
      std::min<uint64_t>(wants.links, std::max(left / 2, left - std::min<uint64_t>(left, wants.kafka)));
  shares.kafka = std::min<uint64_t>(wants.kafka, left - shares.links);
  return shares;
}

uint64_t RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) return raised.rlim_cur;
  return limit.rlim_cur;
}

absl::StatusOr<DescriptorShares> TakeDescriptors(const DescriptorWants& wants) {
  SELVAGE_ASSIGN_OR_RETURN(const DescriptorShares shares, ShareDescriptors(RaiseDescriptorLimit(), wants));
  if (shares.kafka < wants.kafka || shares.links < wants.links || shares.api < wants.api) {
    LogWarning(
        "the limit of open files leaves less for clients than the node could serve",
        {{"limit", shares.limit},
         {"kafka_connections", shares.kafka},
         {"links", shares.links},
         {"api_connections", shares.api},
         {"hint", "raise ulimit -n, LimitNOFILE= of a systemd unit, or --ulimit nofile= of a container"}});
  } else {
    LogInfo("open files are shared out", {{"limit", shares.limit},
                                          {"kafka_connections", shares.kafka},
                                          {"links", shares.links},
                                          {"api_connections", shares.api}});
  }
  return shares;
}

}  // namespace selvage
