#include "fabric/stream/log_appender.h"

#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"

namespace selvage {

absl::Status LogAppender::Stage(WriteBatch& batch, std::string records) {
  StagedLog& log = log_->staging();
  SELVAGE_RETURN_IF_ERROR(log.CheckAppendable());
  Entry entry = log.SourceEntry(std::move(records));
  log.StageEntry(batch, entry);
  staged_.emplace_back(std::move(entry), log.state());
  return absl::OkStatus();
}

void LogAppender::Publish() {
  for (auto& [entry, state] : staged_) log_->staging().PublishEntry(entry, state);
  staged_.clear();
}

}  // namespace selvage
