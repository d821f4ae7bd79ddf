#include "fabric/api/table_service.h"

#include <fmt/format.h>

#include <utility>

#include "absl/time/time.h"
#include "fabric/api/conditions.h"
#include "fabric/api/openapi.h"
#include "fabric/api/problem.h"
#include "fabric/api/reply_json.h"
#include "fabric/api/request_json.h"
#include "fabric/base/error.h"
#include "fabric/table/table_definition.h"

namespace selvage::api {
namespace {

using table::FeedPosition;

/// Of the changes that are read and sent at a time.
constexpr size_t kEventRowsMax = 500;
constexpr size_t kEventBytesMax = 128u << 10;

absl::Status UnknownTable(std::string_view table) {
  return MakeError(absl::StatusCode::kNotFound, "unknown_table", fmt::format("there is no table {}", table));
}

absl::Status RowNotFound(std::string_view table, std::string_view key) {
  return MakeError(absl::StatusCode::kNotFound, "row_not_found",
                   fmt::format("table {} has no row \"{}\"", table, key));
}

class TableEvents : public EventSource {
 public:
  TableEvents(table::TableStore& tables, std::string table, std::string prefix, FeedPosition position)
      : tables_(tables), table_(std::move(table)), prefix_(std::move(prefix)), position_(position) {}

  absl::StatusOr<std::string> Next() override {
    more_ = false;
    SELVAGE_ASSIGN_OR_RETURN(const auto page,
                             tables_.ReadChanges(table_, position_, prefix_, kEventRowsMax, kEventBytesMax));
    std::string events;
    for (const table::RowChanged& change : page.changes) events += ChangeEvent(change);
    position_ = page.next;
    more_ = page.more;
    return events;
  }
  bool more() const override { return more_; }
  std::string Progress() const override { return PositionEvent(position_); }
  std::string Farewell(const absl::Status& error) const override { return ProblemEvent(error); }

