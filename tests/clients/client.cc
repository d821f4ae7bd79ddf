#include "tests/clients/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "absl/strings/strip.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "tests/support/eventually.h"
#include "tests/support/paths.h"
#include "tests/support/test_dir.h"

namespace selvage::test {
namespace {

constexpr size_t kShownOutput = 4000;

/// Where tests/clients/prepare puts what it fetches.
std::string Fetched() {
  return SourceDir() + "/build/clients";
}
std::string Sources() {
  return SourceDir() + "/tests/clients";
}

std::string End(std::string text) {
  return text.size() > kShownOutput ? text.substr(text.size() - kShownOutput) : text;
}

/// Empty when tests/clients/prepare has fetched this part.
std::string MissingPart(const std::string& part) {
  if (!ReadFile(fmt::format("{}/{}/ready", Fetched(), part)).empty()) return "";
  std::string why = ReadFile(fmt::format("{}/{}.missing", Fetched(), part));
  absl::StripTrailingAsciiWhitespace(&why);
  return why.empty() ? "tests/clients/prepare has not fetched it" : why;
}

std::string PythonProgram(const std::string& name) {
  return fmt::format("{}/python/{}_client.py", Sources(), name);
}

Client Librdkafka() {
  return {.name = "librdkafka", .command = {BuildDir() + "/tests/clients/rdkafka_client"}};
}

Client Kcat() {
  return {.name = "kcat",
          .command = {"python3", PythonProgram("kcat")},
          .administers = false,
          .sets_timestamps = false,
          .tells_offsets = false,
          .writes_bytes = false,
          .writes_null_headers = false,
          .flood_partitions = 1};
}

Client Java() {
  const std::string fetched = Fetched() + "/java";
  // Programs that live for a second or two: no time goes into optimising them.
  return {.name = "java",
          .command = {"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx512m",
                      "-Djava.io.tmpdir=" + fetched + "/tmp", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                      "-cp", fmt::format("{0}/jars/*:{0}/classes", fetched), "Client"},
          .missing = MissingPart("java")};
}

Client Python(const std::string& name, const std::string& program) {
  return {.name = name,
          .command = {Fetched() + "/python/venv/bin/python", PythonProgram(program)},
          .missing = MissingPart("python")};
}

Client KafkaPython() {
  Client client = Python("kafka_python", "kafka_python");
  client.writes_null_headers = false;
  client.begins_anew = false;
  return client;
}

Client Kafkajs() {
  return {.name = "kafkajs",
          .command = {"node", Sources() + "/node/client.js"},
          .environment = {{"SELVAGE_CLIENTS_NODE", Fetched() + "/node"}},
          .missing = MissingPart("node"),
          .static_members = false,
          .writes_null_headers = false,
          .begins_anew = false};
}

Client FranzGo() {
  return {.name = "franz_go", .command = {Fetched() + "/go/client"}, .missing = MissingPart("go")};
}

SpawnOptions CommandLine(const Client& client, const std::string& command, const ClientOptions& options) {
  SpawnOptions spawn{client.command, client.environment};
  spawn.args.push_back(command);
  for (const auto& [name, value] : options) {
    spawn.args.push_back("--" + name);
    spawn.args.push_back(value);
  }
  return spawn;
}

bool Has(std::string_view kind, const std::vector<Event>& events) {
  return !Only(kind, events).empty();
}

}  // namespace

const std::vector<Client>& Clients() {
  static const auto* clients = new std::vector<Client>{
      Librdkafka(), Kcat(),   Java(), KafkaPython(), Python("confluent_kafka", "confluent"),
      Kafkajs(),    FranzGo()};
  return *clients;
}

const Client& ReferenceClient() {
  return Clients().front();
}

const Client& ConfluentClient() {
  return *std::find_if(Clients().begin(), Clients().end(),
                       [](const Client& client) { return client.name == "confluent_kafka"; });
}

absl::StatusOr<std::vector<Event>> RunClient(const Client& client, const std::string& command,
                                             const ClientOptions& options, absl::Duration deadline) {
  SELVAGE_ASSIGN_OR_RETURN(RunResult run, RunProgram(CommandLine(client, command, options), {}, deadline));
  std::vector<Event> events = ParseEvents(run.out);
  if (run.exit.ok() && !Has("failed", events)) return events;
  return absl::InternalError(
      fmt::format("{} {}: {}\n{}\n{}", client.name, command, Describe(run.exit), End(run.out), End(run.err)));
}

absl::StatusOr<std::unique_ptr<RunningClient>> RunningClient::Start(const Client& client,
                                                                    const std::string& command,
                                                                    const ClientOptions& options,
                                                                    const std::string& output_path) {
  ChildProcess::Options start{CommandLine(client, command, options), output_path};
  SELVAGE_ASSIGN_OR_RETURN(auto process, ChildProcess::Start(start));
  return std::unique_ptr<RunningClient>(new RunningClient(client.name + " " + command, std::move(process)));
}

const std::vector<Event>& RunningClient::events() {
  std::ifstream file(process_->output_path());
  file.seekg(static_cast<std::streamoff>(parsed_bytes_));
  std::string more{std::istreambuf_iterator<char>(file), {}};
  more.resize(more.rfind('\n') + 1);  // npos + 1 is 0
  parsed_bytes_ += more.size();
  for (Event& event : ParseEvents(more)) events_.push_back(std::move(event));
  return events_;
}

absl::Status RunningClient::Failure(const std::string& what) {
  return absl::InternalError(fmt::format("{}: {}\n{}", name_, what, End(ReadFile(process_->output_path()))));
}

absl::Status RunningClient::Await(const std::string& what,
                                  absl::FunctionRef<bool(const std::vector<Event>&)> predicate,
                                  absl::Duration deadline) {
  bool ended = false;
  const bool seen = Eventually(
      deadline,
      [&] {
        ended = !process_->running();
        return predicate(events()) || ended;
      },
      absl::Milliseconds(20));
  if (seen && predicate(events_)) return absl::OkStatus();
  return Failure(what + (ended ? " did not happen before it ended" : " did not happen in time"));
}

absl::Status RunningClient::Stop(absl::Duration deadline) {
  if (process_->running()) SELVAGE_RETURN_IF_ERROR(process_->Signal(SIGTERM));
  if (!process_->Wait(deadline)) return Failure("does not end");
  return Has("closed", events()) ? absl::OkStatus() : Failure("ended badly");
}

}  // namespace selvage::test
