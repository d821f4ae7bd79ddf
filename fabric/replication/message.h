#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "fabric/base/bytes.h"
#include "fabric/replication/flow.h"
#include "selvage/v1/link.pb.h"

namespace selvage::replication {

/// Of the frames and what they mean. Ends of different versions say so and part; what can be added without
/// that is a capability.
inline constexpr uint32_t kLinkProtocol = 3;

/// One frame of the link. The bytes of an entry ride beside the frame, not in `frame.payload`, so that they
/// are neither copied into the message nor out of it; transport/codec joins and parts them.
struct Message {
  v1::Frame frame;
  Bytes payload;
};

v1::FlowPosition ToProto(const FlowPosition& position);
FlowPosition FromProto(const v1::FlowPosition& position);
v1::Problem ToProblem(const absl::Status& status);
absl::Status FromProblem(const v1::Problem& problem);
/// What ends a session whose peer broke a rule of the protocol: kind `protocol_error`, worth another try.
absl::Status ProtocolError(std::string_view what);
/// What a flow or a request is refused with whose kind is not known here: `unknown_kind`. It concerns nobody:
/// the peer is of another version.
absl::Status UnknownKind(std::string_view what);

}  // namespace selvage::replication
