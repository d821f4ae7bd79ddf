#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/replication/virtual_link.h"

namespace selvage::replication::test {
namespace {

constexpr double kSlow = 8000;  // 64 kbit/s
constexpr absl::Duration kSlowTrip = absl::Milliseconds(600);
constexpr uint32_t kAlarmPriority = 9;
constexpr uint32_t kStatusPriority = 5;

/// Entries of one size without end, or as many as were given. The records of an entry: 1.
class CountedSource : public FlowSource {
 public:
  CountedSource(std::string name, FlowSettings settings, size_t entry_bytes, int64_t entries)
      : name_(std::move(name)), settings_(settings), body_(std::string(entry_bytes, 'x')), end_(entries) {}

  void Give(int64_t entries) { end_ += entries; }

  v1::FlowOpen Describe() override {
    v1::FlowOpen open;
    open.mutable_stream()->set_name(name_);
    return open;
  }
  FlowSettings settings() override { return settings_; }
  Offset end() override { return Offset(end_); }
  absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t max_bytes) override {
    std::vector<FlowEntry> entries;
    for (Offset at = from; at.value() < end_ && (at - from) * body_.size() <= max_bytes; ++at) {
      entries.push_back({EntryKind::kBatch, at, at + 1, body_, ChainHash(0), false});
    }
    return entries;
  }
  void Acknowledged(const FlowPosition&) override {}

 private:
  std::string name_;
  FlowSettings settings_;
  Bytes body_;
  int64_t end_;
};

/// Takes every flow and counts what arrives, by name.
class CountingEnd : public End {
 public:
  using End::End;

  CountedSource& Add(const std::string& name, uint32_t priority, size_t entry_bytes, int64_t entries,
                     uint32_t weight = 1) {
    sources_.push_back(
        std::make_unique<CountedSource>(name, FlowSettings{priority, weight, false}, entry_bytes, entries));
    return *sources_.back();
  }
  uint64_t bytes(const std::string& name) { return flows_[name].bytes; }
  const std::vector<absl::Duration>& times(const std::string& name) { return flows_[name].times; }

 private:
  struct Sink : FlowSink {
    FlowPosition position() override { return at; }
    absl::Status Check(const FlowEntry&) override { return absl::OkStatus(); }
    void Persist(FlowEntry, Done done) override { done(at); }
    FlowPosition at;
    uint64_t bytes = 0;
    std::vector<absl::Duration> times;
  };
  void OnEvent(const Event& event, absl::Duration) override {
    const bool greeted = std::holds_alternative<Session::PeerHello>(event);
    if (greeted) session().SendWelcome({});
    if (greeted || std::holds_alternative<Session::PeerWelcome>(event)) {
      for (auto& source : sources_) session().Offer(*source);
    }
    if (const auto* offered = std::get_if<Session::FlowOffered>(&event)) {
      const std::string& name = offered->open.stream().name();
      names_[offered->flow] = name;
      session().Accept(offered->flow, flows_[name]);
    }
  }
  absl::StatusOr<FlowPosition> Append(FlowNumber flow, FlowEntry entry, absl::Duration now) override {
    Sink& sink = flows_[names_.at(flow)];
    sink.at.offset = entry.to;
    sink.bytes += entry.body.size();
    sink.times.push_back(now);
    return sink.at;
  }

  std::vector<std::unique_ptr<CountedSource>> sources_;
  std::map<std::string, Sink> flows_;
  std::map<FlowNumber, std::string> names_;
};

/// An edge with endless bulk data of 1 MiB entries, and an alarm of 200 bytes every second.
class PacingSimulation : public testing::Test {
 protected:
  PacingSimulation() {
    edge.keep_events = core.keep_events = false;
    edge.on_send = [this](const Message& message) {
      if (!message.frame.has_data()) return;
      payload_sent += message.payload.size();
      frame_max = std::max(frame_max, message.payload.size());
    };
  }

