// What happens in the life of an edge, drawn by chance.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <span>

#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/stream/log_flow.h"
#include "fabric/stream/record_batch.h"
#include "fabric/stream/record_format.h"
#include "tests/fault/edge_life.h"

namespace selvage::test {
namespace {

constexpr size_t kStreamsMax = 8;
constexpr std::string_view kLineage = "lineage-of-core-";
constexpr GapReason kReasons[] = {GapReason::kDroppedForSpace, GapReason::kExpired, GapReason::kCorrupt,
                                  GapReason::kLostWithDisk, GapReason::kReplicaRegressed};

bool IsOwn(EmbeddedLog& log) {
  return log.origin().edge.empty() && !log.superseded();
}
bool IsReplica(EmbeddedLog& log) {
  return log.origin().edge == kCoreOrigin && !log.superseded();
}

Gap TailGap(const LogModel& log, Offset to, GapReason reason, int64_t now_ms) {
  Gap gap{.from = log.end(),
          .to = to,
          .reason = reason,
          .leader_epoch = log.identity().leader_epochs.back().first,
          .hash_after = {},
          .recorded_ms = now_ms};
  gap.hash_after = ChainGap(log.hash(), gap);
  return gap;
}

}  // namespace

absl::Status EdgeLife::Step() {
  static constexpr std::pair<int, StepMethod> kSteps[] = {
      {40, &EdgeLife::AppendSome},    {15, &EdgeLife::ReceiveSome},   {3, &EdgeLife::ReceiveRefused},
      {3, &EdgeLife::NoteGap},        {8, &EdgeLife::Trim},           {8, &EdgeLife::Maintain},
      {4, &EdgeLife::Reclaim},        {3, &EdgeLife::StartEpoch},     {8, &EdgeLife::AcknowledgeSome},
      {4, &EdgeLife::CreateStream},   {6, &EdgeLife::ApplySpec},      {4, &EdgeLife::OpenDownFlow},
      {5, &EdgeLife::Welcome},        {1, &EdgeLife::RestoredCore},   {2, &EdgeLife::Rebirth},
      {2, &EdgeLife::Alarm},          {2, &EdgeLife::RestartCleanly}, {8, &EdgeLife::SendAgain},
      {12, &EdgeLife::CommitOffsets}, {12, &EdgeLife::WriteRows},     {5, &EdgeLife::ReceiveRows},
      {3, &EdgeLife::FollowTable},
  };
  // What an empty store may do before it takes a replaced edge's place.
  static constexpr std::pair<int, StepMethod> kFirstSteps[] = {{2, &EdgeLife::CreateStream},
                                                               {1, &EdgeLife::ApplySpec},
                                                               {2, &EdgeLife::Welcome},
                                                               {1, &EdgeLife::OpenDownFlow}};
  const bool first = options_.replaces && edge_->MakeHello().empty();
  const std::span<const std::pair<int, StepMethod>> steps =
      first ? std::span<const std::pair<int, StepMethod>>(kFirstSteps) : kSteps;
  int all = 0;
  for (const auto& [weight, step] : steps) all += weight;
  int drawn = static_cast<int>(random_.Below(all));
  StepMethod chosen = nullptr;
  for (const auto& [weight, step] : steps) {
    if (drawn < weight && chosen == nullptr) chosen = step;
    drawn -= weight;
  }
  clock_.Advance(absl::Seconds(static_cast<int64_t>(random_.Below(100))));
  absl::Status status = (this->*chosen)();
  if (status.ok() && usable() && !options_.mixed_order) LetEngineRest();
  status.Update(std::exchange(wrong_answer_, absl::OkStatus()));
  return status;
}

void EdgeLife::CommitAll() {
  while (usable() && state_->committer().CommitOnce()) {
  }
}

std::vector<std::shared_ptr<EmbeddedLog>> EdgeLife::LogsWhere(
    const std::function<bool(EmbeddedLog&)>& wanted) {
  std::vector<std::shared_ptr<EmbeddedLog>> logs = state_->embedded_logs().Logs();
  std::erase_if(logs, [&](const std::shared_ptr<EmbeddedLog>& log) { return !wanted(*log); });
  return logs;
}

std::shared_ptr<EmbeddedLog> EdgeLife::OneOf(const std::vector<std::shared_ptr<EmbeddedLog>>& logs) {
  return logs.empty() ? nullptr : logs[random_.Below(logs.size())];
}

std::string EdgeLife::Batch() {
  BatchBuilder builder;
  const uint64_t records = random_.Between(1, 4);
  const int64_t now_ms = absl::ToUnixMillis(clock_.Wall());
  for (uint64_t i = 0; i < records; ++i) {
    // Beyond 4096 bytes a value goes into a blob file.
    const size_t size = random_.Chance(0.35) ? random_.Between(2000, 12000) : random_.Below(300);
    builder.Add({Offset(0), now_ms, std::nullopt, random_.Bytes(size), {}});
  }
  return builder.Build();
}

/// The next batch of the producer that writes to this log; of another one where nothing is left of the
/// former's.
std::string EdgeLife::BatchOfProducer(LogNumber number) {
  std::string batch = Batch();
  const std::vector<Entry> sent = LastOfProducer(number);
  if (sent.empty()) producers_[number] = ++last_producer_;
  int32_t sequence = 0;
  if (!sent.empty()) {
    const auto last = ParseBatchHeader(sent.back().body.view());
    sequence = last->base_sequence + last->record_count;
  }
  StoreBig<int64_t>(batch.data() + record_format::kProducerIdAt, producers_[number]);
  StoreBig<int16_t>(batch.data() + record_format::kProducerEpochAt, 0);
  StoreBig<int32_t>(batch.data() + record_format::kBaseSequenceAt, sequence);
  StoreBig<uint32_t>(batch.data() + record_format::kCrcAt,
                     Crc32c(std::string_view(batch).substr(record_format::kAttributesAt)));
  return batch;
}

/// What it may send again: its last five batches, as far as the log holds them.
std::vector<Entry> EdgeLife::LastOfProducer(LogNumber number) {
  const auto producer = producers_.find(number);
  if (producer == producers_.end()) return {};
  std::vector<Entry> sent = logs_.at(number).BatchesOf(producer->second);
  if (sent.size() > ProducerWindow::kBatches) sent.erase(sent.begin(), sent.end() - ProducerWindow::kBatches);
  return sent;
}

absl::Status EdgeLife::SendAgain() {
  const std::shared_ptr<EmbeddedLog> log = OneOf(LogsWhere(IsOwn));
  if (log == nullptr) return absl::OkStatus();
  const std::vector<Entry> sent = LastOfProducer(log->number());
  if (sent.empty()) return absl::OkStatus();
  SELVAGE_RETURN_IF_ERROR(SendAgain(*log, sent[random_.Below(sent.size())]));
  if (random_.Chance(0.5)) CommitAll();
  return absl::OkStatus();
}

absl::Status EdgeLife::SendAgain(EmbeddedLog& log, const Entry& sent) {
  const auto done = [this, base = sent.from](const absl::StatusOr<Appended>& appended) {
    if (appended.ok() && appended->duplicate && appended->base == base) return;
    const std::string kind = ErrorKind(appended.status());
    if (!usable() || kind == "stopping" || kind == "unknown_stream") return;
    wrong_answer_.Update(
        absl::DataLossError(fmt::format("the batch at {} was sent again and {}", base.value(),
                                        appended.ok() ? fmt::format("stored at {}", appended->base.value())
                                                      : std::string(appended.status().message()))));
  };
  return Excuse(log.Append(std::string(sent.body.view()), done), "an append");
}

absl::Status EdgeLife::CheckProducers() {
  for (const std::shared_ptr<EmbeddedLog>& log : LogsWhere(IsOwn)) {
    for (const Entry& sent : LastOfProducer(log->number())) SELVAGE_RETURN_IF_ERROR(SendAgain(*log, sent));
  }
  CommitAll();
  return std::exchange(wrong_answer_, absl::OkStatus());
}

AppendDone EdgeLife::Answer(LogNumber number) {
  return [this, number](const absl::StatusOr<LogPosition>& answer) {
    acknowledged_writes_ += answer.ok();
    const std::string kind = ErrorKind(answer.status());
    const bool excused = answer.ok() || kind == "unknown_stream" || kind == "stopping";
    if (!excused && usable()) wrong_answer_.Update(Annotate(answer.status(), "an append on a good disk"));
    // Where the log was deleted, nobody waits any more.
    if (auto log = logs_.find(number); log != logs_.end()) wrong_answer_.Update(log->second.Answered(answer));
  };
}

absl::Status EdgeLife::AppendSome() {
  const auto logs = LogsWhere(IsOwn);
  if (logs.empty()) return CreateStream();
  for (uint64_t left = random_.Between(1, 6); left > 0; --left) {
    EmbeddedLog& log = *OneOf(logs);
    LogModel& model = logs_.at(log.number());
    std::string batch = random_.Chance(0.5) ? BatchOfProducer(log.number()) : Batch();
    std::string stamped = batch;
    StampBatch(stamped.data(), model.end(), model.identity().leader_epochs.back().first);
    const absl::Status queued = log.Append(
        std::move(batch), [answer = Answer(log.number())](const absl::StatusOr<Appended>& appended) {
          answer(appended.ok() ? absl::StatusOr<LogPosition>(appended->end) : appended.status());
        });
    if (!queued.ok()) return Excuse(queued, "append");
    model.SubmitBatch(std::move(stamped));
  }
  // What is left in the queue goes into the group of the next step.
  if (random_.Chance(0.8)) CommitAll();
  return absl::OkStatus();
}

absl::Status EdgeLife::ReceiveSome() {
  const std::shared_ptr<EmbeddedLog> log = OneOf(LogsWhere(IsReplica));
  if (log == nullptr) return OpenDownFlow();
  LogModel& model = logs_.at(log->number());
  LeaderEpoch epoch = model.identity().leader_epochs.back().first;
  for (uint64_t left = random_.Between(1, 6); left > 0; --left) {
    FlowEntry entry{.kind = EntryKind::kBatch, .from = model.end(), .to = {}, .body = {}};
    std::string body;
    std::optional<Gap> gap;
    if (random_.Chance(0.10)) {
      gap = TailGap(model, model.end() + static_cast<int64_t>(random_.Between(1, 50)),
                    kReasons[random_.Below(5)], 7);
      gap->leader_epoch = epoch;
      gap->hash_after = ChainGap(model.hash(), *gap);
      entry.kind = EntryKind::kGap;
      entry.to = gap->to;
      body = EncodeGap(*gap);
    } else {
      if (random_.Chance(0.10)) epoch = epoch + 1;
      body = Batch();
      StampBatch(body.data(), model.end(), epoch);
      entry.to = ParseBatchHeader(body)->next_offset();
    }
    entry.body = Bytes(body);
    const absl::Status queued = log->AppendReplica(
        std::move(entry), {std::string(kCoreOrigin), SessionEpoch(session_)}, Answer(log->number()));
    if (!queued.ok()) return Excuse(queued, "a replica's append");
    if (gap) {
      model.SubmitGap(*gap);
    } else {
      model.SubmitBatch(std::move(body));
    }
  }
  CommitAll();
  return absl::OkStatus();
}

absl::Status EdgeLife::ReceiveRefused() {
  const std::shared_ptr<EmbeddedLog> log = OneOf(LogsWhere(IsReplica));
  if (log == nullptr) return absl::OkStatus();
  CommitAll();
  if (!usable()) return absl::OkStatus();
  const LogModel& model = logs_.at(log->number());
  const bool stale = random_.Chance(0.50);
  const Offset from = stale ? model.end() : model.end() + 3;
  std::string body = Batch();
  StampBatch(body.data(), from, model.identity().leader_epochs.back().first);
  const Offset to = ParseBatchHeader(body)->next_offset();
  // It may come when the store closes, long after this step.
  const auto answer = std::make_shared<std::string>();
  const absl::Status queued = log->AppendReplica(
      {.kind = EntryKind::kBatch, .from = from, .to = to, .body = Bytes(std::move(body))},
      {std::string(kCoreOrigin), SessionEpoch(stale ? session_ - 1 : session_)},
      [answer](const absl::StatusOr<LogPosition>& position) { *answer = ErrorKind(position.status()); });
  SELVAGE_RETURN_IF_ERROR(Excuse(queued, "a replica's append"));
  CommitAll();
  const std::string expected = stale ? "stale_session" : "out_of_sequence";
  if (!usable() || *answer == expected) return absl::OkStatus();
  return absl::DataLossError(
      fmt::format("an append that must be refused as {} got \"{}\"", expected, *answer));
}

absl::Status EdgeLife::NoteGap() {
  const std::shared_ptr<EmbeddedLog> log = OneOf(LogsWhere(IsOwn));
  if (log == nullptr) return absl::OkStatus();
  LogModel& model = logs_.at(log->number());
  const Gap gap = TailGap(model, model.end() + static_cast<int64_t>(random_.Between(1, 50)),
                          kReasons[random_.Below(5)], absl::ToUnixMillis(clock_.Wall()));
  const absl::Status queued = log->AppendGap(gap.to, gap.reason, Answer(log->number()));
  if (!queued.ok()) return Excuse(queued, "a gap");
  model.SubmitGap(gap);
  CommitAll();
  return absl::OkStatus();
}

absl::Status EdgeLife::Trim() {
  const std::shared_ptr<EmbeddedLog> log =
      OneOf(LogsWhere([&](EmbeddedLog& l) { return l.state().end > l.state().start; }));
  if (log == nullptr) return absl::OkStatus();
  LogModel& model = logs_.at(log->number());
  const int64_t start = model.start().value();
  const int64_t end = log->state().end.value();
  const Offset to(static_cast<int64_t>(random_.Between(start, end)));
  std::optional<Offset> gap_from;
  if (random_.Chance(0.50)) gap_from = Offset(static_cast<int64_t>(random_.Between(start, end)));
  model.MayTrim(to, gap_from);
  const absl::Status trimmed = log->Trim(to, gap_from, kReasons[random_.Below(5)]);
  if (!trimmed.ok()) return Excuse(trimmed, "trim");
  return Excuse(model.Check(*log, random_.Between(1, 40'000)), "reading after a trim");
}

void EdgeLife::MayBeTrimmedByPolicy(EmbeddedLog& log) {
  const auto definition = state_->catalog().Find(log.origin().stream);
  if (!definition) return;
  const LogState state = log.state();
  const Offset acknowledged = std::max(state.start, log.acknowledged().value_or(Offset(0)));
  LogModel& model = logs_.at(log.number());
  if (!state_->places().ReplicatedFromHere(log.origin(), *definition)) {
    model.MayTrim(state.end, std::nullopt);
  } else if (definition->settings().on_full() == v1::DROP_OLDEST) {
    model.MayTrim(state.end, acknowledged);
  } else {
    model.MayTrim(acknowledged, std::nullopt);
  }
}

absl::Status EdgeLife::Maintain() {
  CommitAll();
  if (!usable()) return absl::OkStatus();
  for (const std::shared_ptr<EmbeddedLog>& log : state_->embedded_logs().Logs()) MayBeTrimmedByPolicy(*log);
  const absl::Status done = state_->maintenance().RunOnce();
  if (!done.ok()) return Excuse(done, "maintenance");
  SELVAGE_RETURN_IF_ERROR(CheckAll());
  if (!usable()) return absl::OkStatus();
  for (auto& [number, log] : logs_) log.AcknowledgementStored();
  RecordEnds();
  return absl::OkStatus();
}

absl::Status EdgeLife::Reclaim() {
  const std::shared_ptr<EmbeddedLog> log = OneOf(state_->embedded_logs().Logs());
  if (log == nullptr) return absl::OkStatus();
  SELVAGE_RETURN_IF_ERROR(Excuse(state_->maintenance().MaybeReclaim(), "reclaim"));
  return Excuse(store_->Reclaim(Family::kLog, LogKey(log->number(), Offset(0)),
                                LogKey(log->number(), log->state().start)),
                "reclaim");
}

absl::Status EdgeLife::StartEpoch() {
  const std::shared_ptr<EmbeddedLog> log = OneOf(LogsWhere(IsOwn));
  if (log == nullptr) return absl::OkStatus();
  LogModel& model = logs_.at(log->number());
  LogModel::Identity identity = model.identity();
  const LeaderEpoch epoch = identity.leader_epochs.back().first + 1;
  std::erase_if(identity.leader_epochs, [&](const auto& known) { return known.second > model.end(); });
  identity.leader_epochs.emplace_back(epoch, model.end());
  model.MayBecome(std::move(identity));
  const absl::Status started = log->StartLeaderEpoch(epoch);
  if (started.ok()) model.Became();
  return Excuse(started, "a new leader epoch");
}

absl::Status EdgeLife::AcknowledgeSome() {
  for (const std::shared_ptr<EmbeddedLog>& log : LogsWhere(IsOwn)) {
    LogModel& model = logs_.at(log->number());
    if (model.sure().empty() || random_.Chance(0.50)) continue;
    const Offset upto = model.sure()[random_.Below(model.sure().size())].to;
    if (upto <= log->acknowledged().value_or(Offset(-1))) continue;
    model.Acknowledge(upto);
    log->SetAcknowledged(upto);
  }
  if (random_.Chance(0.50)) return absl::OkStatus();
  const absl::Status flushed = state_->embedded_logs().FlushAcknowledged();
  if (!flushed.ok()) return Excuse(flushed, "storing acknowledgements");
  for (auto& [number, log] : logs_) log.AcknowledgementStored();
  return absl::OkStatus();
}

v1::StreamDefinition EdgeLife::NewDefinition(const std::string& name, v1::Direction direction) {
  v1::StreamDefinition definition;
  definition.set_name(name);
  definition.set_direction(direction);
  definition.set_partitions(static_cast<int32_t>(random_.Between(1, 3)));
  v1::StreamSettings& settings = *definition.mutable_settings();
  if (random_.Chance(0.50))
    settings.set_retention_ms(static_cast<int64_t>(random_.Between(1'000, 1'000'000)));
  if (random_.Chance(0.50))
    settings.set_retention_bytes(static_cast<int64_t>(random_.Between(1'000, 100'000)));
  settings.set_on_full(random_.Chance(0.50) ? v1::DROP_OLDEST : v1::REJECT);
  settings.set_keep_after_ack(random_.Chance(0.50));
  return *CompleteDefinition(std::move(definition));
}

absl::Status EdgeLife::CreateStream() {
  if (catalog_.size() >= kStreamsMax) return absl::OkStatus();
  const v1::StreamDefinition definition =
      NewDefinition(fmt::format("s{}", ++names_), random_.Chance(0.70) ? v1::UP : v1::LOCAL);
  Intent intent{.what = "creating a stream",
                .run = [=, this] { return edge_->CreateStream(definition).status(); }};
  intent.catalog[definition.name()] = definition.SerializeAsString();
  return Run(std::move(intent));
}

absl::Status EdgeLife::ApplySpec() {
  v1::EdgeSpec spec;
  Intent intent{.what = "a spec", .run = {}, .repeats = true};
  spec.set_generation(++generation_);
  intent.spec_generation = generation_;
  for (const v1::StreamDefinition& known : state_->catalog().All()) {
    if (known.direction() == v1::LOCAL) continue;
    if (random_.Chance(0.15)) {
      if (known.generation() > 0) intent.catalog[known.name()] = std::nullopt;
      continue;
    }
    v1::StreamDefinition& wanted = *spec.add_streams();
    wanted = known;
    if (known.generation() == 0 || random_.Chance(0.30)) {
      const int32_t partitions = known.partitions();
      wanted = NewDefinition(known.name(), known.direction());
      wanted.set_partitions(partitions);
      wanted.set_generation(generation_);
      wanted.set_created(known.created());
      if (known.created() == 0 || random_.Chance(0.2)) wanted.set_created(generation_);
      if (known.created() != 0 && known.created() != wanted.created()) intent.anew.insert(known.name());
    }
    intent.catalog[known.name()] = wanted.SerializeAsString();
  }
  if (catalog_.size() < kStreamsMax) {
    v1::StreamDefinition& wanted = *spec.add_streams();
    // Now and then a stream that was deleted is made again.
    const int name =
        random_.Chance(0.50) && names_ > 0 ? static_cast<int>(random_.Between(1, names_)) : ++names_;
    wanted = NewDefinition(fmt::format("s{}", name), v1::UP);
    wanted.set_generation(generation_);
    wanted.set_created(generation_);
    if (catalog_.contains(wanted.name())) {
      spec.mutable_streams()->RemoveLast();
    } else {
      intent.catalog[wanted.name()] = wanted.SerializeAsString();
    }
  }
  intent.run = [=, this] { return edge_->ApplySpec(spec).status(); };
  return Run(std::move(intent));
}

absl::Status EdgeLife::OpenDownFlow() {
  const std::string name = fmt::format("down{}", random_.Below(2));
  auto known = state_->catalog().Find(name);
  if (known && random_.Chance(0.70)) return absl::OkStatus();
  v1::StreamDefinition definition = known ? *known : NewDefinition(name, v1::DOWN);
  if (!known) definition.set_generation(++generation_);
  const CreateLog create{
      .origin = {std::string(kCoreOrigin), Slot(0), name,
                 PartitionId(static_cast<int32_t>(random_.Below(definition.partitions())))},
      .id = LogId::Mint(random_),
      .base = Offset(static_cast<int64_t>(random_.Below(100))),
      .base_hash = ChainHash(random_.Next()),
      .leader_epoch = LeaderEpoch(0)};
  Intent intent{.what = "a flow from the core", .run = [=, this] {
                  if (!known) SELVAGE_RETURN_IF_ERROR(state_->catalog().Put(definition));
                  return state_->logs().Create(create).status();
                }};
  intent.catalog[name] = definition.SerializeAsString();
  return Run(std::move(intent));
}

void EdgeLife::AddAdoptions(v1::Welcome& welcome, Intent& intent) {
  std::vector<LogOrigin> places;
  for (const std::shared_ptr<EmbeddedLog>& log : LogsWhere(IsOwn)) {
    const auto definition = state_->catalog().Find(log->origin().stream);
    if (definition && definition->direction() == v1::UP) places.push_back(log->origin());
  }
  // A stream of the former disk, of which this one has not heard yet.
  places.push_back({"", Slot(0), fmt::format("s{}", ++names_), PartitionId(0)});
  for (const LogOrigin& place : places) {
    const LogPosition at{LogId::Mint(random_), Offset(static_cast<int64_t>(random_.Below(1000))),
                         ChainHash(random_.Next())};
    const LeaderEpoch epoch(static_cast<int32_t>(random_.Between(1, 9)));
    v1::Adoption& adoption = *welcome.add_adoptions();
    adoption.set_stream(place.stream);
    adoption.set_partition(place.partition.value());
    *adoption.mutable_position() = ToProto(at);
    adoption.set_leader_epoch(epoch.value());
    intent.takes_over.emplace_back(place, at.log);
    if (const std::shared_ptr<EmbeddedLog> log = state_->embedded_logs().FindEmbedded(place);
        log != nullptr && log->state().end <= at.offset) {
      intent.becomes[log->number()] = {at.log, at.offset, at.hash, {{epoch, at.offset}}};
    }
  }
}

absl::Status EdgeLife::Welcome() {
  CommitAll();
  if (!usable()) return absl::OkStatus();
  v1::Welcome welcome;
  welcome.set_core("core");
  welcome.set_cluster_id("the-only-cluster");
  const std::string lineage = membership_.lineage_id();
  welcome.set_lineage_id(lineage.empty() ? std::string(kLineage) + "1" : lineage);
  welcome.set_slot(membership_.has_slot() ? membership_.slot() : static_cast<uint32_t>(random_.Below(100)));
  welcome.set_session_epoch(membership_.session_epoch() + 1);
  Intent intent{.what = "a welcome", .run = {}, .repeats = true};
  if (lineage.empty()) intent.spec_generation = 0;
  if (edge_->MakeHello().empty()) {
    intent.what = "an adoption";
    AddAdoptions(welcome, intent);
  }
  v1::StoredMembership after = membership_;
  after.set_cluster_id(welcome.cluster_id());
  after.set_lineage_id(welcome.lineage_id());
  after.set_has_slot(true);
  after.set_slot(welcome.slot());
  after.set_session_epoch(welcome.session_epoch());
  after.clear_forked_from();
  intent.membership = after;
  intent.run = [=, this] { return edge_->TakeWelcome(welcome); };
  return Run(std::move(intent));
}

absl::Status EdgeLife::RestoredCore() {
  if (membership_.lineage_id().empty()) return absl::OkStatus();
  v1::Welcome welcome;
  welcome.set_core("core");
  welcome.set_cluster_id(membership_.cluster_id());
  welcome.set_lineage_id(fmt::format("{}{}", kLineage, random_.Next()));
  welcome.set_slot(membership_.slot());
  welcome.set_session_epoch(membership_.session_epoch() + 1);
  Intent intent{.what = "a restored core", .spec_generation = 0, .run = {}, .repeats = true};
  for (v1::StreamDefinition& definition : state_->catalog().All()) {
    if (definition.generation() != 0) definition.set_created(0);
    definition.set_generation(0);
    intent.catalog[definition.name()] = definition.SerializeAsString();
  }
  intent.acknowledges_nothing = true;
  v1::StoredMembership after = membership_;
  after.set_lineage_id(welcome.lineage_id());
  after.set_has_slot(true);
  after.set_session_epoch(welcome.session_epoch());
  after.clear_forked_from();
  intent.membership = after;
  intent.run = [=, this] { return edge_->TakeWelcome(welcome); };
  return Run(std::move(intent));
}

absl::Status EdgeLife::Rebirth() {
  if (membership_.cluster_id().empty()) return absl::OkStatus();
  CommitAll();
  if (!usable()) return absl::OkStatus();
  Intent intent{.what = "a rebirth", .new_store_id = true, .run = {}};
  std::vector<LogStore::Branching> forks;
  for (const auto& source : edge_->UpFlows()) {
    Log& log = source->log();
    LogModel& model = logs_.at(log.number());
    LogPosition from = log.state().position();
    if (!model.sure().empty()) {
      const Entry& entry = model.sure()[random_.Below(model.sure().size())];
      from = {from.log, entry.to, entry.hash_after};
    }
    const LogId id = LogId::Mint(random_);
    forks.push_back({source->shared_log(), id, from});
    intent.becomes[log.number()] = {id, from.offset, from.hash, model.identity().leader_epochs};
    model.Acknowledge(from.offset);
    intent.takes_over.emplace_back(log.origin(), id);
  }
  v1::StoredMembership after = membership_;
  after.set_forked_from(store_id_.bytes());
  after.set_has_slot(false);
  intent.membership = after;
  intent.run = [=, this] { return edge_->Rebirth(forks, edge_->flow_changes()); };
  return Run(std::move(intent));
}

absl::Status EdgeLife::Alarm() {
  const std::string subject = fmt::format("s{}/0", random_.Between(1, 3));
  if (random_.Chance(0.30)) {
    state_->alarms().Clear("flow_held", subject);
  } else {
    state_->alarms().Report(
        {"flow_held", subject, fmt::format("for the {}th time", random_.Below(1000)), "", false});
  }
  return absl::OkStatus();
}

absl::Status EdgeLife::CommitOffsets() {
  for (uint64_t left = random_.Between(1, 4); left > 0; --left) {
    const CommitModel::Place place{fmt::format("group{}", random_.Below(3)),
                                   {"topic", static_cast<int32_t>(random_.Below(3))}};
    const int64_t offset = committed_.Submit(place);
    const std::string metadata = random_.Bytes(random_.Below(200));
    groups_->Commit(
        {place.group, "", std::nullopt, -1, {{place.at, offset, -1, metadata}}},
        [this, place, offset](const kafka::group::CommitAnswer& answer) {
          if (answer.partitions[0] == kafka::ErrorCode::kNone) {
            ++acknowledged_writes_;
            return committed_.Acknowledged(place, offset);
          }
          if (usable() && running()) {
            wrong_answer_.Update(absl::InternalError("a commit of an offset failed on a good disk"));
          }
        });
  }
  if (random_.Chance(0.8)) CommitAll();
  return absl::OkStatus();
}

absl::Status EdgeLife::RestartCleanly() {
  CommitAll();
  if (!usable()) return absl::OkStatus();
  Close();
  const absl::Status opened = Open();
  if (!opened.ok()) return Excuse(opened, "a restart");
  return CheckRecovered();
}

}  // namespace selvage::test
