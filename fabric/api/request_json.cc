#include "fabric/api/request_json.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "fabric/api/conditions.h"
#include "fabric/api/definition_words.h"
#include "fabric/api/members.h"
#include "fabric/base/error.h"
#include "fabric/table/filter.h"
#include "fabric/table/index_definition.h"
#include "fabric/table/table_definition.h"

namespace selvage::api {
namespace {

using table::Condition;
using table::RowOperation;
using table::Update;

constexpr std::string_view kNever = "never";

absl::Status BadParameter(std::string_view message, std::string_view hint = {}) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_parameter", message, hint);
}

/// What ttl_ms and expires_at_ms in the query ask for; nothing when neither is there.
absl::StatusOr<std::optional<Update::NewExpiry>> ReadExpiry(const Call& call, int64_t now_ms) {
  const auto ttl_ms = call.Integer("ttl_ms");
  const std::string* at = call.Find("expires_at_ms");
  if (ttl_ms && at != nullptr) return BadParameter("ttl_ms and expires_at_ms are not given together");
  if (ttl_ms) return Update::NewExpiry{now_ms + *ttl_ms};
  if (at == nullptr) return std::nullopt;
  if (*at == kNever) return Update::NewExpiry{};
  const auto at_ms = call.Integer("expires_at_ms");
  if (!at_ms || *at_ms < 0 || *at_ms > kExpiresAtMaxMs) {
    return BadParameter(
        fmt::format("expires_at_ms must be an integer from 0 to {}, or {}", kExpiresAtMaxMs, kNever));
  }
  return Update::NewExpiry{at_ms};
}

/// The same as members of an operation, where null is never.
absl::StatusOr<std::optional<Update::NewExpiry>> TakeExpiry(Members& members, int64_t now_ms) {
  SELVAGE_ASSIGN_OR_RETURN(const auto ttl_ms, members.TakeInteger("ttl_ms", 1, kTtlMaxMs));
  auto at = members.Take("expires_at_ms");
  if (ttl_ms && at) return members.Wrong("ttl_ms", "left out where expires_at_ms is given");
  if (ttl_ms) return Update::NewExpiry{now_ms + *ttl_ms};
  if (!at) return std::nullopt;
  if (at->text() == "null") return Update::NewExpiry{};
  const auto number = at->number();
  const auto* at_ms = number ? std::get_if<int64_t>(&*number) : nullptr;
  if (at_ms == nullptr || *at_ms < 0 || *at_ms > kExpiresAtMaxMs) {
    return members.Wrong("expires_at_ms", fmt::format("an integer from 0 to {}, or null", kExpiresAtMaxMs));
  }
  return Update::NewExpiry{*at_ms};
}

RowOperation::Put MakePut(table::Fields fields, const std::optional<Update::NewExpiry>& expiry) {
  return {std::move(fields), expiry ? expiry->at_ms : std::nullopt};
}

absl::StatusOr<Update> TakeUpdate(Members& members, std::optional<Update::NewExpiry> expiry) {
  Update update;
  update.expiry = expiry;
  SELVAGE_ASSIGN_OR_RETURN(auto set, members.TakeObject("set"));
  if (set) update.set = *std::move(set);
  SELVAGE_ASSIGN_OR_RETURN(const auto unset, members.TakeTexts("unset", SIZE_MAX));
  if (unset) update.unset = {unset->begin(), unset->end()};
  SELVAGE_ASSIGN_OR_RETURN(const auto increment, members.TakeObject("increment"));
  if (!increment) return update;
  for (const auto& [field, amount] : *increment) {
    const auto number = amount.number();
    if (!number) return members.Wrong("increment." + field, "a number");
    update.increment[field] = *number;
  }
  return update;
}

/// A patch is an object here, as rows are: RFC 7396 would replace the row by any other value.
absl::StatusOr<RowOperation::MergePatch> MakePatch(std::string_view json,
                                                   std::optional<Update::NewExpiry> expiry) {
  SELVAGE_RETURN_IF_ERROR(table::ParseFields(json).status());
  return RowOperation::MergePatch{std::string(json), expiry};
}

absl::StatusOr<Condition> TakeCondition(Members& members) {
  Condition condition;
  int given = 0;
  const auto take_flag = [&](std::string_view name, Condition::Kind kind) -> absl::Status {
    const auto value = members.Take(name);
    if (!value) return absl::OkStatus();
    if (value->text() != "true") return members.Wrong(name, "true, or left out");
    condition.kind = kind;
    ++given;
    return absl::OkStatus();
  };
  SELVAGE_RETURN_IF_ERROR(take_flag("if_absent", Condition::Kind::kAbsent));
  SELVAGE_RETURN_IF_ERROR(take_flag("if_present", Condition::Kind::kPresent));
  SELVAGE_ASSIGN_OR_RETURN(const auto version, members.TakeText("if_version"));
  if (version) {
    const auto digest = table::RowDigest::FromHex(*version);
    if (!digest) return members.Wrong("if_version", "32 hexadecimal digits");
    condition = {Condition::Kind::kVersionIn, {*digest}};
    ++given;
  }
  if (given > 1) return members.Wrong("if_version", "the only condition of its operation");
  return condition;
}

absl::StatusOr<std::optional<bool>> TakeFlag(Members& members, std::string_view name) {
  const auto value = members.Take(name);
  if (!value) return std::nullopt;
  if (value->text() == "true") return true;
  if (value->text() == "false") return false;
  return members.Wrong(name, "true or false");
}

absl::StatusOr<table::QueryOrder> TakeOrder(Members& members) {
  SELVAGE_ASSIGN_OR_RETURN(const auto order, members.TakeText("order"));
  SELVAGE_ASSIGN_OR_RETURN(const auto descending, TakeFlag(members, "descending"));
  if (order && order->empty()) return members.Wrong("order", "a path, or $key");
  if (descending && !order) return members.Wrong("descending", "left out where order is");
  return table::ParseOrder(order.value_or(""), descending.value_or(false));
}

absl::StatusOr<RowOperation> ReadOperation(std::string_view json, std::string where, int64_t now_ms) {
  SELVAGE_ASSIGN_OR_RETURN(Members members, Members::Parse(json, std::move(where)));
  RowOperation operation{{}, RowOperation::Delete{}};
  SELVAGE_ASSIGN_OR_RETURN(auto key, members.TakeText("key"));
  if (!key) return members.Wrong("key", "given");
  operation.key = *std::move(key);
  SELVAGE_ASSIGN_OR_RETURN(operation.condition, TakeCondition(members));
  SELVAGE_ASSIGN_OR_RETURN(const auto op, members.TakeText("op"));
  if (op != "delete") {
    SELVAGE_ASSIGN_OR_RETURN(auto expiry, TakeExpiry(members, now_ms));
    if (op == "put") {
      SELVAGE_ASSIGN_OR_RETURN(auto row, members.TakeObject("row"));
      if (!row) return members.Wrong("row", "given");
      operation.what = MakePut(*std::move(row), expiry);
    } else if (op == "update") {
      SELVAGE_ASSIGN_OR_RETURN(operation.what, TakeUpdate(members, expiry));
    } else if (op == "merge") {
      const auto patch = members.Take("patch");
      if (!patch || !patch->text().starts_with('{')) return members.Wrong("patch", "an object");
      operation.what = RowOperation::MergePatch{patch->text(), expiry};
    } else {
      return members.Wrong("op", "put, update, merge or delete");
    }
  }
  SELVAGE_RETURN_IF_ERROR(members.NothingElse());
  return operation;
}

}  // namespace

