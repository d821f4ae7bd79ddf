#include "edge/model_gate.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/base/utf8.h"

namespace selvage {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(50);
constexpr absl::Duration kAskAgain = absl::Milliseconds(500);
constexpr size_t kOutputKept = 512;
constexpr size_t kAnswerMax = 4096;

/// A descriptor that is closed with it.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { Close(); }
  int get() const { return number_; }
  void Close() {
    if (number_ >= 0) close(std::exchange(number_, -1));
  }

 private:
  int number_;
};

/// Adds what there is to read, of which the end is kept. False at the end.
bool ReadSome(int from, std::string& output) {
  std::array<char, 4096> buffer;
  const ssize_t got = read(from, buffer.data(), buffer.size());
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  output.append(buffer.data(), static_cast<size_t>(got));
  if (output.size() > kOutputKept) output.erase(0, output.size() - kOutputKept);
  return got > 0;
}

absl::Status CommandError(std::string_view kind, std::string_view what, std::string output) {
  while (!output.empty() && (output.back() == '\n' || output.back() == ' ')) output.pop_back();
  std::string message(what);
  if (!output.empty()) message += fmt::format(": {}", DocumentText(output, kOutputKept));
  return MakeError(absl::StatusCode::kFailedPrecondition, kind, message);
}

std::vector<std::string> EnvironmentWith(const std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<std::string> all;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string_view text(*one);
    const bool replaced = std::any_of(variables.begin(), variables.end(), [&](const auto& variable) {
      return text.substr(0, text.find('=')) == variable.first;
    });
    if (!replaced) all.emplace_back(text);
  }
  for (const auto& [name, value] : variables) all.push_back(fmt::format("{}={}", name, value));
  return all;
}

std::vector<char*> PointersTo(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

absl::StatusOr<pid_t> Spawn(const std::string& command,
                            const std::vector<std::pair<std::string, std::string>>& variables, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  // What the daemon blocks or ignores is none of the command's business.
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<std::string> arguments = {"/bin/sh", "-c", command};
  std::vector<std::string> environment = EnvironmentWith(variables);
  pid_t child = 0;
  const int error = posix_spawn(&child, "/bin/sh", &actions, &attributes, PointersTo(arguments).data(),
                                PointersTo(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error == 0) return child;
  return MakeError(absl::StatusCode::kFailedPrecondition, "command_not_run",
                   fmt::format("the command cannot be run: {}", strerror(error)));
}

struct GateUrl {
  sockaddr_in address = {};
  std::string host;
  std::string path;
};

absl::StatusOr<GateUrl> ParseGateUrl(std::string_view url) {
  const auto invalid = [&](std::string_view why) {
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_url", why,
                     "as in http://127.0.0.1:8000/health");
  };
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return invalid("it does not begin with http://");
  url.remove_prefix(kScheme.size());
  const size_t slash = std::min(url.find('/'), url.size());
  GateUrl parsed;
  parsed.host = std::string(url.substr(0, slash));
  parsed.path = slash == url.size() ? "/" : std::string(url.substr(slash));
  if (std::any_of(parsed.path.begin(), parsed.path.end(), [](char c) { return c <= ' ' || c > '~'; })) {
    return invalid("its path has characters that are none of an address");
  }
  const size_t colon = parsed.host.find(':');
  uint16_t port = 0;
  if (colon == std::string::npos) return invalid("it names no port");
  const char* end = parsed.host.data() + parsed.host.size();
  const auto number = std::from_chars(parsed.host.data() + colon + 1, end, port);
  if (number.ec != std::errc() || number.ptr != end || port == 0) return invalid("its port is none");
  std::string host = parsed.host.substr(0, colon);
  if (host == "localhost") host = "127.0.0.1";
  parsed.address.sin_family = AF_INET;
  parsed.address.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &parsed.address.sin_addr) != 1 ||
      ntohl(parsed.address.sin_addr.s_addr) >> 24 != 127) {
    return invalid("its host is none of this machine: 127.0.0.1 or localhost");
  }
  return parsed;
}

/// Waits until the socket is ready; false at the end of the time.
bool Await(int socket, short events, absl::Duration until, const Stopped& stopped) {
  while (!stopped()) {
    const absl::Duration left = until - SystemClock().Monotonic();
    if (left <= absl::ZeroDuration()) return false;
    pollfd waits{socket, events, 0};
    if (poll(&waits, 1, static_cast<int>(absl::ToInt64Milliseconds(std::min(left, kLook))) + 1) > 0)
      return true;
  }
  return false;
}

/// The first line of the answer with the beginning of its body; empty: none.
struct HttpAnswer {
  bool is_good = false;
  std::string text;
};

