#include "fabric/node/node_state.h"

#include <fmt/format.h>

#include <optional>

#include "fabric/base/error.h"

namespace selvage {

NodeState::NodeState(Options options, KvStore& store, Clock& clock, Random& random)
    : options_(std::move(options)),
      store_(store),
      clock_(clock),
      random_(random),
      identity_({options_.is_edge ? StoreOwner::Role::kEdge : StoreOwner::Role::kCore, options_.node},
                random),
      budget_(options_.disk),
      committer_(store, options_.commit),
      cache_(options_.tail_cache_bytes),
      ages_(clock),
      logs_(LogEnvironment{store, committer_, clock, ages_, cache_, budget_, fences_}),
      catalog_(store, committer_),
      alarms_(store, committer_, clock),
      places_(options_.is_edge, catalog_),
      maintenance_(store, logs_, catalog_, budget_, clock, ages_,
                   [this](const LogOrigin& origin, const v1::StreamDefinition& definition) {
                     return places_.ReplicatedFromHere(origin, definition);
                   }),
      damage_(logs_, alarms_, [this](const Log& log) { return places_.OtherCopyOf(log); }),
      streams_(random, logs_, catalog_, alarms_, places_, tables_),
      tables_({store, committer_, clock, random, budget_, fences_},
              {.is_edge = options_.is_edge,
               .store_id = [this] { return identity_.store_id(); },
               .log_of =
                   [this](const std::string& stream) {
                     return logs_.FindEmbedded(LogOrigin{"", Slot(0), stream, PartitionId(0)});
                   }}),
      captures_(catalog_, streams_, alarms_, tables_),
      views_({store, committer_, clock, random, logs_, tables_,
              [this](const std::string& stream) { return catalog_.Find(stream).has_value(); },
              options_.view_piece}) {
  alarms_.set_origin(options_.node);
  logs_.set_make_room([this](EmbeddedLog& log, size_t bytes) { return maintenance_.MakeRoom(log, bytes); });
}

absl::Status NodeState::Open(const std::map<LogNumber, Offset>& acknowledged_ends) {
  SELVAGE_RETURN_IF_ERROR(identity_.Open(store_, random_, options_.take_store_of));
  SELVAGE_RETURN_IF_ERROR(alarms_.Open());
  SELVAGE_RETURN_IF_ERROR(catalog_.Open());
  SELVAGE_ASSIGN_OR_RETURN(auto problems, logs_.Open(acknowledged_ends));
  std::map<LogNumber, Offset> held;  // with what was acknowledged of them
  for (const auto& problem : problems) held.emplace(problem.number, problem.acknowledged_end);
  alarms_.OnResolve("log_held", [this, held](const v1::AlarmDocument& alarm, const std::string&) {
    // A log and the ones it took the place of have one name; of an earlier start there may be none any more.
    for (const auto& [number, acknowledged_end] : held) {
      const std::shared_ptr<EmbeddedLog> log = logs_.FindEmbedded(number);
      if (log == nullptr || ToString(log->origin()) != alarm.subject() || log->held().ok()) continue;
      const bool source = places_.IsSource(log->origin());
      SELVAGE_RETURN_IF_ERROR(log->AcceptLoss(source ? std::optional(acknowledged_end) : std::nullopt));
    }
    return absl::OkStatus();
  });
  for (const auto& problem : problems) {
    if (problem.log == nullptr) {
      alarms_.Report({"log_lost", fmt::format("log {}", problem.number.value()),
                      std::string(problem.what.message()), ErrorHint(problem.what), false});
      continue;
    }
    alarms_.Report({"log_held", ToString(problem.log->origin()), std::string(problem.what.message()),
                    "look at the disk first; resolving accepts the loss, which is then a recorded gap",
                    true});
  }
  damage_.Open();
  SELVAGE_RETURN_IF_ERROR(tables_.Open());
  return views_.Open();
}

}  // namespace selvage
