#include "fabric/link/chunk_flows.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/base/error.h"
#include "fabric/model/chunker.h"
#include "fabric/replication/flow.h"
#include "fabric/replication/message.h"

namespace selvage {

using model::Digest;
using replication::FlowNumber;
using replication::FlowPosition;
using replication::Session;

namespace {

/// A signed manifest, with its signatures.
constexpr size_t kSignedManifestMax = model::kManifestBytesMax + (64 << 10);

absl::Status ChunksLinkLost() {
  return MakeError(absl::StatusCode::kUnavailable, "link_lost",
                   "the link to the core ended before all of the model had come",
                   "it is asked again for what is missing", Retry::kYes);
}

absl::Status CutShort() {
  return MakeError(absl::StatusCode::kUnavailable, "answer_cut_short",
                   "the core ended its answer before all that was asked for had come",
                   "asked again, it says why", Retry::kYes);
}

absl::Status TooManyFetches() {
  return MakeError(absl::StatusCode::kResourceExhausted, "overloaded",
                   "too many parts of models are asked for at a time", "try again, with fewer", Retry::kYes);
}

absl::Status InvalidChunksRequest(std::string message) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_request", std::move(message));
}

void AddRanges(const std::vector<uint32_t>& wanted, size_t from, size_t to, v1::ChunksRequest& request) {
  v1::ChunksRequest::Range* range = nullptr;
  for (size_t i = from; i < to; ++i) {
    if (range != nullptr && uint64_t{range->first()} + range->count() == wanted[i]) {
      range->set_count(range->count() + 1);
      continue;
    }
    range = request.add_chunks();
    range->set_first(wanted[i]);
    range->set_count(1);
  }
}

/// The chunks that are asked for. CheckRequest has bounded them.
absl::StatusOr<std::vector<model::ManifestChunk>> ChosenChunks(const v1::ModelSigned& document,
                                                               const v1::ChunksRequest& request) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::ModelManifest manifest, model::ReadManifest(document.payload()));
  const std::vector<model::ManifestChunk> all = model::DistinctChunks(manifest);
  std::vector<model::ManifestChunk> chosen;
  for (const auto& range : request.chunks()) {
    if (uint64_t{range.first()} + range.count() > all.size()) {
      return MakeError(absl::StatusCode::kNotFound, "unknown_chunk",
                       fmt::format("chunks {} to {} are asked for, of a version that has {}", range.first(),
                                   uint64_t{range.first()} + range.count(), all.size()));
    }
    for (uint32_t i = 0; i < range.count(); ++i) chosen.push_back(all[range.first() + i]);
  }
  return chosen;
}

}  // namespace

/// What somebody wants of one version.
struct ChunkFlows::Fetch {
  Digest manifest;
  bool of_manifest = false;
  std::vector<uint32_t> wanted = {};  // none: the manifest itself
  model::ChunkFetcher::Take take = {};
  model::ChunkFetcher::ChunksDone chunks_done = {};
  model::ChunkFetcher::ManifestDone manifest_done = {};

  // Of the link alone:
  size_t next = 0;            // what comes before it in `wanted` is there
  size_t upto = 0;            // what comes before it has been asked for
  std::string document = {};  // as far as it has come

  size_t asked() const { return upto - next; }
  void Finish(const absl::Status& status) {
    if (!of_manifest) return chunks_done(status);
    if (!status.ok()) return manifest_done(status);
    manifest_done(std::move(document));
  }
};

/// What comes from other threads for the link, and outlives it there.
class ChunkFlows::Exchange : public model::ChunkFetcher {
 public:
  explicit Exchange(std::function<void()> wake) : wake_(std::move(wake)) {}

