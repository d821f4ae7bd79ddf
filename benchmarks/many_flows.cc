/// What one flow costs on a link that carries many: two sessions without I/O between them, and flows of which
/// none, one or all have something to send. The counters are per flow or per entry, so they stay the same
/// where the cost of a flow does not depend on how many there are.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/check.h"
#include "fabric/replication/session.h"

namespace selvage::bench {
namespace {

using replication::FlowPosition;
using replication::Session;

constexpr size_t kEntryBytes = 200;

/// Entries of one size, as many as were given.
class GivenSource : public replication::FlowSource {
 public:
  explicit GivenSource(int number) : history_(std::to_string(number)) {}

  void Give() { ++end_; }
  bool acknowledged() const { return acknowledged_ == end_; }

  v1::FlowOpen Describe() override {
    v1::FlowOpen open;
    open.set_kind(v1::STREAM);
    open.set_history(history_);
    open.set_end(end_.value());
    open.mutable_stream()->set_name(history_);
    return open;
  }
  replication::FlowSettings settings() override { return {.priority = 5, .weight = 1, .compress = false}; }
  Offset end() override { return end_; }
  absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t) override {
    std::vector<FlowEntry> entries;
    if (from < end_) entries.push_back({.from = from, .to = end_, .body = body_});
    return entries;
  }
  void Acknowledged(const FlowPosition& durable) override { acknowledged_ = durable.offset; }

 private:
  const std::string history_;
  const Bytes body_{std::string(kEntryBytes, 'x')};
  Offset end_;
  Offset acknowledged_{-1};
};

class CountingSink : public replication::FlowSink {
 public:
  explicit CountingSink(std::string history) : at_{std::move(history), Offset(0)} {}

  FlowPosition position() override { return at_; }
  absl::Status Check(const FlowEntry&) override { return absl::OkStatus(); }
  void Persist(FlowEntry entry, Done done) override {
    at_.offset = entry.to;
    done(at_);
  }

 private:
  FlowPosition at_;
};

/// An edge with flows and a core that takes them.
class ManyFlows {
 public:
  explicit ManyFlows(int flows, bool warm = true) {
    edge_.SendHello({});
    Carry();
    core_.SendWelcome({});
    Carry();
    for (int i = 0; i < flows; ++i) {
      sources_.push_back(std::make_unique<GivenSource>(i));
      edge_.Offer(*sources_.back());
    }
    Settle();
    // The pacer comes to know the link.
    for (int i = 0; warm && i < 10; ++i) {
      for (const auto& source : sources_) source->Give();
      Settle();
    }
  }

  GivenSource& source(size_t i) { return *sources_[i]; }
  size_t size() const { return sources_.size(); }
  /// Until everything is acknowledged.
  void Settle() {
    while (!std::ranges::all_of(sources_, [](const auto& source) { return source->acknowledged(); })) Carry();
  }
  /// As long as the first flow is not acknowledged.
  void SettleFirst() {
    while (!sources_[0]->acknowledged()) Carry();
  }
  /// What an append anywhere costs, when it is not of one of these flows.
  void Pump() { benchmark::DoNotOptimize(edge_.TakeReady(now_, kBudget).more); }

 private:
  static constexpr size_t kBudget = 1 << 20;

  static Session::Options Options(bool is_edge) {
    Session::Options options;
    options.is_edge = is_edge;
    return options;
  }
  void Carry() {
    now_ += absl::Microseconds(50);
    Carry(edge_, core_);
    Carry(core_, edge_);
  }
  void Carry(Session& from, Session& to) {
    Session::Ready ready = from.TakeReady(now_, kBudget);
    SELVAGE_CHECK(!ready.closed);
    for (Session::Persist& persist : ready.persist) {
      persist.sink->Persist(std::move(persist.entry), [&](const auto& durable) {
        from.Persisted(persist.flow, persist.credit, durable);
      });
    }
    for (const Session::Event& event : ready.events) {
      const auto* offered = std::get_if<Session::FlowOffered>(&event);
      if (offered == nullptr) continue;
      sinks_.push_back(std::make_unique<CountingSink>(offered->open.history()));
      from.Accept(offered->flow, *sinks_.back());
    }
    for (const replication::Message& message : ready.messages) to.Step(message, now_);
  }

  absl::Duration now_;
  std::vector<std::unique_ptr<GivenSource>> sources_;
  std::vector<std::unique_ptr<CountingSink>> sinks_;
  Session edge_{Options(true), absl::ZeroDuration()};
  Session core_{Options(false), absl::ZeroDuration()};
};

/// Time per unit of what was done.
void PerUnit(benchmark::State& state, const std::string& name, double units) {
  state.counters[name] = benchmark::Counter(units, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void Open(benchmark::State& state) {
  double flows = 0;
  for (auto _ : state) {
    ManyFlows link(static_cast<int>(state.range(0)), false);
    flows += static_cast<double>(link.size());
  }
  PerUnit(state, "per_flow", flows);
}

void LookWhereNothingIs(benchmark::State& state) {
  ManyFlows link(static_cast<int>(state.range(0)));
  double flows = 0;
  for (auto _ : state) {
    link.Pump();
    flows += static_cast<double>(link.size());
  }
  PerUnit(state, "per_flow", flows);
}

void AllSend(benchmark::State& state) {
  ManyFlows link(static_cast<int>(state.range(0)));
  double entries = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < link.size(); ++i) link.source(i).Give();
    link.Settle();
    entries += static_cast<double>(link.size());
  }
  PerUnit(state, "per_entry", entries);
}

void OneSends(benchmark::State& state) {
  ManyFlows link(static_cast<int>(state.range(0)));
  double entries = 0;
  for (auto _ : state) {
    link.source(0).Give();
    link.SettleFirst();
    ++entries;
  }
  PerUnit(state, "per_entry", entries);
}

BENCHMARK(Open)->RangeMultiplier(10)->Range(10, 1000)->Arg(5000)->Arg(10000)->Unit(benchmark::kMicrosecond);
BENCHMARK(LookWhereNothingIs)->RangeMultiplier(10)->Range(10, 1000)->Arg(5000)->Arg(10000);
BENCHMARK(AllSend)->RangeMultiplier(10)->Range(10, 1000)->Arg(5000)->Arg(10000)->Unit(
    benchmark::kMicrosecond);
BENCHMARK(OneSends)->RangeMultiplier(10)->Range(10, 1000)->Arg(5000)->Arg(10000)->Unit(
    benchmark::kMicrosecond);

}  // namespace
}  // namespace selvage::bench

BENCHMARK_MAIN();
