#include "fabric/link/chunk_flows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/link/link.h"
#include "fabric/stream/stream_catalog.h"
#include "tests/contract/log/log_node.h"
#include "tests/unit/model/model_samples.h"

namespace selvage {
namespace {

using model::Digest;
using replication::Session;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// What a core gives, in memory.
class MemoryPieces : public model::ModelPieces {
 public:
  absl::StatusOr<v1::ModelSigned> Document(const Digest& manifest) const override {
    const auto found = documents.find(manifest);
    if (found != documents.end()) return found->second;
    return MakeError(absl::StatusCode::kNotFound, "unknown_model", "there is no such model");
  }
  absl::StatusOr<std::string> ReadChunk(const Digest& chunk) override {
    const auto found = chunks.find(chunk);
    if (found != chunks.end()) return found->second;
    return MakeError(absl::StatusCode::kNotFound, "unknown_chunk", "there is no such chunk");
  }
  /// A version with these chunks.
  Digest Add(uint64_t version, const std::vector<std::string>& contents) {
    v1::ModelSigned document;
    document.set_payload(model::samples::ManifestOf(version, contents).SerializeAsString());
    const Digest manifest = Digest::Of(document.payload());
    documents[manifest] = document;
    for (const std::string& content : contents) chunks[Digest::Of(content)] = content;
    return manifest;
  }

  std::map<Digest, v1::ModelSigned> documents;
  std::map<Digest, std::string> chunks;
};

/// Both ends of a link with nothing but models: the edge asks, the core answers.
class ChunkFlowsTest : public ::testing::Test {
 protected:
  inline static const std::vector<std::string> kCapabilities = {"chunks"};
  struct End {
    End(bool is_edge, model::ModelPieces* pieces, absl::Duration now)
        : session(Options(is_edge), now), flows(pieces, errands, [] {}), link(errands, {&flows}) {}
    static Session::Options Options(bool is_edge) {
      Session::Options options;
      options.is_edge = is_edge;
      return options;
    }
    std::shared_ptr<Errands> errands = std::make_shared<Errands>(Errands::AtOnce(), [] {});
    Session session;
    ChunkFlows flows;
    Link link;
  };
  struct Fetched {
    std::map<uint32_t, std::string> chunks;
    std::vector<uint32_t> order;
    std::optional<absl::Status> done;
  };

