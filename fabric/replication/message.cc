#include "fabric/replication/message.h"

#include <fmt/format.h>

#include "fabric/base/error.h"

namespace selvage::replication {

v1::FlowPosition ToProto(const FlowPosition& position) {
  v1::FlowPosition proto;
  proto.set_history(position.history);
  proto.set_offset(position.offset.value());
  if (position.hash) proto.set_hash(position.hash->value());
  proto.set_detail(position.detail);
  return proto;
}

FlowPosition FromProto(const v1::FlowPosition& position) {
  FlowPosition read{position.history(), Offset(position.offset()), {}, position.detail()};
  if (position.has_hash()) read.hash = ChainHash(position.hash());
  return read;
}

v1::Problem ToProblem(const absl::Status& status) {
  v1::Problem problem;
  problem.set_kind(ErrorKind(status));
  problem.set_message(std::string(status.message()));
  problem.set_hint(ErrorHint(status));
  problem.set_retryable(IsRetryable(status));
  return problem;
}

absl::Status FromProblem(const v1::Problem& problem) {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   IsErrorKind(problem.kind()) ? problem.kind() : "other", problem.message(), problem.hint(),
                   problem.retryable() ? Retry::kYes : Retry::kNo);
}

absl::Status UnknownKind(std::string_view what) {
  return MakeError(absl::StatusCode::kUnimplemented, "unknown_kind",
                   fmt::format("a {} of a kind that is not known here", what),
                   "upgrade the end that refuses it");
}

absl::Status ProtocolError(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", what,
                   "the peer runs another version or is faulty", Retry::kYes);
}

}  // namespace selvage::replication
