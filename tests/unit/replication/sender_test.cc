#include "fabric/replication/sender.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <limits>
#include <string>
#include <vector>

#include "tests/unit/replication/memory_log.h"

namespace selvage::replication::test {
namespace {

constexpr absl::Duration kNow = absl::Seconds(50);
constexpr size_t kReadAhead = 1 << 20;

class SenderTest : public testing::Test {
 protected:
  SenderTest() {
    for (int i = 0; i < 5; ++i) log.AppendBatch(2, std::string(10, static_cast<char>('a' + i)));
  }
  FlowPosition At(size_t entries) const {
    if (entries == 0) return {log.id(), Offset(0), ChainHash(0)};
    return {log.id(), log.entries()[entries - 1].to, log.entries()[entries - 1].hash_after};
  }
  void Stream(size_t from_entry) {
    sender.Offer(FlowNumber(1));
    EXPECT_FALSE(sender.OnAccept(At(from_entry), kNow).has_value());
    ASSERT_EQ(sender.state(), Sender::State::kStreaming);
  }
  void SendEntries(int n) {
    for (int i = 0; i < n; ++i) {
      ASSERT_GT(sender.EntryBytes(kReadAhead, kNow), 0u);
      sender.NextFragment(1 << 20);
    }
  }

  MemoryLog log{TestLogId(1)};
  LogSource source{log};
  Sender sender{source, 1000};
};

TEST_F(SenderTest, GoesOnWhereTheReplicaStands) {
  Stream(2);
  EXPECT_EQ(source.acknowledged, At(2));
  ASSERT_EQ(sender.EntryBytes(kReadAhead, kNow), 10u);
  Message message = sender.NextFragment(100);
  EXPECT_EQ(message.frame.data().from(), 4);
  EXPECT_EQ(message.frame.data().to(), 6);
  EXPECT_EQ(message.payload.view(), "cccccccccc");
}

TEST_F(SenderTest, ReplicaBelowTheFirstOffsetHolds) {
  source.start = Offset(4);
  for (const int64_t offset : {int64_t{-1}, std::numeric_limits<int64_t>::min()}) {
    sender.Offer(FlowNumber(1));
    EXPECT_FALSE(sender.OnAccept({log.id(), Offset(offset), ChainHash(1), {}}, kNow).has_value());
    EXPECT_EQ(sender.state(), Sender::State::kHeld);
    EXPECT_EQ(ErrorKind(sender.problem()), "protocol_error");
  }
}

TEST_F(SenderTest, CutsEntriesIntoFragments) {
  Stream(4);
  std::string body;
  while (sender.HasWork()) {
    ASSERT_EQ(sender.EntryBytes(kReadAhead, kNow), 10u);
    EXPECT_EQ(sender.EntryRest(), 10 - body.size());
    Message fragment = sender.NextFragment(3);
    EXPECT_EQ(fragment.frame.data().position(), body.size());
    EXPECT_EQ(fragment.frame.data().entry_size(), 10u);
    EXPECT_EQ(sender.AtEntryStart(), !sender.HasWork());
    body += fragment.payload.view();
  }
  EXPECT_EQ(body, "eeeeeeeeee");
}

TEST_F(SenderTest, CompressesWhatTheProducerDidNot) {
  source.compressible = true;
  log.AppendBatch(1, std::string(900, 'y'));
  SeededRandom random(1);
  std::string noise(900, '\0');
  random.Fill(noise.data(), noise.size());
  log.AppendBatch(1, noise);
  Stream(5);
  sender.EntryBytes(kReadAhead, kNow);
  Message packed = sender.NextFragment(1 << 20);
  EXPECT_EQ(packed.frame.data().encoding(), v1::ENCODING_ZSTD);
  EXPECT_EQ(packed.frame.data().entry_size(), 900u);
  EXPECT_LT(packed.payload.size(), 100u);
  EXPECT_EQ(packed.frame.data().wire_size(), packed.payload.size());
  sender.EntryBytes(kReadAhead, kNow);
  Message raw = sender.NextFragment(1 << 20);
  EXPECT_EQ(raw.frame.data().encoding(), v1::RAW);
  EXPECT_EQ(raw.payload.view(), noise);
}

/// Entries that do not shrink, then one that would.
class CompressionHabitOfASenderTest : public SenderTest {
 protected:
  CompressionHabitOfASenderTest() {
    source.compressible = true;
    SeededRandom random(1);
    std::string noise(300'000, '\0');
    random.Fill(noise.data(), noise.size());
    log.AppendBatch(1, noise);
    log.AppendBatch(1, std::string(300'000, 'y'));
  }
  /// How the two travel.
  std::vector<v1::Encoding> Encodings(double link_rate) {
    Sender roomy{source, 1 << 20};
    roomy.Offer(FlowNumber(1));
    EXPECT_FALSE(roomy.OnAccept(At(5), kNow).has_value());
    std::vector<v1::Encoding> encodings;
    while (roomy.HasWork()) {
      EXPECT_TRUE(roomy.EntryBytes(kReadAhead, kNow).has_value());
      const Message message = roomy.NextFragment(1 << 20, {.level = 1, .link_rate = link_rate});
      encodings.push_back(message.frame.data().encoding());
    }
    return encodings;
  }
};

TEST_F(CompressionHabitOfASenderTest, OnAFastLinkWhatFollowsAnEntryThatDidNotShrinkIsNotTried) {
  EXPECT_EQ(Encodings(100e6), (std::vector<v1::Encoding>{v1::RAW, v1::RAW}));
}

TEST_F(CompressionHabitOfASenderTest, OnASlowLinkItIs) {
  EXPECT_EQ(Encodings(100e3), (std::vector<v1::Encoding>{v1::RAW, v1::ENCODING_ZSTD}));
}

TEST_F(SenderTest, AcknowledgementsMoveTheSource) {
  Stream(0);
  SendEntries(3);
  sender.OnAck(At(2), kNow);
  EXPECT_EQ(source.acknowledged, At(2));
  sender.OnAck(At(1), kNow);  // an older one
  EXPECT_EQ(source.acknowledged, At(2));
  sender.OnAck(At(3), kNow);
  EXPECT_EQ(source.acknowledged, At(3));
  EXPECT_EQ(sender.state(), Sender::State::kStreaming);
}

TEST_F(SenderTest, AcknowledgementWithAWrongHashHolds) {
  Stream(0);
  SendEntries(3);
  FlowPosition wrong = At(2);
  wrong.hash = ChainHash(wrong.hash->value() + 1);
  sender.OnAck(wrong, kNow);
  EXPECT_EQ(sender.state(), Sender::State::kHeld);
  EXPECT_EQ(ErrorKind(sender.problem()), "chain_mismatch");
  EXPECT_GT(sender.retry_at(), kNow);
  EXPECT_LT(sender.retry_at(), absl::InfiniteDuration());  // then the histories are compared
  EXPECT_EQ(source.acknowledged, At(0));
  EXPECT_FALSE(sender.HasWork());
}

TEST_F(SenderTest, AcknowledgementInsideOfAnEntryOrOfAnotherLogHolds) {
  for (FlowPosition wrong : {FlowPosition{log.id(), Offset(3), At(1).hash, {}},
                             FlowPosition{TestLogId(2), Offset(4), At(2).hash, {}}}) {
    Stream(0);
    SendEntries(3);
    sender.OnAck(wrong, kNow);
    EXPECT_EQ(ErrorKind(sender.problem()), "chain_mismatch");
    EXPECT_EQ(source.acknowledged, At(0));
  }
}

// Loaded, but not sent whole yet.
TEST_F(SenderTest, AcknowledgementOfWhatWasNotSentHolds) {
  Stream(0);
  SendEntries(2);
  sender.EntryBytes(kReadAhead, kNow);
  sender.NextFragment(5);
  sender.OnAck(At(3), kNow);
  EXPECT_EQ(sender.state(), Sender::State::kHeld);
  EXPECT_EQ(ErrorKind(sender.problem()), "protocol_error");
  EXPECT_EQ(sender.retry_at(), absl::InfiniteDuration());
}

TEST_F(SenderTest, ForgetsTheOldestOfVeryManyUnderWay) {
  for (int i = 0; i < 6000; ++i) log.AppendBatch(1, "x");
  Stream(0);
  SendEntries(6005);
  FlowPosition wrong = At(1000);
  wrong.hash = ChainHash(1);
  sender.OnAck(wrong, kNow);  // cannot be checked any more
  EXPECT_EQ(sender.state(), Sender::State::kStreaming);
  sender.OnAck(At(4000), kNow);
  EXPECT_EQ(source.acknowledged, At(4000));
  wrong = At(4001);
  wrong.hash = ChainHash(1);
  sender.OnAck(wrong, kNow);
  EXPECT_EQ(sender.state(), Sender::State::kHeld);
}

TEST_F(SenderTest, ErrorOfTheSourceHolds) {
  Stream(0);
  source.read_error = absl::UnavailableError("busy");
  EXPECT_EQ(sender.EntryBytes(kReadAhead, kNow), std::nullopt);
  EXPECT_EQ(sender.state(), Sender::State::kHeld);
  EXPECT_LT(sender.retry_at(), absl::InfiniteDuration());
  Stream(0);
  source.read_error = absl::DataLossError("damaged");
  EXPECT_EQ(sender.EntryBytes(kReadAhead, kNow), std::nullopt);
  EXPECT_EQ(sender.retry_at(), absl::InfiniteDuration());
}

TEST_F(SenderTest, EntryTooLargeForTheLinkHoldsAfterThoseBeforeIt) {
  log.AppendBatch(1, std::string(1001, 'x'));
  Stream(3);
  SendEntries(2);
  EXPECT_EQ(sender.state(), Sender::State::kStreaming);
  EXPECT_EQ(sender.EntryBytes(kReadAhead, kNow), std::nullopt);
  EXPECT_EQ(ErrorKind(sender.problem()), "batch_too_large");
}

TEST_F(SenderTest, OfferedAgainItBeginsWhereTheReplicaStands) {
  Stream(0);
  SendEntries(1);
  sender.EntryBytes(kReadAhead, kNow);
  sender.NextFragment(5);
  sender.Hold(absl::UnavailableError("later"), absl::Seconds(1), kNow);
  Message offer = sender.Offer(FlowNumber(2));
  EXPECT_EQ(offer.frame.flow_open().flow(), 2u);
  EXPECT_FALSE(sender.OnAccept(At(1), kNow).has_value());
  sender.EntryBytes(kReadAhead, kNow);
  Message fragment = sender.NextFragment(1 << 20);
  EXPECT_EQ(fragment.frame.data().position(), 0u);
  EXPECT_EQ(fragment.frame.data().from(), 2);
}

TEST_F(SenderTest, HeldInVainItIsOfferedLessOften) {
  auto hold = [&](absl::Duration retry_after) {
    sender.Hold(absl::UnavailableError("later"), retry_after, kNow);
    return sender.retry_at() - kNow;
  };
  for (int seconds : {1, 2, 4, 8, 16, 32, 60, 60, 60})
    EXPECT_EQ(hold(absl::Seconds(1)), absl::Seconds(seconds));
  EXPECT_EQ(hold(absl::Minutes(5)), absl::Minutes(5));
  EXPECT_EQ(hold(absl::InfiniteDuration()), absl::InfiniteDuration());
  Stream(0);
  SendEntries(1);
  sender.OnAck(At(1), kNow);
  EXPECT_EQ(hold(absl::Seconds(1)), absl::Seconds(1));
}

TEST_F(SenderTest, AnswersOutOfPlaceAreIgnored) {
  sender.Offer(FlowNumber(1));
  EXPECT_FALSE(sender.OnProbeReply(v1::ProbeReply(), kNow).has_value());
  sender.OnAck(At(2), kNow);
  EXPECT_FALSE(source.acknowledged.has_value());
  EXPECT_FALSE(sender.OnAccept(At(0), kNow).has_value());
  EXPECT_FALSE(sender.OnAccept(At(3), kNow).has_value());  // a second answer
  EXPECT_EQ(source.acknowledged, At(0));
}

}  // namespace
}  // namespace selvage::replication::test
