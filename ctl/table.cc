#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ctl/options.h"
#include "ctl/session.h"
#include "ctl/table_commands.h"
#include "ctl/units.h"
#include "fabric/base/error.h"
#include "fabric/table/table_definition.h"

namespace selvage::ctl {
namespace {

using Tables = Client::Tables;

/// "both" of TABLE_BOTH.
std::string DirectionWord(const v1::TableDefinition& table) {
  constexpr std::string_view kPrefix = "TABLE_";
  const std::string& name = v1::TableDirection_Name(table.direction());
  return EnumWord(name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name);
}

std::string GenerationWord(const v1::TableDefinition& table) {
  return table.generation() == 0 ? "provisional" : std::to_string(table.generation());
}

std::string KeptText(int64_t ms, std::string_view when_zero) {
  return ms == 0 ? std::string(when_zero) : HumanSeconds(static_cast<double>(ms) / 1e3);
}

std::vector<std::pair<std::string, std::string>> FieldsOf(const v1::TableDefinition& table) {
  const v1::TableSettings& settings = table.settings();
  return {{"table", table.name()},
          {"direction", DirectionWord(table)},
          {"generation", GenerationWord(table)},
          {"prefix", settings.prefix()},
          {"row size", HumanBytes(static_cast<double>(settings.row_bytes_max()))},
          {"priority", std::to_string(settings.priority())},
          {"weight", std::to_string(settings.weight())},
          {"expired kept", settings.expired_kept_ms() == 0
                               ? "default"
                               : HumanSeconds(static_cast<double>(settings.expired_kept_ms()) / 1e3)},
          {"tombstones kept", fmt::format("{} to {}", KeptText(settings.tombstones_kept_ms(), "7d"),
                                          KeptText(settings.tombstones_kept_max_ms(), "60d"))}};
}

/// The settings as options: `create` takes them with their defaults, `set` only those that are given.
class TableSettingsOptions {
 public:
  TableSettingsOptions() = default;
  TableSettingsOptions(const TableSettingsOptions&) = delete;
  TableSettingsOptions& operator=(const TableSettingsOptions&) = delete;

  /// Once. `this` must outlive `app`.
  void AddTo(CLI::App& app) {
    const auto add = [this](const char* field, CLI::Option* option) {
      options_.emplace_back(field, option->group("Settings"));
    };
    add("prefix", app.add_option_function<std::string>(
                      "--prefix", [this](const std::string& text) { settings_.set_prefix(text); },
                      "Rows that an edge has: keys that begin with this; ${edge} is the edge's id, as in "
                      "'site/${edge}/' (default all)"));
    add("row_bytes_max", AddParsed(app, "--row-bytes-max", row_bytes_max_, ParsePositiveSize,
                                   "Of one row's JSON, 1KiB to 1MiB (default 1MiB)"));
    add("priority",
        app.add_option("--priority", priority_, "0 to 9; higher overtakes on the link (default 5)")
            ->check(CLI::Range(0, 9)));
    add("weight", app.add_option("--weight", weight_, "Share within one priority, 1 to 1000 (default 1)")
                      ->check(CLI::Range(1, 1000)));
    add("expired_kept_ms",
        AddParsed(
            app, "--expired-kept", expired_kept_, ParseDuration,
            "How long an expired row, which nobody sees, stays stored: longer than a node may be away; 0: a "
            "day, or not at all for a local table (default 0)"));
    add("tombstones_kept_ms",
        AddParsed(
            app, "--tombstones-kept", tombstones_kept_, ParseDuration,
            "How long deletes are remembered at least: longer than backups are kept; 0: 7 days (default 0)"));
    add("tombstones_kept_max_ms",
        AddParsed(
            app, "--tombstones-kept-max", tombstones_kept_max_, ParseDuration,
            "And at most, when a node is away; it is sent the table anew then; 0: 60 days (default 0)"));
  }
  v1::TableSettings settings() const {
    v1::TableSettings settings = settings_;
    settings.set_expired_kept_ms(absl::ToInt64Milliseconds(expired_kept_));
    settings.set_tombstones_kept_ms(absl::ToInt64Milliseconds(tombstones_kept_));
    settings.set_tombstones_kept_max_ms(absl::ToInt64Milliseconds(tombstones_kept_max_));
    settings.set_row_bytes_max(static_cast<uint32_t>(std::min<uint64_t>(row_bytes_max_, UINT32_MAX)));
    settings.set_priority(priority_);
    settings.set_weight(weight_);
    return settings;
  }
  /// Names of the fields of TableSettings whose options were given.
  std::vector<std::string> given() const {
    std::vector<std::string> fields;
    for (const auto& [field, option] : options_) {
      if (option->count() > 0) fields.push_back(field);
    }
    return fields;
  }

