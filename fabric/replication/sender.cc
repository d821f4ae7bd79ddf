#include "fabric/replication/sender.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>

#include "fabric/base/check.h"
#include "fabric/base/error.h"

namespace selvage::replication {
namespace {

constexpr size_t kCompressMin = 256;
constexpr int kCompressionLevel = 1;
constexpr absl::Duration kReadRetry = absl::Seconds(5);
/// Beyond this many entries under way their hashes are not remembered; acknowledgements are then not cross-checked.
constexpr size_t kInFlightMax = 4096;

}  // namespace

Message Sender::Offer() {
  Message message;
  *message.frame.mutable_flow_open() = source_.Describe();
  message.frame.mutable_flow_open()->set_flow(number_.value());
  state_ = State::kOpening;
  return message;
}

std::optional<Message> Sender::OnAccept(const LogPosition& replica) {
  if (state_ != State::kOpening) return std::nullopt;
  auto continues = source_.Continues(replica);
  if (!continues.ok()) {
    Hold(continues.status(), absl::InfiniteDuration());
    return std::nullopt;
  }
  if (*continues) {
    state_ = State::kStreaming;
    next_ = replica.offset;
    acknowledged_ = replica;
    source_.Acknowledged(replica);
    return std::nullopt;
  }
  state_ = State::kProbing;
  v1::FlowOpen offer = source_.Describe();
  auto first = source_.BoundaryAtOrBefore(Offset(std::max(offer.start(), offer.base())));
  if (!first.ok()) {
    Hold(first.status(), absl::InfiniteDuration());
    return std::nullopt;
  }
  common_ = *first;
  differs_ = std::min(source_.end(), replica.offset) + 1;
  return ProbeNext();
}

std::optional<Message> Sender::ProbeNext() {
  if (!probed_first_) {
    probed_ = common_;
  } else {
    if (differs_ - common_.offset <= 1) return FinishBisect();
    auto middle = source_.BoundaryAtOrBefore(Offset(common_.offset.value() + (differs_ - common_.offset) / 2));
    if (!middle.ok()) {
      Hold(middle.status(), absl::InfiniteDuration());
      return std::nullopt;
    }
    if (middle->offset <= common_.offset) {
      // One entry spans the middle: its end is the next boundary.
      auto entry = source_.Read(common_.offset, 1);
      if (!entry.ok() || entry->empty() || entry->front().to >= differs_) return FinishBisect();
      middle = LogPosition{common_.log, entry->front().to, entry->front().hash_after};
    }
    probed_ = *middle;
  }
  Message message;
  message.frame.mutable_probe()->set_flow(number_.value());
  message.frame.mutable_probe()->set_offset(probed_.offset.value());
  return message;
}

std::optional<Message> Sender::FinishBisect() {
  state_ = State::kForked;
  fork_ = common_;
  problem_ = MakeError(absl::StatusCode::kFailedPrecondition, "fork",
                       fmt::format("the replica holds another history from offset {} on", common_.offset.value()),
                       "this store was restored from a backup or copied; its data since go into a new log");
  return std::nullopt;
}

std::optional<Message> Sender::OnProbeReply(const v1::ProbeReply& reply) {
  if (state_ != State::kProbing || Offset(reply.offset()) != probed_.offset) return std::nullopt;
  bool same = reply.known() && ChainHash(reply.hash()) == probed_.hash;
  if (!probed_first_) {
    probed_first_ = true;
    // What lies before the first offset held cannot be compared: the fork is put at the first one that can.
    return same ? ProbeNext() : FinishBisect();
  }
  if (same) {
    common_ = probed_;
  } else {
    differs_ = probed_.offset;
  }
  return ProbeNext();
}

void Sender::OnAck(const LogPosition& durable) {
  if (state_ != State::kStreaming) return;
  while (!in_flight_.empty() && in_flight_.front().first <= durable.offset) {
    if (in_flight_.front().first == durable.offset && in_flight_.front().second != durable.hash) {
      Hold(MakeError(absl::StatusCode::kDataLoss, "chain_mismatch",
                     fmt::format("the replica's chain hash at offset {} is not the source's", durable.offset.value()),
                     "run selvagectl verify; the flow resumes with a comparison of the histories", Retry::kYes),
           absl::InfiniteDuration());
      return;
    }
    in_flight_.pop_front();
  }
  if (durable.offset > next_) {
    Hold(MakeError(absl::StatusCode::kInvalidArgument, "protocol_error",
                   fmt::format("offset {} was acknowledged before it was sent", durable.offset.value())),
         absl::InfiniteDuration());
    return;
  }
  if (acknowledged_ && durable.offset <= acknowledged_->offset) return;
  acknowledged_ = durable;
  source_.Acknowledged(durable);
}

void Sender::Hold(absl::Status why, absl::Duration retry_at) {
  state_ = State::kHeld;
  problem_ = std::move(why);
  retry_at_ = retry_at;
  loaded_.clear();
  encoded_ = Bytes();
  sent_of_entry_ = 0;
  in_flight_.clear();
}

bool Sender::HasWork() { return state_ == State::kStreaming && (!loaded_.empty() || next_ < source_.end()); }

void Sender::Load(size_t read_ahead) {
  auto entries = source_.Read(next_, read_ahead);
  if (!entries.ok()) {
    Hold(entries.status(), absl::InfiniteDuration());
    return;
  }
  for (SourceEntry& entry : *entries) {
    SELVAGE_CHECK(entry.from == next_);
    next_ = entry.to;
    loaded_.push_back(std::move(entry));
  }
}

size_t Sender::EntryBytes(size_t read_ahead) {
  if (loaded_.empty()) Load(read_ahead);
  return loaded_.empty() ? 0 : loaded_.front().body.size();
}

void Sender::Encode() {
  const SourceEntry& entry = loaded_.front();
  encoding_ = v1::RAW;
  encoded_ = entry.body;
  if (!entry.compressible || entry.body.size() < kCompressMin || !source_.settings().compress) return;
  std::string compressed(ZSTD_compressBound(entry.body.size()), '\0');
  size_t size = ZSTD_compress(compressed.data(), compressed.size(), entry.body.data(), entry.body.size(), kCompressionLevel);
  if (ZSTD_isError(size) || size >= entry.body.size() - entry.body.size() / 16) return;
  compressed.resize(size);
  encoding_ = v1::ENCODING_ZSTD;
  encoded_ = Bytes(std::move(compressed));
}

Message Sender::NextFragment(size_t max_bytes) {
  SELVAGE_CHECK(!loaded_.empty());
  if (sent_of_entry_ == 0) Encode();
  const SourceEntry& entry = loaded_.front();
  Message message;
  v1::Data& data = *message.frame.mutable_data();
  data.set_flow(number_.value());
  data.set_from(entry.from.value());
  data.set_to(entry.to.value());
  data.set_kind(entry.kind == EntryKind::kBatch ? v1::BATCH : v1::GAP);
  data.set_encoding(encoding_);
  data.set_entry_size(static_cast<uint32_t>(entry.body.size()));
  data.set_wire_size(static_cast<uint32_t>(encoded_.size()));
  data.set_position(static_cast<uint32_t>(sent_of_entry_));
  message.payload = encoded_.Slice(sent_of_entry_, max_bytes);
  sent_of_entry_ += message.payload.size();
  if (sent_of_entry_ == encoded_.size()) {
    if (in_flight_.size() < kInFlightMax) in_flight_.emplace_back(entry.to, entry.hash_after);
    loaded_.pop_front();
    encoded_ = Bytes();
    sent_of_entry_ = 0;
  }
  return message;
}

}  // namespace selvage::replication
