#include "fabric/replication/receiver.h"

#include <fmt/format.h>
#include <zstd.h>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/base/invariant.h"

namespace selvage::replication {
Message Receiver::Accept(FlowSink& sink) {
  sink_ = &sink;
  FlowPosition position = sink.position();
  expected_ = position.offset;
  Message message;
  message.frame.mutable_flow_accept()->set_flow(number_.value());
  *message.frame.mutable_flow_accept()->mutable_position() = ToProto(position);
  return message;
}

Message Receiver::Refuse(const absl::Status& why, absl::Duration retry_after) {
  sink_ = nullptr;
  refused_ = true;
  unacknowledged_.reset();
  DropPartial();
  Message message;
  v1::FlowRefuse& refuse = *message.frame.mutable_flow_refuse();
  refuse.set_flow(number_.value());
  *refuse.mutable_problem() = ToProblem(why);
  if (retry_after != absl::InfiniteDuration()) {
    refuse.set_retry_after_ms(std::max<int64_t>(1, absl::ToInt64Milliseconds(retry_after)));
  }
  return message;
}

absl::Status Receiver::StartEntry(const v1::Data& data, size_t entry_max) {
  if (data.position() != 0) return ProtocolError("an entry does not begin with its first fragment");
  if (data.to() <= data.from() || data.from() < 0) return ProtocolError("an entry covers no offsets");
  bool raw_differs = data.encoding() == v1::RAW && data.wire_size() != data.entry_size();
  const bool half_empty = (data.entry_size() == 0) != (data.wire_size() == 0);
  if (data.entry_size() > entry_max || data.wire_size() > data.entry_size() || half_empty || raw_differs) {
    return ProtocolError(fmt::format("an entry of {} bytes in {} is outside of the limits", data.entry_size(),
                                     data.wire_size()));
  }
  assembling_ = true;
  current_ = data;
  received_ = 0;
  skipping_ = Offset(data.to()) <= expected_;
  buffer_ = std::string();
  if (!skipping_) buffer_.reserve(data.wire_size());
  return absl::OkStatus();
}

absl::Status Receiver::CheckStart(const v1::Data& data) const {
  if (skipping_) return absl::OkStatus();
  if (Offset(data.from()) != expected_ && !Planted(Canary::kStoreJump)) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "out_of_sequence",
        fmt::format("an entry from offset {} does not follow {}", data.from(), expected_.value()),
        "the flow resumes at the replica's end", Retry::kYes);
  }
  if (data.encoding() == v1::RAW || data.encoding() == v1::ENCODING_ZSTD) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kUnimplemented, "unknown_encoding",
      fmt::format("an entry in encoding {} cannot be read here", static_cast<int>(data.encoding())),
      "the peer runs a newer version: upgrade this end");
}

Receiver::Outcome Receiver::OnData(const v1::Data& data, std::string_view payload, size_t entry_max) {
  Outcome outcome;
  if (waiting()) {
    outcome.fatal = ProtocolError("data before the flow was accepted");
    return outcome;
  }
  if (!assembling_) {
    outcome.fatal = StartEntry(data, entry_max);
    if (!outcome.fatal.ok()) return outcome;
    outcome.refuse = CheckStart(data);
    if (!outcome.refuse.ok()) {
      outcome.released = CreditOf(data.entry_size());
      DropPartial();
      return outcome;
    }
  } else if (data.from() != current_.from() || data.position() != received_) {
    outcome.fatal = ProtocolError("a fragment does not follow the one before it");
    return outcome;
  }
  if (payload.empty() != (current_.wire_size() == 0) || received_ + payload.size() > current_.wire_size()) {
    outcome.fatal = ProtocolError("a fragment is empty or too long");
    return outcome;
  }
  received_ += payload.size();
  if (!skipping_) buffer_.append(payload);
  if (received_ < current_.wire_size()) return outcome;

  if (skipping_) {
    outcome.released = CreditOf(current_.entry_size());
    DropPartial();
    return outcome;
  }
  auto entry = FinishEntry();
  if (entry.ok()) {
    outcome.complete = *std::move(entry);
  } else {
    outcome.released = CreditOf(current_.entry_size());
    outcome.refuse = entry.status();
  }
  DropPartial();
  return outcome;
}

absl::StatusOr<FlowEntry> Receiver::FinishEntry() {
  FlowEntry entry;
  entry.kind = static_cast<EntryKind>(current_.kind());
  entry.from = Offset(current_.from());
  entry.to = Offset(current_.to());
  if (current_.encoding() == v1::ENCODING_ZSTD) {
    std::string body(current_.entry_size(), '\0');
    const size_t size = ZSTD_decompress(body.data(), body.size(), buffer_.data(), buffer_.size());
    if (ZSTD_isError(size) || size != body.size()) {
      return MakeError(absl::StatusCode::kDataLoss, "corrupt_batch",
                       "an entry did not decompress to its size", "it is sent again", Retry::kYes);
    }
    entry.body = Bytes(std::move(body));
  } else {
    entry.body = Bytes(std::move(buffer_));
  }
  SELVAGE_RETURN_IF_ERROR(sink_->Check(entry));
  expected_ = entry.to;
  return entry;
}

bool Receiver::OnPersisted(const FlowPosition& durable) {
  bool due = !unacknowledged_.has_value();
  unacknowledged_ = durable;
  return due;
}

std::optional<Message> Receiver::TakeAck() {
  if (!unacknowledged_) return std::nullopt;
  Message message;
  message.frame.mutable_ack()->set_flow(number_.value());
  *message.frame.mutable_ack()->mutable_durable() = ToProto(*unacknowledged_);
  unacknowledged_.reset();
  return message;
}

Message Receiver::OnProbe(Offset offset) {
  Message message;
  v1::ProbeReply& reply = *message.frame.mutable_probe_reply();
  reply.set_flow(number_.value());
  reply.set_offset(offset.value());
  History* const history = sink_ == nullptr ? nullptr : sink_->history();
  const Located at = history == nullptr ? Located{{}, offset, offset} : history->Locate(offset);
  reply.set_known(at.hash.has_value());
  if (at.hash) {
    reply.set_hash(at.hash->value());
    return message;
  }
  reply.set_next(at.next.value());
  reply.set_previous(at.previous.value());
  reply.set_in_batch(at.in_batch);
  return message;
}

absl::Status Receiver::CheckInvariants() const {
  const bool keeping = assembling_ && !skipping_;
  return FirstBroken({
      {!refused_ || sink_ == nullptr, "a refused flow has no sink"},
      {!assembling_ || open(), "only an open flow puts an entry together"},
      {!unacknowledged_ || open(), "only an open flow acknowledges"},
      {!assembling_ || received_ < current_.wire_size(), "an entry that is complete is handed on"},
      {buffer_.size() == (keeping ? received_ : 0), "only the bytes of an entry that is wanted are held"},
      {!keeping || Offset(current_.from()) == expected_,
       "an entry that is put together follows the one before it"},
      {!assembling_ || !skipping_ || Offset(current_.to()) <= expected_,
       "only an entry that is held is skipped"},
  });
}

}  // namespace selvage::replication
