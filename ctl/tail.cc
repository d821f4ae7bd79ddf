#include "ctl/tail.h"

#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <memory>
#include <set>
#include <utility>

#include "ctl/log_follower.h"
#include "ctl/options.h"
#include "ctl/units.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

enum class Show { kValue, kFull, kJson };

struct TailOptions {
  std::string stream;
  std::string edge;
  int32_t partition = -1;  // all
  std::string from;
  int64_t max_records = -1;
  bool follow = true;
  Show show = Show::kValue;
};

std::string LogName(const v1::LogAddress& log) {
  return log.edge().empty() ? fmt::format("{}/{}", log.stream(), log.partition())
                            : fmt::format("{}/{}/{}", log.edge(), log.stream(), log.partition());
}

// A reader who only watches wants what is new; one who reads to the end wants all.
absl::StatusOr<TailFrom> ParseFrom(const std::string& text, bool follow) {
  if (text.empty()) return TailFrom{follow ? TailFrom::Kind::kEnd : TailFrom::Kind::kStart, 0};
  if (text == "start") return TailFrom{TailFrom::Kind::kStart, 0};
  if (text == "end") return TailFrom{TailFrom::Kind::kEnd, 0};
  if (text.front() == '@') {
    SELVAGE_ASSIGN_OR_RETURN(int64_t ms, ParseTimestampMs(std::string_view(text).substr(1)));
    return TailFrom{TailFrom::Kind::kTimestamp, ms};
  }
  absl::StatusOr<int64_t> offset = ParseInteger(text);
  if (offset.ok() && *offset >= 0) return TailFrom{TailFrom::Kind::kOffset, *offset};
  return MakeError(
      absl::StatusCode::kInvalidArgument, "bad_value",
      fmt::format("{} is no place to begin: write start, end, an offset, or @ and a time such as "
                  "@2026-03-01T12:00:00Z",
                  QuoteValue(text)));
}

// At the core an up or down stream has a log for each edge: all of them, unless one edge is asked for.
absl::StatusOr<std::vector<v1::LogAddress>> LogsToRead(const Client& client, const TailOptions& options,
                                                       const v1::DescribeStreamResponse& stream) {
  absl::StatusOr<v1::GetStatusResponse> status =
      client.Call(&Client::Stub::GetStatus, v1::GetStatusRequest());
  if (!status.ok()) return status.status();
  std::set<std::pair<std::string, int32_t>> logs;  // edge and its partition
  if (status->role() == "core" && options.edge.empty()) {
    for (const v1::LogSummary& log : stream.logs()) {
      if (!log.superseded()) logs.emplace(log.edge(), log.partition());
    }
  }
  if (logs.empty()) {
    for (int32_t p = 0; p < stream.definition().partitions(); ++p) logs.emplace(options.edge, p);
  }
  std::vector<v1::LogAddress> addresses;
  for (const auto& [edge, partition] : logs) {
    if (options.partition >= 0 && partition != options.partition) continue;
    v1::LogAddress& address = addresses.emplace_back();
    address.set_edge(edge);
    address.set_stream(options.stream);
    address.set_partition(partition);
  }
  if (!addresses.empty()) return addresses;
  return MakeError(absl::StatusCode::kNotFound, "unknown_partition",
                   fmt::format("stream {} has no partition {}", options.stream, options.partition),
                   fmt::format("it has {}, counted from 0", stream.definition().partitions()));
}

/// Writes what the follower reads.
class Printer {
 public:
  Printer(Session& session, Show show, bool several) : session_(session), show_(show), several_(several) {}

  void Print(const v1::LogAddress& log, const Record& record) {
    switch (show_) {
      case Show::kValue:
        session_.out() << record.value.value_or("") << '\n';
        return;
      case Show::kFull:
        session_.out() << fmt::format(
            "{}\t{}\t{}\t{}\t{}\n", LogName(log), record.offset.value(), HumanTimeMs(record.timestamp),
            record.key ? Printable(*record.key) : "-", record.value ? Printable(*record.value) : "-");
        return;
      case Show::kJson:
        PrintLine(log, RecordJson(record));
    }
  }

  void PrintMissing(const v1::LogAddress& log, const MissingRange& gap) {
    session_.out().flush();
    session_.err() << fmt::format("gap: offsets {}..{} missing, {}{}", gap.from, gap.to - 1,
                                  Printable(gap.reason),
                                  several_ ? fmt::format(" ({})", Printable(LogName(log))) : "")
                   << std::endl;
    if (show_ != Show::kJson) return;
    PrintLine(log, {{"gap", true}, {"from", gap.from}, {"to", gap.to}, {"reason", gap.reason}});
  }

