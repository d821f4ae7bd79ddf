#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>

#include "ctl/options.h"
#include "ctl/session.h"
#include "ctl/units.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

using Stub = Client::Stub;
constexpr auto kRight = Table::Align::kRight;

std::string NumberText(int64_t number) {
  return number < 0 ? "" : std::to_string(number);
}

void PrintOffsets(Session& session, const google::protobuf::RepeatedPtrField<v1::GroupOffset>& offsets) {
  Table table({{"topic"},
               {"partition", kRight},
               {"committed", kRight},
               {"start", kRight},
               {"end", kRight},
               {"lag", kRight},
               {"at"}});
  for (const v1::GroupOffset& row : offsets) {
    table.Add({row.topic(), std::to_string(row.partition()), NumberText(row.offset()),
               NumberText(row.start()), NumberText(row.end()), NumberText(row.lag()),
               HumanTimeMs(row.commit_ms())});
  }
  table.Print(session.out());
}

absl::Status List(Session& session) {
  SELVAGE_ASSIGN_OR_RETURN(v1::ListGroupsResponse response,
                           session.Ask(&Stub::ListGroups, v1::ListGroupsRequest()));
  if (session.json()) {
    PrintJson(session.out(), response);
    return absl::OkStatus();
  }
  Table table({{"group"}, {"state"}, {"type"}, {"members", kRight}, {"partitions", kRight}, {"lag", kRight}});
  for (const v1::GroupSummary& group : response.groups()) {
    table.Add({group.group(), group.state(), group.protocol_type(), std::to_string(group.members()),
               std::to_string(group.partitions()), std::to_string(group.lag())});
  }
  table.Print(session.out());
  return absl::OkStatus();
}

absl::StatusOr<v1::DescribeGroupResponse> Ask(Session& session, const std::string& group) {
  v1::DescribeGroupRequest request;
  request.set_group(group);
  return session.Ask(&Stub::DescribeGroup, request);
}

absl::Status DescribeGroup(Session& session, const std::string& name) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::DescribeGroupResponse group, Ask(session, name));
  if (session.json()) {
    PrintJson(session.out(), group);
    return absl::OkStatus();
  }
  PrintFields(session.out(), {{"group", group.group()},
                              {"state", group.state()},
                              {"type", group.protocol_type()},
                              {"strategy", group.protocol()},
                              {"generation", std::to_string(group.generation())}});
  if (group.members_size() > 0) {
    session.out() << "\n";
    Table members({{"member"}, {"instance"}, {"client"}, {"host"}});
    for (const v1::GroupMember& member : group.members()) {
      members.Add({member.member_id(), member.instance_id(), member.client_id(), member.client_host()});
    }
    members.Print(session.out());
  }
  session.out() << "\n";
  PrintOffsets(session, group.offsets());
  return absl::OkStatus();
}

/// What a change came to, or would.
absl::Status PrintSet(Session& session, const v1::SetGroupOffsetsResponse& set, bool dry_run) {
  if (session.json()) {
    PrintJson(session.out(), set);
    return absl::OkStatus();
  }
  if (dry_run) session.out() << "nothing was changed; it would be:\n";
  PrintOffsets(session, set.offsets());
  return absl::OkStatus();
}

struct ResetOptions {
  v1::ResetGroupRequest request;
  std::vector<int32_t> partitions;
};

absl::Status Reset(Session& session, const ResetOptions& options) {
  v1::ResetGroupRequest request = options.request;
  request.mutable_partitions()->Add(options.partitions.begin(), options.partitions.end());
  SELVAGE_ASSIGN_OR_RETURN(const v1::SetGroupOffsetsResponse set, session.Ask(&Stub::ResetGroup, request));
  return PrintSet(session, set, request.dry_run());
}

void AddReset(CLI::App& noun, Session& session) {
  auto options = std::make_shared<ResetOptions>();
  v1::ResetGroupRequest& request = options->request;
  CLI::App* verb = noun.add_subcommand("reset", "Commit other offsets for a group that has no members");
  verb->add_option_function<std::string>("group",
                                         [&request](const std::string& name) { request.set_group(name); })
      ->required();
  CLI::Option_group* to = verb->add_option_group("Where to");
  to->add_flag_callback(
      "--to-earliest", [&request] { request.set_to(v1::RESET_EARLIEST); }, "The first record held");
  to->add_flag_callback(
      "--to-latest", [&request] { request.set_to(v1::RESET_LATEST); }, "Behind the last record");
  const auto number = [&request, to](const std::string& name, v1::ResetTo where, const std::string& help) {
    to->add_option_function<int64_t>(
        name,
        [&request, where](int64_t value) {
          request.set_to(where);
          request.set_value(value);
        },
        help);
  };
  number("--to-offset", v1::RESET_OFFSET, "This offset, or the nearest that is held");
  number("--by", v1::RESET_BY, "So many offsets on, or back, from what is committed");
  to->add_option_function<std::string>(
      "--to-time",
      [&request](const std::string& text) {
        absl::StatusOr<int64_t> ms = ParseTimestampMs(text);
        if (!ms.ok()) throw CLI::ValidationError("--to-time", std::string(ms.status().message()));
        request.set_to(v1::RESET_TIME);
        request.set_value(*ms);
      },
      "The first record that is not older: 2026-03-01T12:00:00Z, or milliseconds since 1970");
  to->require_option(1);
  verb->add_option_function<std::string>(
      "--topic", [&request](const std::string& topic) { request.set_topic(topic); },
      "This topic alone, all partitions (default: where the group has committed)");
  verb->add_option("--partition", options->partitions, "These partitions of --topic alone")->needs("--topic");
  verb->add_flag_callback(
      "--dry-run", [&request] { request.set_dry_run(true); }, "Only say what it would come to");
  verb->callback([&session, options] { session.Finish(Reset(session, *options)); });
}

