#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "ctl/input_file.h"
#include "ctl/line_input.h"
#include "ctl/options.h"
#include "ctl/row_options.h"
#include "ctl/table_commands.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/table/canonical_json.h"

namespace selvage::ctl {
namespace {

using Tables = Client::Tables;

absl::Status SendRow(Session& session, const v1::WriteRowsRequest& request) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::WriteRowsResponse response, session.Ask(&Tables::WriteRows, request));
  const std::string& key = request.operations(0).key();
  const v1::RowWritten written = response.written_size() > 0 ? response.written(0) : v1::RowWritten();
  if (session.json()) {
    boost::json::object json{{"key", key}, {"created", written.created()}};
    json["version"] = nullptr;
    if (!written.version().empty()) json["version"] = Hex(written.version());
    PrintJson(session.out(), json);
  } else if (written.version().empty()) {
    session.out() << fmt::format("row {} is not there now\n", Printable(key));
  } else {
    session.out() << fmt::format("row {} {}, version {}\n", Printable(key),
                                 written.created() ? "created" : "written", Hex(written.version()));
  }
  return absl::OkStatus();
}

/// All of the standard input; what is no JSON is refused later.
absl::StatusOr<std::string> ReadAll(int fd) {
  constexpr size_t kMax = 16 << 20;
  LineInput input(fd, kMax);
  std::string text;
  while (true) {
    while (const auto line = input.Next()) text.append(*line).push_back('\n');
    if (input.at_end()) return text;
    if (text.size() > kMax) {
      return MakeError(absl::StatusCode::kInvalidArgument, "input_too_large", "the input is no row",
                       "selvagectl table import reads many rows, one on each line");
    }
    SELVAGE_RETURN_IF_ERROR(input.ReadSome());
  }
}

void AddReplaceDamaged(CLI::App& verb, bool& replace_damaged) {
  verb.add_flag(
      "--replace-damaged", replace_damaged,
      "Also in place of a row whose stored bytes are damaged; their beginning is listed as a conflict");
}

struct PutOptions {
  RowOptions row;
  std::string json;
  bool replace_damaged = false;
};

absl::Status PutRow(Session& session, const PutOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(v1::WriteRowsRequest request, options.row.Request());
  v1::RowPut& put = *request.mutable_operations(0)->mutable_put();
  put.set_row(options.json);
  if (options.json.empty() || options.json == "-") {
    SELVAGE_ASSIGN_OR_RETURN(*put.mutable_row(), ReadAll(session.world.in));
  }
  if (const auto at_ms = options.row.ExpiresAtMs(SystemClock().Wall())) put.set_expires_at_ms(*at_ms);
  request.mutable_operations(0)->set_replace_damaged(options.replace_damaged);
  return SendRow(session, request);
}

void AddPut(CLI::App& noun, Session& session) {
  auto options = std::make_shared<PutOptions>();
  CLI::App* verb = noun.add_subcommand("put", "Write a whole row: what it had before is gone");
  options->row.AddTo(*verb, RowOptions::Expiry::kOrNever);
  verb->add_option("json", options->json, "The row, a JSON object (default: the standard input)");
  AddReplaceDamaged(*verb, options->replace_damaged);
  verb->callback([&session, options] { session.Finish(PutRow(session, *options)); });
}

struct UpdateOptions {
  RowOptions row;
  std::vector<std::string> set;
  std::vector<std::string> unset;
  std::vector<std::string> increment;
  std::string merge;
};

/// "field=JSON" of several options as one JSON object; the name ends at the first '='.
absl::StatusOr<std::string> ObjectOf(const std::vector<std::string>& assignments, std::string_view option) {
  std::string object;
  for (const std::string& assignment : assignments) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos || !table::IsValidUtf8(assignment)) {
      return MakeError(absl::StatusCode::kInvalidArgument, "bad_value",
                       fmt::format("{} {} is not FIELD=JSON", option, QuoteValue(assignment)),
                       R"(as in bar=7.5 or 'unit="bar"')");
    }
    const auto value = table::CanonicalJson::Parse(std::string_view(assignment).substr(equals + 1));
    if (!value.ok()) {
      return MakeError(
          absl::StatusCode::kInvalidArgument, ErrorKind(value.status()),
          fmt::format("{} {}: {}", option, QuoteValue(assignment), std::string(value.status().message())),
          R"(the value is JSON; text is written as in 'unit="bar"')");
    }
    object += object.empty() ? '{' : ',';
    table::AppendJsonString(object, assignment.substr(0, equals));
    object += ':' + value->text();
  }
  if (!object.empty()) object += '}';
  return object;
}

