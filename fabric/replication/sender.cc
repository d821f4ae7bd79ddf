#include "fabric/replication/sender.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "fabric/base/canary.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/base/invariant.h"

namespace selvage::replication {
namespace {

constexpr size_t kCompressMin = 256;
/// After an error of the source, or an acknowledgement that contradicts it.
constexpr absl::Duration kRetry = absl::Seconds(5);
/// A source whose disk is failing would otherwise send the same damaged entry over a slow link again and
/// again.
constexpr absl::Duration kRetryMax = absl::Minutes(1);
constexpr int kRetryDoublings = 6;
/// Of more entries under way than this the oldest are forgotten, and their acknowledgements not
/// cross-checked.
constexpr size_t kInFlightMax = 4096;

/// Nothing when it does not shrink enough to be worth the other end's work.
std::optional<Bytes> Compress(std::string_view bytes, int level) {
  const size_t bound = ZSTD_compressBound(bytes.size());
  const auto room = std::make_unique_for_overwrite<char[]>(bound);
  const size_t size = ZSTD_compress(room.get(), bound, bytes.data(), bytes.size(), level);
  if (ZSTD_isError(size) || size >= bytes.size() - bytes.size() / 16) return std::nullopt;
  return Bytes(std::string(room.get(), size));
}

/// A position is kept for as long as the flow lasts, and no credit bounds it.
absl::Status CheckSize(const FlowPosition& position) {
  if (position.history.size() <= kHistoryMax && position.detail.size() <= kDetailMax) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error",
                   fmt::format("a position of {} bytes", position.history.size() + position.detail.size()));
}

}  // namespace

Sender::Sender(FlowSource& source, size_t entry_max) : source_(source), entry_max_(entry_max) {
  RefreshSettings();
}

Message Sender::Offer(FlowNumber number) {
  number_ = number;
  state_ = State::kOpening;
  retry_at_ = absl::InfiniteDuration();
  Message message;
  *message.frame.mutable_flow_open() = source_.Describe();
  message.frame.mutable_flow_open()->set_flow(number_.value());
  kind_ = message.frame.flow_open().kind();
  offered_ = message.frame.flow_open().history();
  return message;
}

/// What may be said of the replica's position before any history is looked at.
absl::Status Sender::CheckReplica(const FlowPosition& replica) {
  SELVAGE_RETURN_IF_ERROR(CheckSize(replica));
  if (replica.offset < Offset(0)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error",
                     fmt::format("the replica claims to end at offset {}", replica.offset.value()));
  }
  if (source_.history() != nullptr || (replica.history == offered_ && replica.offset <= source_.end()))
    return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error",
                   fmt::format("the sink claims to stand at offset {}, outside of what was offered to it",
                               replica.offset.value()));
}

std::optional<Message> Sender::OnAccept(const FlowPosition& replica, absl::Duration now) {
  if (state_ != State::kOpening) return std::nullopt;
  if (absl::Status wrong = CheckReplica(replica); !wrong.ok()) {
    Fail(std::move(wrong), now);
    return std::nullopt;
  }
  History* const history = source_.history();
  if (history == nullptr) {
    Stream(replica);
    return std::nullopt;
  }
  auto continues = history->Continues(replica);
  if (!continues.ok()) {
    Fail(continues.status(), now);
    return std::nullopt;
  }
  finder_.emplace(source_, *history);
  replica_ = replica;
  if (!*continues) return Follow(finder_->Bisect(std::min(source_.end(), replica.offset) + 1), now);
  auto boundary = history->BoundaryAtOrBefore(replica.offset);
  if (!boundary.ok()) {
    Fail(boundary.status(), now);
    return std::nullopt;
  }
  if (boundary->offset >= replica.offset) {
    Stream(replica);
    return std::nullopt;
  }
  // The replica ends inside of a gap, where the source does not know the history: only before it can they be
  // compared.
  return Follow(finder_->CompareBefore(*boundary), now);
}

std::optional<Message> Sender::OnProbeReply(const v1::ProbeReply& reply, absl::Duration now) {
  if (state_ != State::kProbing) return std::nullopt;
  auto step = finder_->OnReply(reply);
  if (!step.ok()) return Follow(step.status(), now);
  return *step ? Follow(**step, now) : std::nullopt;
}

