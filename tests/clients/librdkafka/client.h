#pragma once

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafkacpp.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace selvage::test::rdkafka {

/// Options of the command line by name, without the dashes.
using Arguments = std::map<std::string, std::string>;

/// The value of a required option; ends the program without one.
const std::string& Get(const Arguments& arguments, const std::string& name);
int64_t GetNumber(const Arguments& arguments, const std::string& name);

/// Writes one line of results at once.
void Emit(const std::string& json);
/// Reports the error and ends the program.
[[noreturn]] void Fail(const std::string& what);
/// Fails unless `code` is no error; the C interface has codes of its own.
void Check(RdKafka::ErrorCode code, std::string_view what);
void Check(rd_kafka_resp_err_t code, std::string_view what);

/// How long one call to the broker may take.
inline constexpr int kTimeoutMs = 30'000;

std::string ToHex(std::string_view bytes);
std::string FromHex(std::string_view hex);

/// True once the program was told to end (SIGTERM).
bool Told();

struct Record {
  int64_t timestamp_ms = 0;
  std::optional<std::string> key = {};
  std::optional<std::string> value = {};
  std::vector<std::pair<std::string, std::optional<std::string>>> headers = {};
};

/// The file that the option `input` names.
std::vector<Record> ReadRecords(const Arguments& arguments);

/// A configuration with the addresses and settings that every run shares, and then `settings`.
std::unique_ptr<RdKafka::Conf> Configuration(const Arguments& arguments,
                                             const std::map<std::string, std::string>& settings);

// The commands, see ../README.md.
void Produce(const Arguments& arguments);
void Flood(const Arguments& arguments);
void Consume(const Arguments& arguments);
void Seek(const Arguments& arguments);
void Member(const Arguments& arguments);
void Create(const Arguments& arguments);
void Admin(const Arguments& arguments);

}  // namespace selvage::test::rdkafka
