#include "tests/unit/kafka/handlers/handler_world.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <future>

#include "fabric/base/check.h"
#include "fabric/kafka/protocol/produce.h"
#include "fabric/stream/log_format.h"
#include "fabric/telemetry/log.h"

namespace selvage::kafka::test {

std::string BatchOf(const std::vector<std::string>& values, int64_t first_timestamp) {
  BatchBuilder builder;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto number = static_cast<int64_t>(i);
    builder.Add({Offset(number), first_timestamp + number, std::nullopt, values[i], {}});
  }
  return builder.Build();
}

Settings HandlerWorld::DefaultSettings() {
  Settings settings;
  settings.host = "127.0.0.1";
  settings.port = 9092;
  settings.cluster_id = "cluster";
  return settings;
}

HandlerWorld::HandlerWorld(Settings settings, Committer::Options commit)
    : settings_(std::move(settings)), commit_(std::move(commit)) {
  ConfigureLog({.level = LogLevel::kError});
  Start();
}

HandlerWorld::~HandlerWorld() {
  End();
}

void HandlerWorld::Start() {
  NodeState::Options options;
  options.node = "rig";
  options.commit = commit_;
  node_ = std::make_unique<NodeState>(options, store_, SystemClock(), random_);
  committing_ = std::make_unique<CommitterThread>(node_->committer());
  SELVAGE_CHECK(node_->Open({}).ok());
  edge_ = std::make_unique<EdgeState>(*node_, "test");
  SELVAGE_CHECK(edge_->Open({}).ok());
  admin_ = std::make_unique<EdgeAdmin>(*edge_, [] { return LinkView(); });
  topics_ = std::make_unique<EdgeTopics>(*admin_, v1::LOCAL);
  fetch_sessions_ = std::make_unique<FetchSessions>();
  groups_ = std::make_unique<GroupService>(*node_);
  SELVAGE_CHECK(groups_->Open().ok());
  producer_ids_ = std::make_unique<ProducerIds>(*node_);
  refused_batches_ = std::make_unique<RefusedBatches>(SystemClock());
  blocking_ = std::make_unique<LazyThreads>(1);
  pool_ = std::make_unique<boost::asio::thread_pool>(1);
  context_.reset(new Context{settings_, *topics_, *node_, metrics_, *fetch_sessions_, *groups_,
                             *producer_ids_, *refused_batches_, *blocking_});
}

void HandlerWorld::End() {
  pool_->join();
  blocking_->Join();
  fetch_sessions_.reset();
  groups_.reset();
  committing_.reset();
  topics_.reset();
  admin_.reset();
  edge_.reset();
  node_.reset();
}

void HandlerWorld::Restart() {
  End();
  Start();
}

std::string HandlerWorld::Joined(const std::vector<Bytes>& frame) {
  std::string bytes;
  for (const Bytes& segment : frame) bytes += segment.view();
  return bytes.substr(4);
}

absl::StatusOr<Reply> HandlerWorld::Serve(const std::vector<Bytes>& frame) {
  Reader reader(Bytes(Joined(frame)));
  SELVAGE_ASSIGN_OR_RETURN(RequestHeader header, DecodeRequestHeader(reader));
  const ServedApi* served = FindServed(header.api_key);
  SELVAGE_CHECK(served != nullptr);
  const boost::asio::any_io_executor strand = boost::asio::make_strand(*pool_);
  Call call(strand, std::move(header), "/127.0.0.1");
  std::promise<absl::StatusOr<Reply>> answered;
  boost::asio::co_spawn(
      strand,
      [&]() -> Awaitable<void> { answered.set_value(co_await served->serve(*context_, call, reader)); },
      boost::asio::detached);
  absl::StatusOr<Reply> reply = answered.get_future().get();
  // The coroutine's frame refers to what is here until it has ended.
  std::promise<void> ended;
  boost::asio::post(strand, [&ended] { ended.set_value(); });
  ended.get_future().wait();
  return reply;
}

void HandlerWorld::MakeTopic(const std::string& name, int32_t partitions, v1::Direction direction) {
  v1::StreamDefinition definition;
  definition.set_name(name);
  definition.set_partitions(partitions);
  definition.set_direction(direction);
  const auto made = topics_->Create(std::move(definition), /*validate_only=*/false);
  ASSERT_TRUE(made.ok()) << Describe(made.status());
}

int64_t HandlerWorld::Write(const std::string& topic, const std::vector<std::string>& values,
                            int64_t first_timestamp, int32_t partition) {
  ProduceRequest request;
  request.acks = -1;
  request.topic_data.push_back({topic, {{partition, Bytes(BatchOf(values, first_timestamp))}}});
  const auto response = Ask<ProduceResponse>(request);
  const auto& row = response.responses.at(0).partition_responses.at(0);
  EXPECT_EQ(row.error_code, ErrorCode::kNone) << row.error_message.value_or("");
  return row.base_offset;
}

Log& HandlerWorld::LogOf(const std::string& topic, int32_t partition) {
  return *topics_->FindForReading(topic, partition).value();
}

absl::Status HandlerWorld::ForgetProducers(const std::string& topic, int32_t partition) {
  return node_->embedded_logs()
      .FindEmbedded(LogOf(topic, partition).number())
      ->ForgetIdleProducers(INT64_MAX);
}

void HandlerWorld::Damage(const std::string& topic, Offset base) {
  store_.Damage(Family::kLog, LogKey(LogOf(topic).number(), base));
  Restart();
}

}  // namespace selvage::kafka::test
