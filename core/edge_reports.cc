#include "core/edge_reports.h"

#include <fmt/format.h>

#include <iterator>

#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"

namespace selvage {

absl::Status EdgeReports::Open() {
  absl::MutexLock lock(&mutex_);
  auto cursor = store_.Scan(Family::kMeta, kReportPrefix, PrefixEnd(kReportPrefix));
  for (cursor->Seek(kReportPrefix); cursor->Valid(); cursor->Next()) {
    const std::string edge(cursor->key().substr(kReportPrefix.size()));
    if (!reports_[edge].document.ParseFromString(std::string(cursor->value())))
      return DamagedMeta("report of an edge");
  }
  return cursor->status();
}

absl::Status EdgeReports::Take(const std::string& edge, uint64_t link, const v1::EdgeStatus& status) {
  absl::MutexLock lock(&mutex_);
  if (!links_.Counts(edge, link)) {
    return MakeError(absl::StatusCode::kAborted, "stale_session",
                     fmt::format("another link of edge {} took this one's place", edge), "", Retry::kYes);
  }
  Report& report = reports_[edge];
  *report.document.mutable_status() = status;
  report.document.set_last_seen_ms(WallMs(clock_));
  report.link = link;
  report.number = ++taken_;
  unstored_.insert(edge);
  return absl::OkStatus();
}

void EdgeReports::Heard(const std::string& edge, uint64_t link) {
  absl::MutexLock lock(&mutex_);
  if (links_.Counts(edge, link)) reports_[edge].document.set_last_seen_ms(WallMs(clock_));
}

void EdgeReports::Seen(const std::string& edge) {
  absl::MutexLock lock(&mutex_);
  reports_[edge].document.set_last_seen_ms(WallMs(clock_));
  unstored_.insert(edge);
}

absl::Status EdgeReports::Flush() {
  absl::MutexLock flush(&flush_mutex_);
  std::map<std::string, std::string> documents;
  {
    absl::MutexLock lock(&mutex_);
    for (const std::string& edge : unstored_) documents[edge] = reports_[edge].document.SerializeAsString();
    unstored_.clear();
  }
  if (documents.empty()) return absl::OkStatus();
  absl::Status stored = Commit(committer_, [&](WriteBatch& batch) {
    for (const auto& [edge, document] : documents)
      batch.Put(Family::kMeta, std::string(kReportPrefix) + edge, {document});
    return absl::OkStatus();
  });
  if (!stored.ok()) {
    absl::MutexLock lock(&mutex_);
    for (const auto& [edge, document] : documents) unstored_.insert(edge);
  }
  return stored;
}

std::optional<v1::StoredReport> EdgeReports::Find(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  const auto report = reports_.find(edge);
  if (report == reports_.end()) return std::nullopt;
  return report->second.document;
}

int64_t EdgeReports::LastSeenMs(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  const auto report = reports_.find(edge);
  return report == reports_.end() ? 0 : report->second.document.last_seen_ms();
}

std::vector<EdgeReports::Models> EdgeReports::ModelsSince(uint64_t seen) const {
  absl::MutexLock lock(&mutex_);
  std::vector<Models> reported;
  for (const auto& [edge, report] : reports_) {
    if (report.number <= seen) continue;
    const auto& models = report.document.status().models();
    reported.push_back({edge, report.number, {models.begin(), models.end()}});
  }
  return reported;
}

std::map<std::string, std::vector<v1::AlarmDocument>> EdgeReports::Alarms() const {
  absl::MutexLock lock(&mutex_);
  std::map<std::string, std::vector<v1::AlarmDocument>> reported;
  for (const auto& [edge, report] : reports_) {
    const auto& alarms = report.document.status().alarms();
    reported[edge].assign(alarms.begin(), alarms.end());
  }
  return reported;
}

std::map<std::string, int> EdgeReports::AlarmCounts() const {
  absl::MutexLock lock(&mutex_);
  std::map<std::string, int> counts;
  for (const auto& [edge, report] : reports_) counts[edge] = report.document.status().alarms_size();
  return counts;
}

std::vector<EdgeReports::Flows> EdgeReports::ReportedFlows(const std::string& only) const {
  absl::MutexLock lock(&mutex_);
  std::vector<Flows> reported;
  const auto begin = only.empty() ? reports_.begin() : reports_.find(only);
  const auto end = only.empty() || begin == reports_.end() ? reports_.end() : std::next(begin);
  for (auto it = begin; it != end; ++it) {
    const auto& [edge, report] = *it;
    const auto& flows = report.document.status().flows();
    reported.push_back({edge, report.link, {flows.begin(), flows.end()}});
  }
  return reported;
}

}  // namespace selvage
