#include "fabric/replication/message.h"

#include "fabric/base/error.h"

namespace selvage::replication {

v1::LogPosition ToProto(const LogPosition& position) {
  v1::LogPosition proto;
  proto.set_log_id(position.log.bytes());
  proto.set_offset(position.offset.value());
  proto.set_hash(position.hash.value());
  return proto;
}

LogPosition FromProto(const v1::LogPosition& position) {
  return {LogId::FromBytes(position.log_id()).value_or(LogId()), Offset(position.offset()),
          ChainHash(position.hash())};
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
  return MakeError(absl::StatusCode::kFailedPrecondition, problem.kind(), problem.message(), problem.hint(),
                   problem.retryable() ? Retry::kYes : Retry::kNo);
}

absl::Status ProtocolError(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", what,
                   "the peer runs another version or is faulty", Retry::kYes);
}

}  // namespace selvage::replication
