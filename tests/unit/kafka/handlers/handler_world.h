#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edge/edge_topics.h"
#include "fabric/base/error.h"
#include "fabric/kafka/group_service/group_service.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/fetch_sessions.h"
#include "fabric/kafka/handlers/producer_ids.h"
#include "fabric/kafka/handlers/refused_batches.h"
#include "fabric/stream/record_batch.h"
#include "tests/support/damaged_store.h"
#include "tests/support/seeded_random.h"

namespace selvage::kafka::test {

/// An edge in memory that answers encoded requests through the served APIs, as the listener would.
class HandlerWorld {
 public:
  explicit HandlerWorld(Settings settings = DefaultSettings(), Committer::Options commit = {});
  ~HandlerWorld();

  static Settings DefaultSettings();
  NodeState& node() { return *node_; }
  EdgeState& edge() { return *edge_; }
  kafka::Topics& topics() { return *topics_; }
  Context& context() { return *context_; }
  Metrics& metrics() { return metrics_; }
  /// As after a crash: only what is in the store is left.
  void Restart();

  /// Makes the request and gives the response; a test failure and an empty response when there is none.
  template <class Response, class Request>
  Response Ask(const Request& request, int16_t version) {
    RequestHeader header{static_cast<int16_t>(Request::kApi), version, 7, "test"};
    auto frame = EncodeRequest(header, request);
    EXPECT_TRUE(frame.ok()) << frame.status();
    auto reply = Serve(*frame);
    EXPECT_TRUE(reply.ok()) << Describe(reply.status());
    if (!reply.ok() || !*reply) {
      ADD_FAILURE() << "no response";
      return Response();
    }
    Reader in(Bytes(Joined(**reply)));
    EXPECT_EQ(DecodeResponseHeader(Request::kApi, version, in).value(), 7);
    auto response = Decode<Response>(in, version);
    EXPECT_TRUE(response.ok()) << Describe(response.status());
    EXPECT_EQ(in.left(), 0u);
    return response.ok() ? *std::move(response) : Response();
  }
  /// The same in the newest version that is served.
  template <class Response, class Request>
  Response Ask(const Request& request) {
    return Ask<Response>(request, FindServed(static_cast<int16_t>(Request::kApi))->max);
  }
  /// A whole frame with its size.
  absl::StatusOr<Reply> Serve(const std::vector<Bytes>& frame);

  void MakeTopic(const std::string& name, int32_t partitions = 1, v1::Direction direction = v1::LOCAL);
  /// Writes one batch; its base offset.
  int64_t Write(const std::string& topic, const std::vector<std::string>& values,
                int64_t first_timestamp = 1000, int32_t partition = 0);
  Log& LogOf(const std::string& topic, int32_t partition = 0);
  /// As if its producers had been idle for long.
  absl::Status ForgetProducers(const std::string& topic, int32_t partition = 0);
  /// The store cannot read the entry that begins there any more. After it as Restart, so that no cache has
  /// it.
  void Damage(const std::string& topic, Offset base);

  /// The disk takes nothing any more.
  void FailWrites() { store_.FailWrites(); }
  /// The disk takes its time: nothing is written while this holds.
  void HoldWrites(bool held) { store_.Hold(held); }

  /// The bytes without the size in front.
  static std::string Joined(const std::vector<Bytes>& frame);

 private:
  void Start();
  void End();

  const Settings settings_;
  const Committer::Options commit_;
  Metrics metrics_{"test"};
  DamagedStore store_;
  selvage::test::SeededRandom random_{1};
  std::unique_ptr<NodeState> node_;
  std::unique_ptr<CommitterThread> committing_;
  std::unique_ptr<EdgeState> edge_;
  std::unique_ptr<EdgeAdmin> admin_;
  std::unique_ptr<EdgeTopics> topics_;
  std::unique_ptr<FetchSessions> fetch_sessions_;
  std::unique_ptr<GroupService> groups_;
  std::unique_ptr<ProducerIds> producer_ids_;
  std::unique_ptr<RefusedBatches> refused_batches_;
  std::unique_ptr<LazyThreads> blocking_;
  std::unique_ptr<Context> context_;
  std::unique_ptr<boost::asio::thread_pool> pool_;
};

/// A batch of records with these values and no keys, each a millisecond later than the one before.
std::string BatchOf(const std::vector<std::string>& values, int64_t first_timestamp = 1000);

}  // namespace selvage::kafka::test
