#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "ctl/options.h"
#include "ctl/row_line.h"
#include "ctl/table_commands.h"
#include "ctl/units.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

using Tables = Client::Tables;

struct ListOptions {
  std::string table;
  uint32_t max = 100;
  // Of quarantine.
  std::string discard;
  bool discard_all = false;
};

/// To the millisecond: stamps of one second are told apart.
std::string MsText(int64_t ms) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%E3SZ", absl::FromUnixMillis(ms), absl::UTCTimeZone());
}

std::string WriterText(const std::string& node, const std::string& store) {
  return node.empty() ? "store " + Hex(store) : fmt::format("{} (store {})", node, Hex(store));
}

std::string StampText(const v1::WriteStamp& stamp) {
  return fmt::format("written {}{} by {}", MsText(stamp.time_ms()),
                     stamp.counter() == 0 ? "" : fmt::format(" #{}", stamp.counter()),
                     WriterText(stamp.node(), stamp.store()));
}

std::string ValueText(const std::string& value) {
  return value.empty() ? "nothing" : ShownJson(value);
}

/// What happened, in words; of a kind that a newer node has, its name.
std::string ConflictWords(const v1::TableConflict& conflict) {
  static const std::map<std::string, std::string, std::less<>> kWords = {
      {"overwritten", "two nodes wrote the field apart; the newer write won"},
      {"cleared", "the row was put or deleted by somebody who had not seen that the field was set"},
      {"uncounted",
       "the counter was set, or its row put or deleted, by somebody who had not seen all increments"},
      {"outlives_delete",
       "the field was set while the row was deleted elsewhere; it stays, the rest is gone"},
      {"damaged", "what was stored was damaged, and was replaced; its first bytes are shown"},
      {"not_taken", "the row is damaged here: what comes for it from there on is not taken"},
      {"discarded", "an operator took it out while it waited for its time; it was not merged here"},
      {"not_allowed", "the edge may not write a row with this key; it was not taken"}};
  const auto known = kWords.find(conflict.kind());
  return known == kWords.end() ? conflict.kind() : known->second;
}

std::string PlaceText(const std::string& key, const std::string& field) {
  return field.empty() ? fmt::format("row {}", key) : fmt::format("row {}, field {}", key, field);
}

void PrintConflict(std::ostream& out, const v1::TableConflict& conflict) {
  out << fmt::format("{}  {}: {}\n", MsText(conflict.listed_ms()),
                     Printable(PlaceText(conflict.key(), conflict.field())), Printable(conflict.kind()));
  out << "  what happened: " << Printable(ConflictWords(conflict)) << '\n';
  const auto side = [&](const char* name, const std::string& value, const v1::WriteStamp& stamp) {
    const std::string by = stamp.store().empty() ? "" : ", " + Printable(StampText(stamp));
    out << fmt::format("  {}: {}{}\n", name, ValueText(value), by);
  };
  if (conflict.has_winner()) side("kept", conflict.winning_value(), conflict.winner());
  side("lost", conflict.losing_value(), conflict.loser());
}

/// A value is text here, since a long one is cut and then no JSON.
boost::json::value SideJson(const std::string& value, bool written, const v1::WriteStamp& stamp) {
  if (!written) return nullptr;
  return {{"value", value.empty() ? boost::json::value(nullptr) : boost::json::value(value)},
          {"time_ms", stamp.time_ms()},
          {"counter", stamp.counter()},
          {"store", Hex(stamp.store())},
          {"node", stamp.node()}};
}

absl::Status ListConflicts(Session& session, const ListOptions& options) {
  v1::ListConflictsRequest request;
  request.set_table(options.table);
  request.set_max(options.max);
  SELVAGE_ASSIGN_OR_RETURN(const v1::ListConflictsResponse response,
                           session.Ask(&Tables::ListConflicts, request));
  if (session.json()) {
    boost::json::array conflicts;
    for (const v1::TableConflict& conflict : response.conflicts()) {
      conflicts.push_back(
          {{"key", conflict.key()},
           {"field", conflict.field()},
           {"kind", conflict.kind()},
           {"what", ConflictWords(conflict)},
           {"kept", SideJson(conflict.winning_value(), conflict.has_winner(), conflict.winner())},
           {"lost", SideJson(conflict.losing_value(),
                             conflict.has_loser() || !conflict.losing_value().empty(), conflict.loser())},
           {"listed_ms", conflict.listed_ms()}});
    }
    PrintJson(session.out(),
              {{"table", options.table}, {"listed", response.listed()}, {"conflicts", std::move(conflicts)}});
    return absl::OkStatus();
  }
  for (const v1::TableConflict& conflict : response.conflicts()) PrintConflict(session.out(), conflict);
  session.out() << fmt::format("{} shown of {} that this node has listed\n", response.conflicts_size(),
                               response.listed());
  return absl::OkStatus();
}

