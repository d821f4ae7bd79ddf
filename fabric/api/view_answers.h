#pragma once

#include "absl/status/statusor.h"
#include "fabric/api/call.h"
#include "fabric/api/message.h"
#include "fabric/view/view_store.h"

namespace selvage::api {

/// Answers calls about the views of a node. Safe to use from several threads; calls wait for the disk.
class ViewAnswers {
 public:
  /// The views must outlive it.
  explicit ViewAnswers(view::ViewStore& views) : views_(views) {}

  /// Of a call of one of the routes of views; another is an error, "not_served".
  absl::StatusOr<Reply> Answer(const Call& call);

 private:
  absl::StatusOr<Reply> Put(const Call& call);

  view::ViewStore& views_;
};

}  // namespace selvage::api
