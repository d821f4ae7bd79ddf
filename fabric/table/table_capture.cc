#include <fmt/format.h>

#include <set>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/storage/commit.h"
#include "fabric/table/row_task.h"
#include "fabric/table/table_store.h"

namespace selvage::table {
namespace {

/// Rows that one task tells of.
constexpr size_t kExpiriesAtATime = 500;
constexpr size_t kExpiryHeldBytes = 256;  // of a held row, about

/// Moves the time of capture on, and tells of rows that were there before and have expired by then.
class CaptureExpiryTask : public RowTask {
 public:
  CaptureExpiryTask(TableStore& store, std::shared_ptr<Table> table, RowOverlay::Held held,
                    std::set<std::string> keys, int64_t to_ms)
      : RowTask(store, std::move(table), std::move(held), keys.size() * kExpiryHeldBytes, DiskCharge()),
        keys_(std::move(keys)),
        to_ms_(to_ms) {}

 private:
  absl::Status Change() override {
    CaptureExpired(keys_, to_ms_);
    return absl::OkStatus();
  }
  void Done(const absl::Status&) override {}

  const std::set<std::string> keys_;
  const int64_t to_ms_;
};

}  // namespace

absl::Status TableStore::SetCapture(const std::string& name, bool on) {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  std::shared_ptr<EmbeddedLog> log;
  if (on) {
    const std::string stream = CaptureStreamOf(name);
    if (options_.log_of) log = options_.log_of(stream);
    if (log == nullptr) {
      return MakeError(absl::StatusCode::kNotFound, "unknown_stream",
                       fmt::format("there is no stream {} here", stream));
    }
    SELVAGE_RETURN_IF_ERROR(log->staging().CheckAppendable());
  }
  return Commit(env_.committer, [&](WriteBatch& batch) {
    if (table->dropped) {
      return MakeError(absl::StatusCode::kNotFound, "unknown_table", "the table was dropped meanwhile");
    }
    absl::MutexLock lock(&mutex_);
    // What has expired already is not there for readers, and so not for who begins to read changes.
    if (on && table->capture_log == nullptr) table->capture_ms = now_ms();
    table->expiring.clear();
    table->capture_log = log;
    table->captured = on;
    table->capture_stopped.clear();
    table->next_capture_ms = INT64_MIN;
    StageDefinition(batch, *table);
    return absl::OkStatus();
  });
}

void TableStore::LoadCapture(Table& table, const v1::StoredCapture& stored) {
  table.capture_stopped = stored.stopped();
  table.capture_ms = stored.time_ms();
  if (!stored.on()) return;
  const std::string stream = CaptureStreamOf(table.definition.name());
  if (options_.log_of) table.capture_log = options_.log_of(stream);
  table.captured = table.capture_log != nullptr;
  if (!table.captured) table.capture_stopped = fmt::format("there is no stream {}", stream);
}

void TableStore::StopCapture(WriteBatch& batch, Table& table, const absl::Status& why) {
  absl::MutexLock lock(&mutex_);
  table.capture_log = nullptr;
  table.captured = false;
  table.capture_stopped = std::string(why.message());
  StageDefinition(batch, table);
}

absl::Status TableStore::CaptureExpiries(const std::shared_ptr<Table>& table) {
  const int64_t now = now_ms();
  table->next_capture_ms = INT64_MAX;
  int64_t next_ms = INT64_MAX;
  int64_t to_ms = now;
  std::set<std::string> keys;
  table->capture_scanned_ms = now;
  const std::string index = FeedKeys(FeedIndex::kExpiry, table->number);
  const std::string from = FeedKey(FeedIndex::kExpiry, table->number, table->capture_ms + 1);
  auto cursor = env_.store.Scan(Family::kFeed, from, EndOfPrefix(index));
  for (cursor->Seek(from); cursor->Valid(); cursor->Next()) {
    const auto expires_ms = static_cast<int64_t>(NumberOfFeedKey(cursor->key()));
    // All that expire in one millisecond are told of together.
    if (expires_ms > now || (keys.size() >= kExpiriesAtATime && expires_ms > to_ms)) {
      next_ms = expires_ms;
      break;
    }
    if (keys.size() + 1 >= kExpiriesAtATime) to_ms = expires_ms;
    keys.emplace(RowOfFeedKey(cursor->key()));
  }
  absl::Status told = cursor->status();
  if (told.ok() && !keys.empty()) {
    auto held = overlay_.Hold(table->number, {keys.begin(), keys.end()});
    told = !held.ok() ? held.status()
                      : CommitAndWait(env_.committer, std::make_unique<CaptureExpiryTask>(
                                                          *this, table, *std::move(held), keys, to_ms));
  }
  LowerTo(table->next_capture_ms, told.ok() ? next_ms : INT64_MIN);
  return told;
}

}  // namespace selvage::table
