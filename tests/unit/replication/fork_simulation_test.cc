#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "fabric/replication/receiver.h"
#include "fabric/replication/sender.h"
#include "tests/unit/replication/memory_log.h"

namespace selvage::replication::test {
namespace {

/// Resumes a flow between two logs without a link in between. Says how many probes it took.
struct Resume {
  Resume(LogSource& source, LogSink& sink) : sender(source, 1 << 20) {
    Receiver receiver(FlowNumber(1));
    sender.Offer(FlowNumber(1));
    Message accept = receiver.Accept(sink);
    auto probe = sender.OnAccept(FromProto(accept.frame.flow_accept().position()), absl::ZeroDuration());
    for (; probe && probes < 1000; ++probes) {
      Message reply = receiver.OnProbe(Offset(probe->frame.probe().offset()));
      probe = sender.OnProbeReply(reply.frame.probe_reply(), absl::ZeroDuration());
    }
  }
  Sender sender;
  int probes = 0;
};

/// The largest boundary that both hold with the same hash, looked for one by one; where the source begins if
/// none.
FlowPosition LastCommon(LogSource& source, LogSink& sink) {
  FlowPosition common = *source.BoundaryAtOrBefore(source.start);
  for (const auto& entry : source.log().entries()) {
    FlowPosition boundary{source.log().id(), entry.to, entry.hash_after, {}};
    if (boundary.offset > source.start && sink.HashAt(boundary.offset) == boundary.hash) common = boundary;
  }
  return common;
}

/// Whether the histories differ, by the last boundary of the source's at or before `end` that says so either
/// way, or else by what is remembered of acknowledgements.
bool Differ(LogSource& source, LogSink& sink, Offset end) {
  bool differ = source.remembered < end;
  auto compare = [&](const FlowPosition& boundary) {
    if (boundary.offset < source.start || boundary.offset > end) return;
    const Located at = sink.Locate(boundary.offset);
    if (at.hash || at.in_batch) differ = at.hash != boundary.hash;
  };
  compare({source.log().id(), Offset(0), ChainHash(), {}});
  for (const auto& entry : source.log().entries())
    compare({source.log().id(), entry.to, entry.hash_after, {}});
  return differ;
}

/// Also when the replica ends inside of a gap of the source's: then the histories up to the gap are what
/// counts.
void ExpectForkFound(LogSource& source, LogSink& sink) {
  FlowPosition expected = LastCommon(source, sink);
  bool inside_gap = *source.Continues(sink.position());
  Resume resume(source, sink);
  double range = static_cast<double>(source.end().value()) + 2;
  EXPECT_LE(resume.probes, 3 * std::log2(range) + 4);
  FlowPosition boundary = *source.BoundaryAtOrBefore(sink.position().offset);
  bool behind = boundary.offset >= sink.position().offset;  // all that the source still holds is sent
  if (inside_gap && (behind || !Differ(source, sink, boundary.offset))) {
    ASSERT_EQ(resume.sender.state(), Sender::State::kStreaming);
    EXPECT_EQ(*resume.sender.acknowledged(), sink.position());
  } else {
    ASSERT_EQ(resume.sender.state(), Sender::State::kForked);
    EXPECT_EQ(*resume.sender.fork(), expected);
    EXPECT_FALSE(resume.sender.HasWork());
  }
}

struct Pair {
  Pair() = default;
  MemoryLog source_log{TestLogId(1)};
  MemoryLog replica_log{TestLogId(1)};
  LogSource source{source_log};
  LogSink sink{replica_log};
};

TEST(Fork, FoundAtEveryPosition) {
  for (int common = 0; common <= 12; ++common) {
    for (int source_more = 0; source_more <= 6; ++source_more) {
      for (int replica_more = 1; replica_more <= 6; ++replica_more) {
        SCOPED_TRACE(fmt::format("{} common, {} and {} more", common, source_more, replica_more));
        Pair p;
        SeededRandom history(static_cast<uint64_t>(common * 100 + 7));
        for (int i = 0; i < common; ++i) {
          p.source_log.AppendRandom(history, 100);
          const auto& e = p.source_log.entries().back();
          p.replica_log.Append(e.kind, e.to, e.body);
        }
        SeededRandom ours(static_cast<uint64_t>(source_more + 1000)),
            theirs(static_cast<uint64_t>(replica_more + 2000));
        for (int i = 0; i < source_more; ++i) p.source_log.AppendRandom(ours, 100);
        for (int i = 0; i < replica_more; ++i) p.replica_log.AppendRandom(theirs, 100);
        Offset end_of_common =
            common == 0 ? Offset(0) : p.replica_log.entries()[static_cast<size_t>(common) - 1].to;
        ExpectForkFound(p.source, p.sink);
        EXPECT_EQ(LastCommon(p.source, p.sink).offset, end_of_common);
      }
    }
  }
}

TEST(Fork, SameOffsetsOtherRecords) {
  for (int64_t differs_at = 0; differs_at < 50; ++differs_at) {
    Pair p;
    for (int64_t i = 0; i < 50; ++i) {
      p.source_log.AppendBatch(1, fmt::format("record {}", i));
      p.replica_log.AppendBatch(1, i < differs_at ? fmt::format("record {}", i) : fmt::format("other {}", i));
    }
    ExpectForkFound(p.source, p.sink);
    EXPECT_EQ(LastCommon(p.source, p.sink).offset, Offset(differs_at));
  }
}

TEST(Fork, ReplicaAhead) {
  Pair p;
  for (int i = 0; i < 20; ++i) p.replica_log.AppendBatch(3, fmt::format("{}", i));
  for (int i = 0; i < 7; ++i) p.source_log.AppendBatch(3, fmt::format("{}", i));
  ExpectForkFound(p.source, p.sink);
  EXPECT_EQ(LastCommon(p.source, p.sink), p.source_log.position());
}

TEST(Fork, ReplicaOfAnotherLog) {
  Pair p;
  p.replica_log.set_id(TestLogId(2));
  for (int i = 0; i < 20; ++i) p.source_log.AppendBatch(3, fmt::format("{}", i));
  for (int i = 0; i < 7; ++i) p.replica_log.AppendBatch(3, fmt::format("{}", i));
  ExpectForkFound(p.source, p.sink);
  EXPECT_EQ(LastCommon(p.source, p.sink),
            (FlowPosition{TestLogId(1), p.replica_log.end(), p.replica_log.hash(), {}}));
}

TEST(Fork, FirstHeldEntryDiffers) {
  Pair p;
  for (int i = 0; i < 20; ++i) {
    p.source_log.AppendBatch(3, fmt::format("{}", i));
    p.replica_log.AppendBatch(3, fmt::format("other {}", i));
  }
  p.source.start = Offset(30);
  Resume resume(p.source, p.sink);
  ASSERT_EQ(resume.sender.state(), Sender::State::kForked);
  EXPECT_EQ(resume.sender.fork()->offset, Offset(30));
  EXPECT_EQ(resume.probes, 1);
}

TEST(Fork, FoundAmongTrimmedLogsAndGaps) {
  int forks = 0;
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    SeededRandom random(seed);
    Pair p;
    for (uint64_t n = random.Spread(0, 400); n > 0; --n) {
      p.source_log.AppendRandom(random, 30);
      const auto& e = p.source_log.entries().back();
      p.replica_log.Append(e.kind, e.to, e.body);
    }
    for (uint64_t n = random.Spread(0, 200); n > 0; --n) p.source_log.AppendRandom(random, 30);
    for (uint64_t n = random.Spread(0, 200); n > 0; --n) p.replica_log.AppendRandom(random, 30);
    // What the source dropped for space: gaps with the hash that the entries led to.
    for (uint64_t n = random.Below(4); n > 0 && !p.source_log.entries().empty(); --n) {
      size_t first = random.Below(p.source_log.entries().size());
      size_t last = std::min(p.source_log.entries().size() - 1, first + random.Spread(0, 50));
      p.source_log.ReplaceByGap(first, last);
    }
    // What the replica lost and the source no longer held when it sent again.
    for (uint64_t n = random.Below(4); n > 0 && !p.replica_log.entries().empty(); --n) {
      size_t first = random.Below(p.replica_log.entries().size());
      size_t last = std::min(p.replica_log.entries().size() - 1, first + random.Spread(0, 50));
      p.replica_log.ReplaceByGap(first, last);
    }
    if (random.OneIn(3)) {
      p.sink.start_held = p.replica_log
                              .BoundaryAtOrBefore(Offset(static_cast<int64_t>(
                                  random.Below(static_cast<uint64_t>(p.replica_log.end().value()) + 1))))
                              .offset;
    }
    if (random.OneIn(2)) {
      p.source.start = p.source_log
                           .BoundaryAtOrBefore(Offset(static_cast<int64_t>(
                               random.Below(static_cast<uint64_t>(p.source_log.end().value()) + 1))))
                           .offset;
    }
    if (p.replica_log.position() == p.source_log.BoundaryAtOrBefore(p.replica_log.end())) continue;
    ++forks;
    ExpectForkFound(p.source, p.sink);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(forks, 1000);
}

TEST(Fork, TakesFewProbesInALongLog) {
  Pair p;
  for (int i = 0; i < 200000; ++i) {
    p.source_log.AppendBatch(5, std::string(1, static_cast<char>(i)));
    if (i < 123456) p.replica_log.AppendBatch(5, std::string(1, static_cast<char>(i)));
  }
  p.replica_log.AppendBatch(5, "other");
  Resume resume(p.source, p.sink);
  ASSERT_EQ(resume.sender.state(), Sender::State::kForked);
  EXPECT_EQ(resume.sender.fork()->offset, Offset(123456 * 5));
  EXPECT_LE(resume.probes, 44);
}

TEST(Fork, FoundBehindAGapOfTheReplica) {
  Pair p;
  for (int i = 0; i < 30; ++i) {
    p.source_log.AppendBatch(1, fmt::format("{}", i));
    p.replica_log.AppendBatch(1, fmt::format("{}{}", i < 25 ? "" : "other", i));
  }
  p.replica_log.ReplaceByGap(5, 20);
  Resume resume(p.source, p.sink);
  ASSERT_EQ(resume.sender.state(), Sender::State::kForked);
  EXPECT_EQ(resume.sender.fork()->offset, Offset(25));
}

TEST(Fork, ABatchAcrossABoundaryIsAnotherHistory) {
  Pair p;
  for (MemoryLog* log : {&p.source_log, &p.replica_log}) log->AppendBatch(10, "common");
  p.source_log.AppendBatch(3, "ours");
  p.source_log.AppendGap(20);
  p.replica_log.AppendBatch(5, "theirs");  // ends inside of the gap
  Resume resume(p.source, p.sink);
  ASSERT_EQ(resume.sender.state(), Sender::State::kForked);
  EXPECT_EQ(resume.sender.fork()->offset, Offset(10));
}

TEST(Fork, BeforeAGapOnBothSides) {
  Pair p;
  for (MemoryLog* log : {&p.source_log, &p.replica_log}) log->AppendBatch(10, "common");
  p.source_log.AppendBatch(5, "ours");
  p.source_log.AppendBatch(3, "ours");
  p.source_log.AppendGap(20);
  p.replica_log.AppendBatch(5, "theirs");
  p.replica_log.AppendGap(5);  // the source's boundary at 18 lies inside of it
  Resume resume(p.source, p.sink);
  ASSERT_EQ(resume.sender.state(), Sender::State::kForked);
  EXPECT_EQ(resume.sender.fork()->offset, Offset(10));
}

TEST(Fork, WhatCannotBeComparedAndWasNotAcknowledgedIsSentAgain) {
  for (int64_t remembered : {0, 12, 15, 17, 18, 20}) {
    SCOPED_TRACE(fmt::format("acknowledged up to {}", remembered));
    Pair p;
    for (MemoryLog* log : {&p.source_log, &p.replica_log}) log->AppendBatch(10, "common");
    p.source_log.AppendBatch(5, "ours");
    p.source_log.AppendBatch(3, "ours");
    p.source_log.AppendGap(20);
    p.replica_log.AppendBatch(12, "theirs");
    p.sink.start_held = p.replica_log.end();  // and has trimmed all of it
    p.source.remembered = Offset(remembered);
    Resume resume(p.source, p.sink);
    if (remembered >= 18) {
      EXPECT_EQ(resume.sender.state(), Sender::State::kStreaming);
    } else {
      ASSERT_EQ(resume.sender.state(), Sender::State::kForked);
      EXPECT_EQ(resume.sender.fork()->offset, Offset(remembered < 10 ? 0 : remembered < 15 ? 10 : 15));
    }
  }
}

TEST(Fork, TrimmedWhileLooking) {
  Pair p;
  for (int i = 0; i < 100; ++i) {
    p.source_log.AppendBatch(1, fmt::format("{}", i));
    p.replica_log.AppendBatch(1, fmt::format("{}{}", i < 40 ? "" : "other", i));
  }
  Sender sender(p.source, 1 << 20);
  Receiver receiver(FlowNumber(1));
  sender.Offer(FlowNumber(1));
  auto probe = sender.OnAccept(p.replica_log.position(), absl::ZeroDuration());
  int probes = 0;
  for (; probe && probes < 1000; ++probes) {
    if (probes == 2) p.source.start = Offset(90);  // beyond what is known to differ
    probe = sender.OnProbeReply(receiver.OnProbe(Offset(probe->frame.probe().offset())).frame.probe_reply(),
                                absl::ZeroDuration());
  }
  ASSERT_LT(probes, 20);
  EXPECT_EQ(sender.state(), Sender::State::kForked);
}

}  // namespace
}  // namespace selvage::replication::test