absl::StatusOr<RowOperation> ReadRowOperation(const Call& call, int64_t now_ms) {
  RowOperation operation{{}, RowOperation::Delete{}};
  operation.key = call.Text("key");
  SELVAGE_ASSIGN_OR_RETURN(operation.condition, WriteCondition(call));
  if (const std::string* replace = call.Find("replace_damaged")) {
    if (*replace != "true" && *replace != "false") {
      return BadParameter("replace_damaged must be true or false");
    }
    operation.replace_damaged = *replace == "true";
  }
  if (call.route->action == Action::kDeleteRow) return operation;
  SELVAGE_ASSIGN_OR_RETURN(auto expiry, ReadExpiry(call, now_ms));
  if (call.route->action == Action::kPutRow) {
    SELVAGE_ASSIGN_OR_RETURN(auto fields, table::ParseFields(call.body));
    operation.what = MakePut(std::move(fields), expiry);
  } else if (call.media_type == kMergePatchType) {
    SELVAGE_ASSIGN_OR_RETURN(operation.what, MakePatch(call.body, expiry));
  } else {
    SELVAGE_ASSIGN_OR_RETURN(Members members, Members::Parse(call.body, ""));
    SELVAGE_ASSIGN_OR_RETURN(operation.what, TakeUpdate(members, expiry));
    SELVAGE_RETURN_IF_ERROR(members.NothingElse());
  }
  return operation;
}

absl::StatusOr<std::vector<RowOperation>> ReadBatch(std::string_view json, int64_t now_ms) {
  SELVAGE_ASSIGN_OR_RETURN(Members members, Members::Parse(json, ""));
  SELVAGE_ASSIGN_OR_RETURN(const auto elements, members.TakeArray("operations", table::kBatchOperationsMax));
  if (!elements || elements->empty()) {
    return members.Wrong("operations", "an array of one operation or more");
  }
  SELVAGE_RETURN_IF_ERROR(members.NothingElse());
  std::vector<RowOperation> operations;
  operations.reserve(elements->size());
  for (size_t i = 0; i < elements->size(); ++i) {
    SELVAGE_ASSIGN_OR_RETURN(auto operation,
                             ReadOperation((*elements)[i], fmt::format("operations[{}]", i), now_ms));
    operations.push_back(std::move(operation));
  }
  return operations;
}

