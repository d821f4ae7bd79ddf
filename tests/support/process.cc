#include "tests/support/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
extern "C" {  // glibc 2.36 forgot it in the header
#include <sys/pidfd.h>
}

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "tests/support/test_dir.h"

namespace selvage::test {
namespace {

absl::Status SystemError(std::string_view kind, std::string_view what, int error) {
  return MakeError(absl::StatusCode::kInternal, kind, fmt::format("{}: {}", what, std::strerror(error)));
}

absl::Status GoneError(pid_t pid) {
  return MakeError(absl::StatusCode::kNotFound, "process_ended", fmt::format("process {} has ended", pid));
}

// True when the process has ended by the deadline.
bool WaitForEnd(int pidfd, absl::Duration deadline) {
  const absl::Duration until = SystemClock().Monotonic() + deadline;
  while (true) {
    pollfd watched{pidfd, POLLIN, 0};
    const absl::Duration left = std::max(absl::ZeroDuration(), until - SystemClock().Monotonic());
    const int64_t milliseconds = absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)));
    const int ready = poll(&watched, 1, static_cast<int>(std::min<int64_t>(milliseconds, INT_MAX)));
    if (ready > 0) return true;
    SELVAGE_CHECK(ready == 0 || errno == EINTR);
    if (SystemClock().Monotonic() >= until) return false;
  }
}

std::optional<ExitStatus> Reap(int pidfd) {
  siginfo_t info{};
  const int result = waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG);
  SELVAGE_CHECK(result == 0);  // our own child, reaped nowhere else
  if (info.si_pid == 0) return std::nullopt;
  return info.si_code == CLD_EXITED ? ExitStatus{info.si_status, 0} : ExitStatus{-1, info.si_status};
}

std::string ReadDescriptor(int descriptor) {
  // The program shared the file's position, so it stands at the end of what was written.
  return ReadFile(fmt::format("/proc/self/fd/{}", descriptor));
}

absl::StatusOr<Descriptor> MemoryFile(std::string_view content) {
  Descriptor file(memfd_create("selvage-run", MFD_CLOEXEC));
  if (!file.valid()) return SystemError("no_memory_file", "memfd_create", errno);
  while (!content.empty()) {
    const ssize_t size = write(file.get(), content.data(), content.size());
    if (size < 0) return SystemError("no_memory_file", "write", errno);
    content.remove_prefix(static_cast<size_t>(size));
  }
  lseek(file.get(), 0, SEEK_SET);
  // Processes that share the file would else write over one another: a memory file's position has no lock.
  if (fcntl(file.get(), F_SETFL, O_APPEND) != 0) return SystemError("no_memory_file", "fcntl", errno);
  return file;
}

}  // namespace

std::string Describe(const ExitStatus& status) {
  return status.signal != 0 ? fmt::format("signal {}", status.signal)
                            : fmt::format("exit code {}", status.code);
}