  void Start(double rate, absl::Duration round_trip) {
    bulk = &edge.Add("bulk", 0, 1 << 20, 1 << 30);
    alarms = &edge.Add("alarms", kAlarmPriority, 200, 0);
    link.Shape(rate, round_trip);
    link.Connect();
  }
  /// Runs with an alarm every second (and some milliseconds, so as not to beat with the frames).
  void RunWithAlarms(absl::Duration time) {
    absl::Duration until = link.now() + time;
    while (link.now() < until) {
      raised.push_back(link.now());
      alarms->Give(1);
      link.RunFor(absl::Milliseconds(1000 + 37 * (raised.size() % 7)));
    }
  }
  /// Seconds from raising to storing, of the alarms raised in [from, to) that have been stored; in order of
  /// raising.
  std::vector<double> Latencies(absl::Duration from, absl::Duration to = absl::InfiniteDuration()) {
    std::vector<double> seconds;
    const auto& stored = core.times("alarms");
    for (size_t i = 0; i < raised.size(); ++i) {
      if (raised[i] < from || raised[i] >= to) continue;
      absl::Duration took = (i < stored.size() ? stored[i] : absl::InfiniteDuration()) - raised[i];
      if (took == absl::InfiniteDuration() && link.now() - raised[i] < absl::Seconds(3)) continue;
      seconds.push_back(absl::ToDoubleSeconds(took));
    }
    return seconds;
  }
  static double Percentile(std::vector<double> values, double p) {
    if (values.empty()) return 1e9;
    std::sort(values.begin(), values.end());
    return values[std::min(values.size() - 1, static_cast<size_t>(p * static_cast<double>(values.size())))];
  }

