#include "fabric/stream/retention.h"

#include <algorithm>

#include "fabric/base/canary.h"

namespace selvage {

std::optional<int64_t> AgeCutoff(const v1::StreamSettings& settings, int64_t now_ms) {
  if (settings.retention_ms() <= 0 || settings.cleanup() == v1::CLEANUP_COMPACT) return std::nullopt;
  return now_ms - settings.retention_ms();
}

std::optional<uint64_t> BytesCutoff(const v1::StreamSettings& settings, const RetentionView& log) {
  if (settings.retention_bytes() <= 0 || settings.cleanup() == v1::CLEANUP_COMPACT) return std::nullopt;
  auto limit = static_cast<uint64_t>(settings.retention_bytes());
  if (log.log_bytes - log.bytes_before_start <= limit) return std::nullopt;
  return log.log_bytes - limit;
}

bool MayTrim(const v1::StreamSettings& settings, const RetentionView& log) {
  if (log.start >= log.end) return false;
  if (!log.replicated || settings.on_full() == v1::DROP_OLDEST || Planted(Canary::kTrimUnacknowledged))
    return true;
  return log.acknowledged > log.start;
}

std::optional<TrimPlan> PlanTrim(const v1::StreamSettings& settings, const RetentionView& log,
                                 Offset expired_to) {
  TrimPlan plan;
  plan.to = std::max(log.start, std::min(expired_to, log.end));
  if (Planted(Canary::kTrimUnacknowledged)) return plan.to > log.start ? std::optional(plan) : std::nullopt;
  if (log.replicated) {
    if (!settings.keep_after_ack()) plan.to = std::max(plan.to, std::min(log.acknowledged, log.end));
    if (plan.to > log.acknowledged) {
      if (settings.on_full() == v1::DROP_OLDEST) {
        plan.unacknowledged_from = std::max(log.start, log.acknowledged);
      } else {
        plan.to = std::max(log.start, log.acknowledged);
      }
    }
  }
  if (plan.to <= log.start) return std::nullopt;
  return plan;
}

}  // namespace selvage
