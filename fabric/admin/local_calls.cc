#include "fabric/admin/local_calls.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "fabric/admin/call_metadata.h"
#include "fabric/admin/error_metadata.h"
#include "fabric/security/identity.h"

namespace selvage {
namespace {

/// Services beside Admin, whose methods come with their name.
constexpr std::string_view kOtherServices[] = {"Tables/", "Views/", "Models/"};

/// One call under way.
struct LocalCall {
  grpc::ClientContext context;
  grpc::ByteBuffer request;
  grpc::ByteBuffer response;
  CallDone done;
};

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

/// Only what operators may call at all: whatever else the peer says is no method of Admin.
std::string PathOf(const std::string& method) {
  const bool other = std::any_of(std::begin(kOtherServices), std::end(kOtherServices),
                                 [&](std::string_view service) { return method.starts_with(service); });
  return (other ? "/selvage.v1." : "/selvage.v1.Admin/") + method;
}

}  // namespace

void LocalCalls::Call(const NodeCall& call, CallDone done) {
  // What the peer says may be anything; in metadata it would end the process.
  const absl::StatusOr<Identity> caller = ParseSpiffeUri(call.caller);
  if (!caller.ok()) return done(caller.status());
  auto under_way = std::make_shared<LocalCall>();
  under_way->done = std::move(done);
  under_way->context.AddMetadata(kCallerMetadata, SpiffeUri(*caller));
  under_way->context.AddMetadata(kSecretMetadata, secret_);
  under_way->context.set_deadline(std::chrono::system_clock::now() +
                                  absl::ToChronoMilliseconds(call.timeout));
  const grpc::Slice request(call.request);
  under_way->request = grpc::ByteBuffer(&request, 1);
  stub_.UnaryCall(&under_way->context, PathOf(call.method), grpc::StubOptions(), &under_way->request,
                  &under_way->response, [under_way](const grpc::Status& status) {
                    if (status.ok()) return under_way->done(BytesOf(under_way->response));
                    under_way->done(FromTrailers(status, under_way->context));
                  });
}

}  // namespace selvage