  CountingEnd edge{true, {}};
  CountingEnd core{false, {}};
  VirtualLink link{edge, core};
  CountedSource* bulk = nullptr;
  CountedSource* alarms = nullptr;
  std::vector<absl::Duration> raised;
  uint64_t payload_sent = 0;
  size_t frame_max = 0;
};

TEST_F(PacingSimulation, SlowLinkIsFullAndAlarmsOvertake) {
  Start(kSlow, kSlowTrip);
  RunWithAlarms(absl::Seconds(30));
  absl::Duration from = link.now();
  uint64_t before = payload_sent - edge.session().pacer().in_flight();
  RunWithAlarms(absl::Seconds(1200));
  uint64_t arrived = payload_sent - edge.session().pacer().in_flight() - before;

  double utilisation = static_cast<double>(arrived) / absl::ToDoubleSeconds(link.now() - from) / kSlow;
  double p99 = Percentile(Latencies(from), 0.99);
  RecordProperty("utilisation", fmt::format("{:.3f}", utilisation));
  RecordProperty("alarm_p99_s", fmt::format("{:.3f}", p99));
  EXPECT_GT(utilisation, 0.80);
  EXPECT_LT(p99, 2.0);
  EXPECT_GE(core.bytes("bulk"), 8u << 20);
}

// The start, when little is known of the link: one batch on an idle link, and a status every two seconds
// beside it.
TEST_F(PacingSimulation, AlarmsOvertakeABatchThatBeginsOnAnIdleSlowLink) {
  std::vector<double> latencies;
  for (int begins = 0; begins < 40; ++begins) {
    CountingEnd e(true, {}), c(false, {});
    VirtualLink l(e, c);
    CountedSource& batch = e.Add("bulk", 0, 320 << 10, 0);
    CountedSource& alarm = e.Add("alarms", kAlarmPriority, 97, 0);
    CountedSource& status = e.Add("status", kStatusPriority, 300, 0);
    l.Shape(kSlow, kSlowTrip);
    l.Connect();
    std::vector<absl::Duration> at;
    absl::Duration began = l.now() + absl::Milliseconds(3000 + 1000 * (begins % 4) + 25 * begins);
    for (int tick = 0; c.bytes("bulk") == 0 && tick < 100; ++tick) {
      absl::Duration until = l.now() + absl::Seconds(1);
      if (tick % 2 == 0) status.Give(1);
      if (tick >= 2) {
        at.push_back(l.now());
        alarm.Give(1);
      }
      if (began < until && began >= l.now()) {
        l.RunUntil(began);
        batch.Give(1);
      }
      l.RunUntil(until);
    }
    l.RunFor(absl::Seconds(5));
    EXPECT_LT(l.now() - began, absl::Seconds(1.3 * (320 << 10) / kSlow + 6));
    ASSERT_EQ(c.times("alarms").size(), at.size());
    for (size_t i = 0; i < at.size(); ++i) {
      latencies.push_back(absl::ToDoubleSeconds(c.times("alarms")[i] - at[i]));
    }
  }
  RecordProperty("alarm_p99_s", fmt::format("{:.3f}", Percentile(latencies, 0.99)));
  RecordProperty("alarm_max_s", fmt::format("{:.3f}", Percentile(latencies, 1)));
  EXPECT_LT(Percentile(latencies, 1), 2.0);
}

// Many flows make a large status, as often as its share of the link allows.
TEST_F(PacingSimulation, ALargeStatusDoesNotHoldUpAlarms) {
  constexpr size_t kStatusBytes = 20'000;
  CountedSource& status = edge.Add("status", kStatusPriority, kStatusBytes, 0);
  Start(kSlow, kSlowTrip);
  RunWithAlarms(absl::Seconds(30));
  absl::Duration from = link.now();
  uint64_t before = payload_sent - edge.session().pacer().in_flight();
  for (int i = 0; i < 12; ++i) {
    status.Give(1);
    RunWithAlarms(absl::Seconds(50));
  }
  EXPECT_LT(Percentile(Latencies(from), 0.99), 2.0);
  EXPECT_EQ(core.bytes("status"), 12 * kStatusBytes);
  uint64_t arrived = payload_sent - edge.session().pacer().in_flight() - before;
  EXPECT_GT(static_cast<double>(arrived) / absl::ToDoubleSeconds(link.now() - from) / kSlow, 0.8);
}

// Each direction's queue delays what the other hears of its arrivals, and looks like its own queue.
TEST_F(PacingSimulation, SlowLinkWithBulkBothWays) {
  core.Add("down", 0, 1 << 20, 1 << 30);
  uint64_t sent_down = 0;
  core.on_send = [&](const Message& message) { sent_down += message.payload.size(); };
  Start(kSlow, kSlowTrip);
  RunWithAlarms(absl::Seconds(30));
  absl::Duration from = link.now();
  uint64_t up_before = payload_sent, down_before = sent_down;
  RunWithAlarms(absl::Seconds(1200));
  double seconds = absl::ToDoubleSeconds(link.now() - from);
  EXPECT_GT(static_cast<double>(payload_sent - up_before) / seconds / kSlow, 0.60);
  EXPECT_GT(static_cast<double>(sent_down - down_before) / seconds / kSlow, 0.60);
  EXPECT_LT(Percentile(Latencies(from), 0.99), 2.0);
}

TEST_F(PacingSimulation, SlowLinkWithManySmallBulkFlows) {
  for (int i = 0; i < 40; ++i) edge.Add(fmt::format("small{}", i), 0, 3000, 1 << 30);
  Start(kSlow, kSlowTrip);
  RunWithAlarms(absl::Seconds(30));
  absl::Duration from = link.now();
  RunWithAlarms(absl::Seconds(300));
  EXPECT_LT(Percentile(Latencies(from), 0.99), 2.0);
  for (int i = 0; i < 40; ++i) EXPECT_GT(core.bytes(fmt::format("small{}", i)), 0u) << i;
}

TEST_F(PacingSimulation, FramesAreBoundedInTime) {
  for (double rate : {8e3, 30e3, 100e3}) {
    frame_max = 0;
    CountingEnd e(true, {}), c(false, {});
    VirtualLink l(e, c);
    bool settled = false;
    e.on_send = [&](const Message& m) {
      if (settled && m.frame.has_data()) frame_max = std::max(frame_max, m.payload.size());
    };
    e.Add("bulk", 0, 1 << 20, 1 << 30);
    l.Shape(rate, absl::Milliseconds(300));
    l.Connect();
    l.RunFor(absl::Seconds(10));
    settled = true;
    l.RunFor(absl::Seconds(100));
    EXPECT_GT(static_cast<double>(frame_max), rate * 0.05) << rate;
    EXPECT_LT(static_cast<double>(frame_max), std::max(1024.0, rate * 0.30)) << rate;
  }
}

TEST_F(PacingSimulation, FastLinksAreFull) {
  struct Case {
    double rate;
    absl::Duration round_trip;
    absl::Duration time;
  };
  for (Case c : {Case{1e9, absl::Microseconds(200), absl::Milliseconds(500)},
                 Case{125e6, absl::Milliseconds(1), absl::Seconds(2)},
                 Case{12.5e6, absl::Milliseconds(20), absl::Seconds(10)},
                 Case{1.25e6, absl::Milliseconds(100), absl::Seconds(60)},
                 Case{1.25e6, absl::Milliseconds(600), absl::Seconds(60)},
                 Case{100e3, absl::Milliseconds(600), absl::Seconds(120)}}) {
    CountingEnd e(true, {}), core_end(false, {});
    VirtualLink l(e, core_end);
    e.keep_events = core_end.keep_events = false;
    e.Add("bulk", 0, 1 << 20, 1 << 30);
    l.Shape(c.rate, c.round_trip);
    l.Connect();
    l.RunFor(c.time * 0.2);
    uint64_t before = core_end.bytes("bulk");
    absl::Duration from = l.now();
    l.RunFor(c.time);
    double rate =
        static_cast<double>(core_end.bytes("bulk") - before) / absl::ToDoubleSeconds(l.now() - from);
    EXPECT_GT(rate / c.rate, 0.80) << c.rate << " " << c.round_trip << " window "
                                   << e.session().pacer().window();
    // And little more is under way than the link holds.
    double holds = c.rate * absl::ToDoubleSeconds(c.round_trip);
    EXPECT_LT(static_cast<double>(e.session().pacer().window()),
              holds * 1.5 + std::min(2.2e6, c.rate * 0.1 + 4096))
        << c.rate;
  }
}

TEST_F(PacingSimulation, GrowsWithTheLink) {
  Start(kSlow, kSlowTrip);
  RunWithAlarms(absl::Seconds(60));
  link.Shape(1.25e6, absl::Milliseconds(100));
  link.RunFor(absl::Seconds(40));
  uint64_t before = core.bytes("bulk");
  link.RunFor(absl::Seconds(20));
  EXPECT_GT(static_cast<double>(core.bytes("bulk") - before) / 20 / 1.25e6, 0.80);
}

TEST_F(PacingSimulation, RecoversWhenAFastLinkFalls) {
  struct Case {
    double rate;
    absl::Duration round_trip;
  };
  for (Case c : {Case{125e3, absl::Milliseconds(80)}, Case{1.25e6, absl::Milliseconds(50)},
                 Case{12.5e6, absl::Milliseconds(5)}}) {
    CountingEnd e(true, {}), core_end(false, {});
    VirtualLink l(e, core_end);
    CountedSource& alarm = e.Add("alarms", kAlarmPriority, 200, 0);
    e.Add("bulk", 0, 1 << 20, 1 << 30);
    l.Shape(c.rate, c.round_trip);
    l.Connect();
    l.RunFor(absl::Seconds(20));
    uint64_t caught = e.session().pacer().in_flight();
    l.Shape(kSlow, kSlowTrip);
    absl::Duration fell = l.now();
    std::vector<absl::Duration> at;
    while (l.now() < fell + absl::Seconds(200)) {
      at.push_back(l.now());
      alarm.Give(1);
      l.RunFor(absl::Seconds(1));
    }
    // What was under way has to pass; nothing brings it back.
    double drain = static_cast<double>(caught) / kSlow;
    absl::Duration recovered = fell + absl::Seconds(drain + 6);
    const auto& stored = core_end.times("alarms");
    for (size_t i = 0; i + 5 < at.size(); ++i) {
      if (at[i] < recovered) continue;
      EXPECT_LT(stored.at(i) - at[i], absl::Seconds(2.5))
          << c.rate << ": " << at[i] - fell << " after, drain " << drain;
    }
    double holds = c.rate * absl::ToDoubleSeconds(c.round_trip);
    EXPECT_LT(static_cast<double>(caught), holds * 1.5 + c.rate * 0.09 + 4096) << c.rate;
    EXPECT_FALSE(e.closed().code() == absl::StatusCode::kUnavailable) << e.closed();
    EXPECT_TRUE(e.closed().ok() && core_end.closed().ok());
  }
}

TEST_F(PacingSimulation, JitterDoesNotStarveTheLink) {
  Start(1.25e6, absl::Milliseconds(60));
  SeededRandom random(7);
  uint64_t before = 0;
  absl::Duration from;
  for (int i = 0; i < 3000; ++i) {
    // The delay wanders: 30 to 80 ms each way, mostly near the middle.
    absl::Duration d = absl::Milliseconds(30 + random.Below(26) + random.Below(26));
    link.up().Shape(link.now(), 1.25e6, d);
    link.down().Shape(link.now(), 1.25e6, d);
    link.RunFor(absl::Milliseconds(20));
    if (i == 500) {
      before = core.bytes("bulk");
      from = link.now();
    }
  }
  double rate = static_cast<double>(core.bytes("bulk") - before) / absl::ToDoubleSeconds(link.now() - from);
  RecordProperty("utilisation", fmt::format("{:.3f}", rate / 1.25e6));
  EXPECT_GT(rate / 1.25e6, 0.7);
}

TEST_F(PacingSimulation, MaxRateIsKeptAndUsed) {
  for (uint64_t max_rate : {2000u, 8000u, 100000u, 5000000u}) {
    Session::Options options;
    options.max_rate = max_rate;
    CountingEnd e(true, options), c(false, {});
    VirtualLink l(e, c);
    e.keep_events = c.keep_events = false;
    uint64_t sent = 0;
    std::vector<std::pair<absl::Duration, uint64_t>> sent_at;
    e.on_send = [&](const Message& m) {
      sent += m.payload.size();
      sent_at.emplace_back(l.now(), sent);
    };
    CountedSource& alarm = e.Add("alarms", kAlarmPriority, 200, 0);
    e.Add("bulk", 0, 1 << 20, 1 << 30);
    l.Shape(50e6, absl::Milliseconds(20));
    l.Connect();
    for (int i = 0; i < 60; ++i) {
      alarm.Give(1);
      l.RunFor(absl::Seconds(1));
    }
    EXPECT_NEAR(static_cast<double>(sent) / 60 / static_cast<double>(max_rate), 1.0, 0.05) << max_rate;
    EXPECT_GE(c.times("alarms").size(), 59u);
    // Over any ten seconds too.
    for (size_t i = 0, j = 0; i < sent_at.size(); ++i) {
      while (sent_at[i].first - sent_at[j].first > absl::Seconds(10)) ++j;
      ASSERT_LT(static_cast<double>(sent_at[i].second - sent_at[j].second),
                static_cast<double>(max_rate) * 10 * 1.05);
    }
  }
}

TEST_F(PacingSimulation, MaxRateChangesWhileRunning) {
  Start(50e6, absl::Milliseconds(20));
  link.RunFor(absl::Seconds(5));
  edge.session().set_max_rate(100000);
  link.RunFor(absl::Seconds(5));
  uint64_t before = payload_sent;
  link.RunFor(absl::Seconds(20));
  EXPECT_NEAR(static_cast<double>(payload_sent - before) / 20 / 100000, 1.0, 0.05);
  edge.session().set_max_rate(0);
  link.RunFor(absl::Seconds(5));
  before = payload_sent;
  link.RunFor(absl::Seconds(5));
  EXPECT_GT(static_cast<double>(payload_sent - before) / 5 / 50e6, 0.8);
}

TEST_F(PacingSimulation, WeightsHoldWithinTenPerCent) {
  Session::Options options;
  CountingEnd e(true, options), c(false, {});
  VirtualLink l(e, c);
  struct Flow {
    uint32_t priority, weight;
    size_t entry;
  };
  std::vector<Flow> flows = {{3, 1, 5000}, {3, 2, 200}, {3, 5, 70000}, {1, 1, 2000}, {1, 4, 30000}};
  for (size_t i = 0; i < flows.size(); ++i) {
    e.Add(fmt::format("f{}", i), flows[i].priority, flows[i].entry, 1 << 30, flows[i].weight);
  }
  l.Shape(200e3, absl::Milliseconds(100));
  l.Connect();
  l.RunFor(absl::Seconds(300));
  auto per_weight = [&](int i) {
    return static_cast<double>(c.bytes(fmt::format("f{}", i))) / flows[i].weight;
  };
  EXPECT_NEAR(per_weight(1) / per_weight(0), 1, 0.1);
  EXPECT_NEAR(per_weight(2) / per_weight(0), 1, 0.1);
  EXPECT_NEAR(per_weight(4) / per_weight(3), 1, 0.1);
  EXPECT_GT(per_weight(3), 0);
  EXPECT_GT(per_weight(0), 5 * per_weight(3));
}

}  // namespace
}  // namespace selvage::replication::test
