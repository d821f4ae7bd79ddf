#include "tests/support/spawn.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <string_view>
#include <utility>

#include "fabric/base/error.h"
#include "tests/support/io_thread.h"

namespace selvage::test {
namespace {

// All that the child needs, made before the fork: after it only async-signal-safe calls are allowed.
struct Plan {
  std::vector<char*> arguments;
  std::vector<char*> environment;
  const char* working_directory;
  int standard[3];
  int error_pipe;
  pid_t parent;
};

[[noreturn]] void BecomeProgram(const Plan& plan) {
  const auto fail = [&] {
    const int error = errno;
    // If even this fails, the parent takes the early exit for what it is: a program that ended with 127.
    [[maybe_unused]] const ssize_t written = write(plan.error_pipe, &error, sizeof error);
    _exit(127);
  };
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail();
  if (getppid() != plan.parent) _exit(127);  // it died before the line above
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  for (int i = 0; i < 3; ++i) {
    if (dup2(plan.standard[i], i) < 0) fail();
  }
  // Sockets that the test holds must not live on in the child: a reset is sent only when the last holder
  // closes.
  if (close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0) fail();
  if (plan.working_directory[0] != '\0' && chdir(plan.working_directory) != 0) fail();
  execvpe(plan.arguments[0], plan.arguments.data(), plan.environment.data());
  fail();
  _exit(127);
}

// The kernel sends the parent-death signal when the thread that forked ends, not when the process does. So
// one thread, which lives as long as the process, forks for all.
pid_t ForkFor(const Plan& plan) {
  static IoThread* const spawner = new IoThread;
  pid_t pid = -1;
  int error = 0;
  spawner->Do([&] {
    pid = fork();
    if (pid == 0) BecomeProgram(plan);
    error = errno;
  });
  errno = error;
  return pid;
}

std::vector<std::string> EnvironmentWith(const std::map<std::string, std::string>& changes) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (!changes.contains(std::string(text.substr(0, text.find('='))))) result.emplace_back(text);
  }
  for (const auto& [name, value] : changes) result.push_back(fmt::format("{}={}", name, value));
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

absl::Status SpawnError(const std::string& program, int error) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "program_not_started",
                   fmt::format("cannot start {}: {}", program, std::strerror(error)));
}

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

Descriptor::~Descriptor() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::StatusOr<pid_t> Spawn(const SpawnOptions& options, int in, int out, int err) {
  if (options.args.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "no_program", "no program given");
  }
  std::vector<std::string> arguments = options.args;
  std::vector<std::string> environment = EnvironmentWith(options.environment);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SpawnError(arguments[0], errno);
  const Descriptor read_end(ends[0]);
  Descriptor write_end(ends[1]);
  const Plan plan{Pointers(arguments), Pointers(environment), options.working_directory.c_str(),
                  {in, out, err},      write_end.get(),       getpid()};
  const pid_t pid = ForkFor(plan);
  if (pid < 0) return SpawnError(arguments[0], errno);
  write_end = Descriptor();
  int error = 0;
  // The pipe closes itself, without a byte, when the program has begun.
  ssize_t size;
  do {
    size = read(read_end.get(), &error, sizeof error);
  } while (size < 0 && errno == EINTR);
  if (size == 0) return pid;
  waitpid(pid, nullptr, 0);
  return SpawnError(arguments[0], error);
}

}  // namespace selvage::test
