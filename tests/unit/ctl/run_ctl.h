#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ctl/session.h"

namespace selvage::ctl {

/// What one run of selvagectl printed and returned.
struct CtlRun {
  int code = 0;
  std::string out;
  std::string err;
};

/// Runs selvagectl in this process against a node without TLS. `change` may adapt the world.
CtlRun RunCtl(const std::string& address, std::vector<std::string> arguments, const std::string& input = "",
              const std::function<void(World&)>& change = nullptr);

/// A pipe whose write end a test holds, for input that comes bit by bit.
class InputPipe {
 public:
  InputPipe();
  ~InputPipe();
  int read_end() const { return fds_[0]; }
  void Write(const std::string& text);
  void CloseWrite();

 private:
  int fds_[2];
};

}  // namespace selvage::ctl