HttpAnswer AskOnce(const GateUrl& url, const std::string& query, absl::Duration until,
                   const Stopped& stopped) {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return {false, strerror(errno)};
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&url.address), sizeof url.address) != 0 &&
      errno != EINPROGRESS) {
    return {false, strerror(errno)};
  }
  if (!Await(socket.get(), POLLOUT, until, stopped)) return {false, "no answer"};
  const std::string path =
      query.empty()
          ? url.path
          : fmt::format("{}{}{}", url.path, url.path.find('?') == std::string::npos ? '?' : '&', query);
  const std::string request =
      fmt::format("GET {} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n", path, url.host);
  // So short a request fits into the socket's buffer.
  if (send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return {false, strerror(errno)};
  }
  std::string answer;
  while (answer.size() < kAnswerMax && Await(socket.get(), POLLIN, until, stopped)) {
    std::array<char, 1024> buffer;
    const ssize_t got = recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (got <= 0) break;
    answer.append(buffer.data(), static_cast<size_t>(got));
  }
  if (answer.empty()) return {false, "no answer"};
  const size_t line = std::min(answer.find_first_of("\r\n"), answer.size());
  const std::string status = answer.substr(0, line);
  const bool is_good = status.starts_with("HTTP/1.") && status.size() >= 12 && status.substr(8, 4) == " 200";
  const size_t body = answer.find("\r\n\r\n");
  std::string text = DocumentText(status, 100);
  if (body != std::string::npos && body + 4 < answer.size()) {
    text += fmt::format(": {}", DocumentText(answer.substr(body + 4), kOutputKept));
  }
  return {is_good, std::move(text)};
}

absl::Status StoppedError() {
  return MakeError(absl::StatusCode::kCancelled, "stopped", "the edge stops", "", Retry::kYes);
}

}  // namespace

absl::Status RunCommand(const std::string& command,
                        const std::vector<std::pair<std::string, std::string>>& variables,
                        absl::Duration limit, const Stopped& stopped) {
  std::array<int, 2> ends{-1, -1};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "command_not_run",
                     fmt::format("no pipe for its output: {}", strerror(errno)));
  }
  const Descriptor output_end(ends[0]);
  Descriptor input_end(ends[1]);
  fcntl(output_end.get(), F_SETFL, O_NONBLOCK);
  SELVAGE_ASSIGN_OR_RETURN(const pid_t child, Spawn(command, variables, input_end.get()));
  input_end.Close();

  const absl::Duration until = SystemClock().Monotonic() + limit;
  std::string output;
  bool open = true;
  bool ended = false;
  bool was_stopped = false;
  while (!ended && SystemClock().Monotonic() < until) {
    was_stopped = stopped();
    if (was_stopped) break;
    if (open) {
      pollfd waits{output_end.get(), POLLIN, 0};
      if (poll(&waits, 1, static_cast<int>(absl::ToInt64Milliseconds(kLook))) > 0) {
        open = ReadSome(output_end.get(), output);
      }
    } else {
      absl::SleepFor(kLook);
    }
    // It is not reaped yet: as long as it is there nobody else has its number.
    siginfo_t info = {};
    ended = waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid == child;
  }
  kill(-child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  for (int i = 0; i < 16 && open; ++i) {  // what it wrote last
    const size_t before = output.size();
    open = ReadSome(output_end.get(), output) && (output.size() != before || output.size() == kOutputKept);
  }
  if (was_stopped) return StoppedError();
  if (!ended) {
    return CommandError("command_timeout",
                        fmt::format("the command did not end within {}", absl::FormatDuration(limit)),
                        output);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  if (WIFEXITED(status) && (WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127)) {
    return CommandError("command_not_run", "the command cannot be run", output);
  }
  const std::string what = WIFEXITED(status)
                               ? fmt::format("the command ended with status {}", WEXITSTATUS(status))
                               : fmt::format("signal {} ended the command", WTERMSIG(status));
  return CommandError("command_failed", what, output);
}

absl::Status AskHttp(const std::string& url, const std::string& query, absl::Duration limit,
                     const Stopped& stopped) {
  SELVAGE_ASSIGN_OR_RETURN(const GateUrl parsed, ParseGateUrl(url));
  const absl::Duration until = SystemClock().Monotonic() + limit;
  std::string newest;
  while (true) {
    const HttpAnswer answer = AskOnce(parsed, query, until, stopped);
    if (stopped()) return StoppedError();
    if (answer.is_good) return absl::OkStatus();
    newest = answer.text;
    const absl::Duration again = SystemClock().Monotonic() + kAskAgain;
    while (SystemClock().Monotonic() < std::min(again, until) && !stopped()) absl::SleepFor(kLook);
    if (SystemClock().Monotonic() >= until) break;
  }
  return MakeError(absl::StatusCode::kFailedPrecondition, "gate_http",
                   fmt::format("{} did not answer 200 within {}; its newest answer: {}", url,
                               absl::FormatDuration(limit), newest));
}

absl::Status CheckGateUrl(const std::string& url) {
  return ParseGateUrl(url).status();
}

}  // namespace selvage
