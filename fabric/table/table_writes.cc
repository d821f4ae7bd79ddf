#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/synchronization/notification.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/table/merge_patch.h"
#include "fabric/table/row_task.h"
#include "fabric/table/table_store.h"

namespace selvage::table {
namespace {

/// Of keys and stamps in files and indexes, for each row of a batch.
constexpr size_t kRowOverhead = 256;
/// Of an entry of an index of the table, which comes and goes with the row.
constexpr size_t kEntryOverhead = 128;

absl::Status OfRow(const absl::Status& error, std::string_view key) {
  return error.ok() ? error : Annotate(error, fmt::format("row \"{}\"", key));
}

size_t BytesOf(const Fields& fields) {
  size_t bytes = 0;
  for (const auto& [name, value] : fields) bytes += name.size() + value.text().size();
  return bytes;
}

size_t BytesOf(const RowOperation& operation) {
  struct Measure {
    size_t operator()(const RowOperation::Put& put) const { return BytesOf(put.fields); }
    size_t operator()(const RowOperation::MergePatch& patch) const { return patch.json.size(); }
    size_t operator()(const RowOperation::Delete&) const { return 0; }
    size_t operator()(const Update& update) const {
      size_t bytes = BytesOf(update.set);
      for (const std::string& name : update.unset) bytes += name.size();
      for (const auto& [name, by] : update.increment) bytes += name.size() + sizeof by;
      return bytes;
    }
  };
  return operation.key.size() + std::visit(Measure(), operation.what);
}

bool ReplacesDamaged(const RowOperation& operation) {
  const bool whole = std::holds_alternative<RowOperation::Put>(operation.what) ||
                     std::holds_alternative<RowOperation::Delete>(operation.what);
  return operation.replace_damaged && whole;
}

absl::Status CheckCondition(const Condition& condition, const Row& row, int64_t now_ms) {
  using Kind = Condition::Kind;
  const auto failed = [](std::string_view kind, std::string_view what) {
    return MakeError(absl::StatusCode::kFailedPrecondition, kind, what, "read the row again and decide anew");
  };
  if (condition.kind == Kind::kNone) return absl::OkStatus();
  const bool there = IsThere(row, now_ms);
  if (condition.kind == Kind::kAbsent) {
    return there ? failed("row_exists", "the row is there already") : absl::OkStatus();
  }
  if (condition.kind == Kind::kPresent) {
    return there ? absl::OkStatus() : failed("row_absent", "the row is not there");
  }
  const RowDigest version = DigestOf(row, now_ms);
  bool named = false;
  for (const RowDigest& wanted : condition.versions) named |= there && wanted == version;
  if (named == (condition.kind == Kind::kVersionIn)) return absl::OkStatus();
  return failed("version_mismatch", there ? "the row has another version" : "the row is not there");
}

/// Operations of a program.
class WriteTask : public RowTask {
 public:
  WriteTask(TableStore& store, std::shared_ptr<Table> table, RowOverlay::Held held, size_t bytes,
            DiskCharge charge, std::vector<RowOperation> operations, TableStore::WriteDone done)
      : RowTask(store, std::move(table), std::move(held), bytes, std::move(charge)),
        operations_(std::move(operations)),
        done_(std::move(done)) {}

 private:
  absl::Status Change() override {
    written_.reserve(operations_.size());
    for (const RowOperation& operation : operations_) {
      SELVAGE_RETURN_IF_ERROR(OfRow(Do(operation), operation.key));
    }
    return absl::OkStatus();
  }

  absl::Status Do(const RowOperation& operation) {
    const std::string& key = operation.key;
    if (IsDamaged(key)) {
      // Of what cannot be read no condition holds, nor its contrary.
      const bool unconditional = operation.condition.kind == Condition::Kind::kNone;
      if (!ReplacesDamaged(operation) || !unconditional) return DamagedRow(key);
      TakeOver(key);
    }
    SELVAGE_RETURN_IF_ERROR(CheckCondition(operation.condition, Current(key), now_ms()));
    const bool was_there = IsThere(Current(key), now_ms());
    Follow(key);
    const Stamp stamp = Tick();
    const Arrival here{StoreId(), NextSequence()};
    std::optional<Clear> expired;
    if (HasExpired(Current(key), now_ms())) {
      expired = ClearOfExpiry(Current(key), stamp.node);
      Row rest = WithoutExpired(Current(key));
      rest.expiry = Current(key).expiry;
      Replace(key, std::move(rest));
    }
    SELVAGE_ASSIGN_OR_RETURN(table::Change change, ChangeOf(operation, Current(key), stamp));
    // A node that has not noticed yet that the row has expired would let it live on by the new expiry.
    if (expired && !change.clear) change.clear = std::move(expired);
    MergeInto(key, change, here);
    SELVAGE_RETURN_IF_ERROR(CheckSize(Current(key)));
    written_.push_back({DigestOf(Current(key), now_ms()), !was_there && IsThere(Current(key), now_ms())});
    return absl::OkStatus();
  }

