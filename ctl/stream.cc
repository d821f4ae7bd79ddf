#include <fmt/format.h>

#include <memory>

#include "ctl/options.h"
#include "ctl/produce.h"
#include "ctl/session.h"
#include "ctl/stream_options.h"
#include "ctl/tail.h"
#include "ctl/text_tables.h"
#include "ctl/units.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

using Stub = Client::Stub;

std::string RetentionText(const v1::StreamSettings& settings) {
  if (settings.retention_ms() == 0 && settings.retention_bytes() == 0) return "none";
  std::string age =
      settings.retention_ms() == 0 ? "" : HumanSeconds(static_cast<double>(settings.retention_ms()) / 1e3);
  if (settings.retention_bytes() == 0) return age;
  return fmt::format("{}{}{}", age, age.empty() ? "" : ", ",
                     HumanBytes(static_cast<double>(settings.retention_bytes())));
}

std::string DirectionText(const v1::StreamDefinition& stream) {
  return EnumWord(v1::Direction_Name(stream.direction()));
}

std::string GenerationText(const v1::StreamDefinition& stream) {
  return stream.generation() == 0 ? "provisional" : std::to_string(stream.generation());
}

std::string CleanupText(const v1::StreamSettings& settings) {
  switch (settings.cleanup()) {
    case v1::CLEANUP_COMPACT:
      return "compact";
    case v1::CLEANUP_COMPACT_DELETE:
      return "compact, delete";
    default:
      return "delete";
  }
}

void PrintDefinition(Session& session, const v1::StreamDefinition& stream) {
  const v1::StreamSettings& settings = stream.settings();
  PrintFields(session.out(),
              {{"stream", stream.name()},
               {"direction", DirectionText(stream)},
               {"partitions", std::to_string(stream.partitions())},
               {"generation", GenerationText(stream)},
               {"retention", RetentionText(settings)},
               {"on full", EnumWord(v1::OnFull_Name(settings.on_full()))},
               {"priority", std::to_string(settings.priority())},
               {"weight", std::to_string(settings.weight())},
               {"link compression", EnumWord(v1::LinkCompression_Name(settings.link_compression()))},
               {"keep after ack", settings.keep_after_ack() ? "yes" : "no"},
               {"start at", EnumWord(v1::StartAt_Name(settings.start_at()))},
               {"cleanup", CleanupText(settings)},
               {"detached", settings.detached() ? "yes" : "no"}});
}

constexpr int kPartitionsMax = 1024;  // what a node takes

struct CreateOptions {
  std::string name;
  v1::Direction direction = v1::UP;
  int partitions = 1;
  StreamSettingsOptions settings;
};

absl::Status Create(Session& session, const CreateOptions& options) {
  v1::CreateStreamRequest request;
  v1::StreamDefinition& definition = *request.mutable_definition();
  definition.set_name(options.name);
  definition.set_direction(options.direction);
  definition.set_partitions(options.partitions);
  *definition.mutable_settings() = options.settings.settings();
  SELVAGE_ASSIGN_OR_RETURN(v1::StreamDefinition made, session.Ask(&Stub::CreateStream, request));
  if (session.json()) {
    PrintJson(session.out(), made);
  } else {
    session.out() << fmt::format("stream {} created: {}, {} {}, generation {}\n", Printable(made.name()),
                                 DirectionText(made), made.partitions(),
                                 made.partitions() == 1 ? "partition" : "partitions", GenerationText(made));
  }
  return absl::OkStatus();
}

void AddCreate(CLI::App& noun, Session& session) {
  auto options = std::make_shared<CreateOptions>();
  CLI::App* verb = noun.add_subcommand("create", "Define a stream; direction and partitions stay for ever");
  verb->add_option("name", options->name, "1 to 185 of a-z, A-Z, 0-9, _ and -")->required();
  AddChoice<v1::Direction>(
      *verb, "--direction", options->direction,
      {{"up", v1::UP}, {"down", v1::DOWN}, {"down-shared", v1::DOWN_SHARED}, {"local", v1::LOCAL}},
      "Where its records go: from each edge to the core, to one edge each, to all edges, or nowhere")
      ->required();
  verb->add_option("--partitions", options->partitions, "At one edge")
      ->check(CLI::Range(1, kPartitionsMax))
      ->capture_default_str();
  options->settings.AddTo(*verb);
  verb->callback([&session, options] { session.Finish(Create(session, *options)); });
}

absl::Status List(Session& session) {
  SELVAGE_ASSIGN_OR_RETURN(v1::ListStreamsResponse response,
                           session.Ask(&Stub::ListStreams, v1::ListStreamsRequest()));
  if (session.json()) {
    PrintJson(session.out(), response);
    return absl::OkStatus();
  }
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"stream"},
               {"direction"},
               {"partitions", kRight},
               {"retention"},
               {"on full"},
               {"priority", kRight},
               {"weight", kRight},
               {"generation", kRight}});
  for (const v1::StreamDefinition& stream : response.streams()) {
    table.Add({stream.name(), DirectionText(stream), std::to_string(stream.partitions()),
               RetentionText(stream.settings()), EnumWord(v1::OnFull_Name(stream.settings().on_full())),
               std::to_string(stream.settings().priority()), std::to_string(stream.settings().weight()),
               GenerationText(stream)});
  }
  table.Print(session.out());
  return absl::OkStatus();
}