  void FetchManifest(const Digest& manifest, ManifestDone done) override {
    Fetch fetch{.manifest = manifest, .of_manifest = true};
    fetch.manifest_done = std::move(done);
    Add(std::make_shared<Fetch>(std::move(fetch)));
  }
  void FetchChunks(const Digest& manifest, std::vector<uint32_t> wanted, Take take,
                   ChunksDone done) override {
    // A request without chunks would ask for the manifest.
    if (wanted.empty()) return done(absl::OkStatus());
    Fetch fetch{.manifest = manifest, .wanted = std::move(wanted), .take = std::move(take)};
    fetch.chunks_done = std::move(done);
    Add(std::make_shared<Fetch>(std::move(fetch)));
  }

  void Wake() const { wake_(); }
  /// No more fetches are taken, and those that wait end.
  void Refuse(const absl::Status& why) {
    std::deque<std::shared_ptr<Fetch>> waiting;
    {
      const absl::MutexLock lock(&mutex_);
      refused_ = why;
      waiting.swap(waiting_);
    }
    for (const auto& fetch : waiting) fetch->Finish(why);
  }
  /// The first that waits for a manifest, or for chunks.
  std::shared_ptr<Fetch> Next(bool of_manifest) {
    const absl::MutexLock lock(&mutex_);
    const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                    [&](const auto& fetch) { return fetch->of_manifest == of_manifest; });
    if (found == waiting_.end()) return nullptr;
    std::shared_ptr<Fetch> fetch = std::move(*found);
    waiting_.erase(found);
    return fetch;
  }
  /// A fetch that has not got everything yet waits for its next turn.
  void GoOn(std::shared_ptr<Fetch> fetch) {
    const absl::MutexLock lock(&mutex_);
    waiting_.push_back(std::move(fetch));
  }

 private:
  void Add(std::shared_ptr<Fetch> fetch) {
    absl::Status refused;
    {
      const absl::MutexLock lock(&mutex_);
      refused = refused_;
      if (refused.ok() && waiting_.size() >= kFetchesMax) refused = TooManyFetches();
      if (refused.ok()) waiting_.push_back(fetch);
    }
    if (!refused.ok()) return fetch->Finish(refused);
    wake_();
  }

  const std::function<void()> wake_;
  absl::Mutex mutex_;
  absl::Status refused_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<Fetch>> waiting_ ABSL_GUARDED_BY(mutex_);
};

/// Takes the answer to one request.
class ChunkFlows::Sink : public replication::FlowSink {
 public:
  Sink(std::shared_ptr<Fetch> fetch, std::shared_ptr<Exchange> exchange, int64_t pieces)
      : fetch_(std::move(fetch)), exchange_(std::move(exchange)), pieces_(pieces) {}

  /// All of it is durable.
  bool complete() const { return *stored_ == pieces_; }

  FlowPosition position() override { return {.history = fetch_->manifest.bytes(), .offset = Offset(0)}; }
  absl::Status Check(const FlowEntry& entry) override {
    const size_t size = entry.body.size();
    const size_t max = fetch_->of_manifest ? kPieceBytes : model::kChunkMax;
    if (entry.kind == EntryKind::kModelPiece && entry.from == Offset(came_) &&
        entry.to == Offset(came_ + 1) && came_ < pieces_ && size > 0 && size <= max) {
      ++came_;
      return absl::OkStatus();
    }
    return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error",
                     "what came is not the piece of a model that was asked for");
  }
  void Persist(FlowEntry entry, Done done) override {
    FlowPosition after{.history = fetch_->manifest.bytes(), .offset = entry.to};
    if (fetch_->of_manifest) {
      fetch_->document += entry.body.view();
      ++*stored_;
      return done(after);
    }
    const uint32_t index = fetch_->wanted[fetch_->next + static_cast<size_t>(entry.from.value())];
    // The link may have ended by then.
    fetch_->take(index, std::string(entry.body.view()),
                 [after = std::move(after), done = std::move(done), stored = stored_, pieces = pieces_,
                  exchange = exchange_](const absl::Status& status) {
                   if (!status.ok()) return done(status);
                   const bool last = ++*stored == pieces;
                   done(after);
                   if (last) exchange->Wake();
                 });
  }

 private:
  const std::shared_ptr<Fetch> fetch_;
  const std::shared_ptr<Exchange> exchange_;
  const int64_t pieces_;
  int64_t came_ = 0;
  const std::shared_ptr<std::atomic<int64_t>> stored_ = std::make_shared<std::atomic<int64_t>>(0);
};

