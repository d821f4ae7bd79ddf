#include "fabric/kafka/handlers/errors.h"

#include <iterator>
#include <string_view>

#include "fabric/base/error.h"

namespace selvage::kafka {
namespace {

struct Row {
  std::string_view kind;
  ErrorCode code;
};

constexpr Row kCodes[] = {
    {"unknown_stream", ErrorCode::kUnknownTopicOrPartition},
    {"unknown_edge", ErrorCode::kUnknownTopicOrPartition},
    {"wrong_partition", ErrorCode::kUnknownTopicOrPartition},
    {"not_replicated_yet", ErrorCode::kUnknownTopicOrPartition},
    {"edge_needed", ErrorCode::kPolicyViolation},
    {"edge_retired", ErrorCode::kPolicyViolation},
    {"read_only_replica", ErrorCode::kPolicyViolation},
    {"read_only_stream", ErrorCode::kPolicyViolation},
    {"wrong_node", ErrorCode::kPolicyViolation},
    {"origin_topic", ErrorCode::kPolicyViolation},
    {"name_reserved", ErrorCode::kInvalidTopic},
    {"invalid_partitions", ErrorCode::kInvalidPartitions},
    {"immutable", ErrorCode::kPolicyViolation},
    {"stream_attached", ErrorCode::kPolicyViolation},
    {"compaction_not_replicated", ErrorCode::kInvalidConfig},
    {"stream_exists", ErrorCode::kTopicAlreadyExists},
    {"offset_out_of_range", ErrorCode::kOffsetOutOfRange},
    // Clients try again: what is damaged is fetched from the other copy, or becomes a gap.
    {"corrupt_entry", ErrorCode::kKafkaStorageError},
    {"corrupt_batch", ErrorCode::kCorruptMessage},
    {"batch_too_large", ErrorCode::kMessageTooLarge},
    {"invalid_acks", ErrorCode::kInvalidRequiredAcks},
    {"invalid_record", ErrorCode::kInvalidRecord},
    {"keyless_record", ErrorCode::kInvalidRecord},
    {"unsupported_format", ErrorCode::kUnsupportedForMessageFormat},
    {"unsupported_codec", ErrorCode::kUnsupportedCompressionType},
    {"out_of_order_sequence", ErrorCode::kOutOfOrderSequenceNumber},
    {"stale_producer_epoch", ErrorCode::kInvalidProducerEpoch},
    // The producer begins a new epoch by itself; librdkafka takes OUT_OF_ORDER_SEQUENCE_NUMBER here for the
    // end of it.
    {"unknown_producer", ErrorCode::kUnknownProducerId},
    {"earlier_batch_refused", ErrorCode::kKafkaStorageError},
    // The producer keeps the batch and tries again until its own timeout.
    {"disk_full", ErrorCode::kKafkaStorageError},
    // Not REQUEST_TIMED_OUT: by that the batch may have been stored, and librdkafka takes the next one that
    // is stored as its acknowledgement.
    {"overloaded", ErrorCode::kKafkaStorageError},
    {"log_closed", ErrorCode::kNotLeaderOrFollower},
    // What makes every client give up at once.
    {"transactions_unsupported", ErrorCode::kTransactionalIdAuthorizationFailed},
    {"invalid_stream", ErrorCode::kInvalidConfig},
    {"invalid_config", ErrorCode::kInvalidConfig},
    {"invalid_name", ErrorCode::kInvalidTopic},
    {"invalid_replication_factor", ErrorCode::kInvalidReplicationFactor},
    {"invalid_assignment", ErrorCode::kInvalidReplicaAssignment},
    {"invalid_request", ErrorCode::kInvalidRequest},
    {"broker_config", ErrorCode::kInvalidRequest},
    {"unacknowledged", ErrorCode::kPolicyViolation},
};

}  // namespace

ErrorCode CodeOf(const absl::Status& status) {
  if (status.ok()) return ErrorCode::kNone;
  const std::string kind = ErrorKind(status);
  for (const Row& row : kCodes) {
    if (row.kind == kind) return row.code;
  }
  return IsRetryable(status) ? ErrorCode::kKafkaStorageError : ErrorCode::kUnknownServerError;
}

bool ClientsTryAgain(ErrorCode code) {
  return code == ErrorCode::kKafkaStorageError || code == ErrorCode::kUnknownTopicOrPartition ||
         code == ErrorCode::kNotLeaderOrFollower;
}

std::string MessageOf(const absl::Status& status) {
  std::string text(status.message());
  if (const std::string hint = ErrorHint(status); !hint.empty()) text += "; " + hint;
  return text;
}

}  // namespace selvage::kafka
