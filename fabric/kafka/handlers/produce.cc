#include <fmt/format.h>

#include <atomic>

#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/blocking.h"
#include "fabric/kafka/handlers/errors.h"
#include "fabric/kafka/protocol/produce.h"
#include "fabric/stream/produce_check.h"
#include "fabric/stream/record_batch.h"

namespace selvage::kafka {
namespace {

/// Between tries while the commit queue is full. The connection is not read meanwhile, so the producer is
/// held back.
constexpr absl::Duration kQueueFullPause = absl::Milliseconds(2);
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

void Refuse(ProduceResponse::Topic::Partition& row, const absl::Status& why, Metrics& metrics) {
  metrics.CountError(why);
  row.error_code = CodeOf(why);
  row.base_offset = -1;
  row.error_message = MessageOf(why);
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

/// Queues one batch; waits while the queue is full.
Awaitable<void> Append(Context& context, Call& call, const std::string& topic,
                       const ProduceRequest::Topic::Partition& in, std::shared_ptr<Outcome> outcome,
                       ProduceResponse::Topic::Partition& row) {
  row.index = in.index;
  auto log = context.topics.FindForWriting(topic, in.index);
  if (log.ok() && *log == nullptr) {
    log = co_await RunBlocking(context, [&] { return context.topics.MakeForWriting(topic, in.index); });
  }
  if (!log.ok()) co_return Refuse(row, log.status(), context.metrics);
  auto header = Check(context, topic, call.version(), in.records);
  if (!header.ok()) co_return Refuse(row, header.status(), context.metrics);
  const absl::Duration until = SystemClock().Monotonic() + kQueueFullMax;
  while (true) {
    outcome->under_way.fetch_add(1);
    auto append = [&] {
      return (*log)->Append(
          std::string(in.records->view()),
          [outcome, &row, log = *log, &metrics = context.metrics](const absl::StatusOr<Appended>& appended) {
            if (appended.ok()) {
              row.base_offset = appended->base.value();
              row.log_start_offset = log->state().log_start().value();
            } else {
              Refuse(row, appended.status(), metrics);
            }
            outcome->Finish();
          });
    };
    // Where there is no room the oldest may be dropped for it, which waits for the disk.
    absl::Status queued;
    if (context.node.budget().Fits(in.records->size())) {
      queued = append();
    } else {
      queued = co_await RunBlocking(context, append);
    }
    if (queued.ok()) co_return;
    outcome->Finish();
    const bool waits =
        ErrorKind(queued) == "overloaded" && SystemClock().Monotonic() < until && !call.is_closed();
    if (!waits) co_return Refuse(row, queued, context.metrics);
    co_await call.closed()->Wait(kQueueFullPause);
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
      if (refused.ok()) {
        co_await Append(context, call, topic.name, topic.partition_data[i], outcome, row);
        continue;
      }
      row.index = topic.partition_data[i].index;
      Refuse(row, refused, context.metrics);
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
  *request = ProduceRequest();  // the batches are in the queue
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
