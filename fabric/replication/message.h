#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "fabric/base/bytes.h"
#include "fabric/base/log_position.h"
#include "selvage/v1/link.pb.h"

namespace selvage::replication {

/// One frame of the link. The bytes of an entry ride beside the frame, not in `frame.payload`, so that they
/// are neither copied into the message nor out of it; transport/codec joins and parts them.
struct Message {
  v1::Frame frame;
  Bytes payload;
};

v1::LogPosition ToProto(const LogPosition& position);
/// A missing or malformed log id reads as none.
LogPosition FromProto(const v1::LogPosition& position);
v1::Problem ToProblem(const absl::Status& status);
absl::Status FromProblem(const v1::Problem& problem);
/// What ends a session whose peer broke a rule of the protocol: kind `protocol_error`, worth another try.
absl::Status ProtocolError(std::string_view what);

}  // namespace selvage::replication