 private:
  table::TableStore& tables_;
  const std::string table_;
  const std::string prefix_;
  FeedPosition position_;
  bool more_ = false;
};

Reply ReplyOf(absl::StatusOr<Reply> reply) {
  return reply.ok() ? *std::move(reply) : Refuse(reply.status());
}

}  // namespace

TableService::TableService(table::TableStore& tables, table::TableAdmin& admin, view::ViewStore& views,
                           Clock& clock)
    : tables_(tables), admin_(admin), views_(views), clock_(clock) {}

TableService::~TableService() {
  OnChange(nullptr);
}

int64_t TableService::now_ms() const {
  return absl::ToUnixMillis(clock_.Wall());
}

void TableService::Answer(const Call& call, Done done) {
  switch (call.route->action) {
    case Action::kPutRow:
    case Action::kPatchRow:
    case Action::kDeleteRow:
      return WriteRow(call, std::move(done));
    case Action::kBatch:
      return WriteBatch(call, std::move(done));
    default:
      done(ReplyOf(Read(call)));
  }
}

absl::StatusOr<Reply> TableService::Read(const Call& call) {
  switch (call.route->action) {
    case Action::kListTables:
      return JsonReply(TablesJson(tables_.All()));
    case Action::kGetTable:
      return GetTable(call.Text("table"));
    case Action::kPutTable:
      return PutTable(call);
    case Action::kDropTable:
      return DropTable(call.Text("table"));
    case Action::kGetIndex: {
      SELVAGE_ASSIGN_OR_RETURN(const table::IndexFacts index, FindIndex(call));
      return JsonReply(IndexJson(index));
    }
    case Action::kPutIndex:
      return PutIndex(call);
    case Action::kDropIndex:
      return DropIndex(call);
    case Action::kGetRow:
      return GetRow(call);
    case Action::kScan:
      return Scan(call);
    case Action::kQuery:
      return Query(call);
    case Action::kOpenApi:
      return JsonReply(OpenApiJson());
    default:
      return views_.Answer(call);
  }
}

absl::StatusOr<Reply> TableService::GetTable(const std::string& table) {
  const auto definition = tables_.Find(table);
  if (!definition) return UnknownTable(table);
  SELVAGE_ASSIGN_OR_RETURN(const auto facts, tables_.Facts(table));
  SELVAGE_ASSIGN_OR_RETURN(const auto indexes, tables_.Indexes(table));
  return JsonReply(TableJson(*definition, facts, indexes));
}

absl::StatusOr<Reply> TableService::PutTable(const Call& call) {
  SELVAGE_ASSIGN_OR_RETURN(v1::TableDefinition wanted, ReadDefinition(call.Text("table"), call.body));
  const auto known = tables_.Find(wanted.name());
  if (wanted.direction() == v1::TABLE_DIRECTION_UNSPECIFIED) {
    wanted.set_direction(known ? known->direction() : v1::TABLE_BOTH);
  }
  if (!known) {
    SELVAGE_ASSIGN_OR_RETURN(const auto made, admin_.Create(std::move(wanted)));
    Reply reply = JsonReply(DefinitionJson(made));
    reply.status = 201;
    return reply;
  }
  SELVAGE_RETURN_IF_ERROR(table::CheckSameShape(*known, wanted));
  v1::SetTableRequest request;
  request.set_table(wanted.name());
  *request.mutable_settings() = wanted.settings();
  const auto* settings = v1::TableSettings::descriptor();
  for (int i = 0; i < settings->field_count(); ++i) request.add_fields(settings->field(i)->name());
  SELVAGE_ASSIGN_OR_RETURN(const auto set, admin_.Set(request));
  return JsonReply(DefinitionJson(set));
}

absl::StatusOr<Reply> TableService::DropTable(const std::string& table) {
  SELVAGE_RETURN_IF_ERROR(admin_.Drop(table));
  return Reply{.status = 204};
}

absl::StatusOr<Reply> TableService::GetRow(const Call& call) {
  const std::string key = call.Text("key");
  SELVAGE_ASSIGN_OR_RETURN(const auto row, tables_.Get(call.Text("table"), key));
  SELVAGE_ASSIGN_OR_RETURN(const ReadOutcome outcome,
                           ReadCondition(call, row ? std::optional(row->version) : std::nullopt));
  if (outcome == ReadOutcome::kFailed) {
    return MakeError(absl::StatusCode::kFailedPrecondition, row ? "version_mismatch" : "row_absent",
                     fmt::format("row \"{}\" is not there in a version that If-Match names", key));
  }
  if (!row) return RowNotFound(call.Text("table"), key);
  return outcome == ReadOutcome::kNotModified ? NotModifiedReply(*row) : RowReply(*row);
}

absl::StatusOr<Reply> TableService::Scan(const Call& call) {
  SELVAGE_ASSIGN_OR_RETURN(const auto scan, ReadScan(call));
  SELVAGE_ASSIGN_OR_RETURN(const auto page, tables_.Scan(call.Text("table"), scan));
  return JsonReply(PageJson(page));
}

absl::StatusOr<Reply> TableService::Query(const Call& call) {
  SELVAGE_ASSIGN_OR_RETURN(const QueryCall asked, ReadQuery(call.body));
  const std::string table = call.Text("table");
  if (asked.explain) {
    SELVAGE_ASSIGN_OR_RETURN(const std::string plan, tables_.Explain(table, asked.query));
    return JsonReply(PlanJson(plan));
  }
  SELVAGE_ASSIGN_OR_RETURN(const auto page, tables_.Query(table, asked.query));
  return JsonReply(PageJson(page, asked.query.count));
}

absl::StatusOr<table::IndexFacts> TableService::FindIndex(const Call& call) {
  const std::string table = call.Text("table");
  SELVAGE_ASSIGN_OR_RETURN(const auto indexes, tables_.Indexes(table));
  for (const table::IndexFacts& index : indexes) {
    if (index.name == call.Text("index")) return index;
  }
  return MakeError(absl::StatusCode::kNotFound, "unknown_index",
                   fmt::format("table {} has no index {}", table, call.Text("index")));
}

absl::StatusOr<Reply> TableService::PutIndex(const Call& call) {
  SELVAGE_ASSIGN_OR_RETURN(const std::string path, ReadIndex(call.body));
  const absl::Status made = tables_.CreateIndex(call.Text("table"), call.Text("index"), path);
  if (!made.ok() && ErrorKind(made) != "index_exists") return made;
  SELVAGE_ASSIGN_OR_RETURN(const table::IndexFacts index, FindIndex(call));
  if (index.path != path) return made;
  Reply reply = JsonReply(IndexJson(index));
  if (made.ok()) reply.status = 201;
  return reply;
}

absl::StatusOr<Reply> TableService::DropIndex(const Call& call) {
  SELVAGE_RETURN_IF_ERROR(tables_.DropIndex(call.Text("table"), call.Text("index")));
  return Reply{.status = 204};
}

void TableService::WriteRow(const Call& call, Done done) {
  auto operation = ReadRowOperation(call, now_ms());
  if (!operation.ok()) return done(Refuse(operation.status()));
  const bool deletes = call.route->action == Action::kDeleteRow;
  tables_.Write(call.Text("table"), {*std::move(operation)}, [done = std::move(done), deletes](auto written) {
    if (!written.ok()) return done(Refuse(written.status()));
    done(deletes ? Reply{.status = 204} : WrittenReply(written->front()));
  });
}

void TableService::WriteBatch(const Call& call, Done done) {
  auto operations = ReadBatch(call.body, now_ms());
  if (!operations.ok()) return done(Refuse(operations.status()));
  std::vector<std::string> keys;
  keys.reserve(operations->size());
  for (const table::RowOperation& operation : *operations) keys.push_back(operation.key);
  tables_.Write(call.Text("table"), *std::move(operations),
                [done = std::move(done), keys = std::move(keys)](auto written) {
                  done(written.ok() ? JsonReply(BatchJson(keys, *written)) : Refuse(written.status()));
                });
}

absl::StatusOr<std::unique_ptr<EventSource>> TableService::Watch(const Call& call) {
  const std::string table = call.Text("table");
  SELVAGE_ASSIGN_OR_RETURN(const auto facts, tables_.Facts(table));
  const std::string* last = call.Find("Last-Event-ID");
  const std::string from = last != nullptr ? *last : call.Find("from") != nullptr ? call.Text("from") : "now";
  FeedPosition position = facts.end;
  if (from == "start") {
    position = FeedPosition();
  } else if (from != "now") {
    const auto parsed = FeedPosition::Parse(from);
    if (!parsed) {
      return MakeError(absl::StatusCode::kInvalidArgument, "invalid_position",
                       fmt::format("{:.100} is no position of a feed", from),
                       "take one from an event's id or from the table's position");
    }
    position = *parsed;
  }
  auto events = std::make_unique<TableEvents>(tables_, table, call.Text("prefix"), position);
  // Whether the position is still good is for an answer, not for an event.
  SELVAGE_RETURN_IF_ERROR(tables_.ReadChanges(table, position, "", 1, 1).status());
  return events;
}

void TableService::OnChange(std::function<void()> wake) {
  if (watch_) tables_.Unwatch(*std::exchange(watch_, std::nullopt));
  if (wake) watch_ = tables_.Watch(std::move(wake));
}

}  // namespace selvage::api
