#pragma once

#include <string>

namespace selvage::test {

/// The project's root, without a slash at its end.
std::string SourceDir();
/// Where it is built: SourceDir()/build/<preset>.
std::string BuildDir();

}  // namespace selvage::test