/// Gives what one request asks for: chunks, which are read when their turn comes, or the manifest.
class ChunkFlows::Source : public replication::FlowSource {
 public:
  Source(model::ModelPieces& pieces, const v1::FlowRequest& request, std::vector<model::ManifestChunk> chunks,
         Bytes document)
      : pieces_(pieces),
        request_(request.request()),
        manifest_(request.chunks().manifest()),
        chunks_(std::move(chunks)),
        document_(std::move(document)) {}

  bool finished() const { return finished_; }
  bool of_manifest() const { return chunks_.empty(); }

  v1::FlowOpen Describe() override {
    v1::FlowOpen open;
    open.set_kind(v1::CHUNKS);
    open.set_history(manifest_);
    open.set_end(end().value());
    open.set_request(request_);
    open.mutable_chunks();
    return open;
  }
  replication::FlowSettings settings() override {
    return {.priority = kPriority, .weight = 1, .compress = true};
  }
  Offset end() override {
    const size_t pieces = of_manifest() ? (document_.size() + kPieceBytes - 1) / kPieceBytes : chunks_.size();
    return Offset(static_cast<int64_t>(pieces));
  }
  absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t max_bytes) override {
    std::vector<FlowEntry> entries;
    size_t bytes = 0;
    for (Offset at = from; at < end() && (entries.empty() || bytes < max_bytes); at = at + 1) {
      auto body = Piece(static_cast<size_t>(at.value()));
      if (!body.ok()) {
        if (entries.empty()) return body.status();
        break;  // what comes before it is sent first
      }
      bytes += body->size();
      entries.push_back({.kind = EntryKind::kModelPiece,
                         .from = at,
                         .to = at + 1,
                         .body = *std::move(body),
                         .compressible = true});
    }
    return entries;
  }
  void Acknowledged(const FlowPosition& durable) override { finished_ = durable.offset >= end(); }

 private:
  absl::StatusOr<Bytes> Piece(size_t index) {
    if (of_manifest()) return document_.Slice(index * kPieceBytes, kPieceBytes);
    SELVAGE_ASSIGN_OR_RETURN(std::string chunk, pieces_.ReadChunk(chunks_[index].digest));
    return Bytes(std::move(chunk));
  }

  model::ModelPieces& pieces_;
  const uint32_t request_;
  const std::string manifest_;
  const std::vector<model::ManifestChunk> chunks_;
  const Bytes document_;
  bool finished_ = false;
};

ChunkFlows::ChunkFlows(model::ModelPieces* pieces, std::shared_ptr<Errands> errands,
                       std::function<void()> wake)
    : pieces_(pieces), errands_(std::move(errands)), exchange_(std::make_shared<Exchange>(std::move(wake))) {}

ChunkFlows::~ChunkFlows() {
  End();
}

std::shared_ptr<model::ChunkFetcher> ChunkFlows::fetcher() const {
  return exchange_;
}

void ChunkFlows::Begin(Session& session, const Fence&) {
  begun_ = true;
  Woken(session);
}

void ChunkFlows::Absent(Session&) {
  exchange_->Refuse(replication::UnknownKind("chunks"));
}

void ChunkFlows::Woken(Session& session) {
  if (!begun_) return;
  WithdrawFinished(session);
  FinishStored();
  Ask(session);
}

void ChunkFlows::FinishStored() {
  for (auto it = asked_.begin(); it != asked_.end();) {
    Asked& asked = it->second;
    if (asked.sink == nullptr || !asked.sink->complete()) {
      ++it;
      continue;
    }
    const std::shared_ptr<Fetch> fetch = std::move(asked.fetch);
    done_sinks_[asked.flow] = std::move(asked.sink);  // the session knows it until the peer ends the flow
    it = asked_.erase(it);
    fetch->next = fetch->upto;
    if (fetch->next < fetch->wanted.size()) {
      exchange_->GoOn(fetch);
    } else {
      fetch->Finish(absl::OkStatus());
    }
  }
}

