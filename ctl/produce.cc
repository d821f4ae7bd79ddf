#include "ctl/produce.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "ctl/input_file.h"
#include "ctl/options.h"
#include "ctl/producer.h"
#include "ctl/units.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

constexpr size_t kLineMax = 16 << 20;
constexpr char kClearLine[] = "\r\x1b[K";

struct ProduceOptions {
  std::string file;
  std::string acks_file;
  int32_t partition = 0;
  uint64_t batch_bytes = 256 << 10;
  Producer::Options producer;
};

// Fails early and clearly, while nothing is under way: no connection, no such stream, no such partition.
absl::Status CheckTarget(const Client& client, const v1::LogAddress& address) {
  v1::DescribeStreamRequest request;
  request.set_stream(address.stream());
  SELVAGE_ASSIGN_OR_RETURN(v1::DescribeStreamResponse response,
                           client.Call(&Client::Stub::DescribeStream, request));
  int32_t partitions = response.definition().partitions();
  if (address.partition() < partitions) return absl::OkStatus();
  return MakeError(absl::StatusCode::kNotFound, "unknown_partition",
                   fmt::format("stream {} has no partition {}", address.stream(), address.partition()),
                   fmt::format("it has {}, counted from 0", partitions));
}

std::string SummaryText(const ProduceOutcome& outcome) {
  std::string text =
      fmt::format("{} {} acknowledged", outcome.records, outcome.records == 1 ? "record" : "records");
  if (outcome.records > 0) text += fmt::format(", offsets {}..{}", outcome.first_offset, outcome.last_offset);
  if (!outcome.contiguous) text += " with others' records in between";
  if (outcome.batches_sent_again > 0) {
    text += fmt::format("; batches sent again after a lost answer: {}, their records may be stored twice",
                        outcome.batches_sent_again);
  }
  return text;
}

std::string ResumeText(const ProduceOptions& options, const ProduceOutcome& outcome) {
  if (outcome.lines_in_doubt == 0) return fmt::format("to resume: --skip-lines {}\n", outcome.lines);
  const v1::LogAddress& address = options.producer.address;
  std::string next =
      outcome.records > 0 ? fmt::format("beyond offset {}", outcome.last_offset) : "at its end";
  return fmt::format(
      "lines {}..{} were under way: the node may have stored them or not\n"
      "to resume: look whether they are in partition {} of {} {}: if they are, --skip-lines {}; else "
      "--skip-lines {}\n",
      outcome.lines + 1, outcome.lines + outcome.lines_in_doubt, address.partition(), address.stream(), next,
      outcome.lines + outcome.lines_in_doubt, outcome.lines);
}

boost::json::value SummaryJson(const ProduceOptions& options, const ProduceOutcome& outcome,
                               const absl::Status& status) {
  const v1::LogAddress& address = options.producer.address;
  return {{"stream", address.stream()},
          {"edge", address.edge()},
          {"partition", address.partition()},
          {"lines", outcome.lines},
          {"records", outcome.records},
          {"bytes", outcome.bytes},
          {"first_offset", outcome.first_offset},
          {"last_offset", outcome.last_offset},
          {"contiguous", outcome.contiguous},
          {"lines_in_doubt", outcome.lines_in_doubt},
          {"batches_sent_again", outcome.batches_sent_again},
          {"interrupted", outcome.interrupted},
          {"error", ErrorJson(status)}};
}

std::string ProgressText(const ProduceOutcome& outcome, absl::Duration elapsed) {
  double seconds = std::max(absl::ToDoubleSeconds(elapsed), 1e-3);
  return fmt::format("{} lines read, {} acknowledged, {}, {:.0f} lines/s, {}", outcome.lines_read,
                     outcome.lines, HumanBytes(static_cast<double>(outcome.bytes)),
                     static_cast<double>(outcome.records) / seconds,
                     HumanRate(static_cast<double>(outcome.bytes) / seconds));
}

void Report(Session& session, const ProduceOptions& options, const ProduceOutcome& outcome,
            const absl::Status& status) {
  if (session.world.err_is_terminal) session.err() << kClearLine;
  if (outcome.lines_in_doubt > 0) session.exit_code = kOutcomeUnknown;
  session.Finish(status);
  session.err() << SummaryText(outcome) << '\n';
  const bool begun = outcome.records > 0 || outcome.lines_in_doubt > 0;
  if (begun && (!status.ok() || outcome.interrupted)) session.err() << ResumeText(options, outcome);
  if (session.json()) PrintJson(session.out(), SummaryJson(options, outcome, status));
}

