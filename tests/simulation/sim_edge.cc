#include "tests/simulation/sim_edge.h"

#include <fmt/format.h>

#include <algorithm>

#include "edge/uplink.h"
#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"
#include "fabric/stream/record_format.h"

namespace selvage::sim {
namespace {

constexpr size_t kBatchOverhead = 150;

}  // namespace

std::string MakeBatch(Surroundings world, uint64_t payload) {
  test::SeededRandom& random = world.random;
  const size_t room = world.limits.batch_max - kBatchOverhead;
  const auto records = static_cast<int>(random.OneIn(3) ? random.Between(1, 5) : 1);
  std::string value(random.Spread(1, room) / static_cast<size_t>(records) + 1, 'v');
  if (random.OneIn(2)) random.Fill(value.data(), value.size());  // what does not compress
  std::vector<Record> batch;
  for (int i = 0; i < records; ++i) {
    batch.push_back(
        {Offset(0), static_cast<int64_t>(payload), std::nullopt, value.substr(0, room / records), {}});
  }
  if (world.views.on()) world.views.Shape(payload, batch);
  BatchBuilder builder;
  for (const Record& record : batch) builder.Add(record);
  return builder.Build();
}

SimEdge::SimEdge(Surroundings world, std::string name, Dial dial)
    : SimNode(world, std::move(name), /*is_edge=*/true), dial_(std::move(dial)) {}

absl::Status SimEdge::OpenLogic() {
  edge_ = std::make_unique<EdgeState>(EdgeState::PartsOf(state()), "simulated");
  SELVAGE_RETURN_IF_ERROR(edge_->Open({}));
  DialAfter(absl::Milliseconds(world_.random.Spread(1, 5'000)));
  return absl::OkStatus();
}

void SimEdge::CloseLogic() {
  ++dials_;
  edge_.reset();
}

void SimEdge::Vanished() {
  if (link_ == nullptr) return;
  const bool silent = world_.random.OneIn(3);
  link_->Vanish(SimLink::kEdge,
                silent ? absl::InfiniteDuration() : absl::Milliseconds(world_.random.Spread(1, 3'000)));
  link_.reset();
}

std::shared_ptr<replication::LinkHandler> SimEdge::MakeUplink(std::function<void()> wake) {
  return std::make_shared<Uplink>(Uplink::PartsOf(state(), *edge_), world_.limits.edge_session.max_rate,
                                  std::move(wake));
}

void SimEdge::LinkEnded(const absl::Status&, absl::Duration retry_after) {
  link_.reset();
  DialAfter(retry_after + absl::Milliseconds(world_.random.Spread(50, 10'000)));
}

void SimEdge::DialAfter(absl::Duration wait) {
  world_.time.After(wait, [this, dial = ++dials_] {
    if (dial != dials_ || !up() || disk().dead()) return;
    link_ = dial_(*this);
    if (link_ == nullptr) DialAfter(absl::Milliseconds(world_.random.Spread(500, 20'000)));
  });
}

void SimEdge::Produce() {
  if (!up() || disk().dead()) return;
  std::vector<std::shared_ptr<EmbeddedLog>> logs = WrittenHere();
  if (logs.empty()) return;
  EmbeddedLog& log = *world_.random.Pick(logs);
  if (world_.random.OneIn(2)) {
    ProduceNumbered(log);
  } else {
    ProduceOnce(log);
  }
}

void SimEdge::ProduceOnce(EmbeddedLog& log) {
  const uint64_t payload = world_.ledger.NextPayload();
  absl::Status queued = log.Append(
      MakeBatch(world_, payload), [this, log = &log, payload](const absl::StatusOr<Appended>& appended) {
        if (!appended.ok()) return;
        world_.ledger.Observe(shadow(), state(), *log);
        world_.ledger.Acknowledged(shadow(), name(), log->origin(), payload, appended->end.offset);
        Wrote(*log, payload);
      });
  if (!queued.ok()) world_.time.Trace("{}: batch {} refused: {}", name(), payload, Describe(queued));
}

SimEdge::Producer& SimEdge::ProducerOf(EmbeddedLog& log) {
  Producer& producer = producers_[{former_disks(), log.number()}];
  // A disk that is not what it was may have forgotten what it said, and a log that was adopted or branched
  // has begun anew at the core. So has a producer that was idle for too long.
  const bool same_disk = !shadow().set_back && !shadow().damaged && !shadow().lost_tail && !copying_;
  const bool idle = world_.time.now() - producer.last > kProducerIdleMax / 2;
  if (producer.id == 0 || producer.log != log.state().id || !same_disk || idle) {
    producer = Producer();
    producer.id = static_cast<int64_t>(world_.ledger.NextPayload());
    producer.log = log.state().id;
  }
  producer.last = world_.time.now();
  return producer;
}

std::vector<SimEdge::Producer::Sent>::iterator SimEdge::Producer::Head() {
  return std::find_if(sent.begin(), sent.end(), [](const Sent& one) { return !one.base; });
}

void SimEdge::ProduceNumbered(EmbeddedLog& log) {
  Producer& producer = ProducerOf(log);
  const auto head = producer.Head();
  if (head != producer.sent.begin() && world_.random.OneIn(4)) {
    // The answer was lost on its way, and it comes again.
    const auto acknowledged = static_cast<uint64_t>(head - producer.sent.begin());
    Send(log, producer.id, producer.sent[world_.random.Below(acknowledged)]);
  }
  if (SendMissing(log, producer)) return;
  for (uint64_t n = world_.random.Between(1, ProducerWindow::kBatches); n > 0; --n) {
    if (producer.sent.size() == ProducerWindow::kBatches) {
      if (!producer.sent.front().base) return;
      producer.sent.erase(producer.sent.begin());
    }
    SendNew(log, producer);
  }
}

bool SimEdge::SendMissing(EmbeddedLog& log, Producer& producer) {
  bool missing = false;
  for (Producer::Sent& sent : producer.sent) {
    if (sent.base || sent.under_way == boots()) continue;
    missing = true;
    Send(log, producer.id, sent);
  }
  return missing;
}

void SimEdge::SendNew(EmbeddedLog& log, Producer& producer) {
  const uint64_t payload = world_.ledger.NextPayload();
  std::string batch = MakeBatch(world_, payload);
  StoreBig<int64_t>(batch.data() + record_format::kProducerIdAt, producer.id);
  StoreBig<int16_t>(batch.data() + record_format::kProducerEpochAt, 0);
  StoreBig<int32_t>(batch.data() + record_format::kBaseSequenceAt, producer.next_sequence);
  StoreBig<uint32_t>(batch.data() + record_format::kCrcAt,
                     Crc32c(std::string_view(batch).substr(record_format::kAttributesAt)));
  producer.next_sequence += ParseBatchHeader(batch)->record_count;
  producer.sent.push_back({payload, std::move(batch)});
  Send(log, producer.id, producer.sent.back());
}

void SimEdge::Send(EmbeddedLog& log, int64_t producer, Producer::Sent& sent) {
  // Refused before it came to the log, as while a stream is being made.
  if (!sent.base && world_.random.OneIn(8)) {
    sent.under_way = 0;
    return;
  }
  const ProducerKey key(former_disks(), log.number());
  if (!sent.base) sent.under_way = boots();
  absl::Status queued = log.Append(
      std::string(sent.batch),
      [this, log = &log, key, producer, payload = sent.payload](const absl::StatusOr<Appended>& appended) {
        Answered(*log, key, producer, payload, appended);
      });
  if (queued.ok()) return;
  world_.time.Trace("{}: batch {} refused: {}", name(), sent.payload, Describe(queued));
  if (!sent.base) sent.under_way = 0;
}

/// `log` may be gone unless it was appended.
void SimEdge::Answered(EmbeddedLog& log, const ProducerKey& key, int64_t id, uint64_t payload,
                       const absl::StatusOr<Appended>& appended) {
  Producer& producer = producers_[key];
  const auto sent = std::find_if(producer.sent.begin(), producer.sent.end(),
                                 [&](const Producer::Sent& one) { return one.payload == payload; });
  if (producer.id != id || sent == producer.sent.end()) return;  // nobody waits for it any more
  if (!appended.ok()) return Refused(producer, *sent, appended.status());
  if (sent->base) {
    if (appended->duplicate && appended->base == *sent->base) return;
    return world_.time.Violate(fmt::format("{}: batch {} was acknowledged at {}, and again at {}", name(),
                                           payload, sent->base->value(), appended->base.value()));
  }
  sent->base = appended->base;
  const Offset end = appended->base + ParseBatchHeader(sent->batch)->record_count;
  world_.ledger.Observe(shadow(), state(), log);
  world_.ledger.Acknowledged(shadow(), name(), log.origin(), payload, end);
  if (!appended->duplicate) Wrote(log, payload);
}

void SimEdge::Refused(Producer& producer, Producer::Sent& sent, const absl::Status& why) {
  const std::string kind = ErrorKind(why);
  const bool out_of_order = kind == "out_of_order_sequence" || kind == "unknown_producer";
  // What follows a batch that was refused is refused as well. Before the first that is missing nothing is.
  const bool follows = !sent.base && sent.payload != producer.Head()->payload;
  if (kind == "stale_producer_epoch" || (out_of_order && !follows)) {
    world_.time.Violate(fmt::format("{}: batch {} follows what it followed, and is refused: {}", name(),
                                    sent.payload, Describe(why)));
  }
  if (!sent.base) sent.under_way = 0;
}

void SimEdge::MissTable(const std::string& table) {
  if (!world_.tables.random().OneIn(8)) return;
  auto created = edge_->tables().Create(SimTables::Definition(table));
  world_.time.Trace("{}: creates table {}: {}", name(), table,
                    created.ok() ? "ok" : Describe(created.status()));
}

void SimEdge::CreateStream(const v1::StreamDefinition& definition) {
  if (!up() || disk().dead()) return;
  auto created = edge_->CreateStream(definition);
  world_.time.Trace("{}: creates stream {}: {}", name(), definition.name(),
                    created.ok() ? "ok" : Describe(created.status()));
}

}  // namespace selvage::sim
