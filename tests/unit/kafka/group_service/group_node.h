#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fabric/kafka/group_service/group_service.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/fetch_sessions.h"
#include "fabric/kafka/handlers/producer_ids.h"
#include "fabric/kafka/handlers/refused_batches.h"
#include "fabric/kafka/protocol/join_group.h"
#include "fabric/kafka/protocol/message.h"
#include "fabric/kafka/protocol/offset_commit.h"
#include "fabric/kafka/protocol/offset_fetch.h"
#include "fabric/kafka/protocol/sync_group.h"
#include "fabric/node/node_state.h"
#include "fabric/process/lazy_threads.h"
#include "fabric/storage/memory_store.h"
#include "tests/contract/log/log_node.h"
#include "tests/support/seeded_random.h"

namespace selvage::kafka::test {

/// A disk whose writes fail from some moment on.
class FailingStore : public MemoryStore {
 public:
  absl::Status Write(WriteBatch& batch, bool sync) override;
  bool fails = false;
};

/// Topics that only have a number of partitions.
class FixedTopics : public Topics {
 public:
  std::map<std::string, int32_t> partitions = {{"t", 4}};

  std::vector<Topic> List() override;
  absl::StatusOr<Topic> Find(const std::string& name) override;
  absl::StatusOr<std::shared_ptr<Log>> FindForReading(const std::string& topic, int32_t partition) override;
  uint64_t changes() const override { return 0; }
  absl::StatusOr<std::shared_ptr<Log>> FindForWriting(const std::string& topic, int32_t partition) override;
  absl::StatusOr<Topic> Create(v1::StreamDefinition definition, bool validate_only) override;
  absl::StatusOr<Topic> Set(const v1::SetStreamRequest& request) override;
  absl::Status AddPartitions(const std::string& name, int32_t count, bool validate_only) override;
  absl::Status Delete(const std::string& name) override;
};

/// A node in memory that serves group requests as the listener would, with a clock that the test moves and a
/// committer that runs when the test lets it.
class GroupNode {
 public:
  explicit GroupNode(group::Settings settings = {});

  /// A request on a connection of its own.
  template <class Response>
  struct Sent {
    std::unique_ptr<Call> call;
    int16_t version;
    std::optional<Response> response;
    bool ended = false;

    /// The connection is cut.
    void Close() { call->Close(); }
  };
  /// Begins a request, as its bytes, and lets everything happen that can.
  template <class Response, class Request>
  std::shared_ptr<Sent<Response>> Send(const Request& request, int16_t version) {
    auto sent = std::make_shared<Sent<Response>>();
    sent->version = version;
    Begin(
        FrameOf(request, version),
        [sent](std::string frame) {
          sent->ended = true;
          if (!frame.empty()) sent->response = Read<Response>(std::move(frame), sent->version);
        },
        sent->call);
    Pump();
    return sent;
  }
  /// The same for what is answered at once.
  template <class Response, class Request>
  Response Ask(const Request& request, int16_t version) {
    auto sent = Send<Response>(request, version);
    EXPECT_TRUE(sent->response) << "no answer";
    return sent->response.value_or(Response{});
  }

  /// Lets everything happen that can without time passing.
  void Pump();
  /// Lets time pass, from deadline to deadline.
  void Pass(absl::Duration time);
  /// The process ends; another one opens what the disk holds.
  void Restart();
  group::GroupDescription Describe(const std::string& group = "g") { return service->Describe(group); }

  /// Requests of a client of "g".
  static JoinGroupRequest Joining(const std::string& member_id = "");
  /// Joins and syncs so many; member ids, the leader's first. The assignment of each is "for <its id>".
  std::vector<std::string> FormGroup(size_t members);
  static OffsetCommitRequest Committing(int64_t offset, int32_t partition = 0);
  ErrorCode Commit(int64_t offset, int32_t partition = 0);
  int64_t Committed(int32_t partition = 0);

  FailingStore store;
  FakeClock clock;
  selvage::test::SeededRandom random{1};
  group::Settings settings;
  FixedTopics topics;
  Metrics metrics{"test"};
  FetchSessions sessions;
  boost::asio::io_context io;
  std::unique_ptr<NodeState> state;
  std::unique_ptr<GroupService> service;
  std::unique_ptr<ProducerIds> producer_ids;
  RefusedBatches refused_batches{clock};
  LazyThreads blocking{1};
  std::unique_ptr<Context> context;
  bool commits = true;  ///< whether the committer runs
  bool disk_failed = false;

 private:
  template <class Request>
  static std::string FrameOf(const Request& request, int16_t version) {
    const RequestHeader header{static_cast<int16_t>(Request::kApi), version, 7, "client"};
    const auto segments = EncodeRequest(header, request);
    std::string frame;
    for (const Bytes& segment : *segments) frame += segment.view();
    return frame.substr(4);
  }
  template <class Response>
  static Response Read(std::string frame, int16_t version) {
    Reader reader{Bytes(std::move(frame))};
    EXPECT_EQ(*DecodeResponseHeader(Response::kApi, version, reader), 7);
    auto response = Decode<Response>(reader, version);
    EXPECT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(reader.left(), 0u);
    return response.ok() ? *std::move(response) : Response{};
  }
  void Begin(std::string frame, std::function<void(std::string)> done, std::unique_ptr<Call>& call);
};

}  // namespace selvage::kafka::test
