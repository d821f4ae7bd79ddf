#pragma once

#include <grpcpp/support/byte_buffer.h>

#include "absl/status/statusor.h"
#include "fabric/replication/message.h"

namespace selvage {

/// The largest frame that either end of a link takes, in bytes. Fragments of entries are far smaller; this
/// bounds a spec or a status.
inline constexpr size_t kFrameBytesMax = 4 << 20;

/// The message as a protobuf `Frame` with the payload as its last field. A large payload is not copied: the
/// buffer shares its memory and keeps it alive. Reads `message.payload`, so `message.frame.payload` must be
/// empty.
grpc::ByteBuffer EncodeFrame(const replication::Message& message);

/// The reverse, for any bytes: whatever protobuf reads as a `Frame` is taken, fields in any order, unknown
/// ones ignored. A payload that ends the frame and lies in one piece of the buffer is not copied, any other
/// is copied once; memory of the buffer is shared. Errors: "malformed_frame".
absl::StatusOr<replication::Message> DecodeFrame(const grpc::ByteBuffer& buffer);

}  // namespace selvage