  ChunkFlowsTest() { Connect(); }
  void Connect() {
    Cut();
    edge_ = std::make_unique<End>(true, nullptr, clock_.Monotonic());
    core_ = std::make_unique<End>(false, &pieces_, clock_.Monotonic());
    edge_->session.SendHello({});
    Settle();
    core_->session.SendWelcome({});
    Settle();
    core_->link.Begin(core_->session, kCapabilities, {});
    edge_->link.Begin(edge_->session, kCapabilities, {});
  }
  void Cut() {
    for (const auto& end : {edge_.get(), core_.get()}) {
      if (end != nullptr) end->link.End();
    }
  }
  void Settle(int rounds = 12) {
    for (int round = 0; round < rounds; ++round) {
      Carry(*core_, *edge_);
      Carry(*edge_, *core_);
    }
  }
  /// Carries frames for at most twenty minutes of the link's time: a session sends no faster than it
  /// measures.
  template <class Condition>
  void SettleUntil(const Condition& condition) {
    for (int round = 0; round < 30'000 && !condition(); ++round) Settle(1);
  }
  void Carry(End& from, End& to) {
    from.link.Woken(from.session);
    from.errands->Apply(from.session);
    Session::Ready ready = from.session.TakeReady(clock_.Monotonic(), 1 << 20);
    for (Session::Persist& persist : ready.persist) {
      persist.sink->Persist(std::move(persist.entry),
                            [&from, flow = persist.flow, credit = persist.credit](const auto& durable) {
                              from.session.Persisted(flow, credit, durable);
                            });
    }
    for (const Session::Event& event : ready.events) {
      if (const auto* asked = std::get_if<Session::Requested>(&event)) requests_.push_back(asked->request);
      from.link.Handle(from.session, event);
    }
    from.errands->Apply(from.session);
    for (const replication::Message& message : ready.messages) {
      if (message.frame.has_data()) {
        payload_ += message.payload.size();
        kinds_.push_back(message.frame.data().kind());
      }
      to.session.Step(message, clock_.Monotonic());
    }
    clock_.Advance(absl::Milliseconds(20));
  }
  std::shared_ptr<Fetched> FetchChunks(const Digest& manifest, std::vector<uint32_t> wanted) {
    auto fetched = std::make_shared<Fetched>();
    edge_->flows.fetcher()->FetchChunks(
        manifest, std::move(wanted),
        [fetched](uint32_t index, std::string chunk, const std::function<void(absl::Status)>& stored) {
          fetched->order.push_back(index);
          fetched->chunks[index] = std::move(chunk);
          stored(absl::OkStatus());
        },
        [fetched](absl::Status status) { fetched->done = std::move(status); });
    return fetched;
  }
  std::shared_ptr<std::optional<absl::StatusOr<std::string>>> FetchManifest(const Digest& manifest) {
    auto result = std::make_shared<std::optional<absl::StatusOr<std::string>>>();
    edge_->flows.fetcher()->FetchManifest(
        manifest, [result](absl::StatusOr<std::string> document) { *result = std::move(document); });
    return result;
  }
  /// So many different chunks that zstd makes nothing of.
  static std::vector<std::string> Contents(size_t count, size_t bytes = 1000) {
    std::vector<std::string> contents;
    test::SeededRandom random(7);
    for (size_t i = 0; i < count; ++i) {
      std::string content(bytes, '\0');
      random.Fill(content.data(), content.size());
      contents.push_back(std::move(content));
    }
    return contents;
  }
  static std::vector<uint32_t> UpTo(uint32_t count) {
    std::vector<uint32_t> all(count);
    std::iota(all.begin(), all.end(), 0);
    return all;
  }
  static std::string KindOf(const std::optional<absl::Status>& done) {
    return done ? std::string(ErrorKind(*done)) : "nothing yet";
  }
  /// Asks as no edge of this version would; the refusal's kind, or "taken".
  std::string AskRaw(const v1::ChunksRequest& chunks) {
    v1::FlowRequest request;
    *request.mutable_chunks() = chunks;
    edge_->session.SendRequest(request);
    for (int round = 0; round < 4; ++round) {
      Session::Ready asked = edge_->session.TakeReady(clock_.Monotonic(), 1 << 20);
      for (const auto& message : asked.messages) core_->session.Step(message, clock_.Monotonic());
      Session::Ready answer = core_->session.TakeReady(clock_.Monotonic(), 1 << 20);
      for (const auto& event : answer.events) core_->link.Handle(core_->session, event);
      core_->errands->Apply(core_->session);
      for (const auto& message : answer.messages) {
        if (message.frame.has_request_refuse()) return message.frame.request_refuse().problem().kind();
        if (message.frame.has_flow_open()) return "taken";
      }
      clock_.Advance(absl::Milliseconds(20));
    }
    return "no answer";
  }
  /// The core's side, by hand: answers the edge's only request with such an offer.
  void OfferByHand(v1::FlowOpen open) {
    Carry(*edge_, *core_);
    Session::Ready ready = core_->session.TakeReady(clock_.Monotonic(), 1 << 20);
    for (const auto& event : ready.events) {
      if (const auto* asked = std::get_if<Session::Requested>(&event)) {
        open.set_request(asked->request.request());
      }
    }
    open.set_flow(1);
    open.set_kind(v1::CHUNKS);
    open.mutable_chunks();
    replication::Message message;
    *message.frame.mutable_flow_open() = open;
    edge_->session.Step(message, clock_.Monotonic());
    Carry(*edge_, *core_);
  }
  void SendByHand(int64_t from, int64_t to, size_t bytes, uint32_t kind = 7) {
    replication::Message message;
    v1::Data& data = *message.frame.mutable_data();
    data.set_flow(1);
    data.set_from(from);
    data.set_to(to);
    data.set_kind(kind);
    data.set_entry_size(static_cast<uint32_t>(bytes));
    data.set_wire_size(static_cast<uint32_t>(bytes));
    message.payload = Bytes(std::string(bytes, 'x'));
    edge_->session.Step(message, clock_.Monotonic());
    Carry(*edge_, *core_);
  }

  FakeClock clock_;
  MemoryPieces pieces_;
  size_t payload_ = 0;
  std::vector<uint32_t> kinds_;
  std::vector<v1::FlowRequest> requests_;  // that came to the core
  std::unique_ptr<End> edge_;
  std::unique_ptr<End> core_;
};

TEST_F(ChunkFlowsTest, TheManifestAndTheChunksThatAreAskedForCome) {
  const auto contents = Contents(5);
  const Digest manifest = pieces_.Add(1, contents);
  const auto document = FetchManifest(manifest);
  const auto fetched = FetchChunks(manifest, {0, 2, 3});
  Settle();
  ASSERT_TRUE(document->has_value());
  ASSERT_EQ((*document)->status(), absl::OkStatus());
  EXPECT_EQ(***document, pieces_.documents[manifest].SerializeAsString());
  ASSERT_TRUE(fetched->done.has_value());
  EXPECT_EQ(*fetched->done, absl::OkStatus());
  EXPECT_THAT(fetched->order, ElementsAre(0, 2, 3));
  for (uint32_t index : {0, 2, 3}) EXPECT_EQ(fetched->chunks[index], contents[index]);
}

TEST_F(ChunkFlowsTest, AManifestOfManyPiecesComesWhole) {
  v1::ModelSigned document;
  document.set_payload(Contents(1, 3 * ChunkFlows::kPieceBytes + 17)[0]);
  const Digest manifest = Digest::Of(document.payload());
  pieces_.documents[manifest] = document;
  const auto fetched = FetchManifest(manifest);
  SettleUntil([&] { return fetched->has_value(); });
  ASSERT_TRUE(fetched->has_value());
  ASSERT_EQ((*fetched)->status(), absl::OkStatus());
  EXPECT_EQ(***fetched, document.SerializeAsString());
}

TEST_F(ChunkFlowsTest, ManyChunksComeInSeveralRequestsAndFetchesTakeTurns) {
  const Digest large = pieces_.Add(1, Contents(1000, 40));
  const Digest second = pieces_.Add(2, Contents(800, 40));
  const Digest small = pieces_.Add(3, Contents(3, 40));
  const auto a = FetchChunks(large, UpTo(1000));
  const auto b = FetchChunks(second, UpTo(800));
  const auto c = FetchChunks(small, UpTo(3));
  SettleUntil([&] { return c->done.has_value(); });
  ASSERT_TRUE(c->done.has_value());
  EXPECT_FALSE(a->done.has_value()) << "the small one is through before the large ones";
  SettleUntil([&] { return a->done && b->done; });
  EXPECT_EQ(KindOf(a->done), "");
  EXPECT_EQ(KindOf(b->done), "");
  EXPECT_EQ(a->order, UpTo(1000));
  EXPECT_EQ(b->order, UpTo(800));
  for (const v1::FlowRequest& request : requests_) {
    uint64_t count = 0;
    for (const auto& range : request.chunks().chunks()) count += range.count();
    EXPECT_LE(count, ChunkFlows::kRequestChunksMax);
  }
}

TEST_F(ChunkFlowsTest, WhatTheCoreDoesNotKnowIsRefused) {
  const Digest known = pieces_.Add(1, Contents(2));
  const auto document = FetchManifest(Digest::Of("nobody published this"));
  const auto model = FetchChunks(Digest::Of("nor this"), {0});
  const auto chunk = FetchChunks(known, {5});
  Settle();
  ASSERT_TRUE(document->has_value());
  EXPECT_EQ(ErrorKind((*document)->status()), "unknown_model");
  EXPECT_EQ(KindOf(model->done), "unknown_model");
  EXPECT_EQ(KindOf(chunk->done), "unknown_chunk");
  const auto after = FetchChunks(known, {1});
  Settle();
  EXPECT_EQ(KindOf(after->done), "") << "the link goes on";
}

TEST_F(ChunkFlowsTest, AfterACutOnlyWhatIsMissingIsSentAgain) {
  const auto contents = Contents(100, 20'000);
  const Digest manifest = pieces_.Add(1, contents);
  const auto before = FetchChunks(manifest, UpTo(100));
  SettleUntil([&] { return before->chunks.size() >= 40; });
  ASSERT_GE(before->chunks.size(), 40u);
  ASSERT_FALSE(before->done.has_value());
  Cut();
  EXPECT_EQ(KindOf(before->done), "link_lost");
  EXPECT_TRUE(IsRetryable(*before->done));
  Connect();
  payload_ = 0;
  std::vector<uint32_t> missing;
  for (uint32_t index : UpTo(100)) {
    if (!before->chunks.contains(index)) missing.push_back(index);
  }
  const auto after = FetchChunks(manifest, missing);
  SettleUntil([&] { return after->done.has_value(); });
  EXPECT_EQ(KindOf(after->done), "");
  EXPECT_EQ(after->order, missing);
  EXPECT_EQ(payload_, missing.size() * 20'000);
}

TEST_F(ChunkFlowsTest, WhatIsStoredAfterTheLinkEndedStillCounts) {
  const Digest manifest = pieces_.Add(1, Contents(1));
  std::function<void(absl::Status)> stored;
  std::optional<absl::Status> done;
  edge_->flows.fetcher()->FetchChunks(
      manifest, {0},
      [&](uint32_t, const std::string&, std::function<void(absl::Status)> later) {
        stored = std::move(later);
      },
      [&](absl::Status status) { done = std::move(status); });
  for (int round = 0; round < 40 && !stored; ++round) Settle(1);
  ASSERT_TRUE(stored);
  EXPECT_FALSE(done) << "it came, and is not durable";
  Cut();
  EXPECT_EQ(KindOf(done), "link_lost");
  stored(absl::OkStatus());
}

TEST_F(ChunkFlowsTest, AChunkThatIsNotTakenEndsTheFetchWithThatError) {
  const Digest manifest = pieces_.Add(1, Contents(3));
  std::optional<absl::Status> done;
  int taken = 0;
  edge_->flows.fetcher()->FetchChunks(
      manifest, {0, 1, 2},
      [&](uint32_t, const std::string&, const std::function<void(absl::Status)>& stored) {
        ++taken;
        stored(MakeError(absl::StatusCode::kDataLoss, "corrupt_chunk", "that is another one"));
      },
      [&](absl::Status status) { done = std::move(status); });
  Settle();
  EXPECT_EQ(KindOf(done), "corrupt_chunk");
  EXPECT_GE(taken, 1);
  const auto after = FetchChunks(manifest, {1});
  Settle();
  EXPECT_EQ(KindOf(after->done), "") << "the link goes on";
}

TEST_F(ChunkFlowsTest, AChunkThatTheCoreLostIsNamedWhenItIsAskedForAgain) {
  const auto contents = Contents(3);
  const Digest manifest = pieces_.Add(1, contents);
  pieces_.chunks.erase(Digest::Of(contents[1]));
  const auto fetched = FetchChunks(manifest, {0, 1, 2});
  Settle();
  EXPECT_EQ(KindOf(fetched->done), "answer_cut_short");
  EXPECT_TRUE(IsRetryable(*fetched->done));
  EXPECT_THAT(fetched->order, ElementsAre(0)) << "what comes before it is there";
  const auto again = FetchChunks(manifest, {1, 2});
  Settle();
  EXPECT_EQ(KindOf(again->done), "unknown_chunk");
}

TEST_F(ChunkFlowsTest, AnAnswerToAnotherQuestionIsRefused) {
  const Digest manifest = pieces_.Add(1, Contents(3));
  for (const auto& [history, start, end] :
       std::vector<std::tuple<Digest, int64_t, int64_t>>{{Digest::Of("another"), 0, 3},
                                                         {manifest, 1, 3},
                                                         {manifest, 0, 2},
                                                         {manifest, 0, int64_t{1} << 40}}) {
    Connect();
    const auto fetched = FetchChunks(manifest, {0, 1, 2});
    v1::FlowOpen open;
    open.set_history(history.bytes());
    open.set_start(start);
    open.set_end(end);
    OfferByHand(open);
    EXPECT_EQ(KindOf(fetched->done), "protocol_error") << start << " to " << end;
  }
}

TEST_F(ChunkFlowsTest, EndlessDataIsRefusedAtTheFirstPieceThatIsNone) {
  const Digest manifest = pieces_.Add(1, Contents(2));
  struct Bad {
    int64_t from, to;
    size_t bytes;
    uint32_t kind;
  };
  for (const Bad& bad :
       std::vector<Bad>{{0, 1, (1 << 20) + 1, 7}, {0, 2, 10, 7}, {0, 1, 10, 1}, {0, 1, 0, 7}}) {
    Connect();
    const auto fetched = FetchChunks(manifest, {0, 1});
    v1::FlowOpen open;
    open.set_history(manifest.bytes());
    open.set_end(2);
    OfferByHand(open);
    SendByHand(bad.from, bad.to, bad.bytes, bad.kind);
    Carry(*edge_, *core_);
    EXPECT_EQ(KindOf(fetched->done), "protocol_error") << bad.bytes << " bytes of kind " << bad.kind;
    EXPECT_THAT(fetched->order, IsEmpty());
  }
}

TEST_F(ChunkFlowsTest, AManifestThatIsTooLongIsNotTaken) {
  const Digest manifest = pieces_.Add(1, Contents(2));
  const auto fetched = FetchManifest(manifest);
  v1::FlowOpen open;
  open.set_history(manifest.bytes());
  open.set_end(static_cast<int64_t>(model::kManifestBytesMax / ChunkFlows::kPieceBytes) + 2);
  OfferByHand(open);
  ASSERT_TRUE(fetched->has_value());
  EXPECT_EQ(ErrorKind((*fetched)->status()), "protocol_error");
}

TEST_F(ChunkFlowsTest, WhatAnEdgeMayAskForIsBounded) {
  const Digest manifest = pieces_.Add(1, Contents(3));
  v1::ChunksRequest request;
  EXPECT_EQ(AskRaw(request), "invalid_request") << "no digest";
  request.set_manifest(manifest.bytes());
  request.add_chunks();
  EXPECT_EQ(AskRaw(request), "invalid_request") << "an empty range";
  request.mutable_chunks(0)->set_count(ChunkFlows::kRequestChunksMax + 1);
  EXPECT_EQ(AskRaw(request), "invalid_request");
  request.mutable_chunks(0)->set_count(2);
  request.mutable_chunks(0)->set_first(0xffff'ffff);
  EXPECT_EQ(AskRaw(request), "unknown_chunk");
  request.mutable_chunks(0)->set_first(0);
  for (size_t i = 0; i < ChunkFlows::kSourcesMax; ++i) EXPECT_EQ(AskRaw(request), "taken") << i;
  EXPECT_EQ(AskRaw(request), "overloaded");
}

TEST_F(ChunkFlowsTest, ManifestsAreLargeSoFewAreGivenAtATime) {
  v1::ChunksRequest request;
  request.set_manifest(pieces_.Add(1, Contents(3)).bytes());
  for (size_t i = 0; i < ChunkFlows::kManifestSourcesMax; ++i) EXPECT_EQ(AskRaw(request), "taken");
  EXPECT_EQ(AskRaw(request), "overloaded");
}

TEST_F(ChunkFlowsTest, APeerWithoutModelsSaysSoAtOnce) {
  End lone(true, nullptr, clock_.Monotonic());
  std::vector<std::string> kinds;
  const auto fetch = [&] {
    lone.flows.fetcher()->FetchManifest(
        Digest::Of("any"), [&](const auto& result) { kinds.emplace_back(ErrorKind(result.status())); });
  };
  fetch();
  lone.link.Begin(lone.session, std::vector<std::string>(), {});
  fetch();
  EXPECT_THAT(kinds, ElementsAre("unknown_kind", "unknown_kind"));
}

TEST_F(ChunkFlowsTest, AnEdgeGivesNoModels) {
  EXPECT_FALSE(edge_->flows.OnRequested(edge_->session, [] {
    v1::FlowRequest request;
    request.mutable_chunks();
    return request;
  }()));
}

TEST_F(ChunkFlowsTest, SoManyFetchesAtATime) {
  const Digest manifest = pieces_.Add(1, Contents(1));
  std::vector<std::shared_ptr<Fetched>> fetches;
  for (size_t i = 0; i < ChunkFlows::kFetchesMax + 1; ++i) fetches.push_back(FetchChunks(manifest, {0}));
  EXPECT_EQ(KindOf(fetches.back()->done), "overloaded");
  fetches.pop_back();
  Settle(200);
  for (const auto& fetch : fetches) EXPECT_EQ(KindOf(fetch->done), "");
}

TEST_F(ChunkFlowsTest, WhatCanBeCompressedIs) {
  const Digest manifest = pieces_.Add(1, {std::string(200'000, 'a')});
  const auto fetched = FetchChunks(manifest, {0});
  Settle();
  EXPECT_EQ(KindOf(fetched->done), "");
  EXPECT_EQ(fetched->chunks[0], std::string(200'000, 'a'));
  EXPECT_LT(payload_, 2'000u);
}

/// One entry of a more urgent kind.
class UrgentSource : public replication::FlowSource {
 public:
  v1::FlowOpen Describe() override {
    v1::FlowOpen open;
    open.set_kind(v1::CHUNKS);
    open.set_end(1);
    return open;
  }
  replication::FlowSettings settings() override { return {.priority = kDefaultPriority}; }
  Offset end() override { return Offset(1); }
  absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t) override {
    return std::vector<FlowEntry>{
        {.kind = EntryKind::kDocument, .from = from, .to = end(), .body = Bytes(std::string("alarm"))}};
  }
  void Acknowledged(const replication::FlowPosition&) override {}
};
class UrgentSink : public replication::FlowSink {
 public:
  replication::FlowPosition position() override { return {}; }
  absl::Status Check(const FlowEntry&) override { return absl::OkStatus(); }
  void Persist(FlowEntry entry, Done done) override {
    replication::FlowPosition after;
    after.offset = entry.to;
    done(after);
  }
};

TEST_F(ChunkFlowsTest, WhatIsMoreUrgentOvertakesAModel) {
  const Digest manifest = pieces_.Add(1, Contents(100, 100'000));
  const auto fetched = FetchChunks(manifest, UpTo(100));
  core_->session.set_max_rate(100'000);
  for (int round = 0; round < 200 && fetched->chunks.size() < 3; ++round) Settle(1);
  ASSERT_LT(fetched->chunks.size(), 50u);
  UrgentSource urgent;
  UrgentSink sink;
  core_->session.Offer(urgent);
  kinds_.clear();
  bool accepted = false;
  for (int round = 0; round < 400; ++round) {
    Session::Ready ready = core_->session.TakeReady(clock_.Monotonic(), 1 << 20);
    for (const auto& message : ready.messages) {
      if (message.frame.has_data()) kinds_.push_back(message.frame.data().kind());
      edge_->session.Step(message, clock_.Monotonic());
    }
    Session::Ready answer = edge_->session.TakeReady(clock_.Monotonic(), 1 << 20);
    for (const auto& event : answer.events) {
      const auto* offered = std::get_if<Session::FlowOffered>(&event);
      if (offered == nullptr) continue;
      edge_->session.Accept(offered->flow, sink);
      accepted = true;
      kinds_.clear();
    }
    for (Session::Persist& persist : answer.persist) {
      persist.sink->Persist(std::move(persist.entry), [&](const auto& durable) {
        edge_->session.Persisted(persist.flow, persist.credit, durable);
      });
    }
    for (const auto& message : answer.messages) core_->session.Step(message, clock_.Monotonic());
    clock_.Advance(absl::Milliseconds(20));
    if (accepted && std::count(kinds_.begin(), kinds_.end(), 3u) > 0) break;
  }
  ASSERT_TRUE(accepted);
  // One fragment may have been taken up already.
  const auto at = std::find(kinds_.begin(), kinds_.end(), 3u);
  ASSERT_NE(at, kinds_.end());
  EXPECT_LE(at - kinds_.begin(), 2);
  core_->link.End();
}

}  // namespace
}  // namespace selvage
