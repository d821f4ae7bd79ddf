#include "fabric/admin/watch_call.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/admin/table_messages.h"
#include "fabric/base/error.h"

namespace selvage {
namespace {

constexpr std::string_view kWatchEnd = "end";

}  // namespace

absl::StatusOr<table::FeedPosition> WatchCall::Start() const {
  if (request_->from().empty()) return table::FeedPosition();
  if (request_->from() == kWatchEnd) {
    SELVAGE_ASSIGN_OR_RETURN(const table::TableFacts facts, tables_.Facts(request_->table()));
    return facts.end;
  }
  const auto position = table::FeedPosition::Parse(request_->from());
  if (position) return *position;
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_position",
                   fmt::format("{:.80} is no position of a change feed", request_->from()),
                   "take one that this node gave out, or \"end\"");
}

absl::StatusOr<bool> WatchCall::Read() {
  if (!from_) {
    SELVAGE_ASSIGN_OR_RETURN(from_, Start());
  }
  SELVAGE_ASSIGN_OR_RETURN(
      table::ChangePage page,
      tables_.ReadChanges(request_->table(), *from_, request_->prefix(), PageRows(request_->rows_max()),
                          PageBytes(request_->bytes_max())));
  // One that looked at a lot for nothing is answered as well: whoever asks goes on from there.
  const bool found = !page.changes.empty() || page.more;
  // What was read for nothing is not read again.
  if (!found) from_ = page.next;
  *response_ = ToMessage(std::move(page));
  return found;
}

}  // namespace selvage
