#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace selvage {

/// A condition that holds between any two calls of an object, and the plain sentence that it stands for.
struct Invariant {
  bool holds;
  std::string_view sentence;
};

/// Names the first of them that does not hold. A class says its own in one CheckInvariants, which returns
/// this: a status and no assertion, so that a test or the simulator adds where it stood (seed, node, link)
/// and so that nothing a peer sends can end a process. Only tests call it; nothing in a daemon does.
inline absl::Status FirstBroken(std::initializer_list<Invariant> invariants) {
  for (const Invariant& invariant : invariants) {
    if (!invariant.holds) return absl::InternalError("broken invariant: " + std::string(invariant.sentence));
  }
  return absl::OkStatus();
}

}  // namespace selvage