 private:
  v1::TableSettings settings_ = table::DefaultTableSettings();
  uint64_t row_bytes_max_ = settings_.row_bytes_max();
  uint32_t priority_ = settings_.priority();
  absl::Duration expired_kept_;
  absl::Duration tombstones_kept_;
  absl::Duration tombstones_kept_max_;
  uint32_t weight_ = settings_.weight();
  std::vector<std::pair<std::string, CLI::Option*>> options_;  // each with its field
};

struct CreateTableOptions {
  std::string name;
  v1::TableDirection direction = v1::TABLE_BOTH;
  TableSettingsOptions settings;
};

absl::Status CreateTable(Session& session, const CreateTableOptions& options) {
  v1::CreateTableRequest request;
  request.mutable_definition()->set_name(options.name);
  request.mutable_definition()->set_direction(options.direction);
  *request.mutable_definition()->mutable_settings() = options.settings.settings();
  SELVAGE_ASSIGN_OR_RETURN(const v1::TableDefinition made, session.Ask(&Tables::CreateTable, request));
  if (session.json()) {
    PrintJson(session.out(), made);
  } else {
    session.out() << fmt::format("table {} created: {}, generation {}\n", Printable(made.name()),
                                 DirectionWord(made), GenerationWord(made));
  }
  return absl::OkStatus();
}

void AddCreateTable(CLI::App& noun, Session& session) {
  auto options = std::make_shared<CreateTableOptions>();
  CLI::App* verb = noun.add_subcommand("create", "Define a table; its direction stays for ever");
  verb->add_option("name", options->name, "1 to 249 of a-z, A-Z, 0-9, ., _ and -")->required();
  AddChoice<v1::TableDirection>(
      *verb, "--direction", options->direction,
      {{"up", v1::TABLE_UP}, {"down", v1::TABLE_DOWN}, {"both", v1::TABLE_BOTH}, {"local", v1::TABLE_LOCAL}},
      "Where its rows are written: at the edges, at the core, at both, or where they stay")
      ->required();
  options->settings.AddTo(*verb);
  verb->callback([&session, options] { session.Finish(CreateTable(session, *options)); });
}

absl::Status ListTables(Session& session) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::ListTablesResponse response,
                           session.Ask(&Tables::ListTables, v1::ListTablesRequest()));
  if (session.json()) {
    PrintJson(session.out(), response);
    return absl::OkStatus();
  }
  constexpr auto kRight = Table::Align::kRight;
  Table shown({{"table"},
               {"direction"},
               {"prefix"},
               {"row size", kRight},
               {"priority", kRight},
               {"weight", kRight},
               {"generation", kRight}});
  for (const v1::TableDefinition& table : response.tables()) {
    const v1::TableSettings& settings = table.settings();
    shown.Add({table.name(), DirectionWord(table), settings.prefix(),
               HumanBytes(static_cast<double>(settings.row_bytes_max())), std::to_string(settings.priority()),
               std::to_string(settings.weight()), GenerationWord(table)});
  }
  shown.Print(session.out());
  return absl::OkStatus();
}

std::string HeldText(const v1::DescribeTableResponse& table) {
  const std::string since = table.tombstones_held_since_ms() == 0
                                ? "has not been heard of"
                                : "heard of last " + HumanTimeMs(table.tombstones_held_since_ms());
  return fmt::format("until {} has them ({})", Printable(table.tombstones_held_by()), since);
}

std::string IndexState(const v1::TableIndex& index, uint64_t rows) {
  if (index.ready()) return "ready";
  return fmt::format("building: {} of {} rows read", index.rows_read(), rows);
}