absl::StatusOr<table::ScanRequest> ReadScan(const Call& call) {
  table::ScanRequest scan;
  scan.from = call.Text("from");
  scan.to = call.Text("to");
  scan.prefix = call.Text("prefix");
  scan.rows_max = static_cast<size_t>(call.Integer("limit").value_or(kPageRowsDefault));
  scan.bytes_max = kPageBytesMax;
  if (const std::string* next = call.Find("next")) {
    SELVAGE_ASSIGN_OR_RETURN(scan.from, ReadContinuation(*next));
  }
  return scan;
}

absl::StatusOr<QueryCall> ReadQuery(std::string_view json) {
  SELVAGE_ASSIGN_OR_RETURN(Members members, Members::Parse(json, ""));
  QueryCall call;
  table::QueryRequest& query = call.query;
  SELVAGE_ASSIGN_OR_RETURN(const auto from, members.TakeText("from"));
  SELVAGE_ASSIGN_OR_RETURN(const auto to, members.TakeText("to"));
  SELVAGE_ASSIGN_OR_RETURN(const auto prefix, members.TakeText("prefix"));
  SELVAGE_ASSIGN_OR_RETURN(const auto limit, members.TakeInteger("limit", 1, kPageRowsMax));
  SELVAGE_ASSIGN_OR_RETURN(const auto next, members.TakeText("next"));
  SELVAGE_ASSIGN_OR_RETURN(const auto fields, members.TakeTexts("fields", table::kFieldsWantedMax));
  SELVAGE_ASSIGN_OR_RETURN(query.order, TakeOrder(members));
  SELVAGE_ASSIGN_OR_RETURN(const auto count, TakeFlag(members, "count"));
  SELVAGE_ASSIGN_OR_RETURN(const auto explain, TakeFlag(members, "explain"));
  const auto filter = members.Take("filter");
  SELVAGE_RETURN_IF_ERROR(members.NothingElse());
  if (filter) {
    SELVAGE_ASSIGN_OR_RETURN(query.filter, table::Filter::Parse(filter->text()));
  }
  if (fields) {
    SELVAGE_ASSIGN_OR_RETURN(query.fields, table::ParseWantedFields(*fields));
  }
  query.from = from.value_or("");
  query.to = to.value_or("");
  query.prefix = prefix.value_or("");
  query.rows_max = static_cast<size_t>(limit.value_or(kPageRowsDefault));
  query.bytes_max = kPageBytesMax;
  query.count = count.value_or(false);
  call.explain = explain.value_or(false);
  if (next) {
    SELVAGE_ASSIGN_OR_RETURN(query.after, ReadContinuation(*next));
  }
  return call;
}

absl::StatusOr<std::string> ReadIndex(std::string_view json) {
  SELVAGE_ASSIGN_OR_RETURN(Members members, Members::Parse(json, ""));
  SELVAGE_ASSIGN_OR_RETURN(auto path, members.TakeText("path"));
  if (!path) return members.Wrong("path", "given");
  SELVAGE_RETURN_IF_ERROR(members.NothingElse());
  return *std::move(path);
}

absl::StatusOr<v1::TableDefinition> ReadDefinition(const std::string& name, std::string_view json) {
  SELVAGE_ASSIGN_OR_RETURN(Members members, Members::Parse(json, ""));
  v1::TableDefinition definition;
  definition.set_name(name);
  SELVAGE_ASSIGN_OR_RETURN(const auto direction, members.TakeText("direction"));
  if (direction) {
    const auto known = DirectionOf(*direction);
    if (!known) return members.Wrong("direction", "up, down, both or local");
    definition.set_direction(*known);
  }
  v1::TableSettings settings = table::DefaultTableSettings();
  SELVAGE_ASSIGN_OR_RETURN(const auto prefix, members.TakeText("prefix"));
  if (prefix) settings.set_prefix(*prefix);
  SELVAGE_ASSIGN_OR_RETURN(const auto row_bytes_max, members.TakeInteger("row_bytes_max", 1, UINT32_MAX));
  if (row_bytes_max) settings.set_row_bytes_max(static_cast<uint32_t>(*row_bytes_max));
  SELVAGE_ASSIGN_OR_RETURN(const auto priority, members.TakeInteger("priority", 0, UINT32_MAX));
  if (priority) settings.set_priority(static_cast<uint32_t>(*priority));
  SELVAGE_ASSIGN_OR_RETURN(const auto weight, members.TakeInteger("weight", 1, UINT32_MAX));
  if (weight) settings.set_weight(static_cast<uint32_t>(*weight));
  *definition.mutable_settings() = std::move(settings);
  SELVAGE_RETURN_IF_ERROR(members.NothingElse());
  return definition;
}

std::string Continuation(std::string_view next) {
  return absl::WebSafeBase64Escape({next.data(), next.size()});
}

absl::StatusOr<std::string> ReadContinuation(std::string_view token) {
  std::string next;
  if (!absl::WebSafeBase64Unescape({token.data(), token.size()}, &next) || Continuation(next) != token) {
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_continuation",
                     "next is not what an earlier page gave", "begin again without it");
  }
  return next;
}

}  // namespace selvage::api