  absl::StatusOr<table::Change> ChangeOf(const RowOperation& operation, const Row& row, const Stamp& stamp) {
    if (const auto* put = std::get_if<RowOperation::Put>(&operation.what)) {
      return table::Put(row, put->fields, put->expires_at_ms, stamp);
    }
    if (const auto* update = std::get_if<Update>(&operation.what)) return UpdateOf(row, *update, stamp);
    if (const auto* patch = std::get_if<RowOperation::MergePatch>(&operation.what)) {
      SELVAGE_ASSIGN_OR_RETURN(Update update, UpdateOfMergePatch(row, patch->json, now_ms()));
      update.expiry = patch->expiry;
      return UpdateOf(row, std::move(update), stamp);
    }
    return table::Delete(row, stamp);
  }

  absl::StatusOr<table::Change> UpdateOf(const Row& row, Update update, const Stamp& stamp) {
    if (row.expiry && row.expiry->at_ms && !update.expiry) {
      const int64_t expires_ms = *row.expiry->at_ms;
      if (HasExpired(row, now_ms())) {
        CountAnew(row, update);
      } else if (stamp.hlc >= Hlc::AtMs(expires_ms)) {
        // The clocks of others are ahead: by its stamp this would come after the expiry, and stay.
        update.expiry = Update::NewExpiry{expires_ms};
      }
    }
    return MakeUpdate(row, update, stamp, contributor().epoch);
  }
  /// Of a row that has expired: a field that is gone with it begins with what is added. An increment would
  /// count on what other nodes may still hold.
  static void CountAnew(const Row& row, Update& update) {
    for (auto at = update.increment.begin(); at != update.increment.end();) {
      const bool gone = !row.fields.contains(at->first) && !update.set.contains(at->first);
      if (gone) update.set.emplace(at->first, CanonicalJson::Of(at->second));
      at = gone ? update.increment.erase(at) : std::next(at);
    }
  }

  absl::Status CheckSize(const Row& row) {
    const size_t max = definition().settings().row_bytes_max() != 0 ? definition().settings().row_bytes_max()
                                                                    : kRowBytesDefault;
    const auto json = VisibleJson(row, now_ms());
    if (!json || json->size() <= max) return absl::OkStatus();
    return MakeError(absl::StatusCode::kInvalidArgument, "row_too_large",
                     fmt::format("it would be {} bytes of JSON; the table takes {}", json->size(), max),
                     "split it over several rows, or keep what is large elsewhere");
  }

  void Done(const absl::Status& status) override {
    if (status.ok()) {
      done_(std::move(written_));
    } else {
      done_(status);
    }
  }

  const std::vector<RowOperation> operations_;
  const TableStore::WriteDone done_;
  std::vector<RowWritten> written_;
};

/// Rows that a view makes.
class OwnedTask : public RowTask {
 public:
  OwnedTask(TableStore& store, std::shared_ptr<Table> table, RowOverlay::Held held, size_t bytes,
            DiskCharge charge, std::vector<TableStore::OwnedRow> rows, TableStore::Also also,
            TableStore::OwnedDone done)
      : RowTask(store, std::move(table), std::move(held), bytes, std::move(charge)),
        rows_(std::move(rows)),
        also_(std::move(also)),
        done_(std::move(done)) {}

 private:
  absl::Status Change() override {
    for (const TableStore::OwnedRow& row : rows_) {
      // All that is written of it is the view's, and here.
      if (IsDamaged(row.key)) TakeOver(row.key);
      const Row& current = Current(row.key);
      // A delete leaves a tombstone also where there is no row: what its owner keeps of it lasts as long.
      const Stamp stamp = Tick();
      const Arrival here{StoreId(), NextSequence()};
      MergeInto(
          row.key,
          row.row ? table::Put(current, *row.row, row.expires_at_ms, stamp) : table::Delete(current, stamp),
          here);
    }
    return absl::OkStatus();
  }
  void StageBeside(WriteBatch& batch) override {
    for (const TableStore::OwnedRow& row : rows_) {
      const std::string key = OwnedStateKey(table().number, row.key);
      // Also of a tombstone, as long as there is one.
      if (!row.state.empty() && HasParts(Current(row.key))) {
        batch.Put(Family::kRow, key, {row.state});
      } else {
        batch.Delete(Family::kRow, key);
      }
    }
    also_(batch);
  }
  void Done(const absl::Status& status) override { done_(status); }