void PrintIndexes(std::ostream& out, const v1::DescribeTableResponse& table) {
  if (table.indexes().empty()) return;
  out << "\nindexes:\n";
  Table indexes({{"index"}, {"path"}, {"state"}, {"damaged rows", Table::Align::kRight}});
  for (const v1::TableIndex& index : table.indexes()) {
    indexes.Add({index.name(), index.path(), IndexState(index, table.rows() + table.tombstones()),
                 std::to_string(index.rows_unread())});
  }
  indexes.Print(out);
}

absl::Status DescribeTable(Session& session, const std::string& name) {
  v1::DescribeTableRequest request;
  request.set_table(name);
  SELVAGE_ASSIGN_OR_RETURN(const v1::DescribeTableResponse response,
                           session.Ask(&Tables::DescribeTable, request));
  if (session.json()) {
    PrintJson(session.out(), response);
    return absl::OkStatus();
  }
  auto fields = FieldsOf(response.definition());
  fields.emplace_back("rows", std::to_string(response.rows()));
  fields.emplace_back("tombstones", std::to_string(response.tombstones()));
  fields.emplace_back("stored", HumanBytes(static_cast<double>(response.bytes())));
  fields.emplace_back("feed end", response.end());
  fields.emplace_back("quarantined", std::to_string(response.quarantined()));
  fields.emplace_back("conflicts", std::to_string(response.conflicts_listed()));
  if (!response.captured_in().empty()) fields.emplace_back("changes go to", response.captured_in());
  if (!response.capture_stopped().empty()) fields.emplace_back("capture stopped", response.capture_stopped());
  if (!response.tombstones_held_by().empty()) {
    fields.emplace_back("tombstones held", HeldText(response));
  }
  for (const std::string& key : response.damaged()) fields.emplace_back("damaged row", key);
  PrintFields(session.out(), fields);
  PrintIndexes(session.out(), response);
  if (!response.readers().empty()) {
    session.out() << "\nread by:\n";
    Table readers({{"node"}, {"store"}, {"behind", Table::Align::kRight}, {"last moved"}});
    for (const v1::TableReader& reader : response.readers()) {
      readers.Add({reader.node(), Hex(reader.store()), std::to_string(reader.behind()),
                   HumanTimeMs(reader.moved_ms())});
    }
    readers.Print(session.out());
  }
  if (response.read_from().empty()) return absl::OkStatus();
  session.out() << "\nread from:\n";
  Table peers({{"node"}, {"store"}, {"prefix"}, {"read to"}, {"note"}});
  for (const v1::TableReadFrom& peer : response.read_from()) {
    peers.Add({peer.node(), Hex(peer.store()), peer.prefix(), peer.position(),
               peer.snapshot() ? "snapshot under way" : ""});
  }
  peers.Print(session.out());
  return absl::OkStatus();
}

struct SetTableOptions {
  std::string name;
  uint64_t if_generation = 0;
  TableSettingsOptions settings;
};

absl::Status SetTable(Session& session, const SetTableOptions& options) {
  v1::SetTableRequest request;
  request.set_table(options.name);
  request.set_if_generation(options.if_generation);
  *request.mutable_settings() = options.settings.settings();
  for (const std::string& field : options.settings.given()) request.add_fields(field);
  if (request.fields().empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "nothing_to_set", "no setting is given",
                     "selvagectl table set --help lists them");
  }
  SELVAGE_ASSIGN_OR_RETURN(const v1::TableDefinition table, session.Ask(&Tables::SetTable, request));
  if (session.json()) {
    PrintJson(session.out(), table);
  } else {
    PrintFields(session.out(), FieldsOf(table));
  }
  return absl::OkStatus();
}

void AddSetTable(CLI::App& noun, Session& session) {
  auto options = std::make_shared<SetTableOptions>();
  CLI::App* verb = noun.add_subcommand("set", "Change settings; those that are not given stay");
  verb->add_option("name", options->name)->required();
  verb->add_option("--if-generation", options->if_generation,
                   "Only if the table still has this generation (see describe)")
      ->check(AtLeast(1));
  options->settings.AddTo(*verb);
  verb->callback([&session, options] { session.Finish(SetTable(session, *options)); });
}

