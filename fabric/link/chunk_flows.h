#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/link/errands.h"
#include "fabric/link/flow_kind.h"
#include "fabric/model/chunk_fetch.h"
#include "fabric/model/manifest.h"
#include "fabric/model/model_pieces.h"

namespace selvage {

/// Flows of kind CHUNKS: an edge asks the core for the signed manifest of a version of a model, and for its
/// chunks. A fetch is asked for in requests of up to kRequestChunksMax chunks, and fetches take turns after
/// each, so that a small model does not wait for a large one. Which chunks are still missing is known to
/// whoever fetches: after a cut he asks for those alone, and nothing is resumed here.
///
///   edge  FlowRequest{chunks 3-5, 9} ──► core
///         ◄── FlowOpen [0,4) ── chunk 3 ── chunk 4 ── chunk 5 ── chunk 9 ── FlowClose
///
/// What is held in memory is bounded at both ends: by the link's credit, by kChunkMax for an entry, by
/// kSourcesMax and kManifestSourcesMax for what an edge may ask for at a time.
class ChunkFlows : public FlowKind {
 public:
  static constexpr size_t kFetchesMax = 64;      ///< of one link, with those that wait
  static constexpr size_t kChunkFetchesMax = 2;  ///< asked for at a time
  static constexpr size_t kRequestChunksMax = 256;
  static constexpr size_t kSourcesMax = 8;          ///< given to one edge at a time ...
  static constexpr size_t kManifestSourcesMax = 2;  ///< ... of which are manifests
  static constexpr size_t kPieceBytes = 256 << 10;  ///< of a manifest
  /// Below the default of streams: models are large, and what is late is worse with records.
  static constexpr uint32_t kPriority = 1;

  /// `pieces` is what is given to the peer, and must outlive the errands; null: nothing is. `wake` may be
  /// called on any thread, also after the link has ended.
  ChunkFlows(model::ModelPieces* pieces, std::shared_ptr<Errands> errands, std::function<void()> wake);
  ~ChunkFlows() override;

  /// Fetches over this link; may be used from any thread, also after the link has ended.
  std::shared_ptr<model::ChunkFetcher> fetcher() const;

  v1::FlowKind kind() const override { return v1::CHUNKS; }
  std::string_view capability() const override { return "chunks"; }
  void Begin(replication::Session& session, const Fence& fence) override;
  void Absent(replication::Session& session) override;
  void Tick(replication::Session& session) override { Woken(session); }
  void Woken(replication::Session& session) override;
  void OnOffered(replication::Session& session, replication::FlowNumber flow,
                 const v1::FlowOpen& open) override;
  void OnEnded(replication::FlowNumber flow, const absl::Status& why) override;
  void OnHeld(replication::Session& session, const replication::Session::FlowHeld& held) override;
  bool OnRequested(replication::Session& session, const v1::FlowRequest& request) override;
  void OnRefused(const replication::Session::RequestRefused& refused) override;
  void End() override;

 private:
  class Exchange;
  class Sink;
  class Source;
  struct Fetch;
  /// What was asked of the peer, until it is all there.
  struct Asked {
    std::shared_ptr<Fetch> fetch;
    std::unique_ptr<Sink> sink;  // once the flow that answers is there
    replication::FlowNumber flow{0};
  };
  struct Answer {
    absl::StatusOr<std::unique_ptr<Source>> source;
    bool of_manifest;
  };

  void Ask(replication::Session& session);
  void FinishStored();
  std::map<uint32_t, Asked>::iterator AskedBy(replication::FlowNumber flow);
  void Fail(std::map<uint32_t, Asked>::iterator asked, const absl::Status& why);
  absl::Status CheckRequest(const v1::ChunksRequest& request) const;
  void Give(replication::Session& session, uint32_t request, Answer answer);
  void WithdrawFinished(replication::Session& session);
  static Answer MakeAnswer(model::ModelPieces& pieces, const v1::FlowRequest& request);

  model::ModelPieces* const pieces_;
  const std::shared_ptr<Errands> errands_;
  const std::shared_ptr<Exchange> exchange_;
  bool begun_ = false;
  std::map<uint32_t, Asked> asked_;  // by request
  // Of answers that are complete, until the peer ends them.
  std::map<replication::FlowNumber, std::unique_ptr<Sink>> done_sinks_;
  std::map<replication::FlowNumber, std::unique_ptr<Source>> sources_;
  size_t making_ = 0;            // sources that are looked for
  size_t making_manifests_ = 0;  // of which are manifests
};

}  // namespace selvage
