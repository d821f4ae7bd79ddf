#pragma once

#include <dlfcn.h>

#include "fabric/base/check.h"

namespace selvage::test {

/// The function of this (mangled) name that a test program put its own in the place of.
template <class Function>
Function* RealFunction(const char* symbol) {
  void* found = dlsym(RTLD_NEXT, symbol);
  SELVAGE_CHECK(found != nullptr);
  return reinterpret_cast<Function*>(found);
}

}  // namespace selvage::test