void PrintQuarantined(std::ostream& out, const v1::QuarantinedChange& change) {
  out << fmt::format("{}  row {}: waits until then, from {}\n", MsText(change.due_ms()),
                     Printable(change.key()), Printable(WriterText(change.peer_node(), change.peer())));
  for (const v1::QuarantinedPart& part : change.parts()) {
    const std::string field = part.field().empty() ? "" : " " + part.field();
    const bool has_value = !part.value().empty();
    out << fmt::format("  waits: {}{}, {}\n", Printable(part.what() + field),
                       has_value ? " " + ShownJson(part.value()) : "", Printable(StampText(part.stamp())));
    out << fmt::format("  now:   {}{}\n", ValueText(part.value_now()),
                       part.has_stamp_now() ? ", " + Printable(StampText(part.stamp_now())) : "");
  }
  if (change.parts_left_out() > 0) out << fmt::format("  and {} parts more\n", change.parts_left_out());
}

boost::json::value QuarantinedJson(const v1::QuarantinedChange& change) {
  boost::json::array parts;
  for (const v1::QuarantinedPart& part : change.parts()) {
    parts.push_back({{"what", part.what()},
                     {"field", part.field()},
                     {"waits", SideJson(part.value(), true, part.stamp())},
                     {"now", SideJson(part.value_now(), part.has_stamp_now(), part.stamp_now())}});
  }
  return {{"key", change.key()},        {"due_ms", change.due_ms()},
          {"peer", Hex(change.peer())}, {"peer_node", change.peer_node()},
          {"parts", std::move(parts)},  {"parts_left_out", change.parts_left_out()}};
}

absl::Status DiscardQuarantined(Session& session, const ListOptions& options) {
  v1::DiscardQuarantinedRequest request;
  request.set_table(options.table);
  if (!options.discard_all) request.set_key(options.discard);
  SELVAGE_ASSIGN_OR_RETURN(const v1::DiscardQuarantinedResponse response,
                           session.Ask(&Tables::DiscardQuarantined, request));
  if (session.json()) {
    PrintJson(session.out(), response);
  } else {
    session.out() << fmt::format("{} changes discarded, and listed as conflicts\n", response.discarded());
  }
  return absl::OkStatus();
}

absl::Status RestampTables(Session& session) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::RestampTablesResponse response,
                           session.Ask(&Tables::RestampTables, v1::RestampTablesRequest()));
  if (session.json()) {
    PrintJson(session.out(), response);
    return absl::OkStatus();
  }
  session.out() << fmt::format("{} rows stamped again\n", response.rows());
  if (response.unread_rows() > 0) {
    session.out() << fmt::format("{} rows are damaged and were left out\n", response.unread_rows());
  }
  return absl::OkStatus();
}

absl::Status ListQuarantined(Session& session, const ListOptions& options) {
  if (options.discard_all || !options.discard.empty()) return DiscardQuarantined(session, options);
  v1::ListQuarantinedRequest request;
  request.set_table(options.table);
  request.set_max(options.max);
  SELVAGE_ASSIGN_OR_RETURN(const v1::ListQuarantinedResponse response,
                           session.Ask(&Tables::ListQuarantined, request));
  if (session.json()) {
    boost::json::array changes;
    for (const v1::QuarantinedChange& change : response.changes()) changes.push_back(QuarantinedJson(change));
    PrintJson(
        session.out(),
        {{"table", options.table}, {"quarantined", response.quarantined()}, {"changes", std::move(changes)}});
    return absl::OkStatus();
  }
  for (const v1::QuarantinedChange& change : response.changes()) PrintQuarantined(session.out(), change);
  session.out() << fmt::format("{} shown of {} that wait for their time\n", response.changes_size(),
                               response.quarantined());
  return absl::OkStatus();
}

struct Listing {
  CLI::App* verb;
  std::shared_ptr<ListOptions> options;
};

Listing AddListing(CLI::App& noun, Session& session, const char* name, const char* help,
                   absl::Status (*run)(Session&, const ListOptions&)) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* verb = noun.add_subcommand(name, help);
  verb->add_option("table", options->table)->required();
  verb->add_option("--max", options->max, "At most so many, 1 to 1000 (default 100)")
      ->check(CLI::Range(1, 1000));
  verb->callback([&session, options, run] { session.Finish(run(session, *options)); });
  return {verb, options};
}

}  // namespace

void AddTableLists(CLI::App& noun, Session& session) {
  AddListing(noun, session, "conflicts", "What was lost by merging, the newest first (docs/tables.md)",
             ListConflicts);
  const auto [quarantine, options] = AddListing(
      noun, session, "quarantine",
      "Changes from a clock that is far ahead, which wait for their time; the newest first", ListQuarantined);
  CLI::Option* one = quarantine->add_option("--discard", options->discard,
                                            "Take out what waits for this row; it is listed as conflicts");
  quarantine->add_flag("--discard-all", options->discard_all, "The same for all rows of the table")
      ->excludes(one);
  noun.add_subcommand("restamp",
                      "Give new stamps to what this node wrote while its clock was far ahead, in all tables; "
                      "its clock must be right now")
      ->callback([&session] { session.Finish(RestampTables(session)); });
}

}  // namespace selvage::ctl
