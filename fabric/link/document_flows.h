#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/link/errands.h"
#include "fabric/link/flow_kind.h"
#include "fabric/replication/flow.h"

namespace selvage {

/// Bytes of a document.
inline constexpr size_t kDocumentMax = 16 << 20;

/// A document that this end writes and the other takes over. Only the newest generation is sent, whole, as
/// one entry. Belongs to one link; called as the link is.
class DocumentSource : public replication::FlowSource {
 public:
  /// `name` says which document it is (v1::DocumentFlow). `told` is called whenever the peer holds another
  /// generation.
  explicit DocumentSource(
      std::string name, std::function<void()> told = [] {})
      : name_(std::move(name)), on_told_(std::move(told)) {}

  /// Who counts the generations; before the document is offered.
  void set_history(std::string history) { history_ = std::move(history); }
  /// `generation` is above the former one.
  void Set(uint64_t generation, std::string body);
  uint64_t generation() const { return generation_; }
  /// The peer holds the newest generation.
  bool told() const { return generation_ > 0 && told_ == static_cast<int64_t>(generation_); }

  v1::FlowOpen Describe() override;
  replication::FlowSettings settings() override;
  Offset end() override { return Offset(static_cast<int64_t>(generation_)); }
  absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t max_bytes) override;
  void Acknowledged(const replication::FlowPosition& durable) override;

 private:
  const std::string name_;
  std::string history_;
  const std::function<void()> on_told_;
  uint64_t generation_ = 0;
  Bytes body_;
  int64_t told_ = -1;  // the generation that the peer holds; -1 before it said so
};

/// True when a serialized message has at most so many fields at its top. Also false for what is no message.
bool HasFieldsWithin(std::string_view message, size_t fields_max);

/// A document that the other end writes, as this end takes it.
struct IncomingDocument {
  /// With OK when the document is taken over, else with the reason: then it is offered again.
  using Done = std::function<void(const absl::Status&)>;

  std::string name;
  size_t bytes_max = kDocumentMax;
  /// Fields of the message at its top: what is small on the link may be large when it is read.
  size_t fields_max = 100'000;
  /// As an errand: the generation of this history that is held here; 0 for none.
  std::function<uint64_t(const std::string& history)> held;
  /// As the link is called. `done` is called once, on any thread.
  std::function<void(std::string body, Done done)> take;
};

/// Flows of kind DOCUMENT: what each end says of itself or wants of the other.
class DocumentFlows : public FlowKind {
 public:
  /// `outgoing` must outlive this.
  DocumentFlows(std::shared_ptr<Errands> errands, std::vector<DocumentSource*> outgoing,
                std::vector<IncomingDocument> incoming)
      : errands_(std::move(errands)), outgoing_(std::move(outgoing)), incoming_(std::move(incoming)) {}

  v1::FlowKind kind() const override { return v1::DOCUMENT; }
  std::string_view capability() const override { return "document"; }
  void Begin(replication::Session& session, const Fence& fence) override;
  void Tick(replication::Session&) override {}
  void OnOffered(replication::Session& session, replication::FlowNumber flow,
                 const v1::FlowOpen& open) override;
  void OnEnded(replication::FlowNumber flow, const absl::Status& why) override;
  void OnHeld(replication::Session& session, const replication::Session::FlowHeld& held) override;

 private:
  const std::shared_ptr<Errands> errands_;
  const std::vector<DocumentSource*> outgoing_;
  const std::vector<IncomingDocument> incoming_;
  std::set<replication::FlowNumber> unanswered_;
  size_t looked_for_ = 0;  // errands under way, also of flows that ended meanwhile
  std::map<replication::FlowNumber, std::unique_ptr<replication::FlowSink>>
      sinks_;  // of flows that have not ended
};

}  // namespace selvage
