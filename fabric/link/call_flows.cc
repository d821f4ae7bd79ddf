#include "fabric/link/call_flows.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/replication/flow.h"
#include "fabric/replication/message.h"
#include "fabric/stream/stream_catalog.h"

namespace selvage {

using replication::FlowNumber;
using replication::FlowPosition;
using replication::Session;

namespace {

/// What a peer may make a call wait.
constexpr absl::Duration kTimeoutMax = absl::Hours(1);

absl::Status LinkLost() {
  return MakeError(
      absl::StatusCode::kUnavailable, "link_lost", "the link to the edge ended before the answer came",
      "of a call that changes something it is not known whether it was made: look first", Retry::kYes);
}

absl::Status TooManyCalls() {
  return MakeError(absl::StatusCode::kResourceExhausted, "overloaded",
                   "too many calls are under way on the edge's link", "try again, with fewer at a time",
                   Retry::kYes);
}

std::string AnswerOf(const absl::StatusOr<std::string>& response) {
  v1::CallAnswer answer;
  if (response.ok()) {
    answer.set_response(*response);
  } else {
    answer.set_code(static_cast<int32_t>(response.status().code()));
    *answer.mutable_problem() = replication::ToProblem(response.status());
  }
  return answer.SerializeAsString();
}

absl::StatusOr<std::string> ResponseOf(const v1::CallAnswer& answer) {
  if (!answer.has_problem()) return answer.response();
  const absl::Status problem = replication::FromProblem(answer.problem());
  // A code that is OK, or none, would make an error look like success.
  const bool known =
      answer.code() > 0 && answer.code() <= static_cast<int>(absl::StatusCode::kUnauthenticated);
  return MakeError(known ? static_cast<absl::StatusCode>(answer.code()) : absl::StatusCode::kUnknown,
                   ErrorKind(problem), std::string(problem.message()), ErrorHint(problem),
                   IsRetryable(problem) ? Retry::kYes : Retry::kNo);
}

}  // namespace

/// The answer on its way: one entry.
class CallFlows::Source : public replication::FlowSource {
 public:
  Source(uint32_t request, std::string body) : request_(request), body_(std::move(body)) {}

  bool finished() const { return finished_; }
  size_t bytes() const { return body_.size(); }

  v1::FlowOpen Describe() override {
    v1::FlowOpen open;
    open.set_kind(v1::CALL);
    open.set_end(1);
    open.set_request(request_);
    open.mutable_call();
    return open;
  }
  replication::FlowSettings settings() override {
    // Alarms overtake answers, and answers do not starve behind bulk data.
    return {.priority = kDefaultPriority, .weight = 1, .compress = true};
  }
  Offset end() override { return Offset(1); }
  absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t) override {
    std::vector<FlowEntry> entries;
    if (from < end()) {
      entries.push_back(
          {.kind = EntryKind::kAnswer, .from = from, .to = end(), .body = body_, .compressible = true});
    }
    return entries;
  }
  void Acknowledged(const FlowPosition& durable) override { finished_ = durable.offset >= end(); }

 private:
  const uint32_t request_;
  const Bytes body_;
  bool finished_ = false;
};

/// Takes the answer.
class CallFlows::Sink : public replication::FlowSink {
 public:
  Sink(CallFlows& flows, uint32_t request) : flows_(flows), request_(request) {}

  uint32_t request() const { return request_; }

  FlowPosition position() override { return {}; }
  absl::Status Check(const FlowEntry& entry) override {
    if (entry.kind == EntryKind::kAnswer && entry.from == Offset(0)) return absl::OkStatus();
    return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", "what came is no answer");
  }
  void Persist(FlowEntry entry, Done done) override {
    v1::CallAnswer answer;
    const std::string_view body = entry.body.view();
    if (answer.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
      flows_.Finish(request_, ResponseOf(answer));
    } else {
      flows_.Finish(request_, MakeError(absl::StatusCode::kDataLoss, "protocol_error",
                                        "the answer cannot be read", "", Retry::kYes));
    }
    FlowPosition after;
    after.offset = entry.to;
    done(after);
  }

