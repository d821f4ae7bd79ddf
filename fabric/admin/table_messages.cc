#include "fabric/admin/table_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/table/filter.h"

namespace selvage {
namespace {

constexpr uint32_t kPageRowsMax = 1000;
constexpr uint32_t kPageBytesDefault = 1u << 20;
constexpr uint32_t kPageBytesMax = 4u << 20;
/// A page ends after so many rows that nobody wants, so that no call keeps a thread for long.
constexpr size_t kLookedAtMax = 10'000;
constexpr uint32_t kDigestRowsMax = 50'000;
constexpr uint32_t kVersionsMax = 1'000;

absl::Status Invalid(std::string_view kind, std::string_view what, std::string_view hint = {}) {
  return MakeError(absl::StatusCode::kInvalidArgument, kind, what, hint);
}

std::optional<table::Update::NewExpiry> ExpiryOf(bool given, const v1::RowExpiry& message) {
  if (!given) return std::nullopt;
  table::Update::NewExpiry expiry;
  if (message.has_at_ms()) expiry.at_ms = message.at_ms();
  return expiry;
}

absl::StatusOr<table::RowOperation::Put> PutOf(const v1::RowPut& message) {
  table::RowOperation::Put put;
  SELVAGE_ASSIGN_OR_RETURN(put.fields, table::ParseFields(message.row()));
  if (message.has_expires_at_ms()) put.expires_at_ms = message.expires_at_ms();
  return put;
}

absl::StatusOr<table::Update> UpdateOf(const v1::RowUpdate& message) {
  table::Update update;
  if (!message.set().empty()) {
    SELVAGE_ASSIGN_OR_RETURN(update.set, table::ParseFields(message.set()));
  }
  for (const std::string& name : message.unset()) {
    // In the row it would be a name that nobody can read.
    if (!table::IsValidUtf8(name)) return Invalid("invalid_utf8", "the name of a field is not valid UTF-8");
    update.unset.insert(name);
  }
  if (!message.increment().empty()) {
    SELVAGE_ASSIGN_OR_RETURN(const table::Fields by, table::ParseFields(message.increment()));
    for (const auto& [name, value] : by) {
      const auto number = value.number();
      if (!number) {
        return Invalid("not_a_number",
                       fmt::format("what the field \"{}\" is incremented by is not a number", name));
      }
      update.increment.emplace(name, *number);
    }
  }
  update.expiry = ExpiryOf(message.has_expiry(), message.expiry());
  return update;
}

absl::StatusOr<table::Condition> ConditionOf(const v1::RowCondition& message) {
  using Kind = table::Condition::Kind;
  table::Condition condition;
  switch (message.kind()) {
    case v1::RowCondition::NONE:
      break;
    case v1::RowCondition::ABSENT:
      condition.kind = Kind::kAbsent;
      break;
    case v1::RowCondition::PRESENT:
      condition.kind = Kind::kPresent;
      break;
    case v1::RowCondition::VERSION_IN:
      condition.kind = Kind::kVersionIn;
      break;
    case v1::RowCondition::VERSION_NOT_IN:
      condition.kind = Kind::kVersionNotIn;
      break;
    default:
      return Invalid("invalid_operation", "a condition that is not known here",
                     "it is of a newer version: upgrade this node");
  }
  for (const std::string& bytes : message.versions()) {
    const auto version = table::RowDigest::FromBytes(bytes);
    if (!version) {
      return Invalid("invalid_version", fmt::format("a version of {} bytes", bytes.size()), "it has 16");
    }
    condition.versions.push_back(*version);
  }
  return condition;
}

absl::StatusOr<table::RowOperation> OperationWithoutKey(const v1::RowOperation& message) {
  table::RowOperation operation{.key = "", .what = table::RowOperation::Delete()};
  SELVAGE_ASSIGN_OR_RETURN(operation.condition, ConditionOf(message.condition()));
  switch (message.what_case()) {
    case v1::RowOperation::kPut: {
      SELVAGE_ASSIGN_OR_RETURN(operation.what, PutOf(message.put()));
      return operation;
    }
    case v1::RowOperation::kUpdate: {
      SELVAGE_ASSIGN_OR_RETURN(operation.what, UpdateOf(message.update()));
      return operation;
    }
    case v1::RowOperation::kMergePatch: {
      const v1::RowMergePatch& patch = message.merge_patch();
      operation.what =
          table::RowOperation::MergePatch{patch.patch(), ExpiryOf(patch.has_expiry(), patch.expiry())};
      return operation;
    }
    case v1::RowOperation::kDelete:
      operation.what = table::RowOperation::Delete();
      return operation;
    case v1::RowOperation::WHAT_NOT_SET:
      break;
  }
  return Invalid("invalid_operation", "an operation that does nothing that is known here",
                 "put, update, merge_patch or delete");
}

}  // namespace

absl::StatusOr<table::RowOperation> OperationOf(const v1::RowOperation& message) {
  auto operation = OperationWithoutKey(message);
  if (!operation.ok()) return Annotate(operation.status(), fmt::format("row \"{}\"", message.key()));
  operation->key = message.key();
  operation->replace_damaged = message.replace_damaged();
  return operation;
}

size_t PageRows(uint32_t asked) {
  return asked == 0 ? kPageRowsMax : std::min(asked, kPageRowsMax);
}

size_t PageBytes(uint32_t asked) {
  return asked == 0 ? kPageBytesDefault : std::min(asked, kPageBytesMax);
}

table::ScanRequest ScanOf(const v1::ScanRowsRequest& message) {
  table::ScanRequest request;
  request.from = message.from();
  request.to = message.to();
  request.prefix = message.prefix();
  request.rows_max = PageRows(message.rows_max());
  request.bytes_max = PageBytes(message.bytes_max());
  request.looked_at_max = kLookedAtMax;
  request.past_damaged = message.past_damaged();
  return request;
}

absl::StatusOr<table::QueryRequest> QueryOf(const v1::QueryRowsRequest& message) {
  table::QueryRequest request;
  request.from = message.from();
  request.to = message.to();
  request.prefix = message.prefix();
  if (!message.filter().empty()) {
    SELVAGE_ASSIGN_OR_RETURN(request.filter, table::Filter::Parse(message.filter()));
  }
  SELVAGE_ASSIGN_OR_RETURN(request.fields,
                           table::ParseWantedFields({message.fields().begin(), message.fields().end()}));
  SELVAGE_ASSIGN_OR_RETURN(request.order, table::ParseOrder(message.order(), message.descending()));
  request.rows_max = PageRows(message.rows_max());
  request.bytes_max = PageBytes(message.bytes_max());
  request.looked_at_max = kLookedAtMax;
  request.count = message.count();
  request.after = message.after();
  return request;
}

table::DigestRequest DigestOf(const v1::DigestRowsRequest& message) {
  table::DigestRequest request;
  request.from = message.from();
  request.to = message.to();
  request.prefix = message.prefix();
  const uint32_t most = message.versions() ? kVersionsMax : kDigestRowsMax;
  request.rows_max = message.rows_max() == 0 ? most : std::min(message.rows_max(), most);
  request.versions = message.versions();
  if (message.has_at_ms()) request.at_ms = message.at_ms();
  return request;
}

v1::RowWritten ToMessage(const table::RowWritten& written) {
  v1::RowWritten message;
  if (!written.version.none()) message.set_version(written.version.bytes());
  message.set_created(written.created);
  return message;
}

v1::TableRow ToMessage(table::RowView row) {
  v1::TableRow message;
  message.set_key(std::move(row.key));
  message.set_json(std::move(row.json));
  message.set_version(row.version.bytes());
  if (row.expires_at_ms) message.set_expires_at_ms(*row.expires_at_ms);
  return message;
}

v1::ScanRowsResponse ToMessage(table::ScanPage page) {
  v1::ScanRowsResponse message;
  for (table::RowView& row : page.rows) *message.add_rows() = ToMessage(std::move(row));
  if (page.next) message.set_next(*std::move(page.next));
  message.set_looked_at(page.looked_at);
  for (std::string& key : page.damaged) message.add_damaged(std::move(key));
  return message;
}

v1::QueryRowsResponse ToMessage(table::QueryPage page) {
  v1::QueryRowsResponse message;
  for (table::RowView& row : page.rows) *message.add_rows() = ToMessage(std::move(row));
  if (page.next) message.set_next(*std::move(page.next));
  message.set_looked_at(page.looked_at);
  message.set_count(page.count);
  return message;
}

v1::TableIndex ToMessage(const table::IndexFacts& index) {
  v1::TableIndex message;
  message.set_name(index.name);
  message.set_path(index.path);
  message.set_ready(index.ready);
  message.set_rows_read(index.rows_read);
  message.set_rows_unread(index.rows_unread);
  return message;
}

v1::WatchTableResponse ToMessage(table::ChangePage page) {
  v1::WatchTableResponse message;
  for (table::RowChanged& changed : page.changes) {
    v1::RowChange& change = *message.add_changes();
    change.set_key(std::move(changed.key));
    if (changed.row) *change.mutable_row() = ToMessage(*std::move(changed.row));
    change.set_position(changed.position.Text());
  }
  message.set_next(page.next.Text());
  message.set_more(page.more);
  return message;
}

v1::DigestRowsResponse ToMessage(table::DigestPage page) {
  v1::DigestRowsResponse message;
  message.set_digest(page.digest.bytes());
  message.set_rows(page.digest.rows());
  if (page.next) message.set_next(*std::move(page.next));
  message.set_at_ms(page.at_ms);
  for (auto& [key, version] : page.versions) {
    v1::RowVersion& row = *message.add_versions();
    row.set_key(std::move(key));
    row.set_version(version.bytes());
  }
  return message;
}

}  // namespace selvage
