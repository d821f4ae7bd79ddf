#include "core/peer_link.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/error.h"
#include "fabric/telemetry/log.h"

namespace selvage {

using replication::Session;

namespace {

/// What an edge with as many logs as it may have here says of itself fits.
constexpr size_t kStatusMax = 8 << 20;
constexpr size_t kStatusFieldsMax = 50'000;

void Admit(Admitter& admitter, const std::string& edge, const v1::Hello& hello, Admitter::Done done) {
  if (hello.edge() == edge) return admitter.Admit(hello, std::move(done));
  done(MakeError(absl::StatusCode::kPermissionDenied, "permission_denied",
                 fmt::format("the certificate is of edge {}, the hello of {}", edge, hello.edge()),
                 "node.id must be the id in the certificate"));
}

}  // namespace

PeerLink::PeerLink(const Parts& parts, Metrics& metrics, std::string edge, std::function<void()> wake,
                   Errands::Runner run)
    : parts_(parts),
      metrics_(metrics),
      edge_(std::move(edge)),
      wake_(std::move(wake)),
      errands_(std::make_shared<Errands>(std::move(run), wake_)),
      appends_(parts.budget, errands_),
      spec_("spec", wake_),
      streams_end_(std::make_shared<PeerStreams>(
          PeerStreams::Parts{parts.catalog, parts.alarms, parts.links, parts.logs}, metrics, edge_, errands_,
          spec_)),
      streams_(parts.streams, errands_, appends_, streams_end_, wake_),
      repairs_(parts.repairs, errands_,
               [this](const LogOrigin& origin) { return streams_end_->IsOfThisEdge(origin); }),
      tables_end_(std::make_shared<PeerTables>(parts.tables, edge_)),
      tables_(parts.tables.tables, parts.random, errands_, tables_end_, wake_),
      documents_(
          errands_, {&spec_},
          {{.name = "status",
            .bytes_max = kStatusMax,
            .fields_max = kStatusFieldsMax,
            .held = [](const std::string&) { return 0; },  // what an earlier link brought may be old
            .take = [this](std::string body, IncomingDocument::Done done) { TakeStatus(body, done); }}}),
      calls_(parts.clock, {}, wake_),
      chunks_(parts.models, errands_, wake_),
      link_(errands_, {&streams_, &repairs_, &tables_, &documents_, &calls_, &chunks_}),
      skew_(parts.alarms, "edge's", "the core's") {}

void PeerLink::Handle(Session& session, const Session::Event& event) {
  if (!link_.Handle(session, event)) OnEvent(event);
  errands_->Apply(session);
}

void PeerLink::OnEvent(const Session::Event& event) {
  if (const auto* hello = std::get_if<Session::PeerHello>(&event)) {
    OnHello(hello->hello);
  } else if (const auto* time = std::get_if<Session::PeerTime>(&event)) {
    skew_.Judge(edge_, time->wall_ms, WallMs(parts_.clock));
    parts_.reports.Heard(edge_, link_number_);
  }
}

void PeerLink::OnHello(const v1::Hello& hello) {
  hello_at_ms_ = WallMs(parts_.clock);
  errands_->Begin([this, &admitter = parts_.admitter, edge = edge_, hello](const Errands::Back& back) {
    Admit(admitter, edge, hello, [this, hello, back](const absl::StatusOr<Admission>& admission) {
      back([this, hello, admission](Session& session) { OnAdmitted(session, hello, admission); });
    });
  });
}

void PeerLink::OnAdmitted(Session& session, const v1::Hello& hello,
                          const absl::StatusOr<Admission>& admission) {
  if (!admission.ok()) {
    metrics_.CountError(admission.status());
    LogWarning("an edge is refused", {{"edge", edge_}, {"error", Describe(admission.status())}});
    return session.Close(admission.status(), absl::Seconds(30));
  }
  const Fence& fence = admission->fence;
  link_number_ = parts_.links.Linked(edge_, fence.epoch,
                                     {.close =
                                          [signal = signal_, wake = wake_] {
                                            signal->close = true;
                                            wake();
                                          },
                                      .wake = wake_,
                                      .call = calls_.caller()});
  if (link_number_ == 0) return CloseSuperseded(session);
  tables_end_->Admitted(StoreId::FromBytes(hello.store_id()).value_or(StoreId()));
  streams_end_->Admitted(admission->slot, link_number_);
  skew_.Judge(edge_, hello.wall_ms(), hello_at_ms_);
  session.SetWallTime(WallMs(parts_.clock));
  parts_.alarms.Clear("edge_certificate", edge_);
  LogInfo("edge linked", {{"edge", edge_}, {"slot", admission->slot}, {"session_epoch", fence.epoch}});
  v1::Welcome welcome = admission->welcome;
  link_.AddCapabilities(welcome);
  spec_.set_history(welcome.lineage_id());
  session.SendWelcome(std::move(welcome));
  FollowSpec();
  link_.Begin(session, hello.capabilities(), fence);
}

/// Cheap when no spec has changed.
void PeerLink::FollowSpec() {
  const uint64_t changes = parts_.specs.changes();
  if (spec_.generation() > 0 && std::exchange(spec_changes_seen_, changes) == changes) return;
  if (spec_.generation() == parts_.specs.Generation(edge_)) return;
  const v1::EdgeSpec spec = parts_.specs.For(edge_);
  spec_.Set(spec.generation(), spec.SerializeAsString());
}

void PeerLink::TakeStatus(const std::string& body, const IncomingDocument::Done& done) {
  v1::EdgeStatus status;
  if (!status.ParseFromString(body)) {
    return done(MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", "the status cannot be read"));
  }
  const absl::Status taken = parts_.reports.Take(edge_, link_number_, status);
  if (taken.ok()) streams_end_->ClearRefused(status);
  done(taken);
}

void PeerLink::Woken(Session& session) {
  if (link_number_ != 0) FollowSpec();
  link_.Woken(session);
}

void PeerLink::Tick(Session& session) {
  if (signal_->close) return CloseSuperseded(session);
  if (!session.established()) return;
  session.SetWallTime(WallMs(parts_.clock));
  FollowSpec();
  link_.Tick(session);
}

void PeerLink::CloseSuperseded(Session& session) {
  session.Close(
      MakeError(absl::StatusCode::kAborted, "superseded",
                fmt::format("another link of edge {} took this one's place, or an operator ended it", edge_),
                "", Retry::kYes));
}

void PeerLink::Closed(const absl::Status& reason, absl::Duration) {
  link_.End();
  if (link_number_ == 0) return;
  if (parts_.links.Unlinked(edge_, link_number_)) parts_.reports.Seen(edge_);
  LogInfo("edge unlinked", {{"edge", edge_}, {"reason", Describe(reason)}});
}

}  // namespace selvage
