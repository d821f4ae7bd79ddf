#pragma once

#include <gmock/gmock.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/error.h"

namespace selvage::test {

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}
template <class T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

/// A status or a result that is no error.
MATCHER(IsOk, "is OK") {
  const absl::Status& status = StatusOf(arg);
  if (!status.ok()) *result_listener << ErrorKind(status) << ": " << selvage::Describe(status);
  return status.ok();
}

/// An error of this kind (fabric/base/error.h).
MATCHER_P(HasKind, kind, std::string("is the error ") + kind) {
  const absl::Status& status = StatusOf(arg);
  *result_listener << (status.ok() ? "OK" : ErrorKind(status) + ": " + selvage::Describe(status));
  return ErrorKind(status) == kind;
}

}  // namespace selvage::test
