#pragma once

#include <string>
#include <string_view>

namespace selvage::test {

/// A fresh directory for one test, removed with all it holds when this object ends; if the test has failed by
/// then, it stays and its path is printed.
class TestDir {
 public:
  TestDir();
  ~TestDir();
  TestDir(const TestDir&) = delete;
  TestDir& operator=(const TestDir&) = delete;

  const std::string& path() const { return path_; }
  /// The path of `name` inside; creates nothing.
  std::string File(std::string_view name) const;

 private:
  std::string path_;
};

/// All bytes of a file; empty when it cannot be read.
std::string ReadFile(const std::string& path);

}  // namespace selvage::test
