#include "tests/simulation/sim_edge.h"

#include "edge/uplink.h"
#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"

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
  BatchBuilder builder;
  for (int i = 0; i < records; ++i) {
    builder.Add({Offset(0), static_cast<int64_t>(payload), std::nullopt, value.substr(0, room / records), {}});
  }
  return builder.Build();
}

SimEdge::SimEdge(Surroundings world, std::string name, Dial dial)
    : SimNode(world, std::move(name), /*is_edge=*/true), dial_(std::move(dial)) {}

absl::Status SimEdge::OpenLogic() {
  edge_ = std::make_unique<EdgeState>(state(), "simulated");
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
  link_->Vanish(SimLink::kEdge, silent ? absl::InfiniteDuration() : absl::Milliseconds(world_.random.Spread(1, 3'000)));
  link_.reset();
}

std::shared_ptr<replication::LinkHandler> SimEdge::MakeUplink(std::function<void()> wake) {
  return std::make_shared<Uplink>(*edge_, world_.limits.edge_session.max_rate, std::move(wake));
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
  std::vector<EmbeddedLog*> logs;
  for (EmbeddedLog* log : state().logs().Logs()) {
    if (log->origin().edge.empty() && !log->superseded()) logs.push_back(log);
  }
  if (logs.empty()) return;
  EmbeddedLog* log = world_.random.Pick(logs);
  const uint64_t payload = world_.ledger.NextPayload();
  absl::Status queued =
      log->Append(MakeBatch(world_, payload), [this, log, payload](const absl::StatusOr<Appended>& appended) {
        if (!appended.ok()) return;
        world_.ledger.Observe(shadow(), state(), *log);
        world_.ledger.Acknowledged(shadow(), name(), log->origin(), payload, appended->end.offset);
      });
  if (!queued.ok()) world_.time.Trace("{}: batch {} refused: {}", name(), payload, Describe(queued));
}

void SimEdge::CreateStream(const v1::StreamDefinition& definition) {
  if (!up() || disk().dead()) return;
  auto created = edge_->CreateStream(definition);
  world_.time.Trace("{}: creates stream {}: {}", name(), definition.name(),
                    created.ok() ? "ok" : Describe(created.status()));
}

}  // namespace selvage::sim