void ChunkFlows::Ask(Session& session) {
  const auto asked = [&](bool of_manifest) {
    return static_cast<size_t>(std::count_if(asked_.begin(), asked_.end(), [&](const auto& entry) {
      return entry.second.fetch->of_manifest == of_manifest;
    }));
  };
  for (const bool of_manifest : {true, false}) {
    const size_t max = of_manifest ? 1 : kChunkFetchesMax;
    for (size_t count = asked(of_manifest); count < max; ++count) {
      std::shared_ptr<Fetch> fetch = exchange_->Next(of_manifest);
      if (fetch == nullptr) break;
      fetch->upto = std::min(fetch->wanted.size(), fetch->next + kRequestChunksMax);
      v1::FlowRequest request;
      v1::ChunksRequest& chunks = *request.mutable_chunks();
      chunks.set_manifest(fetch->manifest.bytes());
      AddRanges(fetch->wanted, fetch->next, fetch->upto, chunks);
      asked_[session.SendRequest(std::move(request))].fetch = std::move(fetch);
    }
  }
}

void ChunkFlows::OnOffered(Session& session, FlowNumber flow, const v1::FlowOpen& open) {
  const auto refuse = [&](std::string_view message) {
    session.Refuse(flow,
                   MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", std::string(message)),
                   absl::InfiniteDuration());
  };
  const auto asked = asked_.find(open.request());
  if (asked == asked_.end() || asked->second.sink != nullptr) {
    return refuse("pieces of a model that nobody asked for");
  }
  const std::shared_ptr<Fetch>& fetch = asked->second.fetch;
  const int64_t most = fetch->of_manifest ? (kSignedManifestMax + kPieceBytes - 1) / kPieceBytes
                                          : static_cast<int64_t>(fetch->asked());
  const int64_t least = fetch->of_manifest ? 1 : most;
  if (open.history() != fetch->manifest.bytes() || open.start() != 0 || open.end() < least ||
      open.end() > most) {
    refuse("another answer than was asked for");
    return Fail(asked, MakeError(absl::StatusCode::kInvalidArgument, "protocol_error",
                                 "the core answers with other pieces of a model than it was asked for"));
  }
  asked->second.flow = flow;
  asked->second.sink = std::make_unique<Sink>(fetch, exchange_, open.end());
  session.Accept(flow, *asked->second.sink);
}

std::map<uint32_t, ChunkFlows::Asked>::iterator ChunkFlows::AskedBy(FlowNumber flow) {
  return std::find_if(asked_.begin(), asked_.end(), [&](const auto& entry) {
    return entry.second.sink != nullptr && entry.second.flow == flow;
  });
}

void ChunkFlows::OnEnded(FlowNumber flow, const absl::Status& why) {
  FinishStored();  // the last piece may have been stored just now
  if (done_sinks_.erase(flow) > 0) return;
  const auto asked = AskedBy(flow);
  if (asked != asked_.end()) Fail(asked, why.ok() ? CutShort() : why);
}

void ChunkFlows::Fail(std::map<uint32_t, Asked>::iterator asked, const absl::Status& why) {
  const std::shared_ptr<Fetch> fetch = std::move(asked->second.fetch);
  asked_.erase(asked);
  fetch->Finish(why);
}

void ChunkFlows::OnRefused(const Session::RequestRefused& refused) {
  const auto asked = asked_.find(refused.request);
  if (asked != asked_.end() && asked->second.sink == nullptr) Fail(asked, refused.why);
}