absl::StatusOr<MemoryUse> MemoryOf(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  MemoryUse use;
  bool alive = false;  // a zombie has no such lines
  std::string line;
  while (std::getline(status, line)) {
    std::istringstream words(line);
    std::string name;
    int64_t kibibytes = 0;
    if (!(words >> name >> kibibytes)) continue;
    if (name == "VmRSS:") {
      use.resident_bytes = kibibytes << 10;
      alive = true;
    }
    if (name == "RssAnon:") use.anonymous_bytes = kibibytes << 10;
  }
  if (!alive) return GoneError(pid);
  return use;
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const Options& options) {
  const Descriptor in(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Descriptor out(open(options.output_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!in.valid() || !out.valid()) return SystemError("no_output_file", options.output_path, errno);
  return StartWith(options.spawn, in.get(), out.get(), out.get(), options.output_path);
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::StartWith(const SpawnOptions& options, int in,
                                                                      int out, int err,
                                                                      std::string output_path) {
  SELVAGE_ASSIGN_OR_RETURN(const pid_t pid, Spawn(options, in, out, err));
  Descriptor pidfd(pidfd_open(pid, 0));
  SELVAGE_CHECK(pidfd.valid());  // not reaped yet, so its number is still its own
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, std::move(pidfd), std::move(output_path)));
}

ChildProcess::ChildProcess(pid_t pid, Descriptor pidfd, std::string output_path)
    : pid_(pid), pidfd_(std::move(pidfd)), output_path_(std::move(output_path)) {}

ChildProcess::~ChildProcess() {
  Kill();
}

absl::Status ChildProcess::Signal(int signal) {
  if (pidfd_send_signal(pidfd_.get(), signal, nullptr, 0) == 0) return absl::OkStatus();
  return errno == ESRCH ? GoneError(pid_) : SystemError("signal_not_sent", "pidfd_send_signal", errno);
}

ExitStatus ChildProcess::Kill() {
  // Fails only when it has ended, and then there is nothing to kill.
  (void)Signal(SIGKILL);
  return *Wait(absl::InfiniteDuration());
}

absl::StatusOr<ExitStatus> ChildProcess::Terminate(absl::Duration deadline) {
  (void)Signal(SIGTERM);  // as in Kill
  if (std::optional<ExitStatus> status = Wait(deadline)) return *status;
  Kill();
  return MakeError(absl::StatusCode::kDeadlineExceeded, "process_not_ended",
                   fmt::format("process {} had not ended {} s after SIGTERM and was killed", pid_,
                               absl::ToDoubleSeconds(deadline)));
}

std::optional<ExitStatus> ChildProcess::Wait(absl::Duration deadline) {
  {
    absl::MutexLock lock(&mutex_);
    if (exit_) return exit_;
  }
  if (!WaitForEnd(pidfd_.get(), deadline)) return std::nullopt;
  absl::MutexLock lock(&mutex_);
  if (!exit_) exit_ = Reap(pidfd_.get());
  return exit_;
}

// Once reaped, its number may be another process's.
absl::Status ChildProcess::CheckNotReaped() const {
  absl::MutexLock lock(&mutex_);
  return exit_ ? GoneError(pid_) : absl::OkStatus();
}

absl::StatusOr<MemoryUse> ChildProcess::Memory() const {
  SELVAGE_RETURN_IF_ERROR(CheckNotReaped());
  return MemoryOf(pid_);
}

absl::StatusOr<absl::Duration> ChildProcess::CpuTime() const {
  SELVAGE_RETURN_IF_ERROR(CheckNotReaped());
  const std::string stat = ReadFile(fmt::format("/proc/{}/stat", pid_));
  // The name, in parentheses, may hold spaces and parentheses: the fields are counted from the last one.
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return GoneError(pid_);
  std::istringstream fields(stat.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  int64_t user = 0;
  int64_t system = 0;
  if (!(fields >> user >> system)) return GoneError(pid_);
  return absl::Seconds(1) * (user + system) / sysconf(_SC_CLK_TCK);
}

absl::StatusOr<RunResult> RunProgram(const SpawnOptions& options, std::string_view input,
                                     absl::Duration deadline) {
  // Files, not pipes: they are never full, so nobody needs to empty them while the program runs.
  SELVAGE_ASSIGN_OR_RETURN(const Descriptor in, MemoryFile(input));
  SELVAGE_ASSIGN_OR_RETURN(const Descriptor out, MemoryFile({}));
  SELVAGE_ASSIGN_OR_RETURN(const Descriptor err, MemoryFile({}));
  SELVAGE_ASSIGN_OR_RETURN(auto child,
                           ChildProcess::StartWith(options, in.get(), out.get(), err.get(), "memory"));
  const std::optional<ExitStatus> status = child->Wait(deadline);
  if (!status) child->Kill();
  RunResult result{status.value_or(ExitStatus{}), ReadDescriptor(out.get()), ReadDescriptor(err.get())};
  if (status) return result;
  return MakeError(absl::StatusCode::kDeadlineExceeded, "process_not_ended",
                   fmt::format("{} had not ended after {} s and was killed; out: {}; err: {}",
                               options.args[0], absl::ToDoubleSeconds(deadline), result.out, result.err));
}

}  // namespace selvage::test