 private:
  CallFlows& flows_;
  const uint32_t request_;
};

CallFlows::CallFlows(Clock& clock, NodeCaller serve, std::function<void()> wake)
    : clock_(clock), serve_(std::move(serve)), exchange_(std::make_shared<Exchange>(std::move(wake))) {}

CallFlows::~CallFlows() {
  End();
}

NodeCaller CallFlows::caller() {
  return [exchange = exchange_](NodeCall call, CallDone done) {
    absl::Status refused;
    {
      absl::MutexLock lock(&exchange->mutex);
      if (exchange->ended) {
        refused = LinkLost();
      } else if (!exchange->refused.ok()) {
        refused = exchange->refused;
      } else if (call.request.size() > kCallRequestMax) {
        refused = MakeError(absl::StatusCode::kResourceExhausted, "request_too_large",
                            fmt::format("the request has {} bytes; {} pass over a link", call.request.size(),
                                        kCallRequestMax),
                            "call the edge at its own address");
      } else if (exchange->calls.size() >= kCallsMax) {
        refused = TooManyCalls();
      } else {
        exchange->calls.emplace_back(std::move(call), done);
      }
    }
    if (!refused.ok()) return done(refused);
    exchange->wake();
  };
}

void CallFlows::Begin(Session& session, const Fence&) {
  begun_ = true;
  for (const v1::FlowRequest& request : std::exchange(early_, {})) Serve(request);
  Woken(session);
}

void CallFlows::Absent(Session& session) {
  std::vector<std::pair<NodeCall, CallDone>> calls;
  const absl::Status refused = replication::UnknownKind("call");
  {
    absl::MutexLock lock(&exchange_->mutex);
    exchange_->refused = refused;
    calls.swap(exchange_->calls);
  }
  for (const auto& [call, done] : calls) done(refused);
  for (const v1::FlowRequest& request : std::exchange(early_, {})) {
    session.SendRefusal(request.request(), refused);
  }
}

void CallFlows::Woken(Session& session) {
  WithdrawFinished(session);
  std::vector<std::pair<NodeCall, CallDone>> calls;
  std::vector<std::pair<uint32_t, std::string>> answers;
  {
    absl::MutexLock lock(&exchange_->mutex);
    calls.swap(exchange_->calls);
    answers.swap(exchange_->answers);
  }
  for (auto& [call, done] : calls) Ask(session, std::move(call), std::move(done));
  for (auto& [request, body] : answers) {
    --serving_;
    auto source = std::make_unique<Source>(request, std::move(body));
    const FlowNumber flow = session.Offer(*source);
    sources_[flow] = std::move(source);
  }
}

void CallFlows::Ask(Session& session, NodeCall call, CallDone done) {
  if (asked_.size() >= kCallsMax) return done(TooManyCalls());
  v1::FlowRequest request;
  v1::CallRequest& asked = *request.mutable_call();
  asked.set_method(std::move(call.method));
  asked.set_request(std::move(call.request));
  asked.set_caller(std::move(call.caller));
  asked.set_timeout_ms(absl::ToInt64Milliseconds(call.timeout));
  const uint32_t number = session.SendRequest(std::move(request));
  asked_.emplace(number, Asked{std::move(done), clock_.Monotonic() + call.timeout, {}});
}

void CallFlows::Finish(uint32_t request, const absl::StatusOr<std::string>& response) {
  const auto asked = asked_.find(request);
  if (asked == asked_.end()) return;  // nobody waits any more
  const CallDone done = std::move(asked->second.done);
  asked_.erase(asked);
  done(response);
}

void CallFlows::Tick(Session& session) {
  const absl::Duration now = clock_.Monotonic();
  std::vector<uint32_t> late;
  for (const auto& [request, asked] : asked_) {
    if (asked.until <= now) late.push_back(request);
  }
  for (uint32_t request : late) {
    Finish(request, MakeError(absl::StatusCode::kDeadlineExceeded, "timeout",
                              "the edge did not answer in time", "give it more: --timeout", Retry::kYes));
  }
  WithdrawFinished(session);
}

