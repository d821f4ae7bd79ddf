#include "fabric/base/error.h"
#include "tests/clients/client_test.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

constexpr size_t kBetweenFaults = 150;

class IdempotenceTest : public ClientTest {
 protected:
  /// Lets requests reach the broker and no answer come back, then cuts the connections. When nothing more is
  /// sent, it is for want of the answers to what was sent before, and these are lost.
  void LoseAnswers() {
    LinkProxy& link = broker().link();
    link.Stall(Direction::kDown);
    const uint64_t before = link.counters().bytes_up;
    Eventually(absl::Seconds(2), [&] { return link.counters().bytes_up > before; });
    link.Cut();
    link.Resume(Direction::kDown);
  }

  absl::Status Disturb(RunningClient& flood) {
    for (int round = 0; round < 3; ++round) {
      SELVAGE_RETURN_IF_ERROR(AwaitProgress(flood, kBetweenFaults));
      broker().link().Cut();
      SELVAGE_RETURN_IF_ERROR(AwaitProgress(flood, kBetweenFaults));
      LoseAnswers();
    }
    for (int round = 0; round < 2; ++round) {
      SELVAGE_RETURN_IF_ERROR(AwaitProgress(flood, kBetweenFaults));
      broker().Kill();
      SELVAGE_RETURN_IF_ERROR(broker().Resume());
    }
    return AwaitProgress(flood, kBetweenFaults);
  }
};

TEST_P(IdempotenceTest, WritesOnceAndInOrderThroughCutsAndKills) {
  const std::string topic = Named("flood");
  ASSERT_THAT(CreateTopic(topic, client().flood_partitions), IsOk());
  auto flood = StartFlood(topic);
  ASSERT_THAT(flood, IsOk());
  ASSERT_THAT(Disturb(**flood), IsOk());
  ASSERT_THAT((*flood)->Stop(), IsOk());
  ExpectExactly(topic, (*flood)->events());
}

INSTANTIATE_TEST_SUITE_P(Client, IdempotenceTest,
                         testing::ValuesIn(ClientNames([](const Client&) { return true; })), ClientName);

}  // namespace
}  // namespace selvage::test
