#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/support/spawn.h"

namespace selvage::test {

/// How a process ended: by itself with a code, or by a signal.
struct ExitStatus {
  /// -1 when a signal ended it.
  int code = -1;
  /// 0 when it ended by itself.
  int signal = 0;

  bool ok() const { return code == 0; }
  bool operator==(const ExitStatus&) const = default;
};

/// "exit code 3" or "signal 9".
std::string Describe(const ExitStatus& status);

struct MemoryUse {
  int64_t resident_bytes = 0;
  /// The part of it that is neither file pages nor shared memory.
  int64_t anonymous_bytes = 0;
};

/// VmRSS and RssAnon of /proc/<pid>/status. An error when there is no such process.
absl::StatusOr<MemoryUse> MemoryOf(pid_t pid);

struct RunResult {
  ExitStatus exit;
  std::string out;
  std::string err;
};

/// Runs a program to its end, as a shell would. `input` is its standard input, a regular file. When it has
/// not ended by `deadline` (from now), it is killed and the error holds what it had written.
absl::StatusOr<RunResult> RunProgram(const SpawnOptions& options, std::string_view input = {},
                                     absl::Duration deadline = absl::Seconds(30));

/// A real process under test. Signals reach only the process that was started here, even if its number was
/// given to another since. Safe to use from several threads.
class ChildProcess {
 public:
  struct Options {
    SpawnOptions spawn = {};
    /// Standard output and error, appended in the order they come, so that restarts share one file.
    std::string output_path = {};
  };

  /// Starts the program with an empty standard input. An error when it cannot be executed.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const Options& options);
  /// Kills the process if it still runs, and reaps it. Its own children are its own affair.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& output_path() const { return output_path_; }

  /// An error when it has ended already.
  absl::Status Signal(int signal);
  /// SIGKILL, then waits until it is gone. How it ended: by that signal, unless it had ended before.
  ExitStatus Kill();
  /// SIGTERM, then waits. When it has not ended by `deadline` (from now), it is killed and that is an error.
  absl::StatusOr<ExitStatus> Terminate(absl::Duration deadline);
  /// How it ended; nothing if it still runs at `deadline` (from now).
  std::optional<ExitStatus> Wait(absl::Duration deadline);
  bool running() { return !Wait(absl::ZeroDuration()).has_value(); }

  /// As MemoryOf. An error when it has ended.
  absl::StatusOr<MemoryUse> Memory() const;
  /// User and system time used so far, all threads. An error when it has been reaped.
  absl::StatusOr<absl::Duration> CpuTime() const;

 private:
  friend absl::StatusOr<RunResult> RunProgram(const SpawnOptions& options, std::string_view input,
                                              absl::Duration deadline);
  static absl::StatusOr<std::unique_ptr<ChildProcess>> StartWith(const SpawnOptions& options, int in, int out,
                                                                 int err, std::string output_path);
  ChildProcess(pid_t pid, Descriptor pidfd, std::string output_path);

  absl::Status CheckNotReaped() const;

  const pid_t pid_;
  const Descriptor pidfd_;
  const std::string output_path_;
  mutable absl::Mutex mutex_;
  std::optional<ExitStatus> exit_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage::test