absl::Status ChunkFlows::CheckRequest(const v1::ChunksRequest& request) const {
  if (!begun_) return InvalidChunksRequest("asked for before the welcome");
  if (!Digest::FromBytes(request.manifest())) {
    return InvalidChunksRequest("a manifest is named by the 32 bytes of its SHA-256 digest");
  }
  uint64_t count = 0;
  for (const auto& range : request.chunks()) {
    if (range.count() == 0) return InvalidChunksRequest("a range without chunks");
    count += range.count();
  }
  if (count > kRequestChunksMax) {
    return InvalidChunksRequest(
        fmt::format("{} chunks are asked for; {} may be at a time", count, kRequestChunksMax));
  }
  if (sources_.size() + making_ >= kSourcesMax) return TooManyFetches();
  if (request.chunks().empty()) {
    const auto manifests = std::count_if(sources_.begin(), sources_.end(),
                                         [](const auto& entry) { return entry.second->of_manifest(); });
    if (static_cast<size_t>(manifests) + making_manifests_ >= kManifestSourcesMax) return TooManyFetches();
  }
  return absl::OkStatus();
}

bool ChunkFlows::OnRequested(Session& session, const v1::FlowRequest& request) {
  if (!request.has_chunks() || pieces_ == nullptr) return false;
  WithdrawFinished(session);
  if (absl::Status wrong = CheckRequest(request.chunks()); !wrong.ok()) {
    session.SendRefusal(request.request(), wrong);
    return true;
  }
  ++making_;
  if (request.chunks().chunks().empty()) ++making_manifests_;
  errands_->Add([this, pieces = pieces_, request]() -> Errands::Then {
    auto answer = std::make_shared<Answer>(MakeAnswer(*pieces, request));
    return [this, number = request.request(), answer](Session& later) {
      Give(later, number, std::move(*answer));
    };
  });
  return true;
}

ChunkFlows::Answer ChunkFlows::MakeAnswer(model::ModelPieces& pieces, const v1::FlowRequest& request) {
  const v1::ChunksRequest& chunks = request.chunks();
  const bool of_manifest = chunks.chunks().empty();
  const auto make = [&]() -> absl::StatusOr<std::unique_ptr<Source>> {
    SELVAGE_ASSIGN_OR_RETURN(const v1::ModelSigned document,
                             pieces.Document(Digest::FromBytes(chunks.manifest()).value_or(Digest())));
    if (of_manifest) {
      return std::make_unique<Source>(pieces, request, std::vector<model::ManifestChunk>(),
                                      Bytes(document.SerializeAsString()));
    }
    SELVAGE_ASSIGN_OR_RETURN(std::vector<model::ManifestChunk> chosen, ChosenChunks(document, chunks));
    // A flow that fails cannot say why: who asks again for what is missing is told here.
    SELVAGE_RETURN_IF_ERROR(pieces.ReadChunk(chosen.front().digest).status());
    return std::make_unique<Source>(pieces, request, std::move(chosen), Bytes());
  };
  return {make(), of_manifest};
}

void ChunkFlows::Give(Session& session, uint32_t request, Answer answer) {
  --making_;
  if (answer.of_manifest) --making_manifests_;
  if (!answer.source.ok()) return session.SendRefusal(request, answer.source.status());
  const FlowNumber flow = session.Offer(**answer.source);
  sources_[flow] = *std::move(answer.source);
}

void ChunkFlows::WithdrawFinished(Session& session) {
  std::erase_if(sources_, [&](const auto& entry) {
    if (!entry.second->finished()) return false;
    session.Withdraw(entry.first);
    return true;
  });
}

void ChunkFlows::OnHeld(Session& session, const Session::FlowHeld& held) {
  if (!sources_.contains(held.flow)) return;
  session.Withdraw(held.flow);  // whoever asked asks again
  sources_.erase(held.flow);
}

void ChunkFlows::End() {
  exchange_->Refuse(ChunksLinkLost());
  for (const auto& [request, asked] : std::exchange(asked_, {})) asked.fetch->Finish(ChunksLinkLost());
}

}  // namespace selvage
