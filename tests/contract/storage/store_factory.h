#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "fabric/storage/kv_store.h"

namespace selvage {

/// A store under test that can be closed and opened again.
class StoreFixture {
 public:
  virtual ~StoreFixture() = default;
  virtual KvStore& store() = 0;
  /// Closes the store and opens it again, as a process that ends and starts does. No cursor or batch may be
  /// alive.
  virtual void Reopen() = 0;
};

/// One implementation of the port.
struct StoreKind {
  std::string name;
  std::function<std::unique_ptr<StoreFixture>()> make;
};
inline std::ostream& operator<<(std::ostream& out, const StoreKind& kind) {
  return out << kind.name;
}

/// Every implementation there is: each contract test runs on all.
std::vector<StoreKind> AllStoreKinds();

/// "key=value" of every entry in [from, to), in order; the error's text instead when the cursor fails.
std::vector<std::string> Dump(KvStore& store, Family family, std::string_view from = "",
                              std::string_view to = "\xff\xff");

}  // namespace selvage
