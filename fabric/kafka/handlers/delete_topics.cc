#include "fabric/kafka/protocol/delete_topics.h"

#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/blocking.h"
#include "fabric/kafka/handlers/errors.h"

namespace selvage::kafka {
namespace {

DeleteTopicsResponse::Result Delete(Context& context, const std::string& name) {
  DeleteTopicsResponse::Result row;
  row.name = name;
  const absl::Status deleted = context.topics.Delete(name);
  row.error_code = CodeOf(deleted);
  if (!deleted.ok()) row.error_message = MessageOf(deleted);
  return row;
}

DeleteTopicsResponse Handle(Context& context, int16_t, const DeleteTopicsRequest& request) {
  DeleteTopicsResponse response;
  for (const std::string& name : request.topic_names) response.responses.push_back(Delete(context, name));
  for (const DeleteTopicsRequest::Topic& topic : request.topics) {
    if (topic.name) {
      response.responses.push_back(Delete(context, *topic.name));
      continue;
    }
    DeleteTopicsResponse::Result& row = response.responses.emplace_back();
    row.topic_id = topic.topic_id;
    row.error_code = ErrorCode::kUnknownTopicId;
  }
  return response;
}

}  // namespace

const ServedApi kServeDeleteTopics = {ApiKey::kDeleteTopics, 1, 6,
                                      &ServeBlocking<DeleteTopicsRequest, DeleteTopicsResponse, &Handle>};

}  // namespace selvage::kafka
