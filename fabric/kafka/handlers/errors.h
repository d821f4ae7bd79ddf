#pragma once

#include <string>

#include "absl/status/status.h"
#include "fabric/kafka/protocol/error_code.h"

namespace selvage::kafka {

/// The code by which Kafka clients know an error, by its kind: what they do about it depends on the code
/// alone. UNKNOWN_SERVER_ERROR for what has none.
ErrorCode CodeOf(const absl::Status& status);

/// True for what every producer takes as "not stored, send it again".
bool ClientsTryAgain(ErrorCode code);

/// For the error_message of a response: what happened and what to do.
std::string MessageOf(const absl::Status& status);

}  // namespace selvage::kafka
