#include "fabric/transport/write_queue.h"

#include <utility>

namespace selvage {

using replication::Message;

size_t WriteQueue::Cost(const Message& message) {
  return kMessageOverhead + message.payload.size() + message.frame.ByteSizeLong();
}

void WriteQueue::Push(Message message) {
  if (message.frame.has_credit()) {
    credit_ = std::move(message);
  } else if (message.frame.has_ack()) {
    const uint32_t flow = message.frame.ack().flow();
    acks_.insert_or_assign(flow, std::move(message));
  } else {
    ordered_bytes_ += Cost(message);
    ordered_.push_back(std::move(message));
  }
}

std::optional<Message> WriteQueue::PopTotal() {
  if (credit_) return std::exchange(credit_, std::nullopt);
  if (acks_.empty()) return std::nullopt;
  return std::move(acks_.extract(acks_.begin()).mapped());
}

std::optional<Message> WriteQueue::Pop() {
  if (!ordered_next_ || ordered_.empty()) {
    ordered_next_ = true;
    if (auto total = PopTotal()) return total;
  }
  ordered_next_ = false;
  if (ordered_.empty()) return std::nullopt;
  Message message = std::move(ordered_.front());
  ordered_.pop_front();
  ordered_bytes_ -= Cost(message);
  return message;
}

void WriteQueue::DropData() {
  std::erase_if(ordered_, [this](const Message& message) {
    if (!message.frame.has_data()) return false;
    ordered_bytes_ -= Cost(message);
    return true;
  });
}

void WriteQueue::Clear() {
  *this = WriteQueue();
}

}  // namespace selvage
