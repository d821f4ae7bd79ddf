#include <fmt/format.h>

#include <memory>
#include <string>

#include "fabric/base/error.h"
#include "fabric/kafka/listener/listener.h"
#include "fabric/stream/embedded_log.h"
#include "tests/clients/client_test.h"
#include "tests/support/eventually.h"
#include "tests/unit/kafka/handlers/handler_world.h"

/// Idempotent producers of which batches are refused, or that are forgotten. The edge is in memory, so that
/// the test says how much room there is and whom it knows; the sockets and the clients are real.
namespace selvage::test {
namespace {

constexpr size_t kFirst = 700'000;       // bytes of the records for which there is no room
constexpr uint64_t kLittle = 1'000'000;  // bytes free: twice the others, and not twice that
constexpr uint64_t kPlenty = uint64_t{1} << 40;
constexpr size_t kRecords = 150;

class RefusedTest : public ClientScenario {
 protected:
  RefusedTest() {
    auto listener = kafka::Listener::Bind({});
    EXPECT_THAT(listener, IsOk());
    listener_ = *std::move(listener);
    kafka::Settings settings = kafka::test::HandlerWorld::DefaultSettings();
    settings.port = listener_->port();
    world_ = std::make_unique<kafka::test::HandlerWorld>(settings);
    listener_->Serve(world_->context());
  }
  ~RefusedTest() override { listener_->Stop(); }

  std::string address() const override { return fmt::format("127.0.0.1:{}", listener_->port()); }
  /// As the metrics tell.
  int Counted(const std::string& kind) {
    const std::string text = world_->metrics().Text();
    const std::string series = fmt::format("selvage_errors_total{{kind=\"{}\"}} ", kind);
    const size_t at = text.find(series);
    return at == std::string::npos ? 0 : std::stoi(text.substr(at + series.size()));
  }
  void Free(uint64_t bytes) { world_->node().budget().Measured(0, bytes); }

  std::unique_ptr<kafka::Listener> listener_;
  std::unique_ptr<kafka::test::HandlerWorld> world_;
};

TEST_P(RefusedTest, GoesOnWhenThereIsRoomAgainAndNothingIsMissingOrTwice) {
  world_->MakeTopic("t", client().flood_partitions);
  Free(kLittle);
  auto flood = StartFlood("t", kFirst);
  ASSERT_THAT(flood, IsOk());
  // The first of each partition, and again.
  ASSERT_TRUE(
      Eventually(absl::Seconds(60), [&] { return Counted("disk_full") >= 3 * client().flood_partitions; }));
  EXPECT_EQ(Only("acked", (*flood)->events()).size(), 0u) << "what follows them is not taken";
  Free(kPlenty);
  ASSERT_THAT(AwaitProgress(**flood, kRecords), IsOk());
  ASSERT_THAT((*flood)->Stop(), IsOk());
  ExpectExactly("t", (*flood)->events(), kFirst);
}

TEST_P(RefusedTest, GoesOnAfterItWasRefusedInBetween) {
  world_->MakeTopic("t", client().flood_partitions);
  auto flood = StartFlood("t");
  ASSERT_THAT(flood, IsOk());
  for (int round = 0; round < 3; ++round) {
    ASSERT_THAT(AwaitProgress(**flood, kRecords), IsOk());
    const int before = Counted("disk_full");
    Free(0);
    ASSERT_TRUE(Eventually(absl::Seconds(60),
                           [&] { return Counted("disk_full") > before + client().flood_partitions; }));
    Free(kPlenty);
  }
  ASSERT_THAT(AwaitProgress(**flood, kRecords), IsOk());
  ASSERT_THAT((*flood)->Stop(), IsOk());
  ExpectExactly("t", (*flood)->events());
}

INSTANTIATE_TEST_SUITE_P(Client, RefusedTest,
                         testing::ValuesIn(ClientNames([](const Client&) { return true; })), ClientName);

class ForgottenTest : public RefusedTest {};

TEST_P(ForgottenTest, BeginsAnewAndNothingIsMissingOrTwice) {
  world_->MakeTopic("t", client().flood_partitions);
  auto flood = StartFlood("t");
  ASSERT_THAT(flood, IsOk());
  // A batch that is under way makes the producer known again, so forgetting may take several times.
  for (int round = 0; round < 50 && Counted("unknown_producer") < 2 * client().flood_partitions; ++round) {
    ASSERT_THAT(AwaitProgress(**flood, kRecords), IsOk());
    for (int partition = 0; partition < client().flood_partitions; ++partition) {
      ASSERT_THAT(world_->ForgetProducers("t", partition), IsOk());
    }
  }
  ASSERT_THAT(AwaitProgress(**flood, kRecords), IsOk());
  ASSERT_THAT((*flood)->Stop(), IsOk());
  EXPECT_GE(Counted("unknown_producer"), client().flood_partitions);
  ExpectExactly("t", (*flood)->events());
}

INSTANTIATE_TEST_SUITE_P(Client, ForgottenTest, testing::ValuesIn(ClientNames([](const Client& client) {
                           return client.begins_anew;
                         })),
                         ClientName);

}  // namespace
}  // namespace selvage::test