absl::Status Produce(Session& session, const ProduceOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(const InputFile input, InputFile::Open(options.file, session.world.in));
  SELVAGE_ASSIGN_OR_RETURN(Client client, session.Connect());
  SELVAGE_RETURN_IF_ERROR(CheckTarget(client, options.producer.address));

  Producer::Options producing = options.producer;
  producing.batch.max_bytes = options.batch_bytes;
  std::ofstream acks;
  if (!options.acks_file.empty()) {
    acks.open(options.acks_file, std::ios::app);  // a resumed run goes on in it
    if (!acks) {
      return MakeError(absl::StatusCode::kNotFound, "file_write_failed",
                       fmt::format("{} cannot be written: {}", options.acks_file, std::strerror(errno)));
    }
    producing.acks = &acks;
  }
  const bool draw = session.world.err_is_terminal;
  producing.interrupted = session.world.interrupted;
  producing.notice = [&session, draw](const std::string& text) {
    session.err() << (draw ? kClearLine : "") << Printable(text) << std::endl;
  };
  if (draw) {
    producing.progress = [&session, started = SystemClock().Monotonic()](const ProduceOutcome& outcome) {
      session.err() << kClearLine << ProgressText(outcome, SystemClock().Monotonic() - started) << std::flush;
    };
  }
  LineInput lines(input.fd(), kLineMax);
  Producer producer(client, lines, std::move(producing));
  absl::Status status = producer.Run();
  Report(session, options, producer.outcome(), status);
  return absl::OkStatus();
}

void AddBatchOptions(CLI::App& verb, ProduceOptions& options) {
  Producer::Options& producer = options.producer;
  const char* group = "Batches";
  verb.add_option("--batch-records", producer.batch.max_records, "Records in a batch at most")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str()
      ->group(group);
  AddParsed(verb, "--batch-bytes", options.batch_bytes, ParsePositiveSize,
            "Bytes after which a batch goes, before compression (default 256KiB)")
      ->group(group);
  AddParsed(verb, "--linger", producer.batch.linger, ParseDuration,
            "How long a batch waits for more lines (default 100ms)")
      ->group(group);
  AddChoice<Codec>(verb, "--compression", producer.batch.codec,
                   {{"none", Codec::kNone}, {"zstd", Codec::kZstd}},
                   "Of batches (default none: then the link compresses)")
      ->group(group);
}

}  // namespace

void AddProduce(CLI::App& noun, Session& session) {
  auto options = std::make_shared<ProduceOptions>();
  Producer::Options& producer = options->producer;
  CLI::App* verb =
      noun.add_subcommand("produce", "Write lines of the standard input or a file, one record each");
  verb->add_option("name", *producer.address.mutable_stream())->required();
  verb->add_option("--partition", options->partition, "Partition, from 0")
      ->check(AtLeast(0))
      ->capture_default_str();
  verb->add_option("--edge", *producer.address.mutable_edge(),
                   "At the core: the edge a down stream's records are for");
  verb->add_option("--file", options->file, "Read this file instead of the standard input");
  CLI::Option* key = verb->add_option("--key", producer.batch.key, "Key of every record");
  verb->add_option("--key-separator", producer.batch.key_separator, "Lines are key, separator, value")
      ->excludes(key);
  verb->add_option("--skip-lines", producer.skip_lines,
                   "Leave out so many lines at the start: resumes an earlier run")
      ->check(AtLeast(0));
  verb->add_option("--rate", producer.lines_per_second, "Lines per second at most")->check(MoreThanZero());
  verb->add_flag("--retry", producer.retry_in_doubt,
                 "Send a batch again when its answer is lost; its records may then be stored twice");
  AddParsed(*verb, "--retry-for", producer.retry_for, ParseDuration,
            "How long to wait for a node that is away, overloaded or full (default 1m)");
  verb->add_option("--acks-file", options->acks_file,
                   "Append a line for each acknowledged record: partition, offset, XXH3-64 of the value");
  AddBatchOptions(*verb, *options);
  verb->callback([&session, options] {
    options->producer.address.set_partition(options->partition);
    session.Finish(Produce(session, *options));
  });
}

}  // namespace selvage::ctl
