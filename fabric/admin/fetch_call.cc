#include "fabric/admin/fetch_call.h"

#include "fabric/admin/log_pages.h"
#include "fabric/base/error.h"

namespace selvage {

absl::StatusOr<bool> FetchCall::Read() {
  v1::FetchRequest request = *request_;
  if (log_ == nullptr) {
    SELVAGE_ASSIGN_OR_RETURN(log_, backend_.FindLog(request_->address(), LogUse::kRead));
  } else {
    // A wait at the end goes on from where the end was when the call began.
    request.set_offset(response_->next_offset());
  }
  response_->Clear();
  SELVAGE_RETURN_IF_ERROR(FetchPage(*log_, request, *response_));
  return response_->entries_size() > 0;
}

}  // namespace selvage
