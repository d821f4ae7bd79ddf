#include "fabric/kafka/protocol/produce.h"

#include <fmt/format.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/blocking.h"
#include "fabric/kafka/handlers/errors.h"
#include "fabric/kafka/handlers/refused_batches.h"
#include "fabric/storage/committer.h"
#include "fabric/stream/log_store.h"
#include "fabric/stream/produce_check.h"
#include "fabric/stream/producer_window.h"
#include "fabric/stream/record_batch.h"

namespace selvage::kafka {
namespace {

/// For room in the commit queue. The connection is not read meanwhile, so the producer is held back.
constexpr absl::Duration kQueueFullMax = absl::Seconds(30);

/// What the appends of one request come to. Their callbacks may outlive the connection.
struct Outcome {
  explicit Outcome(boost::asio::any_io_executor strand)
      : all_done(std::make_shared<Signal>(std::move(strand))) {}

  ProduceResponse response;
  std::atomic<int> under_way{1};  // the request itself is one
  std::shared_ptr<Signal> all_done;

  void Finish() {
    if (under_way.fetch_sub(1) == 1) all_done->Raise();
  }
};

/// A batch of a request on its way, and the row that tells what became of it.
struct BatchUnderWay {
  Context& context;
  std::shared_ptr<Outcome> outcome;  // holds `row`
  ProduceResponse::Topic::Partition& row;
  std::string topic;
  ProducerSequence sequence = {};
  std::shared_ptr<Log> log = nullptr;
};

/// What the client is told for `why`: a batch that does not follow, because one before it was refused, is to
/// come again as that one is.
absl::Status AnswerToProducer(const BatchUnderWay& batch, const absl::Status& why) {
  const ErrorCode code = CodeOf(why);
  if (!batch.sequence.numbered()) return why;
  RefusedBatches& refused = batch.context.refused_batches;
  if (ClientsTryAgain(code)) refused.Refused(batch.topic, batch.row.index, batch.sequence);
  const bool missing = code == ErrorCode::kOutOfOrderSequenceNumber || code == ErrorCode::kUnknownProducerId;
  if (!missing || !refused.IsBehind(batch.topic, batch.row.index, batch.sequence)) return why;
  return MakeError(
      absl::StatusCode::kUnavailable, "earlier_batch_refused",
      fmt::format("{}/{}: producer {} was told to send an earlier batch again, and this one follows it",
                  batch.topic, batch.row.index, batch.sequence.producer),
      "", Retry::kYes);
}

void Refuse(const BatchUnderWay& batch, const absl::Status& why) {
  const absl::Status answer = AnswerToProducer(batch, why);
  batch.context.metrics.CountError(answer);
  ProduceResponse::Topic::Partition& row = batch.row;
  row.error_code = CodeOf(answer);
  row.base_offset = -1;
  row.error_message = MessageOf(answer);
  // By this a producer that is not known any more sees that nothing of it is missing.
  if (batch.log != nullptr) row.log_start_offset = batch.log->state().log_start().value();
}

/// Where single records are at fault: says which, so that the producer gives up no others (KIP-467).
void NameRecords(const BatchUnderWay& batch, const absl::Status& why, const std::optional<Bytes>& records) {
  if (ErrorKind(why) != "keyless_record" || !records) return;
  for (const int32_t index : KeylessRecords(records->view())) {
    batch.row.record_errors.push_back({index, "a record of a compacted topic needs a key"});
  }
}

void TellOutcome(const BatchUnderWay& batch, const absl::StatusOr<Appended>& appended) {
  if (!appended.ok()) return Refuse(batch, appended.status());
  if (batch.sequence.numbered()) {
    batch.context.refused_batches.Taken(batch.topic, batch.row.index, batch.sequence);
  }
  batch.row.base_offset = appended->base.value();
  batch.row.log_start_offset = batch.log->state().log_start().value();
}

absl::StatusOr<BatchHeader> Check(const Context& context, const std::string& topic, int16_t version,
                                  const std::optional<Bytes>& records) {
  if (!records || records->empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_record",
                     "a partition without a record batch");
  }
  SELVAGE_ASSIGN_OR_RETURN(const Topic found, context.topics.Find(topic));
  SELVAGE_ASSIGN_OR_RETURN(
      const BatchHeader header,
      CheckProducedBatch(records->view(), found.definition.settings(), context.settings.batch_max));
  if (header.codec_bits() == static_cast<uint8_t>(Codec::kZstd) && version < 7) {
    return MakeError(absl::StatusCode::kInvalidArgument, "unsupported_codec",
                     fmt::format("zstd is not part of Produce version {}", version), "use a newer client");
  }
  return header;
}

/// Of what may not be a batch.
ProducerSequence SequenceIn(const std::optional<Bytes>& records) {
  if (!records) return {};
  const auto header = ParseBatchHeader(records->view());
  return header.ok() ? SequenceOf(*header) : ProducerSequence();
}

/// Waits until there is room in the commit queue for so many bytes, which is kept while the turn exists.
/// Nothing when there is none in time, or nobody waits for it any more.
Awaitable<std::optional<QueueRoom::Turn>> AwaitRoom(Call& call, Committer& committer, size_t bytes,
                                                    absl::Duration until) {
  auto turn = committer.AwaitRoom(bytes, [closed = call.closed()] { closed->Raise(); });
  while (turn && !turn->come() && !call.is_closed()) {
    const absl::Duration left = until - SystemClock().Monotonic();
    if (left <= absl::ZeroDuration()) break;
    co_await call.closed()->Wait(left);
  }
  if (turn && !turn->come()) turn.reset();
  co_return turn;
}

/// Queues one batch; waits while the queue is full.
Awaitable<void> Append(Call& call, const ProduceRequest::Topic::Partition& in,
                       std::shared_ptr<BatchUnderWay> batch) {
  Context& context = batch->context;
  batch->sequence = SequenceIn(in.records);
  auto log = context.topics.FindForWriting(batch->topic, in.index);
  if (log.ok() && *log == nullptr) {
    log =
        co_await RunBlocking(context, [&] { return context.topics.MakeForWriting(batch->topic, in.index); });
  }
  if (!log.ok()) co_return Refuse(*batch, log.status());
  batch->log = *log;
  auto header = Check(context, batch->topic, call.version(), in.records);
  if (!header.ok()) {
    Refuse(*batch, header.status());
    NameRecords(*batch, header.status(), in.records);
    co_return;
  }
  std::string bytes(in.records->view());
  Committer& committer = context.committer;
  const size_t room = AppendQueueBytes(bytes.size());
  const absl::Duration until = SystemClock().Monotonic() + kQueueFullMax;
  std::optional<QueueRoom::Turn> turn;
  // Nobody goes ahead of those who wait already.
  if (committer.has_line()) turn = co_await AwaitRoom(call, committer, room, until);
  while (true) {
    batch->outcome->under_way.fetch_add(1);
    auto append = [&] {
      return (*log)->Append(std::move(bytes), [batch](const absl::StatusOr<Appended>& appended) {
        TellOutcome(*batch, appended);
        batch->outcome->Finish();
      });
    };
    absl::Status queued;
    if (context.budget.Fits(bytes.size())) {
      queued = append();
    } else {
      // The oldest may be dropped to make room, which waits for the disk.
      queued = co_await RunBlocking(context, append);
    }
    if (queued.ok()) co_return;
    batch->outcome->Finish();
    if (ErrorKind(queued) != "overloaded") co_return Refuse(*batch, queued);
    turn.reset();
    turn = co_await AwaitRoom(call, committer, room, until);
    if (!turn) co_return Refuse(*batch, queued);
  }
}

bool AnyFailed(const ProduceResponse& response) {
  for (const auto& topic : response.responses) {
    for (const ProduceResponse::Topic::Partition& row : topic.partition_responses) {
      if (row.error_code != ErrorCode::kNone) return true;
    }
  }
  return false;
}

/// The reason to refuse all of it, if there is one.
absl::Status CheckRequest(const ProduceRequest& request) {
  if (request.transactional_id) {
    return MakeError(absl::StatusCode::kUnimplemented, "transactions_unsupported",
                     "transactions are not supported",
                     "leave transactional.id out; idempotent producers are supported");
  }
  if (request.acks < -1 || request.acks > 1) {
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_acks", fmt::format("acks={}", request.acks),
                     "use 0, 1 or all");
  }
  return absl::OkStatus();
}

