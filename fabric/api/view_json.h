#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "selvage/v1/view.pb.h"

/// Views as requests ask for them, and as answers show them.
namespace selvage::api {

/// A definition as a client gives it: not completed, nor checked beyond its form. Errors: those of Members.
absl::StatusOr<v1::ViewDefinition> ReadView(const std::string& name, std::string_view json);

/// `definition` is complete.
std::string ViewDefinitionJson(const v1::ViewDefinition& definition);
std::string ViewsJson(const std::vector<v1::ViewDefinition>& definitions);
/// A definition with how far each log was read, what was skipped, and what is wrong.
std::string ViewJson(const v1::ViewStatus& status);

}  // namespace selvage::api
