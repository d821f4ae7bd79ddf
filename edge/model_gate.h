#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

/// What an edge asks whether a version of a model works, and whom it tells of one.
namespace selvage {

/// Answers true when whoever waits has to stop.
using Stopped = std::function<bool()>;

/// Runs `command` by /bin/sh in a process group of its own, with these variables added to the environment and
/// nothing to read; all of the group is killed when the command ends, takes longer than `limit`, or `stopped`
/// says so. Waits for it. The errors quote the end of what it wrote: "command_failed" with its status,
/// "command_timeout", "command_not_run", "stopped".
absl::Status RunCommand(const std::string& command,
                        const std::vector<std::pair<std::string, std::string>>& variables,
                        absl::Duration limit, const Stopped& stopped);

/// Asks an HTTP address on this machine, again and again until it answers 200: whoever serves a model takes a
/// while to load it. `query` is added to the address. Errors: "gate_http" after `limit`, with the newest
/// answer; "stopped".
absl::Status AskHttp(const std::string& url, const std::string& query, absl::Duration limit,
                     const Stopped& stopped);

/// Whether AskHttp can ask it: http, a numeric address of this machine or localhost, a port, a path. Error:
/// "invalid_url".
absl::Status CheckGateUrl(const std::string& url);

}  // namespace selvage