void CallFlows::WithdrawFinished(Session& session) {
  std::erase_if(sources_, [&](const auto& entry) {
    if (!entry.second->finished()) return false;
    session.Withdraw(entry.first);
    Forget(*entry.second);
    return true;
  });
}

void CallFlows::Forget(const Source& source) {
  absl::MutexLock lock(&exchange_->mutex);
  exchange_->answer_bytes -= source.bytes();
}

void CallFlows::OnOffered(Session& session, FlowNumber flow, const v1::FlowOpen& open) {
  const auto asked = asked_.find(open.request());
  if (asked == asked_.end() || asked->second.answer) {
    // It may have been given up as too late.
    return session.Refuse(
        flow, MakeError(absl::StatusCode::kNotFound, "not_asked", "an answer that nobody waits for"),
        absl::InfiniteDuration());
  }
  asked->second.answer = flow;
  auto sink = std::make_unique<Sink>(*this, open.request());
  session.Accept(flow, *sink);
  sinks_[flow] = std::move(sink);
}

void CallFlows::OnEnded(FlowNumber flow, const absl::Status& why) {
  const auto sink = sinks_.find(flow);
  if (sink == sinks_.end()) return;
  // Without effect when the answer has come.
  Finish(sink->second->request(), why.ok() ? LinkLost() : why);
  sinks_.erase(sink);
}

void CallFlows::OnHeld(Session& session, const Session::FlowHeld& held) {
  const auto source = sources_.find(held.flow);
  if (source == sources_.end()) return;
  session.Withdraw(held.flow);  // whoever asked does not wait any more
  Forget(*source->second);
  sources_.erase(source);
}

bool CallFlows::OnRequested(Session& session, const v1::FlowRequest& request) {
  if (!request.has_call() || !serve_) return false;
  if (early_.size() + serving_ + sources_.size() >= kCallsMax) {
    session.SendRefusal(request.request(), TooManyCalls());
  } else if (begun_) {
    Serve(request);
  } else {
    early_.push_back(request);
  }
  return true;
}

void CallFlows::Serve(const v1::FlowRequest& request) {
  ++serving_;
  const v1::CallRequest& call = request.call();
  serve_({.method = call.method(),
          .request = call.request(),
          .caller = call.caller(),
          .timeout = std::clamp(absl::Milliseconds(call.timeout_ms()), absl::ZeroDuration(), kTimeoutMax)},
         [exchange = exchange_, number = request.request()](const absl::StatusOr<std::string>& response) {
           std::string answer = AnswerOf(response);
           if (answer.size() > kCallResponseMax) {
             answer = AnswerOf(MakeError(absl::StatusCode::kResourceExhausted, "response_too_large",
                                         fmt::format("the response has {} bytes; {} pass over a link",
                                                     answer.size(), kCallResponseMax),
                                         "ask for less at once"));
           }
           {
             absl::MutexLock lock(&exchange->mutex);
             if (exchange->ended) return;
             if (exchange->answer_bytes + answer.size() > kCallResponsesMax)
               answer = AnswerOf(TooManyCalls());
             exchange->answer_bytes += answer.size();
             exchange->answers.emplace_back(number, std::move(answer));
           }
           exchange->wake();
         });
}

void CallFlows::OnRefused(const Session::RequestRefused& refused) {
  Finish(refused.request, refused.why);
}

void CallFlows::End() {
  std::vector<std::pair<NodeCall, CallDone>> calls;
  {
    absl::MutexLock lock(&exchange_->mutex);
    exchange_->ended = true;
    calls.swap(exchange_->calls);
    exchange_->answers.clear();
  }
  for (const auto& [call, done] : calls) done(LinkLost());
  for (const auto& [request, asked] : std::exchange(asked_, {})) asked.done(LinkLost());
}

}  // namespace selvage
