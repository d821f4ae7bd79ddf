#include "fabric/stream/embedded_log.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/error.h"
#include "fabric/storage/commit.h"

namespace selvage {

std::string ToString(const LogOrigin& origin) {
  if (origin.edge.empty()) return fmt::format("{}/{}", origin.stream, origin.partition.value());
  return fmt::format("{}/{}/{}", origin.edge, origin.stream, origin.partition.value());
}

EmbeddedLog::EmbeddedLog(const LogEnvironment& env, LogChanges& changes, LogNumber number, LogOrigin origin,
                         const LogState& state, std::optional<Offset> acknowledged, bool superseded)
    : env_(env),
      published_(changes, number, std::move(origin), state, acknowledged, superseded),
      damaged_(published_),
      staged_(env, published_, damaged_, state),
      reader_(env.store, env.cache, published_, damaged_) {}

absl::Status EmbeddedLog::CommitChange(const std::function<void(WriteBatch&)>& stage) {
  LogState after;
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        SELVAGE_RETURN_IF_ERROR(held());
        stage(batch);
        after = staged_.state();
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (status.ok()) staged_.PublishToWatchers(after);
      });
}

absl::Status EmbeddedLog::ForgetIdleProducers(int64_t before_ms) {
  if (!staged_.producers().MayHaveIdle(before_ms)) return absl::OkStatus();
  return Commit(env_.committer, [&](WriteBatch& batch) {
    SELVAGE_RETURN_IF_ERROR(held());
    staged_.producers().ForgetIdle(batch, before_ms);
    return absl::OkStatus();
  });
}

absl::Status EmbeddedLog::StartLeaderEpoch(LeaderEpoch epoch) {
  return CommitChange([&](WriteBatch& batch) {
    staged_.StageChange(batch, [&](LogState& state) {
      if (epoch > state.leader_epoch()) state.BeginLeaderEpoch(epoch, state.end);
    });
  });
}

absl::Status EmbeddedLog::AcceptLoss(std::optional<Offset> lost_to) {
  LogState after;
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        if (published_.closed()) return held();
        staged_.StageLossAccepted(batch, lost_to);
        after = staged_.state();
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (status.ok()) staged_.Release(after);
      });
}

}  // namespace selvage
