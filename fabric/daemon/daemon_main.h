#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace selvage {

/// What differs between the daemons' command lines.
struct DaemonProgram {
  std::string name;                            ///< "selvage-edge"
  std::function<std::string()> sample_config;  ///< for --print-config-reference
  std::function<absl::Status(const std::string& path)>
      check;  ///< for --check-config: the file and what it names
  std::function<absl::Status(const std::string& path)> run;  ///< returns when the daemon ended
  /// Adds options of this daemon alone: long name, help, where it goes.
  struct Flag {
    std::string name;
    std::string help;
    bool* value;
  };
  std::vector<Flag> flags;
  /// The same with a text behind it.
  struct Option {
    std::string name;
    std::string help;
    std::string* value;
  };
  std::vector<Option> options;
};

/// Parses the command line and runs. Exit codes: 0 for a clean end, 1 for a failure, 2 for wrong usage or a
/// bad configuration.
int RunDaemonMain(const DaemonProgram& program, int argc, char** argv);

}  // namespace selvage
