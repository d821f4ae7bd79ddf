#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/config/setting.h"

namespace selvage {

/// All that is wrong with one configuration, each with its place.
class ConfigProblems {
 public:
  /// Counted from 1; 0 when the setting is not in the file.
  struct Place {
    int line = 0;
    int column = 0;
  };

  /// `file` is the name shown.
  explicit ConfigProblems(std::string file) : file_(std::move(file)) {}

  /// Where a setting was found, for problems that come up later.
  void Locate(std::string_view path, Place place);
  /// A problem with the setting `path`, at its place.
  void Add(std::string_view path, std::string_view problem);
  void AddAt(Place place, std::string_view path, std::string_view problem);
  /// Adds `problem` to the first path unless `holds`. Says nothing when one of the settings is already known
  /// to be wrong: its value is then not the one that was meant.
  void Require(bool holds, std::initializer_list<std::string_view> paths, std::string_view problem);

  /// OK, or one "bad_config" error that lists every problem, in the order of the file, as file:line:column:
  /// path: problem.
  absl::Status ToStatus() const;

 private:
  struct Problem {
    Place place;
    std::string path;
    std::string text;
  };
  std::string file_;
  std::map<std::string, Place, std::less<>> places_;
  std::vector<Problem> problems_;
};

/// Gives every setting that is not required its default.
void ApplyDefaults(const std::vector<Setting>& settings);

/// Applies the defaults, then what the YAML text says. Unknown and repeated keys, missing required settings
/// and values that are not allowed are problems; reading goes on behind each, so that all are found in one
/// go.
void ReadSettings(std::string_view yaml, const std::vector<Setting>& settings, ConfigProblems& problems);

/// The text of a configuration file. Errors: "config_unreadable" with the system's reason; larger than 1 MiB.
absl::StatusOr<std::string> ReadConfigFile(const std::string& path);

}  // namespace selvage
