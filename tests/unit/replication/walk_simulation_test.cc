#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/unit/replication/virtual_link.h"

namespace selvage::replication::test {
namespace {

/// Several logs in both directions; cuts, crashes and reconnects at random; then all is healed.
class Walk {
 public:
  explicit Walk(uint64_t seed)
      : random_(seed), edge_(true, Draw()), core_(false, Draw()), link_(edge_, core_) {
    int flows = static_cast<int>(random_.Between(1, 6));
    for (int i = 0; i < flows; ++i) {
      LogEnd& from = random_.OneIn(3) ? core_ : edge_;
      logs_.push_back(std::make_unique<MemoryLog>(TestLogId(static_cast<uint8_t>(i + 1))));
      FlowSettings settings{static_cast<uint32_t>(random_.Below(10)),
                            static_cast<uint32_t>(random_.Between(1, 9)), true};
      LogSource& source = from.AddSource(fmt::format("log{}", i), *logs_.back(), settings);
      source.compressible = random_.OneIn(2);
    }
    for (LogEnd* end : {&edge_, &core_}) {
      end->keep_events = false;
      end->persist_time = [this] { return absl::Microseconds(random_.Spread(1, 300000)); };
      end->data_budget = random_.Spread(1000, 1 << 20);
      end->on_stored = [this](const std::string& name, const MemoryLog::Stored& entry, absl::Duration) {
        CheckStored(name, entry);
      };
      // Now and then an offer is turned away for a while, or an entry taken for damaged.
      end->on_offer = [this](const v1::FlowOpen&) {
        if (healed_ || !random_.OneIn(6)) return absl::OkStatus();
        return MakeError(absl::StatusCode::kUnavailable, "busy", "later", "", Retry::kYes);
      };
    }
    Reshape();
  }

  void Run() {
    for (int step = 0, steps = static_cast<int>(random_.Between(5, 30)); step < steps; ++step) {
      for (auto& log : logs_) {
        for (uint64_t n = random_.Below(5); n > 0; --n) log->AppendRandom(random_, entry_max_);
      }
      if (!edge_.connected() && !random_.OneIn(3)) link_.Connect();
      if (edge_.connected() && random_.OneIn(4)) link_.Cut(random_.OneIn(2));
      if (random_.OneIn(5)) Reshape();
      for (LogEnd* end : {&edge_, &core_}) {
        for (auto& log : logs_) SetDamaged(*end, *log, random_.OneIn(10));
      }
      link_.RunFor(absl::Microseconds(random_.Spread(100, 2000000)));
      CheckPrefixes();
    }
    Heal();
  }

 private:
  Session::Options Draw() {
    Session::Options options;
    entry_max_ = std::max<size_t>(entry_max_, random_.Spread(10, 100000));
    options.receive_window = random_.Spread(1, 1 << 20);
    options.read_ahead = random_.Spread(1, 1 << 18);
    options.max_rate = random_.OneIn(3) ? random_.Spread(20000, 1 << 24) : 0;
    return options;
  }
  void Reshape() {
    double rate = random_.OneIn(4) ? Wire::kUnlimited : static_cast<double>(random_.Spread(20000, 1 << 28));
    link_.Shape(rate, absl::Microseconds(random_.Below(2) * random_.Spread(100, 800000)));
  }
  void SetDamaged(LogEnd& end, const MemoryLog& log, bool damaged) {
    for (size_t i = 0; i < logs_.size(); ++i) {
      std::string name = fmt::format("log{}", i);
      if (logs_[i].get() != &log || !end.has_replica(name)) continue;
      end.sink(name).check_error =
          damaged ? MakeError(absl::StatusCode::kDataLoss, "corrupt_batch", "CRC", "", Retry::kYes)
                  : absl::OkStatus();
    }
  }
  /// Each entry is stored exactly once, in its place: the one after the last, and the same as the source's.
  void CheckStored(const std::string& name, const MemoryLog::Stored& entry) {
    size_t i = stored_[name]++;
    const MemoryLog& source = *logs_.at(std::stoul(name.substr(3)));
    ASSERT_LT(i, source.entries().size());
    const MemoryLog::Stored& expected = source.entries()[i];
    ASSERT_EQ(entry.from, expected.from);
    ASSERT_EQ(entry.to, expected.to);
    ASSERT_TRUE(entry.body == expected.body);
  }
  void CheckPrefixes() {
    for (size_t i = 0; i < logs_.size(); ++i) {
      std::string name = fmt::format("log{}", i);
      for (LogEnd* end : {&edge_, &core_}) {
        for (auto& source : end->sources()) {
          if (source->name != name || !source->acknowledged) continue;
          LogEnd& other = end == &edge_ ? core_ : edge_;
          // What the source was told is there.
          ASSERT_GE(other.replica(name).end(), source->acknowledged->offset);
        }
        ASSERT_TRUE(!end->has_replica(name) || end->replica(name).end() <= logs_[i]->end());
      }
    }
  }
  bool Converged() {
    for (LogEnd* end : {&edge_, &core_}) {
      LogEnd& other = end == &edge_ ? core_ : edge_;
      for (auto& source : end->sources()) {
        if (!other.has_replica(source->name)) return false;
        if (other.replica(source->name).position() != source->log().position()) return false;
        if (!source->acknowledged || *source->acknowledged != source->log().position()) return false;
      }
    }
    return true;
  }
  void Heal() {
    healed_ = true;
    for (LogEnd* end : {&edge_, &core_}) {
      for (auto& log : logs_) SetDamaged(*end, *log, false);
    }
    if (!edge_.connected()) link_.Connect();
    uint64_t bytes = 0;
    for (auto& log : logs_) {
      for (const auto& entry : log->entries()) bytes += entry.body.size() + 500;
    }
    // At 20 kB/s at worst, each entry persisted in up to 0.3 s and perhaps alone in the window.
    uint64_t entries = 0;
    for (auto& log : logs_) entries += log->entries().size();
    absl::Duration bound = absl::Seconds(90) + absl::Seconds(static_cast<double>(bytes) / 8000) +
                           absl::Seconds(2) * static_cast<double>(entries);
    ASSERT_TRUE(link_.RunFor(bound, [this] { return Converged(); }))
        << "no convergence; edge: " << edge_.closed() << ", core: " << core_.closed();
    for (LogEnd* end : {&edge_, &core_}) {
      LogEnd& other = end == &edge_ ? core_ : edge_;
      for (auto& source : end->sources()) {
        ASSERT_TRUE(IsPrefix(other.replica(source->name), source->log()));
        ASSERT_EQ(stored_[source->name], source->log().entries().size());
      }
    }
  }

  SeededRandom random_;
  size_t entry_max_ = 1;
  bool healed_ = false;
  std::vector<std::unique_ptr<MemoryLog>> logs_;
  std::map<std::string, size_t> stored_;
  LogEnd edge_;
  LogEnd core_;
  VirtualLink link_;
};

TEST(WalkSimulation, BothEndsAreIdenticalAfterHealing) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Walk(seed).Run();
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace selvage::replication::test
