#pragma once

#include <CLI/App.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "ctl/session.h"
#include "selvage/v1/model.pb.h"

namespace selvage::ctl {

/// What the core keeps of models: adds publish, list, show, delete and export to the noun, and add and list
/// to its roots. `session` must outlive both.
void AddPublishedModels(CLI::App& noun, CLI::App& root, Session& session,
                        absl::StatusOr<v1::ModelSigned> (*read_root)(const std::string& file));

}  // namespace selvage::ctl
