#include "fabric/telemetry/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <string>

namespace selvage::internal {
namespace {

std::optional<double> ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  double size_pages = 0, resident_pages = 0;
  if (!(statm >> size_pages >> resident_pages)) return std::nullopt;
  return resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

std::optional<double> CpuSeconds() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return std::nullopt;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::optional<double> OpenFds() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return std::nullopt;
  int entries = 0;
  while (readdir(directory) != nullptr) ++entries;
  closedir(directory);
  return entries - 3;  // ".", ".." and the descriptor of this very listing
}

std::optional<double> MaxFds() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  return static_cast<double>(limit.rlim_cur);
}

/// Seconds since 1970 at which the system was booted.
std::optional<double> BootTime() {
  std::ifstream stat("/proc/stat");
  for (std::string line; std::getline(stat, line);) {
    if (line.starts_with("btime ")) return std::stod(line.substr(6));
  }
  return std::nullopt;
}

std::optional<double> StartTime() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // The second field is the program's name, in parentheses and perhaps with blanks; starttime is the 22nd.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream rest(line.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 22; ++field) rest >> skipped;
  double ticks = 0;
  const std::optional<double> boot = BootTime();
  if (!(rest >> ticks) || !boot) return std::nullopt;
  return *boot + ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

std::vector<CollectedMetric> CollectProcess() {
  std::vector<CollectedMetric> all;
  const auto add = [&](const char* name, const char* help, CollectedMetric::Type type,
                       std::optional<double> value) {
    if (value) all.push_back({name, help, type, {{{}, *value}}});
  };
  using enum CollectedMetric::Type;
  static const std::optional<double> start_time = StartTime();
  add("process_resident_memory_bytes", "Resident memory size in bytes.", kGauge, ResidentBytes());
  add("process_cpu_seconds_total", "User and system processor time spent in seconds.", kCounter,
      CpuSeconds());
  add("process_open_fds", "Open file descriptors.", kGauge, OpenFds());
  add("process_max_fds", "Most file descriptors that may be open.", kGauge, MaxFds());
  add("process_start_time_seconds", "Start of the process in seconds since 1970.", kGauge, start_time);
  return all;
}

}  // namespace selvage::internal