absl::Status DescribeStream(Session& session, const std::string& name) {
  v1::DescribeStreamRequest request;
  request.set_stream(name);
  SELVAGE_ASSIGN_OR_RETURN(v1::DescribeStreamResponse response, session.Ask(&Stub::DescribeStream, request));
  if (session.json()) {
    PrintJson(session.out(), response);
  } else {
    PrintDefinition(session, response.definition());
    session.out() << '\n';
    PrintLogs(session.out(), response.logs());
  }
  return absl::OkStatus();
}

absl::Status Delete(Session& session, const std::string& name) {
  v1::DeleteStreamRequest request;
  request.set_stream(name);
  SELVAGE_ASSIGN_OR_RETURN(v1::DeleteStreamResponse response, session.Ask(&Stub::DeleteStream, request));
  if (session.json()) {
    PrintJson(session.out(), response);
  } else {
    session.out() << fmt::format("stream {} deleted, with {} {} on this node\n", Printable(name),
                                 response.logs(), response.logs() == 1 ? "log" : "logs");
  }
  return absl::OkStatus();
}

absl::Status Rename(Session& session, const v1::RenameStreamRequest& request) {
  SELVAGE_ASSIGN_OR_RETURN(v1::StreamDefinition stream, session.Ask(&Stub::RenameStream, request));
  if (session.json()) {
    PrintJson(session.out(), stream);
  } else {
    session.out() << fmt::format("stream {} is called {} now\n", Printable(request.stream()),
                                 Printable(stream.name()));
  }
  return absl::OkStatus();
}

void AddRename(CLI::App& noun, Session& session) {
  auto stream = std::make_shared<std::string>();
  auto to = std::make_shared<std::string>();
  CLI::App* verb = noun.add_subcommand(
      "rename", "At an edge: give a stream that the core does not know another name, with all its records");
  verb->add_option("name", *stream)->required();
  verb->add_option("to", *to, "Its new name")->required();
  verb->callback([&session, stream, to] {
    v1::RenameStreamRequest request;
    request.set_stream(*stream);
    request.set_to(*to);
    session.Finish(Rename(session, request));
  });
}

struct SetOptions {
  std::string name;
  uint64_t if_generation = 0;
  StreamSettingsOptions settings;
};

absl::Status Set(Session& session, const SetOptions& options) {
  v1::SetStreamRequest request;
  request.set_stream(options.name);
  request.set_if_generation(options.if_generation);
  *request.mutable_settings() = options.settings.settings();
  for (const std::string& field : options.settings.given()) request.add_fields(field);
  if (request.fields().empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "nothing_to_set", "no setting is given",
                     "selvagectl stream set --help lists them");
  }
  SELVAGE_ASSIGN_OR_RETURN(v1::StreamDefinition stream, session.Ask(&Stub::SetStream, request));
  if (session.json()) {
    PrintJson(session.out(), stream);
  } else {
    PrintDefinition(session, stream);
  }
  return absl::OkStatus();
}

void AddSet(CLI::App& noun, Session& session) {
  auto options = std::make_shared<SetOptions>();
  CLI::App* verb =
      noun.add_subcommand("set", "Change settings, at every edge; those that are not given stay");
  verb->add_option("name", options->name)->required();
  verb->add_option("--if-generation", options->if_generation,
                   "Only if the stream still has this generation (see describe)")
      ->check(AtLeast(1));
  options->settings.AddTo(*verb);
  verb->callback([&session, options] { session.Finish(Set(session, *options)); });
}

// A verb whose only parameter is the stream.
void AddNamed(CLI::App& noun, Session& session, const char* name, const char* help,
              absl::Status (*run)(Session&, const std::string&)) {
  auto stream = std::make_shared<std::string>();
  CLI::App* verb = noun.add_subcommand(name, help);
  verb->add_option("name", *stream)->required();
  verb->callback([&session, stream, run] { session.Finish(run(session, *stream)); });
}

}  // namespace

void AddStream(CLI::App& app, Session& session) {
  CLI::App* noun = app.add_subcommand("stream", "Streams: define them, write to them, read them");
  noun->require_subcommand(1);
  AddCreate(*noun, session);
  noun->add_subcommand("list", "All streams of this node")->callback([&session] {
    session.Finish(List(session));
  });
  AddNamed(*noun, session, "describe", "Definition, settings and logs of a stream", DescribeStream);
  AddSet(*noun, session);
  AddRename(*noun, session);
  AddNamed(*noun, session, "delete", "Delete a stream with all its records", Delete);
  AddProduce(*noun, session);
  AddTail(*noun, session);
}

}  // namespace selvage::ctl
