/// Identities, as a peer's certificate may claim them.
#include <algorithm>
#include <string>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/security/identity.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace selvage;
  fuzz::Input input(data, size);
  const std::string_view uri = input.Rest();
  const auto identity = ParseSpiffeUri(uri);
  if (identity.ok()) {
    // One spelling for each identity, so that no peer passes for another by a different one.
    SELVAGE_CHECK(SpiffeUri(*identity) == uri);
    SELVAGE_CHECK(IsDnsName(identity->trust_domain) && IsDnsLabel(identity->id));
    return 0;
  }
  SELVAGE_CHECK(ErrorKind(identity.status()) == "unauthenticated");
  // It goes into logs: brief, and harmless to a terminal.
  const std::string message(identity.status().message().data(), identity.status().message().size());
  SELVAGE_CHECK(message.size() < 1024);
  SELVAGE_CHECK(std::all_of(message.begin(), message.end(), [](char c) { return c >= ' ' && c <= '~'; }));
  return 0;
}
