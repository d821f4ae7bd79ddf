#include "fabric/transport/connection_gate.h"

#include <sys/stat.h>

#include <algorithm>

namespace selvage {

bool ConnectionGate::Admit(int descriptor) {
  if (open_.size() >= max_ && Count() >= max_) return false;
  struct stat info;
  if (::fstat(descriptor, &info) != 0) return false;
  open_.push_back({descriptor, info.st_ino});
  return true;
}

size_t ConnectionGate::Count() {
  std::erase_if(open_, [](const Connection& connection) {
    struct stat info;
    return ::fstat(connection.descriptor, &info) != 0 || !S_ISSOCK(info.st_mode) ||
           info.st_ino != connection.socket;
  });
  return open_.size();
}

}  // namespace selvage
