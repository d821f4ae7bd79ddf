#include "fabric/process/terminate.h"

#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <new>
#include <system_error>

#include "fabric/process/limits.h"
#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

/// Given back for the words, should there be no memory left for them.
char* reserve = nullptr;

[[noreturn]] void EndForLack(const char* what) {
  std::free(reserve);
  LogError("the system refuses what this process needs, which ends it",
           {{"kind", "out_of_resources"},
            {"error", what},
            {"limits", LimitsInForce()},
            {"hint", "raise the limit, or give the node less to do"}});
  ::_exit(1);
}

[[noreturn]] void OnTerminate() {
  try {
    if (std::current_exception() != nullptr) std::rethrow_exception(std::current_exception());
  } catch (const std::bad_alloc&) {
    EndForLack("no memory is left");
  } catch (const std::system_error& e) {
    if (e.code() == std::errc::resource_unavailable_try_again || e.code() == std::errc::not_enough_memory) {
      EndForLack(e.what());
    }
    LogError("a failure that nobody expected ends this process", {{"kind", "internal"}, {"error", e.what()}});
  } catch (const std::exception& e) {
    LogError("a failure that nobody expected ends this process", {{"kind", "internal"}, {"error", e.what()}});
  } catch (...) {
    LogError("a failure that nobody expected ends this process", {{"kind", "internal"}});
  }
  std::abort();
}

}  // namespace

void ExplainTermination() {
  constexpr size_t kReserve = 64 << 10;
  if (reserve == nullptr) reserve = static_cast<char*>(std::malloc(kReserve));
  std::set_terminate(&OnTerminate);
}

}  // namespace selvage
