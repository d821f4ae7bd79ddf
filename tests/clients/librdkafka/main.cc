#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "tests/clients/librdkafka/client.h"

namespace selvage::test::rdkafka {
namespace {

volatile std::sig_atomic_t told = 0;

std::optional<std::string> Field(std::string_view text) {
  if (text == "-") return std::nullopt;
  return FromHex(text);
}

Record ParseRecord(const std::string& line) {
  const std::vector<std::string> fields = absl::StrSplit(line, '\t');
  if (fields.size() != 4) Fail("a line of the input has not four fields");
  Record record{std::stoll(fields[0]), Field(fields[1]), Field(fields[2])};
  for (const std::string& header :
       std::vector<std::string>(absl::StrSplit(fields[3], ',', absl::SkipEmpty()))) {
    const size_t equals = header.find('=');
    record.headers.emplace_back(header.substr(0, equals), Field(std::string_view(header).substr(equals + 1)));
  }
  return record;
}

}  // namespace

const std::string& Get(const Arguments& arguments, const std::string& name) {
  auto found = arguments.find(name);
  if (found == arguments.end()) Fail("--" + name + " is missing");
  return found->second;
}

int64_t GetNumber(const Arguments& arguments, const std::string& name) {
  return std::stoll(Get(arguments, name));
}

void Emit(const std::string& json) {
  std::fputs((json + "\n").c_str(), stdout);
  std::fflush(stdout);
}

void Fail(const std::string& what) {
  std::string plain;
  for (char c : what) plain += c == '"' || c == '\\' || c < ' ' ? ' ' : c;
  Emit(R"({"event":"failed","error":")" + plain + "\"}");
  std::_Exit(1);
}

void Check(RdKafka::ErrorCode code, std::string_view what) {
  if (code != RdKafka::ERR_NO_ERROR) Fail(std::string(what) + ": " + RdKafka::err2str(code));
}

void Check(rd_kafka_resp_err_t code, std::string_view what) {
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) Fail(std::string(what) + ": " + rd_kafka_err2str(code));
}

std::string ToHex(std::string_view bytes) {
  return absl::BytesToHexString(absl::string_view(bytes.data(), bytes.size()));
}

std::string FromHex(std::string_view hex) {
  return absl::HexStringToBytes(absl::string_view(hex.data(), hex.size()));
}

bool Told() {
  return told != 0;
}

std::vector<Record> ReadRecords(const Arguments& arguments) {
  std::ifstream file(Get(arguments, "input"));
  std::vector<Record> records;
  for (std::string line; std::getline(file, line);) records.push_back(ParseRecord(line));
  return records;
}

std::unique_ptr<RdKafka::Conf> Configuration(const Arguments& arguments,
                                             const std::map<std::string, std::string>& settings) {
  std::map<std::string, std::string> all = {{"bootstrap.servers", Get(arguments, "bootstrap")},
                                            {"reconnect.backoff.max.ms", "500"}};
  if (const char* debug = std::getenv("SELVAGE_CLIENTS_DEBUG")) all["debug"] = debug;
  for (const auto& [name, value] : settings) all[name] = value;
  std::unique_ptr<RdKafka::Conf> conf(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
  for (const auto& [name, value] : all) {
    std::string why;
    if (conf->set(name, value, why) != RdKafka::Conf::CONF_OK) Fail(why);
  }
  return conf;
}

}  // namespace selvage::test::rdkafka

int main(int argc, char** argv) {
  using namespace selvage::test::rdkafka;
  const std::map<std::string, void (*)(const Arguments&)> commands = {
      {"produce", Produce}, {"flood", Flood},   {"consume", Consume}, {"seek", Seek},
      {"member", Member},   {"create", Create}, {"admin", Admin}};
  auto command = argc < 2 ? commands.end() : commands.find(argv[1]);
  if (command == commands.end()) Fail("no such command");
  Arguments arguments;
  for (int i = 2; i + 1 < argc; i += 2) arguments[std::string(argv[i]).substr(2)] = argv[i + 1];
  std::signal(SIGTERM, [](int) { selvage::test::rdkafka::told = 1; });
  command->second(arguments);
  return 0;
}
