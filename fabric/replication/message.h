#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "fabric/base/bytes.h"
#include "fabric/replication/flow.h"
#include "selvage/v1/link.pb.h"

namespace selvage::replication {

/// The version of the frames and their meaning. Two ends of different versions say so and end the link. What
/// can be added without a new version is a capability.
inline constexpr uint32_t kLinkProtocol = 3;

/// One frame of the link. The bytes of an entry are in `payload` and not in `frame.payload`, so that nobody
/// copies them into the protobuf message or out of it; transport/codec joins the two on the wire.
struct Message {
  v1::Frame frame;
  Bytes payload;
};

v1::FlowPosition ToProto(const FlowPosition& position);
FlowPosition FromProto(const v1::FlowPosition& position);
v1::Problem ToProblem(const absl::Status& status);
absl::Status FromProblem(const v1::Problem& problem);
/// The error that ends a session whose peer broke a rule of the protocol: kind `protocol_error`; a retry
/// helps.
absl::Status ProtocolError(std::string_view what);
/// The error with which an end refuses a flow or a request of a kind that it does not know: `unknown_kind`.
/// No alarm is due: the peer runs another version.
absl::Status UnknownKind(std::string_view what);

}  // namespace selvage::replication