  const std::vector<TableStore::OwnedRow> rows_;
  const TableStore::Also also_;
  const TableStore::OwnedDone done_;
};

}  // namespace

void TableStore::WriteOwned(const std::string& name, std::vector<OwnedRow> rows, Also also, OwnedDone done) {
  const absl::Status submitted = SubmitOwned(name, std::move(rows), std::move(also), done);
  if (!submitted.ok()) done(submitted);
}

absl::Status TableStore::SubmitOwned(const std::string& name, std::vector<OwnedRow> rows, Also also,
                                     OwnedDone done) {
  SELVAGE_ASSIGN_OR_RETURN(auto table, TableNamed(name));
  size_t bytes = 0;
  std::vector<std::string_view> keys;
  keys.reserve(rows.size());
  for (const OwnedRow& row : rows) {
    SELVAGE_RETURN_IF_ERROR(CheckRowKey(row.key));
    keys.push_back(row.key);
    bytes += kRowOverhead + row.key.size() + row.state.size() + (row.row ? BytesOf(*row.row) : 0);
  }
  // A position that moves, without rows, is small.
  const size_t files = WithCapture(*table, bytes);
  SELVAGE_ASSIGN_OR_RETURN(DiskCharge charge,
                           rows.empty() ? env_.budget.AdmitFromReserve(files) : env_.budget.Admit(files));
  SELVAGE_ASSIGN_OR_RETURN(RowOverlay::Held held, overlay_.Hold(table->number, keys));
  return env_.committer.Submit(std::make_unique<OwnedTask>(*this, std::move(table), std::move(held),
                                                           files + bytes, std::move(charge), std::move(rows),
                                                           std::move(also), std::move(done)));
}

absl::StatusOr<std::vector<std::string>> TableStore::OwnedStates(
    const std::string& name, const std::vector<std::string_view>& keys) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  std::vector<std::string> states;
  states.reserve(keys.size());
  for (const std::string_view key : keys) {
    SELVAGE_ASSIGN_OR_RETURN(auto state, env_.store.Get(Family::kRow, OwnedStateKey(table->number, key)));
    states.push_back(std::move(state).value_or(std::string()));
  }
  return states;
}

void TableStore::Write(const std::string& name, std::vector<RowOperation> operations, WriteDone done) {
  const absl::Status submitted = SubmitWrite(name, std::move(operations), done);
  if (!submitted.ok()) done(submitted);
}

absl::Status TableStore::SubmitWrite(const std::string& name, std::vector<RowOperation> operations,
                                     WriteDone done) {
  SELVAGE_ASSIGN_OR_RETURN(auto table, TableNamed(name));
  SELVAGE_RETURN_IF_ERROR(CheckWritable(*table));
  size_t bytes = 0;
  std::vector<std::string_view> keys;
  RowOverlay::Keys replaceable;
  keys.reserve(operations.size());
  for (const RowOperation& operation : operations) {
    SELVAGE_RETURN_IF_ERROR(CheckRowKey(operation.key));
    keys.push_back(operation.key);
    if (ReplacesDamaged(operation)) replaceable.insert(operation.key);
    bytes += BytesOf(operation);
  }
  if (operations.size() > kBatchOperationsMax || bytes > kBatchBytesMax) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "batch_too_large",
        fmt::format("{} operations with {} bytes are more than one batch takes", operations.size(), bytes),
        fmt::format("up to {} operations and {} bytes", kBatchOperationsMax, kBatchBytesMax));
  }
  const size_t entries = operations.size() * overlay_.IndexesOf(table->number)->size();
  const size_t files =
      WithCapture(*table, bytes + operations.size() * kRowOverhead + entries * kEntryOverhead);
  // Who deletes rows makes room, sooner or later: that must be possible when there is none.
  const bool deletes = std::all_of(operations.begin(), operations.end(), [](const RowOperation& operation) {
    return std::holds_alternative<RowOperation::Delete>(operation.what);
  });
  SELVAGE_ASSIGN_OR_RETURN(DiskCharge charge,
                           deletes ? env_.budget.AdmitFromReserve(files) : env_.budget.Admit(files));
  SELVAGE_ASSIGN_OR_RETURN(RowOverlay::Held held, overlay_.Hold(table->number, keys, replaceable));
  size_t held_bytes = 0;
  for (const auto& [key, entry] : held.entries()) held_bytes += kRowOverhead + key.size();
  return env_.committer.Submit(std::make_unique<WriteTask>(*this, std::move(table), std::move(held),
                                                           files + held_bytes, std::move(charge),
                                                           std::move(operations), std::move(done)));
}

absl::StatusOr<std::vector<RowWritten>> TableStore::WriteAndWait(const std::string& table,
                                                                 std::vector<RowOperation> operations) {
  absl::StatusOr<std::vector<RowWritten>> outcome;
  absl::Notification finished;
  Write(table, std::move(operations), [&](absl::StatusOr<std::vector<RowWritten>> written) {
    outcome = std::move(written);
    finished.Notify();
  });
  AwaitCommit(env_.committer, finished);
  return outcome;
}

absl::Status TableStore::CheckWritable(const Table& table) const {
  const bool only_reads = OnlyReads(table);
  absl::MutexLock lock(&mutex_);
  if (!table.definition.view().empty()) {
    return MakeError(absl::StatusCode::kPermissionDenied, "read_only_table",
                     fmt::format("rows of table {} are those of view {}", table.definition.name(),
                                 table.definition.view()),
                     "write the stream that the view reads, or another table");
  }
  if (!only_reads) return absl::OkStatus();
  return MakeError(absl::StatusCode::kPermissionDenied, "read_only_table",
                   fmt::format("rows of table {} are written at {} only", table.definition.name(),
                               options_.is_edge ? "the core" : "the edges"),
                   "write there, or make a table of direction both");
}

}  // namespace selvage::table
