#include "tests/support/test_dir.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "fabric/base/check.h"

namespace selvage::test {

TestDir::TestDir() : path_((std::filesystem::temp_directory_path() / "selvage-test-XXXXXX").string()) {
  SELVAGE_CHECK(mkdtemp(path_.data()) != nullptr);
}

TestDir::~TestDir() {
  if (::testing::Test::HasFailure()) {
    std::cerr << "The test's files are kept in " << path_ << std::endl;
    return;
  }
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TestDir::File(std::string_view name) const {
  return path_ + "/" + std::string(name);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace selvage::test
