#include "fabric/kafka/protocol/fetch.h"

#include <algorithm>
#include <unordered_map>

#include "fabric/base/clock.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/fetch_sessions.h"

namespace selvage::kafka {
namespace {

/// Bytes of records in one response, whatever the client allows: memory for clients that read slowly.
constexpr size_t kResponseMax = 8u << 20;
constexpr absl::Duration kWaitMax = absl::Minutes(5);
/// Of one that keeps the memory of its request from others.
constexpr absl::Duration kUnparkedWaitMax = absl::Milliseconds(250);

/// What one request comes to, row by row.
class Answer {
 public:
  Answer(const FetchRequest& request, Call& call, FetchSession& session, bool full)
      : call_(call),
        session_(session),
        full_(full),
        bytes_max_(std::min<size_t>(static_cast<size_t>(std::max(request.max_bytes, 0)), kResponseMax)),
        min_bytes_(std::min<size_t>(static_cast<size_t>(std::max(request.min_bytes, 0)), kResponseMax)) {}

  /// Looks at a partition, perhaps again.
  void Look(FetchedPartition& partition) {
    auto [at, added] = rows_.try_emplace(&partition, order_.size());
    if (added) order_.push_back({&partition, {}});
    Found& kept = order_[at->second].found;
    bytes_ -= kept.bytes;
    const size_t left = std::min(bytes_max_ - std::min(bytes_, bytes_max_), call_.response_room());
    kept = partition.Read(left, bytes_ == 0);
    bytes_ += kept.bytes;
    call_.HoldResponse(bytes_);
    failed_ = failed_ || kept.row.error_code != ErrorCode::kNone;
    if (partition.outdated()) session_.ResolveAgain(partition);
  }
  /// Whether it need not wait for more.
  bool complete() const { return failed_ || bytes_ >= min_bytes_; }

  FetchResponse Finish() {
    FetchResponse response;
    response.session_id = session_.id();
    LookAgain();
    for (auto& [partition, found] : order_) {
      if (!full_ && !partition->IsNews(found.row)) continue;
      partition->Told(found.row);
      if (response.responses.empty() || response.responses.back().topic != partition->topic()) {
        response.responses.emplace_back().topic = partition->topic();
      }
      response.responses.back().partitions.push_back(std::move(found.row));
    }
    return response;
  }

 private:
  using Found = FetchedPartition::Found;

  /// Worth a look at the next request: what failed or has more, and also what was sent, since a client that
  /// did not take it wants it again and need not name it. What was sent nothing comes first, so that nobody
  /// starves.
  void LookAgain() {
    for (const bool sent : {false, true}) {
      for (const auto& [partition, found] : order_) {
        const bool waits = sent || found.more || found.row.error_code != ErrorCode::kNone;
        if (waits && !found.row.records.empty() == sent) session_.ready().Add(*partition);
      }
    }
  }

  struct Looked {
    FetchedPartition* partition;
    Found found;
  };
  Call& call_;
  FetchSession& session_;
  const bool full_;
  const size_t bytes_max_;
  const size_t min_bytes_;
  std::vector<Looked> order_;
  std::unordered_map<FetchedPartition*, size_t> rows_;
  size_t bytes_ = 0;
  bool failed_ = false;
};

Awaitable<FetchResponse> Fetch(Context& context, Call& call, const FetchRequest& request,
                               FetchSession& session, bool full) {
  Answer answer(request, call, session, full);
  session.ResolveAll(context.topics, SystemClock().Monotonic());
  // What is kept hears of everything from before its first look on: else what came in between would wait for
  // the next.
  const bool is_kept = session.id() != 0;
  if (is_kept) session.WatchAll();
  co_await call.AwaitResponseRoom();
  for (FetchedPartition* partition : session.ready().Take()) answer.Look(*partition);
  const absl::Duration began = SystemClock().Monotonic();
  absl::Duration until =
      began + std::clamp(absl::Milliseconds(request.max_wait_ms), absl::ZeroDuration(), kWaitMax);
  const bool waits = session.size() > 0 && !answer.complete() && request.max_wait_ms > 0;
  if (waits) {
    if (!call.Park()) until = std::min(until, began + kUnparkedWaitMax);
    session.ready().SetWaiter(call.closed());
    if (!is_kept) {
      session.WatchAll();
      session.ForEach([&](FetchedPartition& partition) { answer.Look(partition); });
    }
  }
  while (waits && !answer.complete() && !call.is_closed()) {
    co_await call.AwaitResponseRoom();
    for (FetchedPartition* partition : session.ready().Take()) answer.Look(*partition);
    const absl::Duration left = until - SystemClock().Monotonic();
    if (answer.complete() || left <= absl::ZeroDuration()) break;
    const bool unresolved = session.ResolveAll(context.topics, SystemClock().Monotonic());
    session.WatchAll();
    if (!session.ready().empty()) continue;
    co_await call.closed()->Wait(unresolved ? std::min(left, FetchSession::kResolveEvery) : left);
  }
  session.ready().SetWaiter(nullptr);
  co_return answer.Finish();
}

Awaitable<FetchResponse> Handle(Context& context, Call& call, FetchRequest request) {
  const FetchSessions::Taken taken = context.fetch_sessions.Take(request, SystemClock().Monotonic());
  if (taken.session == nullptr) {
    FetchResponse refused;
    refused.error_code = taken.error;
    co_return refused;
  }
  FetchResponse response = co_await Fetch(context, call, request, *taken.session, taken.full);
  context.fetch_sessions.GiveBack(taken.session, SystemClock().Monotonic());
  co_return response;
}

}  // namespace

// Up to 12, since from 13 on topics go by ids.
const ServedApi kServeFetch = {ApiKey::kFetch, 4, 12, &ServeWith<FetchRequest, FetchResponse, &Handle>};

}  // namespace selvage::kafka
