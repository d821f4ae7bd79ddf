#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"

/// How an error of fabric/base/error.h travels over gRPC: code and message as the call's status, the other
/// parts in its trailing metadata.
namespace selvage {

inline constexpr char kErrorKindMetadata[] = "selvage-kind";  ///< ErrorKind
inline constexpr char kErrorHintMetadata[] =
    "selvage-hint-bin";  ///< ErrorHint in UTF-8; absent when there is none
inline constexpr char kErrorRetryMetadata[] = "selvage-retry";  ///< "yes" or "no"

/// At the server: the status to finish a call with; adds the trailing metadata to `context`. Message and hint
/// are cut to what HTTP/2 headers surely carry. Once for each call, before it finishes.
grpc::Status ToGrpc(const absl::Status& status, grpc::ServerContextBase& context);

/// At the client, after the call finished: the error as the server made it. An error that the server did not
/// make (the connection, the deadline) keeps code and message and has no kind of its own.
absl::Status FromTrailers(const grpc::Status& status, const grpc::ClientContext& context);

/// True when the call's error was made by ToGrpc at the server, and not by gRPC on the way.
bool HasErrorTrailers(const grpc::ClientContext& context);

}  // namespace selvage