absl::Status UpdateRow(Session& session, const UpdateOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(v1::WriteRowsRequest request, options.row.Request());
  v1::RowOperation& operation = *request.mutable_operations(0);
  const auto expiry = options.row.NewExpiry(SystemClock().Wall());
  const bool fields = !options.set.empty() || !options.unset.empty() || !options.increment.empty();
  if (!fields && options.merge.empty() && !expiry) {
    return MakeError(absl::StatusCode::kInvalidArgument, "nothing_to_set", "it is not said what changes",
                     "selvagectl table update --help lists what can");
  }
  if (!options.merge.empty()) {
    operation.mutable_merge_patch()->set_patch(options.merge);
    if (expiry) *operation.mutable_merge_patch()->mutable_expiry() = *expiry;
    return SendRow(session, request);
  }
  v1::RowUpdate& update = *operation.mutable_update();
  SELVAGE_ASSIGN_OR_RETURN(*update.mutable_set(), ObjectOf(options.set, "--set"));
  SELVAGE_ASSIGN_OR_RETURN(*update.mutable_increment(), ObjectOf(options.increment, "--increment"));
  for (const std::string& field : options.unset) update.add_unset(field);
  if (expiry) *update.mutable_expiry() = *expiry;
  return SendRow(session, request);
}

void AddUpdate(CLI::App& noun, Session& session) {
  auto options = std::make_shared<UpdateOptions>();
  CLI::App* verb = noun.add_subcommand(
      "update", "Set, unset and increment fields of a row; the others stay, also what is written elsewhere");
  options->row.AddTo(*verb, RowOptions::Expiry::kOrAsItIs);
  CLI::Option* set = verb->add_option("--set", options->set, R"(FIELD=JSON, as in bar=7.5 or 'unit="bar"')")
                         ->take_all()
                         ->expected(1);
  CLI::Option* unset =
      verb->add_option("--unset", options->unset, "A field that goes")->take_all()->expected(1);
  CLI::Option* increment =
      verb->add_option("--increment", options->increment,
                       "FIELD=NUMBER; what is counted at several places while they are apart adds up")
          ->take_all()
          ->expected(1);
  verb->add_option("--merge", options->merge,
                   "A JSON Merge Patch (RFC 7396) instead: null unsets, objects are merged")
      ->excludes(set)
      ->excludes(unset)
      ->excludes(increment);
  verb->callback([&session, options] { session.Finish(UpdateRow(session, *options)); });
}

struct DeleteOptions {
  RowOptions row;
  bool replace_damaged = false;
};

absl::Status DeleteRow(Session& session, const DeleteOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(v1::WriteRowsRequest request, options.row.Request());
  request.mutable_operations(0)->mutable_delete_();
  request.mutable_operations(0)->set_replace_damaged(options.replace_damaged);
  return SendRow(session, request);
}

void AddDelete(CLI::App& noun, Session& session) {
  auto options = std::make_shared<DeleteOptions>();
  CLI::App* verb = noun.add_subcommand("delete", "Delete a row");
  options->row.AddTo(*verb, RowOptions::Expiry::kNotOffered);
  AddReplaceDamaged(*verb, options->replace_damaged);
  verb->callback([&session, options] { session.Finish(DeleteRow(session, *options)); });
}

}  // namespace

void AddRowWrites(CLI::App& noun, Session& session) {
  AddPut(noun, session);
  AddUpdate(noun, session);
  AddDelete(noun, session);
}

}  // namespace selvage::ctl
