#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fabric/config/setting.h"

namespace selvage {

/// A complete YAML file with every setting at its default, each under a comment that says what it is;
/// required ones have an example value. It loads as it is.
std::string SampleConfig(std::string_view program, const std::vector<Setting>& settings);

/// docs/configuration.md is the introduction and then a section for each daemon.
std::string ReferenceIntroduction();
/// `about` is one sentence.
std::string ReferenceSection(std::string_view program, std::string_view about,
                             const std::vector<Setting>& settings);

}  // namespace selvage