  void PrintUnreadable(const v1::LogAddress& log, int64_t from, int64_t to, const absl::Status& why) {
    session_.out().flush();
    session_.err() << fmt::format("{}: offsets {}..{} cannot be shown: {}", Printable(LogName(log)), from,
                                  to - 1, Printable(Describe(why)))
                   << std::endl;
    if (show_ != Show::kJson) return;
    PrintLine(log, {{"unreadable", true}, {"from", from}, {"to", to}, {"error", ErrorJson(why)}});
  }

 private:
  static void SetText(boost::json::object& object, const std::string& name,
                      const std::optional<std::string>& bytes) {
    if (!bytes) {
      object[name] = nullptr;
    } else if (IsUtf8(*bytes)) {
      object[name] = *bytes;
    } else {
      object[name + "_hex"] = Hex(*bytes);
    }
  }

  static boost::json::object RecordJson(const Record& record) {
    boost::json::object object{{"offset", record.offset.value()}, {"timestamp_ms", record.timestamp}};
    SetText(object, "key", record.key);
    SetText(object, "value", record.value);
    if (record.headers.empty()) return object;
    boost::json::array headers;
    for (const RecordHeader& header : record.headers) {
      boost::json::object one;
      SetText(one, "key", header.key);
      SetText(one, "value", header.value);
      headers.push_back(std::move(one));
    }
    object["headers"] = std::move(headers);
    return object;
  }

  // The log first, then what there is to say of it.
  void PrintLine(const v1::LogAddress& log, const boost::json::object& fields) {
    boost::json::object object{
        {"stream", log.stream()}, {"edge", log.edge()}, {"partition", log.partition()}};
    for (const auto& [name, value] : fields) object[name] = value;
    session_.out() << JsonText(object, false) << '\n';
  }

  Session& session_;
  const Show show_;
  const bool several_;
};

absl::Status Tail(Session& session, const TailOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(TailFrom from, ParseFrom(options.from, options.follow));
  SELVAGE_ASSIGN_OR_RETURN(Client client, session.Connect());
  v1::DescribeStreamRequest request;
  request.set_stream(options.stream);
  SELVAGE_ASSIGN_OR_RETURN(v1::DescribeStreamResponse stream,
                           client.Call(&Client::Stub::DescribeStream, request));
  LogFollower::Options following;
  SELVAGE_ASSIGN_OR_RETURN(following.logs, LogsToRead(client, options, stream));
  Printer printer(session, options.show, following.logs.size() > 1);
  following.from = from;
  following.follow = options.follow;
  following.max_records = options.max_records;
  following.record = [&](const v1::LogAddress& log, const Record& record) { printer.Print(log, record); };
  following.missing = [&](const v1::LogAddress& log, const MissingRange& gap) {
    printer.PrintMissing(log, gap);
  };
  following.unreadable = [&](const v1::LogAddress& log, int64_t first, int64_t to, const absl::Status& why) {
    printer.PrintUnreadable(log, first, to, why);
  };
  following.flush = [&session] { session.out().flush(); };
  following.broken = [&session](const absl::Status& why) {
    session.err() << "trying again: " << Printable(Describe(why)) << std::endl;
  };
  following.interrupted = [&session] {
    return !session.out() || (session.world.interrupted && session.world.interrupted());
  };
  return LogFollower(client, std::move(following)).Run();
}

}  // namespace

void AddTail(CLI::App& noun, Session& session) {
  auto options = std::make_shared<TailOptions>();
  CLI::App* verb = noun.add_subcommand("tail", "Print records, and follow");
  verb->add_option("name", options->stream)->required();
  verb->add_option("--partition", options->partition, "Only this one (default all)")->check(AtLeast(0));
  verb->add_option("--edge", options->edge, "At the core: only the logs of this edge");
  verb->add_option("--from", options->from,
                   "start, end, an offset, or @ and a time (default end; start with --no-follow)");
  verb->add_option("--max-records", options->max_records, "Stop after so many")->check(AtLeast(0));
  verb->add_flag("--follow,!--no-follow", options->follow,
                 "Wait for more (default), or stop at the present end");
  CLI::Option* format =
      AddChoice<Show>(*verb, "--format", options->show,
                      {{"value", Show::kValue}, {"full", Show::kFull}, {"json", Show::kJson}},
                      "The value alone (default), a line with everything, or JSON lines (as with -o json)");
  verb->callback([&session, options, format] {
    if (session.json() && format->count() == 0) options->show = Show::kJson;
    session.Finish(Tail(session, *options));
  });
}

}  // namespace selvage::ctl
