#include "fabric/process/limits.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "fabric/base/error.h"

namespace selvage {
namespace {

void AddLimit(int resource, std::string_view words, uint64_t unit, std::string_view unit_name,
              std::vector<std::string>& all) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return;
  all.push_back(fmt::format("{} {}{}", words, limit.rlim_cur / unit, unit_name));
}

/// The value of a file of this process's cgroup or of the ones around it: the first that is not "max".
void AddCgroupLimit(const std::string& file, std::vector<std::string>& all) {
  std::ifstream self("/proc/self/cgroup");
  std::string line, group;
  while (std::getline(self, line)) {
    if (line.starts_with("0::")) group = line.substr(3);
  }
  const std::filesystem::path root = "/sys/fs/cgroup";
  for (std::filesystem::path at = std::filesystem::path(group).relative_path();; at = at.parent_path()) {
    std::ifstream in(root / at / file);
    std::string value;
    if (in >> value && value != "max") return all.push_back(fmt::format("{} of the cgroup {}", file, value));
    if (at.empty()) return;
  }
}

}  // namespace

std::string LimitsInForce() {
  std::vector<std::string> all;
  AddLimit(RLIMIT_AS, "ulimit -v (address space)", 1024, " KiB", all);
  AddLimit(RLIMIT_DATA, "ulimit -d (data)", 1024, " KiB", all);
  AddLimit(RLIMIT_NPROC, "ulimit -u (processes and threads of the user)", 1, "", all);
  AddLimit(RLIMIT_STACK, "ulimit -s (stack of each thread)", 1024, " KiB", all);
  AddCgroupLimit("pids.max", all);
  AddCgroupLimit("memory.max", all);
  return all.empty() ? "none that this process can see" : fmt::format("{}", fmt::join(all, ", "));
}

absl::Status CheckThreads(size_t threads) {
  absl::Notification over;
  std::vector<std::thread> started;
  started.reserve(threads);
  std::string why;
  try {
    while (started.size() < threads) started.emplace_back([&over] { over.WaitForNotification(); });
  } catch (const std::exception& e) {  // std::system_error, or std::bad_alloc
    why = e.what();
  }
  over.Notify();
  for (std::thread& thread : started) thread.join();
  if (why.empty()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted, "too_few_threads",
      fmt::format("the system gives this process {} more threads, and it needs {} ({}); limits in force: {}",
                  started.size(), threads, why, LimitsInForce()),
      "raise the limit: ulimit -v or -u, TasksMax= of a systemd unit, --pids-limit of a container");
}

}  // namespace selvage
