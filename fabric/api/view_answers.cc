#include "fabric/api/view_answers.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "fabric/api/reply_json.h"
#include "fabric/api/view_json.h"
#include "fabric/base/error.h"
#include "fabric/view/view_definition.h"

namespace selvage::api {

absl::StatusOr<Reply> ViewAnswers::Answer(const Call& call) {
  const std::string name = call.Text("view");
  switch (call.route->action) {
    case Action::kListViews:
      return JsonReply(ViewsJson(views_.All()));
    case Action::kGetView: {
      SELVAGE_ASSIGN_OR_RETURN(const v1::ViewStatus status, views_.Describe(name));
      return JsonReply(ViewJson(status));
    }
    case Action::kPutView:
      return Put(call);
    case Action::kRebuildView:
      SELVAGE_RETURN_IF_ERROR(views_.Rebuild(name));
      return Reply{.status = 202};
    case Action::kDropView:
      SELVAGE_RETURN_IF_ERROR(views_.Drop(name));
      return Reply{.status = 204};
    default:
      return MakeError(absl::StatusCode::kInternal, "not_served",
                       fmt::format("{} has no answer", call.route->id));
  }
}

absl::StatusOr<Reply> ViewAnswers::Put(const Call& call) {
  SELVAGE_ASSIGN_OR_RETURN(v1::ViewDefinition wanted, ReadView(call.Text("view"), call.body));
  SELVAGE_ASSIGN_OR_RETURN(wanted, view::CompleteDefinition(std::move(wanted)));
  const absl::Status made = views_.Create(wanted).status();
  if (!made.ok() && ErrorKind(made) != "view_exists") return made;
  if (!made.ok()) {
    SELVAGE_ASSIGN_OR_RETURN(const v1::ViewStatus known, views_.Describe(wanted.name()));
    if (known.definition().SerializeAsString() != wanted.SerializeAsString()) return made;
  }
  Reply reply = JsonReply(ViewDefinitionJson(wanted));
  if (made.ok()) reply.status = 201;
  return reply;
}

}  // namespace selvage::api