std::optional<Message> Sender::Follow(const absl::StatusOr<ForkFinder::Step>& step, absl::Duration now) {
  if (!step.ok()) {
    Fail(step.status(), now);
  } else if (const auto* ask = std::get_if<ForkFinder::Ask>(&*step)) {
    state_ = State::kProbing;
    Message message;
    message.frame.mutable_probe()->set_flow(number_.value());
    message.frame.mutable_probe()->set_offset(ask->offset.value());
    return message;
  } else if (const auto* fork = std::get_if<ForkFinder::Fork>(&*step)) {
    state_ = State::kForked;
    fork_ = fork->common;
    problem_ =
        MakeError(absl::StatusCode::kFailedPrecondition, "fork",
                  fmt::format("the replica holds another history from offset {} on", fork_->offset.value()),
                  "this store was restored from a backup or copied; its data since go into a new log");
  } else {
    Stream(replica_);
  }
  return std::nullopt;
}

void Sender::Stream(const FlowPosition& replica) {
  state_ = State::kStreaming;
  next_ = sent_ = forgotten_ = replica.offset;
  acknowledged_ = replica;
  source_.Acknowledged(replica);
  if (Planted(Canary::kResumeOffByOne)) {
    if (auto entries = source_.Read(next_, 1); entries.ok() && !entries->empty()) next_ = entries->front().to;
  }
}

absl::Status Sender::CheckAck(const FlowPosition& durable) {
  SELVAGE_RETURN_IF_ERROR(CheckSize(durable));
  if (durable.offset > sent_) {
    return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error",
                     fmt::format("offset {} was acknowledged before it was sent", durable.offset.value()));
  }
  while (!in_flight_.empty() && in_flight_.front().first < durable.offset) in_flight_.pop_front();
  bool known = !in_flight_.empty() && in_flight_.front().first == durable.offset;
  const bool compared = source_.history() != nullptr;
  bool same = known && in_flight_.front().second == durable.hash;
  if (durable.history == acknowledged_->history && (!compared || same || durable.offset <= forgotten_)) {
    if (known) in_flight_.pop_front();
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kDataLoss, "chain_mismatch",
      fmt::format("the replica's history up to offset {} is not the source's", durable.offset.value()),
      "run selvagectl verify; the flow begins anew with a comparison of the histories", Retry::kYes);
}

void Sender::OnAck(const FlowPosition& durable, absl::Duration now) {
  if (state_ != State::kStreaming || durable.offset < acknowledged_->offset) return;
  // At one offset the detail may go on.
  if (durable.offset == acknowledged_->offset && durable.detail == acknowledged_->detail) return;
  if (absl::Status wrong = CheckAck(durable); !wrong.ok()) {
    Fail(std::move(wrong), now);
    return;
  }
  acknowledged_ = durable;
  held_in_vain_ = 0;
  source_.Acknowledged(durable);
}

void Sender::Fail(absl::Status why, absl::Duration now) {
  absl::Duration retry_after = IsRetryable(why) ? kRetry : absl::InfiniteDuration();
  Hold(std::move(why), retry_after, now);
}

void Sender::Hold(absl::Status why, absl::Duration retry_after, absl::Duration now) {
  state_ = State::kHeld;
  problem_ = std::move(why);
  absl::Duration longer = std::min(retry_after * (1 << held_in_vain_), kRetryMax);
  retry_at_ = now + std::max(retry_after, longer);
  held_in_vain_ = std::min(held_in_vain_ + 1, kRetryDoublings);
  loaded_.clear();
  encoded_ = Bytes();
  sent_of_entry_ = 0;
  in_flight_.clear();
}

bool Sender::AllAcknowledged() const {
  return state_ == State::kStreaming && acknowledged_->offset >= sent_;
}

bool Sender::HasWork() {
  return state_ == State::kStreaming && (!loaded_.empty() || next_ < source_.end());
}

void Sender::Load(size_t read_ahead, absl::Duration now) {
  auto entries = source_.Read(next_, read_ahead);
  if (!entries.ok()) return Fail(entries.status(), now);
  for (FlowEntry& entry : *entries) {
    SELVAGE_CHECK(entry.from == next_ && entry.to > entry.from);
    if (entry.kind == EntryKind::kGap && (Planted(Canary::kDropGap) || Planted(Canary::kStoreJump))) {
      next_ = entry.to;
      continue;
    }
    if (entry.body.size() > entry_max_) {
      if (!loaded_.empty()) return;  // what comes before it is sent first
      return Fail(MakeError(absl::StatusCode::kFailedPrecondition, "batch_too_large",
                            fmt::format("the entry at offset {} has {} bytes; the link takes {}",
                                        entry.from.value(), entry.body.size(), entry_max_)),
                  now);
    }
    next_ = entry.to;
    loaded_.push_back(std::move(entry));
  }
}

std::optional<size_t> Sender::EntryBytes(size_t read_ahead, absl::Duration now) {
  if (loaded_.empty()) Load(read_ahead, now);
  if (loaded_.empty()) return std::nullopt;
  return loaded_.front().body.size();
}

