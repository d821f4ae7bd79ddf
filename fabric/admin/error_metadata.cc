#include "fabric/admin/error_metadata.h"

#include <string>
#include <string_view>

#include "fabric/base/error.h"

namespace selvage {
namespace {

// Peers commonly allow 8 KiB of headers in all, and a message of any bytes triples when it is
// percent-encoded.
constexpr size_t kTextMax = 1024;

std::string Trailer(const grpc::ClientContext& context, const char* name) {
  const auto& trailers = context.GetServerTrailingMetadata();
  auto found = trailers.find(name);
  return found == trailers.end() ? std::string() : std::string(found->second.data(), found->second.size());
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status, grpc::ServerContextBase& context) {
  if (status.ok()) return grpc::Status::OK;
  // A kind may come from a peer, and gRPC ends the process over metadata that are no printable ASCII.
  const std::string kind = ErrorKind(status);
  context.AddTrailingMetadata(kErrorKindMetadata, IsErrorKind(kind) ? kind : "other");
  if (std::string hint = ErrorHint(status); !hint.empty()) {
    context.AddTrailingMetadata(kErrorHintMetadata, hint.substr(0, kTextMax));
  }
  context.AddTrailingMetadata(kErrorRetryMetadata, IsRetryable(status) ? "yes" : "no");
  std::string_view message(status.message().data(), status.message().size());
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(message.substr(0, kTextMax)));
}

absl::Status FromTrailers(const grpc::Status& status, const grpc::ClientContext& context) {
  if (status.ok()) return absl::OkStatus();
  auto code = static_cast<absl::StatusCode>(status.error_code());
  if (!HasErrorTrailers(context)) return absl::Status(code, status.error_message());
  Retry retry = Trailer(context, kErrorRetryMetadata) == "yes" ? Retry::kYes : Retry::kNo;
  return MakeError(code, Trailer(context, kErrorKindMetadata), status.error_message(),
                   Trailer(context, kErrorHintMetadata), retry);
}

bool HasErrorTrailers(const grpc::ClientContext& context) {
  return context.GetServerTrailingMetadata().count(kErrorKindMetadata) > 0;
}

}  // namespace selvage
