#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/random.h"
#include "fabric/link/errands.h"
#include "fabric/link/flow_kind.h"
#include "fabric/table/table_flow.h"
#include "fabric/table/table_store.h"

namespace selvage {

/// What edge and core do differently about tables. Shared with errands, which may outlive the link.
class TableEnd {
 public:
  virtual ~TableEnd() = default;

  /// A table that the peer is to read.
  struct Offer {
    table::TableSource::Options source;
    /// Only after the peer's own flow of the table was accepted: who reads it must know which life the peer's
    /// store leads.
    bool after_peer = false;
    /// Of one that is after the peer's: only to a peer whose store was set back, as by a restore.
    bool if_set_back = false;
  };
  /// Those that there are now, by name of the table. Called as the link is; must not wait for the disk.
  virtual std::map<std::string, Offer> Offers() = 0;
  /// Another number when Offers may say something else. Cheap.
  virtual uint64_t version() = 0;
  /// As an errand: the table that an offer of the peer goes into, made if need be. Fence and `unsent` are
  /// filled in by the caller. Errors refuse the flow: "unknown_table", "table_changed", "table_mismatch",
  /// "permission_denied".
  virtual absl::StatusOr<table::TableSink::Options> TableFor(const v1::FlowOpen& open) = 0;
};

/// Flows of kind TABLE.
///
/// A snapshot, which removes what the peer does not have, is taken only once the peer has all that was
/// written here so far: else it would remove what the peer could not know of, or lost itself.
class TableFlows : public FlowKind {
 public:
  /// `tables` and `random` must outlive the errands. `wake` as of the link.
  TableFlows(table::TableStore& tables, Random& random, std::shared_ptr<Errands> errands,
             std::shared_ptr<TableEnd> end, std::function<void()> wake);
  ~TableFlows() override;

  v1::FlowKind kind() const override { return v1::TABLE; }
  std::string_view capability() const override { return "table"; }
  void Begin(replication::Session& session, const Fence& fence) override;
  void Tick(replication::Session& session) override;
  void Woken(replication::Session& session) override;
  void OnOffered(replication::Session& session, replication::FlowNumber flow,
                 const v1::FlowOpen& open) override;
  void OnEnded(replication::FlowNumber flow, const absl::Status& why) override;
  void OnHeld(replication::Session& session, const replication::Session::FlowHeld& held) override;
  void End() override;

 private:
  struct Outgoing {
    std::unique_ptr<table::TableSource> source;
    replication::FlowNumber flow;
    int watch;  ///< of the rows that it sends
  };
  struct Incoming {
    table::TableSink::Options options;
    table::TableCursor at;
    std::string history;
    bool another_life = false;  ///< TableSink::IsAnotherLife
    uint64_t written = 0;       ///< what was written here before this sequence, as it was prepared
    std::unique_ptr<table::TableSink> sink;  ///< once it is accepted
  };

  void OfferAll(replication::Session& session);
  void OnPrepared(replication::Session& session, replication::FlowNumber flow, const v1::FlowOpen& open,
                  absl::StatusOr<Incoming> prepared);
  void AcceptReady(replication::Session& session);
  /// What was written here from this sequence on the peer may not have; nothing as long as it does not have
  /// what was written when it made its offer.
  std::optional<uint64_t> UnsentFrom(const Incoming& incoming) const;
  /// Where the peer's flow of the table began, once it was accepted; else null.
  const table::TableCursor* TakenOf(const std::string& table) const;

  table::TableStore& tables_;
  Random& random_;
  const std::shared_ptr<Errands> errands_;
  const std::shared_ptr<TableEnd> end_;
  const std::function<void()> wake_;
  uint64_t ticks_ = 0;
  Fence fence_;
  std::optional<uint64_t> offered_version_;
  std::map<std::string, Outgoing> outgoing_;  // by table
  std::map<replication::FlowNumber, Incoming> incoming_;
  std::set<replication::FlowNumber> unanswered_;  // that errands look into, and that have not ended
  size_t looked_for_ = 0;                         // errands under way
};

}  // namespace selvage