size_t Sender::EntryRest() const {
  return AtEntryStart() ? loaded_.front().body.size() : encoded_.size() - sent_of_entry_;
}

void Sender::Encode(const CompressionTerms& terms) {
  const FlowEntry& entry = loaded_.front();
  encoding_ = v1::RAW;
  encoded_ = entry.body;
  if (!entry.compressible || entry.body.size() < kCompressMin || !settings_.compress) return;
  if (!compression_.WorthATry(entry.body.size(), terms.link_rate)) return;
  std::optional<Bytes> compressed = Compress(entry.body.view(), terms.level);
  compression_.Tried(compressed.has_value());
  if (!compressed) return;
  encoding_ = v1::ENCODING_ZSTD;
  encoded_ = *std::move(compressed);
}

Message Sender::NextFragment(size_t max_bytes, const CompressionTerms& terms) {
  SELVAGE_CHECK(!loaded_.empty() && max_bytes > 0);
  if (sent_of_entry_ == 0) Encode(terms);
  const FlowEntry& entry = loaded_.front();
  Message message;
  v1::Data& data = *message.frame.mutable_data();
  data.set_flow(number_.value());
  data.set_from(entry.from.value());
  data.set_to(entry.to.value());
  data.set_kind(static_cast<uint32_t>(entry.kind));
  data.set_encoding(encoding_);
  data.set_entry_size(static_cast<uint32_t>(entry.body.size()));
  data.set_wire_size(static_cast<uint32_t>(encoded_.size()));
  data.set_position(static_cast<uint32_t>(sent_of_entry_));
  message.payload = encoded_.Slice(sent_of_entry_, max_bytes);
  sent_of_entry_ += message.payload.size();
  if (sent_of_entry_ == encoded_.size()) {
    if (in_flight_.size() == kInFlightMax) {
      forgotten_ = in_flight_.front().first;
      in_flight_.pop_front();
    }
    in_flight_.emplace_back(entry.to, entry.hash_after);
    sent_ = entry.to;
    loaded_.pop_front();
    encoded_ = Bytes();
    sent_of_entry_ = 0;
  }
  return message;
}

absl::Status Sender::CheckInvariants() const {
  const bool streaming = state_ == State::kStreaming;
  const bool failed = state_ == State::kHeld || state_ == State::kForked;
  SELVAGE_RETURN_IF_ERROR(FirstBroken({
      {streaming || loaded_.empty(), "only a streaming flow has entries loaded"},
      {streaming || in_flight_.empty(), "only a streaming flow waits for acknowledgements"},
      {state_ != State::kProbing || finder_.has_value(), "a flow that probes has a finder"},
      {state_ != State::kForked || fork_.has_value(), "a forked flow knows the last common boundary"},
      {!failed || !problem_.ok(), "a held or forked flow says why"},
      {state_ == State::kHeld || retry_at_ == absl::InfiniteDuration(), "only a held flow is offered again"},
      {held_in_vain_ >= 0 && held_in_vain_ <= kRetryDoublings, "the pauses between offers are bounded"},
      {sent_of_entry_ == 0 || !loaded_.empty(), "an entry that is partly sent is loaded"},
      {(sent_of_entry_ == 0) == (encoded_.size() == 0), "only an entry that is partly sent is encoded"},
      {sent_of_entry_ == 0 || sent_of_entry_ < encoded_.size(), "an entry that is sent whole is done with"},
      {in_flight_.size() <= kInFlightMax, "the entries under way that are remembered are bounded"},
  }));
  if (!streaming) return absl::OkStatus();
  if (!acknowledged_) return FirstBroken({{false, "a streaming flow knows what the replica holds"}});
  return FirstBroken({
      {acknowledged_->offset <= sent_, "nothing is acknowledged before it is sent"},
      {(loaded_.empty() ? next_ : loaded_.front().from) == sent_,
       "what is sent next begins where it was sent to"},
      {loaded_.empty() || loaded_.back().to == next_, "loading goes on where the loaded entries end"},
      {forgotten_ <= sent_, "nothing is forgotten before it is sent"},
      {(in_flight_.empty() ? acknowledged_->offset : in_flight_.back().first) == sent_,
       "what was sent is under way or acknowledged"},
      {in_flight_.empty() || acknowledged_->offset < in_flight_.front().first,
       "what is acknowledged is not under way"},
      {in_flight_.empty() || forgotten_ < in_flight_.front().first, "what is forgotten is not remembered"},
  });
}

}  // namespace selvage::replication
