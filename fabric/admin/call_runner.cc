#include "fabric/admin/call_runner.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/link/document_flows.h"

namespace selvage {
namespace {

/// An edge's response is read into more memory than it has bytes.
constexpr size_t kPassedOnFieldsMax = 100'000;
/// A call without a deadline of its own does not wait longer for an edge.
constexpr absl::Duration kPassedOnMax = absl::Minutes(10);

std::string SecretOf(Random& random) {
  return StoreId::Mint(random).bytes() + StoreId::Mint(random).bytes();
}

}  // namespace

CallRunner::CallRunner(const Options& options)
    : backend_(options.backend),
      local_secret_(SecretOf(backend_.node().random())),
      gate_(options.authorizer, options.metrics, backend_.node().clock(), options.over_link, local_secret_),
      pool_(options.pool) {}

grpc::ServerUnaryReactor* CallRunner::RunAsync(grpc::CallbackServerContext* context,
                                               const CallGate::Call& call, const Message* request,
                                               Message* response, size_t bytes,
                                               std::function<void(Done)> work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto caller = gate_.Admit(*context, call);
  if (!caller.ok()) {
    reactor->Finish(gate_.Conclude(caller.status(), call, "", *context));
    return reactor;
  }
  Done done = [this, context, reactor, &call, caller = *caller](const absl::Status& outcome) {
    reactor->Finish(gate_.Conclude(outcome, call, caller, *context));
  };
  if (const std::string edge = EdgeAskedFor(*context); !edge.empty()) {
    PassOn(edge, *context, call, *caller, *request, response, std::move(done));
  } else if (!pool_.TryRun(bytes, [work = std::move(work), done] { work(done); })) {
    done(Overloaded());
  }
  return reactor;
}

grpc::ServerUnaryReactor* CallRunner::Run(grpc::CallbackServerContext* context, const CallGate::Call& call,
                                          const Message* request, Message* response,
                                          std::function<absl::Status()> work) {
  return RunAsync(context, call, request, response, 0,
                  [work = std::move(work)](const Done& done) { done(work()); });
}

void CallRunner::PassOn(const std::string& edge, const grpc::CallbackServerContext& context,
                        const CallGate::Call& call, const std::string& caller, const Message& request,
                        Message* response, Done done) {
  NodeCall passed;
  passed.method = std::string(call.name);
  passed.request = request.SerializeAsString();
  passed.caller = caller;
  passed.timeout =
      std::min(kPassedOnMax, absl::FromChrono(context.deadline() - std::chrono::system_clock::now()));
  backend_.CallEdge(edge, std::move(passed),
                    [this, response, done = std::move(done)](const absl::StatusOr<std::string>& answer) {
                      absl::Status outcome = answer.status();
                      const bool readable = outcome.ok() && HasFieldsWithin(*answer, kPassedOnFieldsMax) &&
                                            response->ParseFromString(*answer);
                      if (outcome.ok() && !readable) {
                        outcome = MakeError(absl::StatusCode::kDataLoss, "protocol_error",
                                            "the edge's response cannot be read", "", Retry::kYes);
                      }
                      // The link must not be kept by what gRPC does to answer.
                      pool_.Continue([done, outcome] { done(outcome); });
                    });
}

}  // namespace selvage