absl::Status DropTable(Session& session, const std::string& name) {
  v1::DropTableRequest request;
  request.set_table(name);
  SELVAGE_ASSIGN_OR_RETURN(const v1::DropTableResponse response, session.Ask(&Tables::DropTable, request));
  if (session.json()) {
    PrintJson(session.out(), response);
  } else {
    session.out() << fmt::format("table {} dropped\n", Printable(name));
  }
  return absl::OkStatus();
}

absl::Status ForgetReader(Session& session, const v1::ForgetTableReaderRequest& request) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::ForgetTableReaderResponse response,
                           session.Ask(&Tables::ForgetTableReader, request));
  if (session.json()) {
    PrintJson(session.out(), response);
  } else {
    session.out() << fmt::format("table {} waits for {} no longer\n", Printable(request.table()),
                                 Printable(request.node()));
  }
  return absl::OkStatus();
}

void AddForgetReader(CLI::App& noun, Session& session) {
  auto request = std::make_shared<v1::ForgetTableReaderRequest>();
  CLI::App* verb = noun.add_subcommand(
      "forget", "Wait for a node no longer that will not come back: deletes need not be remembered for it");
  verb->add_option_function<std::string>("name",
                                         [request](const std::string& text) { request->set_table(text); })
      ->required();
  verb->add_option_function<std::string>(
          "node", [request](const std::string& text) { request->set_node(text); },
          "As table describe names it")
      ->required();
  verb->callback([&session, request] { session.Finish(ForgetReader(session, *request)); });
}

absl::Status CaptureTable(Session& session, const v1::CaptureTableRequest& request) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::CaptureTableResponse response,
                           session.Ask(&Tables::CaptureTable, request));
  if (session.json()) {
    PrintJson(session.out(), response);
  } else if (response.stream().empty()) {
    session.out() << fmt::format("changes of table {} are not captured\n", Printable(request.table()));
  } else {
    session.out() << fmt::format("changes of table {} go to stream {}\n", Printable(request.table()),
                                 Printable(response.stream()));
  }
  return absl::OkStatus();
}

void AddCapture(CLI::App& noun, Session& session) {
  auto request = std::make_shared<v1::CaptureTableRequest>();
  CLI::App* verb = noun.add_subcommand(
      "capture", "Write what readers of the table see change to a stream of this node, table.NAME.changes");
  verb->add_option_function<std::string>("name",
                                         [request](const std::string& text) { request->set_table(text); })
      ->required();
  verb->add_flag_callback(
      "--off", [request] { request->set_off(true); }, "No longer; the stream stays");
  verb->callback([&session, request] { session.Finish(CaptureTable(session, *request)); });
}

// A verb whose only parameter is the table.
void AddOfTable(CLI::App& noun, Session& session, const char* name, const char* help,
                absl::Status (*run)(Session&, const std::string&)) {
  auto table = std::make_shared<std::string>();
  CLI::App* verb = noun.add_subcommand(name, help);
  verb->add_option("name", *table)->required();
  verb->callback([&session, table, run] { session.Finish(run(session, *table)); });
}

}  // namespace

void AddTable(CLI::App& app, Session& session) {
  CLI::App* noun = app.add_subcommand("table", "Tables: define them, write and read their rows");
  noun->require_subcommand(1);
  AddCreateTable(*noun, session);
  noun->add_subcommand("list", "All tables of this node")->callback([&session] {
    session.Finish(ListTables(session));
  });
  AddOfTable(*noun, session, "describe",
             "Definition, settings and size of a table, and how far peers were read", DescribeTable);
  AddSetTable(*noun, session);
  AddForgetReader(*noun, session);
  AddCapture(*noun, session);
  AddOfTable(*noun, session, "drop", "Drop a table with all its rows", DropTable);
  AddRowWrites(*noun, session);
  AddRowReads(*noun, session);
  AddQuery(*noun, session);
  AddIndex(*noun, session);
  AddWatch(*noun, session);
  AddImport(*noun, session);
  AddTableLists(*noun, session);
}

}  // namespace selvage::ctl