absl::Status Export(Session& session, const std::string& name) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::DescribeGroupResponse group, Ask(session, name));
  boost::json::array offsets;
  for (const v1::GroupOffset& row : group.offsets()) {
    offsets.push_back(boost::json::object{{"topic", row.topic()},
                                          {"partition", row.partition()},
                                          {"offset", row.offset()},
                                          {"leader_epoch", row.leader_epoch()},
                                          {"metadata", row.metadata()}});
  }
  PrintJson(session.out(), boost::json::object{{"group", group.group()}, {"offsets", std::move(offsets)}});
  return absl::OkStatus();
}

struct ImportOptions {
  std::string file;
  std::string group;
  std::vector<std::string> maps;
  std::string to_origin;
  std::string from_origin;
  bool dry_run = false;
};

absl::Status BadValue(const std::string& what, const std::string& hint) {
  return MakeError(absl::StatusCode::kInvalidArgument, "bad_value", what, hint);
}

absl::StatusOr<std::string> ReadAll(Session& session, const std::string& file) {
  if (file != "-") {
    std::ifstream in(file, std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (!in.is_open() || in.bad())
      return BadValue(fmt::format("cannot read {}: {}", file, std::strerror(errno)), "");
    return text;
  }
  std::string text;
  char buffer[4096];
  ssize_t size;
  while ((size = ::read(session.world.in, buffer, sizeof buffer)) > 0)
    text.append(buffer, static_cast<size_t>(size));
  if (size < 0) return BadValue(fmt::format("cannot read the standard input: {}", std::strerror(errno)), "");
  return text;
}

absl::StatusOr<std::map<std::string, std::string>> ParseMaps(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> maps;
  for (const std::string& text : texts) {
    const size_t at = text.find('=');
    if (at == 0 || at == std::string::npos || at + 1 == text.size()) {
      return BadValue(fmt::format("{} maps no topic", QuoteValue(text)), "write --map FROM=TO");
    }
    maps[text.substr(0, at)] = text.substr(at + 1);
  }
  return maps;
}

/// The name that a topic has at the node that imports.
absl::StatusOr<std::string> MapTopic(const std::string& topic, const std::map<std::string, std::string>& maps,
                                     const ImportOptions& options) {
  if (auto found = maps.find(topic); found != maps.end()) return found->second;
  if (!options.to_origin.empty()) return options.to_origin + "." + topic;
  if (options.from_origin.empty()) return topic;
  const std::string prefix = options.from_origin + ".";
  if (topic.compare(0, prefix.size(), prefix) == 0) return topic.substr(prefix.size());
  return BadValue(fmt::format("topic {} is not one of edge {}", Printable(topic), options.from_origin),
                  "name it with --map FROM=TO");
}

absl::Status Import(Session& session, const ImportOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(const std::string text, ReadAll(session, options.file));
  v1::ImportGroupRequest request;
  const auto parsed = google::protobuf::util::JsonStringToMessage(text, &request);
  if (!parsed.ok()) {
    return BadValue(fmt::format("{} is no export of a group: {}", options.file, Printable(parsed.ToString())),
                    "make one with selvagectl group export");
  }
  SELVAGE_ASSIGN_OR_RETURN(const auto maps, ParseMaps(options.maps));
  for (v1::GroupOffset& row : *request.mutable_offsets()) {
    SELVAGE_ASSIGN_OR_RETURN(std::string topic, MapTopic(row.topic(), maps, options));
    row.set_topic(std::move(topic));
  }
  if (!options.group.empty()) request.set_group(options.group);
  request.set_dry_run(options.dry_run);
  SELVAGE_ASSIGN_OR_RETURN(const v1::SetGroupOffsetsResponse set, session.Ask(&Stub::ImportGroup, request));
  return PrintSet(session, set, options.dry_run);
}

void AddImport(CLI::App& noun, Session& session) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* verb =
      noun.add_subcommand("import", "Commit the offsets of an export; the group must have no members here");
  verb->add_option("file", options->file, "The export; - is the standard input")->required();
  verb->add_option("--group", options->group, "Another name for the group");
  verb->add_option("--map", options->maps, "FROM=TO: the topic is called TO here");
  auto* to = verb->add_option("--to-origin", options->to_origin,
                              "At the core: STREAM of an edge's export is EDGE.STREAM here")
                 ->type_name("EDGE");
  verb->add_option("--from-origin", options->from_origin,
                   "At the edge: EDGE.STREAM of the core's export is STREAM here")
      ->type_name("EDGE")
      ->excludes(to);
  verb->add_flag("--dry-run", options->dry_run, "Only say what it would come to");
  verb->callback([&session, options] { session.Finish(Import(session, *options)); });
}

}  // namespace

void AddGroup(CLI::App& app, Session& session) {
  CLI::App* noun = app.add_subcommand("group", "Consumer groups of Kafka clients");
  noun->require_subcommand(1);
  noun->add_subcommand("list", "All groups of this node")->callback([&session] {
    session.Finish(List(session));
  });
  const auto named = [&](const char* verb, const char* help,
                         absl::Status (*run)(Session&, const std::string&)) {
    CLI::App* command = noun->add_subcommand(verb, help);
    auto name = std::make_shared<std::string>();
    command->add_option("group", *name)->required();
    command->callback([&session, name, run] { session.Finish(run(session, *name)); });
  };
  named("describe", "Members, committed offsets and lag", DescribeGroup);
  AddReset(*noun, session);
  named("export", "Committed offsets as a JSON document, for import at another node", Export);
  AddImport(*noun, session);
}

}  // namespace selvage::ctl