Awaitable<void> Produce(Context& context, Call& call, const ProduceRequest& request,
                        std::shared_ptr<Outcome> outcome) {
  const absl::Status refused = CheckRequest(request);
  // Rows do not move once callbacks refer to them.
  outcome->response.responses.reserve(request.topic_data.size());
  for (const ProduceRequest::Topic& topic : request.topic_data) {
    auto& rows = outcome->response.responses.emplace_back();
    rows.name = topic.name;
    rows.partition_responses.resize(topic.partition_data.size());
    for (size_t i = 0; i < topic.partition_data.size(); ++i) {
      ProduceResponse::Topic::Partition& row = rows.partition_responses[i];
      row.index = topic.partition_data[i].index;
      auto batch = std::make_shared<BatchUnderWay>(BatchUnderWay{context, outcome, row, topic.name});
      if (refused.ok()) {
        co_await Append(call, topic.partition_data[i], std::move(batch));
      } else {
        Refuse(*batch, refused);
      }
    }
  }
}

Awaitable<absl::StatusOr<Reply>> Serve(Context& context, Call& call, Reader& body) {
  auto request = Decode<ProduceRequest>(body, call.version());
  if (!request.ok()) co_return request.status();
  auto outcome = std::make_shared<Outcome>(call.strand());
  co_await Produce(context, call, *request, outcome);
  call.NextMayBegin();
  const int16_t acks = request->acks;
  // The batches are in the queue: until they are durable one copy of them is enough.
  *request = ProduceRequest();
  body = Reader(Bytes());
  outcome->Finish();
  while (outcome->under_way > 0) co_await outcome->all_done->Wait();
  if (acks == 0) {
    // Nothing tells the producer but the end of the connection, as with Kafka.
    if (!AnyFailed(outcome->response)) co_return Reply();
    co_return MakeError(absl::StatusCode::kAborted, "produce_failed", "a write with acks=0 failed");
  }
  auto frame = EncodeResponse(call.version(), call.header().correlation_id, outcome->response);
  if (!frame.ok()) co_return frame.status();
  co_return Reply(*std::move(frame));
}

}  // namespace

// librdkafka before 2.11 turns compression off when version 0 is not advertised; it never sends it. A request
// below version 3 is refused, since the codec does not know it.
const ServedApi kServeProduce = {ApiKey::kProduce, 0, 11, &Serve};

}  // namespace selvage::kafka
