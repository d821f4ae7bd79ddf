#include <future>

#include "fabric/kafka/protocol/delete_topics.h"
#include "fabric/kafka/protocol/fetch.h"
#include "tests/support/eventually.h"
#include "tests/unit/kafka/handlers/handler_world.h"

namespace selvage::kafka::test {
namespace {

/// A client that keeps a session, as KIP-227 says.
class FetchSessionTest : public testing::Test {
 protected:
  FetchSessionTest() { world_.MakeTopic("t", 3); }

  static FetchRequest::Topic::Partition Asked(int32_t partition, int64_t offset) {
    FetchRequest::Topic::Partition asked;
    asked.partition = partition;
    asked.fetch_offset = offset;
    asked.partition_max_bytes = 1 << 20;
    return asked;
  }
  FetchResponse Fetch(std::vector<FetchRequest::Topic::Partition> partitions, int32_t max_wait_ms = 0,
                      int32_t max_bytes = INT32_MAX) {
    FetchRequest request;
    request.max_bytes = max_bytes;
    request.max_wait_ms = max_wait_ms;
    request.min_bytes = 1;
    request.session_id = id_;
    request.session_epoch = epoch_;
    if (!partitions.empty()) request.topics.push_back({"t", {}, std::move(partitions)});
    request.forgotten_topics_data = std::move(forgotten_);
    forgotten_.clear();
    FetchResponse response = world_.Ask<FetchResponse>(request);
    if (response.error_code == ErrorCode::kNone) {
      id_ = response.session_id;
      ++epoch_;
    }
    return response;
  }
  FetchResponse Begin() { return Fetch({Asked(0, 0), Asked(1, 0), Asked(2, 0)}); }
  static std::vector<int32_t> PartitionsOf(const FetchResponse& response) {
    std::vector<int32_t> partitions;
    for (const auto& topic : response.responses) {
      for (const auto& row : topic.partitions) partitions.push_back(row.partition_index);
    }
    return partitions;
  }

