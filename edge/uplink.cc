#include "edge/uplink.h"

#include <utility>

#include "fabric/base/error.h"
#include "fabric/node/node_state.h"
#include "fabric/telemetry/log.h"

namespace selvage {

using replication::Session;

namespace {

/// What TakeWelcome may say, and what the core said when it closed the link: alarms that end with a link that
/// comes up.
constexpr std::string_view kRefusals[] = {"link_refused", "foreign_cluster", "not_empty", "protocol_error"};

}  // namespace

Uplink::Parts Uplink::PartsOf(NodeState& node, EdgeState& state) {
  const size_t batch_max = node.options().batch_max;
  return {.state = state,
          .identity = node.identity(),
          .clock = node.clock(),
          .random = node.random(),
          .catalog = node.catalog(),
          .alarms = node.alarms(),
          .budget = node.budget(),
          .streams = {node.committer(), node.fences(), node.logs(), node.alarms(), batch_max},
          .repairs = {node.clock(), node.logs(), node.damage(), batch_max},
          .tables = node.tables()};
}

Uplink::Uplink(const Parts& parts, uint64_t max_rate, std::function<void()> wake, Errands::Runner run,
               NodeCaller serve)
    : parts_(parts),
      max_rate_(max_rate),
      wake_(std::move(wake)),
      errands_(std::make_shared<Errands>(std::move(run), wake_)),
      appends_(parts.budget, errands_),
      streams_end_(std::make_shared<UplinkStreams>(
          UplinkStreams::Parts{parts.state, parts.identity, parts.random, parts.streams.logs, parts.alarms},
          errands_)),
      status_(parts.state, parts.identity.boot_id()),
      streams_(parts.streams, errands_, appends_, streams_end_, wake_),
      repairs_(parts.repairs, errands_,
               [this](const LogOrigin& origin) {
                 const auto definition = parts_.catalog.Find(origin.stream);
                 return definition && definition->direction() != v1::LOCAL;
               }),
      tables_end_(std::make_shared<UplinkTables>(parts.tables, parts.identity)),
      tables_(parts.tables, parts.random, errands_, tables_end_, wake_),
      documents_(errands_, {&status_.source()}, {SpecDocument()}),
      calls_(parts_.clock, std::move(serve), wake_),
      chunks_(nullptr, errands_, wake_),
      link_(errands_, {&streams_, &repairs_, &tables_, &documents_, &calls_, &chunks_}),
      skew_(parts_.alarms, "core's", "this node's") {}

void Uplink::Opened(Session& session) {
  (void)parts_.state.TakeRelink();  // this is one made anew
  // Sessions of one process follow one another, so this process's own clock tells them apart.
  fence_ = Fence{std::string(kCoreOrigin),
                 SessionEpoch(static_cast<uint64_t>(absl::ToInt64Nanoseconds(parts_.clock.Monotonic())))};
  errands_->Add([this, streams = parts_.streams, fence = fence_]() -> Errands::Then {
    absl::Status fenced = RaiseFences(streams.committer, streams.fences, {fence});
    return [this, fenced](Session& later) {
      if (!fenced.ok()) return later.Close(fenced);
      v1::Hello hello = parts_.state.MakeHello();
      link_.AddCapabilities(hello);
      later.SendHello(std::move(hello));
    };
  });
  errands_->Apply(session);
}

void Uplink::Handle(Session& session, const Session::Event& event) {
  if (!link_.Handle(session, event)) OnEvent(event);
  errands_->Apply(session);
}

void Uplink::OnEvent(const Session::Event& event) {
  if (const auto* welcome = std::get_if<Session::PeerWelcome>(&event)) {
    OnWelcome(welcome->welcome);
  } else if (const auto* time = std::get_if<Session::PeerTime>(&event)) {
    if (welcomed_) skew_.Judge(core_, time->wall_ms, WallMs(parts_.clock));
  } else if (const auto* closed = std::get_if<Session::PeerClosed>(&event)) {
    OnClosed(closed->why);
  }
}

void Uplink::OnClosed(const absl::Status& why) {
  LogWarning("the core closed the link", {{"reason", Describe(why)}});
  if (IsRetryable(why)) return;
  parts_.alarms.Report({"link_refused", ErrorKind(why), std::string(why.message()), ErrorHint(why), false,
                        std::string(kCoreOrigin)});
}

void Uplink::OnWelcome(const v1::Welcome& welcome) {
  welcome_at_ms_ = WallMs(parts_.clock);
  errands_->Add([this, &state = parts_.state, errands = errands_, welcome]() -> Errands::Then {
    absl::Status taken = state.TakeWelcome(welcome);
    // What a core says that is not this edge's is not done, though it came before the link could be closed.
    if (!taken.ok()) errands->BeginNoOthers();
    return [this, welcome, taken](Session& session) { OnWelcomeTaken(session, welcome, taken); };
  });
}

void Uplink::OnWelcomeTaken(Session& session, const v1::Welcome& welcome, const absl::Status& taken) {
  if (!taken.ok()) {
    parts_.alarms.Report({ErrorKind(taken), welcome.core(), std::string(taken.message()), ErrorHint(taken),
                          true, std::string(kCoreOrigin)});
    return session.Close(taken);
  }
  welcomed_ = true;
  core_ = welcome.core();
  EndRefusals(core_);
  skew_.Judge(core_, welcome.wall_ms(), welcome_at_ms_);
  session.SetWallTime(WallMs(parts_.clock));
  LogInfo("link up",
          {{"core", welcome.core()}, {"slot", welcome.slot()}, {"session_epoch", welcome.session_epoch()}});
  const uint64_t spec_rate = parts_.state.spec().max_rate();
  session.set_max_rate(spec_rate > 0 ? spec_rate : max_rate_);
  link_.Begin(session, welcome.capabilities(), fence_);
  if (parts_.chunk_fetchers != nullptr) parts_.chunk_fetchers->LinkBegan(chunks_.fetcher());
}

/// The core took the link: what once kept it away is over. Alarms of earlier links are known from the book
/// alone.
void Uplink::EndRefusals(const std::string& core) {
  for (std::string_view kind : kRefusals)
    parts_.alarms.ClearExcept(kind, [](const std::string&) { return false; });
  parts_.alarms.ClearExcept("clock_skew", [&](const std::string& subject) { return subject == core; });
}

IncomingDocument Uplink::SpecDocument() {
  return {.name = "spec",
          .held = [&state = parts_.state](const std::string& lineage) { return state.SpecHeld(lineage); },
          .take = [this](std::string body, IncomingDocument::Done done) { TakeSpec(body, done); }};
}

void Uplink::TakeSpec(const std::string& body, const IncomingDocument::Done& done) {
  v1::EdgeSpec spec;
  if (!spec.ParseFromString(body)) {
    return done(MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", "the spec cannot be read"));
  }
  errands_->Add([this, &state = parts_.state, spec = std::move(spec), done]() -> Errands::Then {
    absl::StatusOr<bool> applied = state.ApplySpec(spec);
    done(applied.status());
    return [this, spec, applied](Session& session) { OnSpecApplied(session, spec, applied); };
  });
}

void Uplink::OnSpecApplied(Session& session, const v1::EdgeSpec& spec, const absl::StatusOr<bool>& applied) {
  if (!applied.ok()) {
    parts_.alarms.Report({"spec_refused", parts_.identity.node(), std::string(applied.status().message()),
                          ErrorHint(applied.status()), false});
    return;  // the core offers it again
  }
  parts_.alarms.Clear("spec_refused", parts_.identity.node());
  if (!*applied) return;
  LogInfo("spec applied", {{"generation", spec.generation()}, {"streams", spec.streams_size()}});
  session.set_max_rate(spec.max_rate() > 0 ? spec.max_rate() : max_rate_);
  if (!streams_end_->forking()) streams_.Woken(session);
  status_.Hurry();
}

void Uplink::Tick(Session& session) {
  if (!welcomed_ || streams_end_->forking()) return;
  if (parts_.state.TakeRelink()) {
    return session.Close(MakeError(absl::StatusCode::kAborted, "relink", "an operator has the link made anew",
                                   "", Retry::kYes));
  }
  session.SetWallTime(WallMs(parts_.clock));
  parts_.state.MeasureRates();
  streams_end_->Tick(session, streams_.offered_version());
  link_.Tick(session);
  if (status_.Tick(session.pacer().rate(), parts_.clock.Monotonic())) wake_();
}

void Uplink::Closed(const absl::Status& reason, absl::Duration) {
  LogInfo("link down", {{"reason", Describe(reason)}});
  if (parts_.chunk_fetchers != nullptr) parts_.chunk_fetchers->LinkEnded(chunks_.fetcher());
  link_.End();
  parts_.state.LinkEnded();
}

}  // namespace selvage
