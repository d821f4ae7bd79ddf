#pragma once

#include <string>

namespace selvage::api {

/// The OpenAPI 3.1 document, JSON, of Routes().
std::string OpenApiJson();

}  // namespace selvage::api