  HandlerWorld world_;
  int32_t id_ = 0;
  int32_t epoch_ = 0;
  std::vector<FetchRequest::ForgottenTopic> forgotten_;
};

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(FetchSessionTest, OnlyWhatHasNewsIsInTheAnswer) {
  EXPECT_THAT(PartitionsOf(Begin()), ElementsAre(0, 1, 2)) << "the first answer names every partition";
  EXPECT_NE(id_, 0);
  EXPECT_THAT(PartitionsOf(Fetch({})), IsEmpty());
  world_.Write("t", {"a"}, 1, 1);
  const FetchResponse news = Fetch({});
  EXPECT_THAT(PartitionsOf(news), ElementsAre(1));
  EXPECT_FALSE(news.responses[0].partitions[0].records.empty());
  EXPECT_THAT(PartitionsOf(Fetch({Asked(1, 1)})), IsEmpty()) << "it was read";
}

TEST_F(FetchSessionTest, WhatTheClientDidNotTakeIsSentAgain) {
  world_.Write("t", {"a"}, 1, 1);
  Begin();
  // It went back to where it had begun, which is where the session still stands: nothing changed for it to
  // name.
  EXPECT_THAT(PartitionsOf(Fetch({}, 60'000)), ElementsAre(1));
  EXPECT_THAT(PartitionsOf(Fetch({})), ElementsAre(1));
  EXPECT_THAT(PartitionsOf(Fetch({Asked(1, 1)})), IsEmpty());
}

TEST_F(FetchSessionTest, WhatGotNothingComesFirst) {
  for (int32_t partition : {0, 1, 2}) {
    for (int i = 0; i < 3; ++i) world_.Write("t", {std::string(900'000, 'x')}, 1, partition);
  }
  const auto read = [&](std::vector<FetchRequest::Topic::Partition> moved) {
    const FetchResponse response = Fetch(std::move(moved), 0, 1'000'000);
    std::vector<int32_t> with_records;
    for (const auto& row : response.responses.at(0).partitions) {
      if (!row.records.empty()) with_records.push_back(row.partition_index);
    }
    return with_records;
  };
  EXPECT_THAT(read({Asked(0, 0), Asked(1, 0), Asked(2, 0)}), ElementsAre(0));
  EXPECT_THAT(read({Asked(0, 1)}), ElementsAre(1));
  EXPECT_THAT(read({Asked(1, 1)}), ElementsAre(2));
  EXPECT_THAT(read({Asked(2, 1)}), ElementsAre(0));
}

TEST_F(FetchSessionTest, AWaitingSessionWakesForOnePartition) {
  Begin();
  auto waiting = std::async(std::launch::async, [&] { return Fetch({}, 60'000); });
  world_.Write("t", {"a"}, 1, 2);
  ASSERT_EQ(waiting.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_THAT(PartitionsOf(waiting.get()), ElementsAre(2));
}

TEST_F(FetchSessionTest, WhatComesBetweenTwoRequestsIsNotMissed) {
  Begin();
  for (int i = 0; i < 200; ++i) {
    // Written while the request is under way, or just before or after.
    auto writing = std::async(std::launch::async, [&] { world_.Write("t", {"a"}, 1, 0); });
    bool told = false;
    while (!told) {
      const FetchResponse response = Fetch({Asked(0, i)}, 20'000);
      told = !PartitionsOf(response).empty() && !response.responses[0].partitions[0].records.empty();
      ASSERT_TRUE(told || response.error_code == ErrorCode::kNone);
    }
    writing.get();
  }
}

TEST_F(FetchSessionTest, ForgottenPartitionsAreNotTold) {
  Begin();
  forgotten_.push_back({"t", {}, {1}});
  EXPECT_THAT(PartitionsOf(Fetch({})), IsEmpty());
  world_.Write("t", {"a"}, 1, 1);
  EXPECT_THAT(PartitionsOf(Fetch({})), IsEmpty());
  world_.Write("t", {"a"}, 1, 0);
  EXPECT_THAT(PartitionsOf(Fetch({})), ElementsAre(0));
}

TEST_F(FetchSessionTest, UnknownSessionsAndWrongEpochsAreRefused) {
  Begin();
  const int32_t id = id_, epoch = epoch_;
  id_ = id + 1;
  EXPECT_EQ(Fetch({}).error_code, ErrorCode::kFetchSessionIdNotFound);
  id_ = id;
  epoch_ = epoch + 1;
  EXPECT_EQ(Fetch({}).error_code, ErrorCode::kInvalidFetchSessionEpoch);
  epoch_ = epoch;
  EXPECT_EQ(Fetch({}).error_code, ErrorCode::kNone);
}

TEST_F(FetchSessionTest, AFinalRequestEndsTheSession) {
  Begin();
  EXPECT_EQ(world_.context().fetch_sessions.size(), 1u);
  epoch_ = -1;
  const FetchResponse last = Fetch({Asked(0, 0)});
  EXPECT_EQ(last.session_id, 0);
  EXPECT_THAT(PartitionsOf(last), ElementsAre(0));
  EXPECT_EQ(world_.context().fetch_sessions.size(), 0u);
}

TEST_F(FetchSessionTest, ATopicMadeAgainIsFound) {
  world_.Write("t", {"a"});
  Begin();
  Fetch({Asked(0, 1)});
  auto waiting = std::async(std::launch::async, [&] { return Fetch({}, 60'000); });
  DeleteTopicsRequest remove;
  remove.topics = {{"t", {}}};
  ASSERT_EQ(world_.Ask<DeleteTopicsResponse>(remove).responses.at(0).error_code, ErrorCode::kNone);
  ASSERT_EQ(waiting.wait_for(std::chrono::seconds(20)), std::future_status::ready) << "the deletion is told";
  EXPECT_EQ(waiting.get().responses.at(0).partitions.at(0).error_code, ErrorCode::kUnknownTopicOrPartition);
  world_.MakeTopic("t", 3);
  world_.Write("t", {"b"});
  EXPECT_TRUE(selvage::test::Eventually(absl::Seconds(20), [&] {
    const FetchResponse response = Fetch({Asked(0, 0)});
    return !response.responses.empty() && response.responses[0].topic == "t" &&
           !response.responses[0].partitions[0].records.empty();
  }));
}

/// A topic of which the log changes, as at the core when an edge gets another slot.
class MovingTopics : public Topics {
 public:
  absl::StatusOr<std::shared_ptr<Log>> FindForReading(const std::string&, int32_t) override {
    ++searches;
    return log;
  }
  uint64_t changes() const override { return changed; }
  std::vector<Topic> List() override { return {}; }
  absl::StatusOr<Topic> Find(const std::string&) override { return unneeded_; }
  absl::StatusOr<std::shared_ptr<Log>> FindForWriting(const std::string&, int32_t) override {
    return unneeded_;
  }
  absl::StatusOr<Topic> Create(v1::StreamDefinition, bool) override { return unneeded_; }
  absl::StatusOr<Topic> Set(const v1::SetStreamRequest&) override { return unneeded_; }
  absl::Status AddPartitions(const std::string&, int32_t, bool) override { return unneeded_; }
  absl::Status Delete(const std::string&) override { return unneeded_; }

  absl::StatusOr<std::shared_ptr<Log>> log = nullptr;
  uint64_t changed = 1;
  int searches = 0;

 private:
  const absl::Status unneeded_ = absl::UnimplementedError("not needed");
};

TEST_F(FetchSessionTest, ATopicThatMovedToAnotherLogIsFound) {
  world_.MakeTopic("moved", 1);
  world_.Write("t", {"a"});
  world_.Write("moved", {"b", "c"});
  MovingTopics topics;
  topics.log = world_.topics().FindForReading("t", 0).value();
  FetchSession session(1);
  FetchRequest request;
  request.topics.push_back({"rig.t", {}, {Asked(0, 0)}});
  session.Update(request);
  absl::Duration now;
  EXPECT_FALSE(session.ResolveAll(topics, now)) << "nothing is looked for any more";
  auto high_watermark = [&] {
    int64_t at = -1;
    session.ForEach(
        [&](FetchedPartition& partition) { at = partition.Read(1 << 20, true).row.high_watermark; });
    return at;
  };
  EXPECT_EQ(high_watermark(), 1);
  EXPECT_THAT(session.ready().Take(), testing::SizeIs(1));

  topics.log = world_.topics().FindForReading("moved", 0).value();
  ++topics.changed;
  now += FetchSession::kResolveEvery;
  EXPECT_FALSE(session.ResolveAll(topics, now));
  EXPECT_EQ(high_watermark(), 2);
  EXPECT_THAT(session.ready().Take(), testing::SizeIs(1)) << "there may be something to read";
}

TEST_F(FetchSessionTest, PartitionsAheadCostNothingUntilTheTopicsChange) {
  constexpr int kPartitions = 1000;
  MovingTopics topics;
  FetchSession session(1);
  FetchRequest request;
  auto& topic = request.topics.emplace_back(FetchRequest::Topic{"up", {}, {}});
  for (int32_t i = 0; i < kPartitions; ++i) topic.partitions.push_back(Asked(i, 0));
  session.Update(request);
  session.ready().Take();
  absl::Duration now;
  EXPECT_TRUE(session.ResolveAll(topics, now));
  EXPECT_EQ(topics.searches, kPartitions);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(session.ResolveAll(topics, now += FetchSession::kResolveEvery));
  EXPECT_EQ(topics.searches, kPartitions);
  EXPECT_TRUE(session.ready().empty());

  world_.Write("t", {"a"});
  topics.log = world_.topics().FindForReading("t", 0).value();
  ++topics.changed;
  EXPECT_FALSE(session.ResolveAll(topics, now += FetchSession::kResolveEvery));
  EXPECT_EQ(topics.searches, 2 * kPartitions);
  EXPECT_THAT(session.ready().Take(), testing::SizeIs(kPartitions));
}

TEST_F(FetchSessionTest, AnErrorIsLookedAtAgainWithoutAChange) {
  MovingTopics topics;
  topics.log = absl::DataLossError("held");
  FetchSession session(1);
  FetchRequest request;
  request.topics.push_back({"t", {}, {Asked(0, 0)}});
  session.Update(request);
  absl::Duration now;
  EXPECT_TRUE(session.ResolveAll(topics, now));
  session.ready().Take();
  topics.log = world_.topics().FindForReading("t", 0).value();
  EXPECT_FALSE(session.ResolveAll(topics, now += FetchSession::kResolveEvery));
  EXPECT_THAT(session.ready().Take(), testing::SizeIs(1));
}

}  // namespace
}  // namespace selvage::kafka::test
