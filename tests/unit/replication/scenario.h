#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

/// Scenarios of replication as text: tests/unit/replication/scenarios, where README.md says what may stand in
/// one.
namespace selvage::replication::test {

/// Runs `text` and returns it with what came of its commands in place of what it expected. An error begins
/// with "NAME:LINE: ": a command that is unknown, or one that makes no sense where it stands. `name` is only
/// for errors.
absl::StatusOr<std::string> RunScenario(std::string_view name, std::string_view text);

}  // namespace selvage::replication::test
