#include "tests/e2e/daemon.h"

#include <fmt/format.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "tests/support/eventually.h"
#include "tests/support/test_dir.h"

namespace selvage::test {
namespace {

constexpr absl::Duration kReadyDeadline = absl::Seconds(90);  // the disk may be busy with others
constexpr absl::Duration kStopDeadline = absl::Seconds(10);
constexpr size_t kLogTailBytes = 3000;

absl::Status Failure(std::string_view what) {
  return absl::InternalError(std::string(what));
}

}  // namespace

std::string LocalAddress(uint16_t port) {
  return fmt::format("127.0.0.1:{}", port);
}

std::string ConfigText(const Settings& settings) {
  std::map<std::string, std::string> sections;
  std::string text;
  for (const auto& [name, value] : settings) {
    size_t dot = name.find('.');
    if (dot == std::string::npos) {
      text += fmt::format("{}: {}\n", name, value);
    } else {
      sections[name.substr(0, dot)] += fmt::format("  {}: {}\n", name.substr(dot + 1), value);
    }
  }
  for (const auto& [section, lines] : sections) text += fmt::format("{}:\n{}", section, lines);
  return text;
}

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Make(Options options) {
  SELVAGE_ASSIGN_OR_RETURN(ReservedPort admin, ReservePort());
  SELVAGE_ASSIGN_OR_RETURN(ReservedPort http, ReservePort());
  SELVAGE_ASSIGN_OR_RETURN(ReservedPort kafka, ReservePort());
  SELVAGE_ASSIGN_OR_RETURN(ReservedPort api, ReservePort());
  options.settings["data_dir"] = options.dir + "/data";
  options.settings[options.admin_setting] = LocalAddress(admin.port());
  options.settings["http.listen"] = LocalAddress(http.port());
  options.settings["kafka.listen"] = LocalAddress(kafka.port());
  options.settings["api.listen"] = LocalAddress(api.port());
  std::error_code failed;
  std::filesystem::create_directories(options.dir, failed);
  if (failed) return Failure(failed.message());
  std::unique_ptr<Daemon> daemon(
      new Daemon(std::move(options), std::move(admin), std::move(http), std::move(kafka), std::move(api)));
  SELVAGE_RETURN_IF_ERROR(daemon->WriteConfig());
  return daemon;
}

absl::Status Daemon::WriteConfig() const {
  std::ofstream file(config_path(), std::ios::trunc);
  file << ConfigText(options_.settings);
  file.close();
  return file ? absl::OkStatus() : Failure(config_path() + " cannot be written");
}

absl::Status Daemon::Set(const std::string& name, const std::string& value) {
  options_.settings[name] = value;
  return WriteConfig();
}

absl::Status Daemon::Start() {
  return StartWith({});
}

absl::Status Daemon::StartWith(const std::vector<std::string>& args) {
  SELVAGE_RETURN_IF_ERROR(Spawn(args));
  return AwaitReady();
}

absl::Status Daemon::Spawn(const std::vector<std::string>& args) {
  std::vector<std::string> all = {options_.program, "--config", config_path()};
  all.insert(all.end(), args.begin(), args.end());
  return Launch(std::move(all));
}

absl::Status Daemon::SpawnUnder(const std::string& limits) {
  const std::string script = "ulimit " + limits + " && exec \"$0\" \"$@\"";
  return Launch({"/bin/sh", "-c", script, options_.program, "--config", config_path()});
}

absl::Status Daemon::Launch(std::vector<std::string> args) {
  ChildProcess::Options start;
  start.spawn.args = std::move(args);
  start.output_path = log_path();
  SELVAGE_ASSIGN_OR_RETURN(process_, ChildProcess::Start(start));
  absl::MutexLock lock(&mutex_);
  client_.reset();
  return absl::OkStatus();
}

absl::Status Daemon::AwaitReady() {
  bool ready = false;
  bool done = Eventually(kReadyDeadline, [&] {
    ready = Get("/readyz").ok();
    return ready || !process_->running();
  });
  if (ready && process_->running()) return absl::OkStatus();
  std::string how = done ? Describe(*process_->Wait(absl::ZeroDuration())) : "not ready in time";
  return Failure(fmt::format("{}: {}\n{}", options_.program, how, LogTail()));
}

void Daemon::Kill() {
  if (process_ != nullptr) process_->Kill();
}

absl::Status Daemon::Stop() {
  {
    // A server waits some seconds for clients that are connected and do not look.
    absl::MutexLock lock(&mutex_);
    client_.reset();
  }
  SELVAGE_ASSIGN_OR_RETURN(ExitStatus exit, process_->Terminate(kStopDeadline));
  if (exit.ok()) return absl::OkStatus();
  return Failure(fmt::format("{}: {}\n{}", options_.program, Describe(exit), LogTail()));
}

std::optional<ExitStatus> Daemon::AwaitExit(absl::Duration deadline) {
  return process_->Wait(deadline);
}

std::string Daemon::LogTail() const {
  std::string log = ReadFile(log_path());
  return log.size() > kLogTailBytes ? log.substr(log.size() - kLogTailBytes) : log;
}

std::shared_ptr<const ctl::Client> Daemon::client() {
  absl::MutexLock lock(&mutex_);
  if (client_ != nullptr) return client_;
  ctl::ConnectionOptions options;
  options.address = admin_address();
  options.identity = options_.operator_identity;
  auto channel = ctl::OpenTlsChannel(options);
  SELVAGE_CHECK(channel.ok());
  client_ = std::make_shared<ctl::Client>(*std::move(channel), options);
  return client_;
}

absl::StatusOr<std::string> Daemon::Get(const std::string& path) const {
  namespace asio = boost::asio;
  namespace http = boost::beast::http;
  asio::io_context context;
  boost::beast::tcp_stream stream(context);
  boost::system::error_code failed;
  stream.connect({asio::ip::make_address_v4("127.0.0.1"), http_port_.port()}, failed);
  if (failed) return Failure(failed.message());
  http::request<http::empty_body> request(http::verb::get, path, 11);
  request.set(http::field::host, "127.0.0.1");
  request.set(http::field::connection, "close");
  http::write(stream, request, failed);
  if (failed) return Failure(failed.message());
  boost::beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(64u << 20);
  http::read(stream, buffer, parser, failed);
  if (failed) return Failure(failed.message());
  http::response<http::string_body> reply = parser.release();
  if (reply.result() != http::status::ok) return Failure(reply.body());
  return std::move(reply.body());
}

double Daemon::Metric(const std::string& series) const {
  auto text = Get("/metrics");
  if (!text.ok()) return 0;
  std::string wanted = "\n" + series + " ";
  size_t at = text->find(wanted);
  if (at == std::string::npos) return 0;
  double value = 0;
  const char* begin = text->data() + at + wanted.size();
  std::from_chars(begin, text->data() + text->size(), value);
  return value;
}

}  // namespace selvage::test
