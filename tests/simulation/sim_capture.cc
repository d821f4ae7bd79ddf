#include "tests/simulation/sim_capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "tests/simulation/table_ledger.h"
#include "tests/support/captured_record.h"

namespace selvage::sim {
namespace {

constexpr size_t kCaptureReadBytes = 1 << 20;

std::shared_ptr<EmbeddedLog> CaptureLogOf(NodeState& state) {
  return state.embedded_logs().FindEmbedded(
      {"", Slot(0), CaptureStreamOf(TableLedger::kShared), PartitionId(0)});
}

/// What readers see that are not told of expiries at once.
std::map<std::string, std::string> Lasting(std::map<std::string, std::string> rows) {
  std::erase_if(rows, [](const auto& row) { return TableLedger::Expires(row.first); });
  return rows;
}

std::map<std::string, std::string> Readable(table::TableStore& tables) {
  std::map<std::string, std::string> rows;
  const auto page = tables.Scan(TableLedger::kShared, {.rows_max = 100'000, .bytes_max = size_t{1} << 40});
  if (!page.ok()) return rows;
  for (const table::RowView& row : page->rows) rows[row.key] = row.json;
  return rows;
}

}  // namespace

bool IsCaptureLog(const Log& log) {
  return IsCaptureStream(log.origin().stream);
}

void SimCapture::Opened(NodeState& state) {
  log_ = LogId();
  const auto facts = state.tables().Facts(TableLedger::kShared);
  const std::shared_ptr<EmbeddedLog> log = CaptureLogOf(state);
  if (!facts.ok() || !facts->capture.on || log == nullptr) return;
  const auto beginning = beginnings_.find(log->state().id);
  if (beginning == beginnings_.end() || beginning->second.offset > log->end()) return;
  // It may have been set back, and gone on otherwise: all of it is read again.
  log_ = log->state().id;
  rows_ = beginning->second.rows;
  read_to_ = beginning->second.offset;
  ReadOn(*log);
  if (!log_.none()) Compare(state);
}

void SimCapture::Follow(NodeState& state) {
  if (!world_.tables.captures()) return;
  const auto facts = state.tables().Facts(TableLedger::kShared);
  if (!facts.ok()) {
    log_ = LogId();
    return;
  }
  const std::shared_ptr<EmbeddedLog> log = CaptureLogOf(state);
  if (!facts->capture.on || log == nullptr || log->state().id != log_) return Begin(state);
  ReadOn(*log);
  if (!log_.none() && state.committer().QueuedBytes() == 0) Compare(state);
}

void SimCapture::Begin(NodeState& state) {
  log_ = LogId();
  if (!state.captures().Stop(TableLedger::kShared).ok()) return;
  if (!state.captures().Start(TableLedger::kShared).ok()) return;
  const std::shared_ptr<EmbeddedLog> log = CaptureLogOf(state);
  if (log == nullptr || state.committer().QueuedBytes() != 0) return;
  log_ = log->state().id;
  rows_ = Readable(state.tables());
  read_to_ = log->end();
  beginnings_[log_] = {rows_, read_to_};
  world_.time.Trace("{}: capture begins at {}", node_, read_to_.value());
}

void SimCapture::ReadOn(EmbeddedLog& log) {
  while (read_to_ < log.end() && !world_.time.violated()) {
    const auto entries = log.Read(read_to_, kCaptureReadBytes);
    const bool whole = entries.ok() && std::all_of(entries->begin(), entries->end(), [](const Entry& entry) {
                         return entry.kind == EntryKind::kBatch;
                       });
    // Damaged, or records were deleted.
    if (!whole) {
      log_ = LogId();
      return;
    }
    for (const Entry& entry : *entries) {
      const auto records = DecodeRecords(entry.body.view());
      if (!records.ok()) return Violate("a batch of captured changes cannot be read");
      for (const Record& record : *records) Take(record);
      read_to_ = entry.to;
    }
  }
}

void SimCapture::Take(const Record& record) {
  const auto captured = test::CapturedRecordOf(record);
  if (!captured) return Violate(fmt::format("row {}: a captured change is none", record.key.value_or("")));
  const auto& [key, before, after, reason, has_value] = *captured;
  if (!has_value && !world_.tables.MayBeDeleted(TableLedger::kShared, key)) {
    return Violate(fmt::format("row {} is told as deleted ({}), and nobody deleted it", key, reason));
  }
  const auto known = rows_.find(key);
  const std::string expected = known == rows_.end() ? "null" : known->second;
  if (before != expected) {
    return Violate(fmt::format("row {}: a captured change ({}) goes on from {}, and what was there is {}",
                               key, reason, before, expected));
  }
  if (before == after) return Violate(fmt::format("row {}: a change ({}) that changes nothing", key, reason));
  if (after == "null") {
    rows_.erase(key);
  } else {
    rows_[key] = after;
  }
}

void SimCapture::Compare(NodeState& state) {
  const Rows there = Lasting(Readable(state.tables()));
  const Rows captured = Lasting(rows_);
  for (const auto& [key, json] : there) {
    const auto found = captured.find(key);
    if (found != captured.end() && found->second == json) continue;
    Violate(fmt::format("row {} is {}, and captured changes say {}", key, json,
                        found == captured.end() ? "nothing" : found->second));
  }
  for (const auto& [key, json] : captured) {
    if (!there.contains(key)) Violate(fmt::format("row {} is gone, and captured changes say {}", key, json));
  }
}

void SimCapture::Violate(const std::string& what) {
  world_.time.Violate(fmt::format("{}: {}", node_, what));
}

}  // namespace selvage::sim
