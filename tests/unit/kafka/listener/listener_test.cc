#include "fabric/kafka/listener/listener.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "fabric/base/endian.h"
#include "fabric/kafka/protocol/api_versions.h"
#include "fabric/kafka/protocol/fetch.h"
#include "fabric/kafka/protocol/init_producer_id.h"
#include "fabric/kafka/protocol/metadata.h"
#include "fabric/kafka/protocol/produce.h"
#include "fabric/security/pki.h"
#include "tests/support/eventually.h"
#include "tests/support/raw_kafka_client.h"
#include "tests/support/test_dir.h"
#include "tests/unit/kafka/handlers/handler_world.h"

/// The listener on a real socket, with clients that behave and clients that do not.
namespace selvage::kafka::test {
namespace {

using boost::asio::ip::tcp;
using selvage::test::Eventually;
using selvage::test::KafkaFrame;
using RawClient = selvage::test::RawKafkaClient;

constexpr absl::Duration kSoon = absl::Seconds(20);

class ListenerTest : public testing::Test {
 protected:
  ~ListenerTest() override {
    if (listener_) listener_->Stop();
  }

  void Serve(Listener::Options options = {}) {
    auto listener = Listener::Bind(std::move(options));
    ASSERT_TRUE(listener.ok()) << Describe(listener.status());
    listener_ = *std::move(listener);
    listener_->Serve(world_.context());
    world_.MakeTopic("t");
  }
  RawClient Connect() { return RawClient(listener_->port()); }
  static ProduceRequest ToProduce(const std::string& value, int16_t acks = -1) {
    ProduceRequest request;
    request.acks = acks;
    request.topic_data.push_back({"t", {{0, Bytes(BatchOf({value}))}}});
    return request;
  }
  static FetchRequest ToFetch(int64_t offset, int32_t max_wait_ms) {
    FetchRequest request;
    request.max_wait_ms = max_wait_ms;
    request.min_bytes = 1;
    FetchRequest::Topic::Partition asked;
    asked.fetch_offset = offset;
    asked.partition_max_bytes = 1 << 20;
    request.topics.push_back({"t", {}, {asked}});
    return request;
  }
  double Counted(const std::string& series) {
    const std::string text = "\n" + world_.metrics().Text();
    const size_t at = text.find("\n" + series + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
  }
  /// The first half of a request of 140,000 bytes; returns when the listener has it.
  void SendHalf(RawClient& client) {
    client.Send(std::string("\0\x02\x22\xe0\0\0\0\x07\0\0\0\x01", 12) + std::string(70'000, 'x'));
    EXPECT_TRUE(Eventually(kSoon, [&] { return Counted("selvage_kafka_received_bytes_total") >= 64 << 10; }));
  }
  /// Another client, who was there before, is served as ever.
  void ExpectServed(RawClient& client) {
    client.Ask(ApiVersionsRequest(), 0, 99);
    EXPECT_EQ(client.ReceiveId(), 99);
  }

  std::unique_ptr<Listener> listener_;  // goes after the world, whose committer calls it back
  HandlerWorld world_;
};

TEST_F(ListenerTest, ResponsesLeaveInTheOrderOfRequests) {
  Serve();
  RawClient client = Connect();
  client.Ask(ToFetch(0, 300), 11, 1);  // waits
  client.Ask(ApiVersionsRequest(), 0, 2);
  client.Ask(ToProduce("a"), 7, 3);
  client.Ask(ToFetch(0, 0), 11, 4);
  for (int32_t id = 1; id <= 4; ++id) EXPECT_EQ(client.ReceiveId(), id);
}

TEST_F(ListenerTest, PipelinedProduceKeepsTheOrderOfRecords) {
  Serve();
  RawClient client = Connect();
  constexpr int kRequests = 300;
  for (int i = 0; i < kRequests; ++i) client.Ask(ToProduce(std::to_string(i)), 7, i);
  for (int i = 0; i < kRequests; ++i) {
    const auto response = client.ReceiveAs<ProduceResponse>(7);
    EXPECT_EQ(response.responses.at(0).partition_responses.at(0).base_offset, i);
  }
}

TEST_F(ListenerTest, WithoutAcksNothingIsAnsweredAndLaterRequestsAre) {
  Serve();
  RawClient client = Connect();
  for (int i = 0; i < 10; ++i) client.Ask(ToProduce("a", 0), 7, i);
  client.Ask(ApiVersionsRequest(), 0, 77);
  EXPECT_EQ(client.ReceiveId(), 77);
  EXPECT_EQ(world_.LogOf("t").state().end, Offset(10));
  ProduceRequest bad = ToProduce("a", 0);
  bad.topic_data[0].name = "none";
  client.Ask(bad, 7, 1);
  EXPECT_TRUE(client.IsClosed()) << "there is no other way to tell it";
}

// Whether it was stored nobody knows. Most clients give up a record for an error that says so; all try again
// when the connection ends.
TEST_F(ListenerTest, WhatIsUnderWayWhenTheStoreFailsIsNotAnswered) {
  Serve();
  RawClient producer = Connect();
  RawClient initializing = Connect();
  producer.Ask(ToProduce("a"), 7, 1);
  EXPECT_EQ(producer.ReceiveId(), 1);
  world_.FailWrites();
  producer.Ask(ToProduce("b"), 7, 2);
  producer.Ask(ToProduce("c"), 7, 3);
  EXPECT_TRUE(producer.IsClosed());
  initializing.Ask(InitProducerIdRequest(), 0, 4);
  EXPECT_TRUE(initializing.IsClosed()) << "and no new producer is told that there is no use";
}

TEST_F(ListenerTest, ARequestMayArriveInPieces) {
  Serve();
  RawClient client = Connect();
  for (char byte : KafkaFrame(ApiVersionsRequest(), 0, 5)) client.Send(std::string_view(&byte, 1));
  EXPECT_EQ(client.ReceiveId(), 5);
}

TEST_F(ListenerTest, ApiVersionsThatIsTooNewIsAnsweredInTheOldestForm) {
  Serve();
  RawClient client = Connect();
  // Size, API 18, version 99, correlation id 7, and a body of the future.
  const std::string request("\0\0\0\x0e\0\x12\0\x63\0\0\0\x07\xff\xff\xff\xff\xff\xff", 18);
  client.Send(request);
  const auto response = client.ReceiveAs<ApiVersionsResponse>(0);
  EXPECT_EQ(response.error_code, ErrorCode::kUnsupportedVersion);
  ASSERT_EQ(response.api_keys.size(), 1u);
  EXPECT_EQ(response.api_keys[0].api_key, 18);
  ExpectServed(client);
}

TEST_F(ListenerTest, WhatCannotBeServedEndsTheConnectionAndIsCounted) {
  Serve();
  RawClient other = Connect();
  const std::string requests[] = {
      std::string("\x7f\xff\xff\xff\0\x12\0\0", 8),                 // a size of 2 GiB
      std::string("\xff\xff\xff\xff\0\x12\0\0", 8),                 // a negative one
      std::string("\0\0\0\x04\0\x12\0\0", 8),                       // too short for a header
      std::string("\0\0\0\x0a\0\x18\0\0\0\0\0\x07\xff\xff", 14),    // AddPartitionsToTxn
      std::string("\0\0\0\x0a\x7f\xff\0\0\0\0\0\x07\xff\xff", 14),  // no API at all
      std::string("\0\0\0\x0a\0\x03\0\x7f\0\0\0\x07\xff\xff", 14),  // Metadata of a version that is too new
      std::string("\0\0\0\x0a\0\0\0\0\0\0\0\x07\xff\xff", 14),      // Produce 0, which is only advertised
      std::string("\0\0\0\x0c\0\x03\0\x01\0\0\0\x07\xff\xff\x7f\xff", 16),          // cut within an array
      std::string("\0\0\0\x0e\0\x03\0\x01\0\0\0\x07\xff\xff\x7f\xff\xff\xff", 18),  // an array of 2^31 - 1
  };
  double refused = 0;
  for (const std::string& request : requests) {
    RawClient client = Connect();
    client.Send(request);
    EXPECT_TRUE(client.IsClosed());
    EXPECT_TRUE(Eventually(kSoon, [&] { return Counted("selvage_kafka_refused_total") == refused + 1; }));
    ++refused;
    ExpectServed(other);
  }
}

TEST_F(ListenerTest, RandomBytesDoNotHurt) {
  Serve();
  RawClient other = Connect();
  selvage::test::SeededRandom random(7);
  for (int i = 0; i < 200; ++i) {
    RawClient client = Connect();
    std::string bytes(random.Below(300) + 1, '\0');
    random.Fill(bytes.data(), bytes.size());
    if (i % 2 == 0 && bytes.size() > 12) {
      // A plausible beginning, so that it gets further than the size.
      StoreBig<int32_t>(bytes.data(), static_cast<int32_t>(bytes.size() - 4));
      StoreBig<int16_t>(bytes.data() + 4, static_cast<int16_t>(random.Below(61)));
      StoreBig<int16_t>(bytes.data() + 6, static_cast<int16_t>(random.Below(8)));
    }
    client.Send(bytes);
    client.Close();
  }
  ExpectServed(other);
}

TEST_F(ListenerTest, AClientThatGoesInTheMiddleIsForgotten) {
  Serve();
  RawClient other = Connect();
  ExpectServed(other);
  {
    RawClient half = Connect();
    half.Send(std::string("\0\0\x10\0half a request", 18));
    RawClient waiting = Connect();
    waiting.Ask(ToFetch(0, 60'000), 11, 1);
    EXPECT_TRUE(Eventually(kSoon, [&] { return Counted("selvage_kafka_connections") == 3; }));
  }
  EXPECT_TRUE(Eventually(kSoon, [&] { return Counted("selvage_kafka_connections") == 1; }))
      << "a fetch that waits ends with its connection";
}

TEST_F(ListenerTest, OneThatNeverFinishesItsRequestIsCut) {
  Listener::Options options;
  options.request_timeout = absl::Milliseconds(100);
  Serve(std::move(options));
  RawClient slow = Connect();
  slow.Send(std::string("\0\0\x10\0", 4));
  EXPECT_TRUE(slow.IsClosed());
  EXPECT_TRUE(Eventually(kSoon, [&] { return Counted("selvage_kafka_refused_total") == 1; }));
}

TEST_F(ListenerTest, OneThatIsSlowAndSteadyIsServed) {
  Listener::Options options;
  options.request_timeout = absl::Seconds(2);
  Serve(std::move(options));
  RawClient slow = Connect();
  const std::string bytes = KafkaFrame(ToProduce(std::string(900'000, 'x')), 7, 5);
  // Longer than the timeout, each part of it well within.
  const absl::Duration pause = absl::Seconds(4) / (bytes.size() / (32 << 10));
  for (size_t sent = 0; sent < bytes.size(); sent += 32 << 10) {
    slow.Send(std::string_view(bytes).substr(sent, 32 << 10));
    absl::SleepFor(pause);
  }
  EXPECT_EQ(slow.ReceiveId(), 5);
}

TEST_F(ListenerTest, HalfARequestGivesWayToThoseWhoWaitForItsMemory) {
  Listener::Options options;
  options.memory_max = 200'000;
  options.request_max = 150'000;
  options.contended_timeout = absl::Milliseconds(100);
  Serve(std::move(options));
  RawClient half = Connect();
  SendHalf(half);
  RawClient other = Connect();
  other.Ask(ToProduce(std::string(100'000, 'x')), 7, 2);
  EXPECT_EQ(other.ReceiveId(), 2);
  EXPECT_TRUE(half.IsClosed());
  EXPECT_TRUE(Eventually(kSoon, [&] { return Counted("selvage_kafka_refused_total") == 1; }));
}

TEST_F(ListenerTest, RequestsThatAreOnlyAnnouncedHoldUpNobody) {
  Listener::Options options;
  options.contended_timeout = absl::Hours(1);
  options.request_timeout = absl::Hours(1);
  Serve(std::move(options));
  std::vector<std::unique_ptr<RawClient>> announced;
  for (int i = 0; i < 6; ++i) {
    announced.push_back(std::make_unique<RawClient>(listener_->port()));
    announced.back()->Send(std::string("\x01\0\0\0\0\0\0\x07\0\0\0\x01", 12));  // 16 MiB
  }
  EXPECT_TRUE(Eventually(kSoon, [&] { return Counted("selvage_kafka_received_bytes_total") >= 6 * 4; }));
  RawClient other = Connect();
  other.Ask(ToProduce(std::string(900'000, 'x')), 7, 2);
  EXPECT_EQ(other.ReceiveId(), 2);
}

TEST_F(ListenerTest, HalfRequestsDoNotWaitForOneAnother) {
  Listener::Options options;
  options.memory_max = 400'000;
  options.request_max = 150'000;
  options.contended_timeout = absl::Hours(1);
  options.request_timeout = absl::Hours(1);
  Serve(std::move(options));
  std::vector<std::unique_ptr<RawClient>> clients;
  std::vector<std::string> frames;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(std::make_unique<RawClient>(listener_->port()));
    frames.push_back(KafkaFrame(ToProduce(std::string(140'000, 'x')), 7, i));
    clients.back()->Send(frames.back().substr(0, 70'000));
  }
  for (size_t i = clients.size(); i-- > 0;) clients[i]->Send(frames[i].substr(70'000));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(clients[static_cast<size_t>(i)]->ReceiveId(), i);
}

TEST_F(ListenerTest, WhoWaitsForRecordsLeavesTheMemoryOfRequestsToOthers) {
  Listener::Options options;
  options.memory_max = 4000;  // a quarter of it for small requests
  Serve(std::move(options));
  std::vector<std::unique_ptr<RawClient>> waiting;
  for (int i = 0; i < 40; ++i) {
    waiting.push_back(std::make_unique<RawClient>(listener_->port()));
    waiting.back()->Ask(ToFetch(0, 60'000), 11, i);
  }
  RawClient other = Connect();
  ExpectServed(other);
  world_.Write("t", {"a"});
  for (int i = 0; i < 40; ++i) EXPECT_EQ(waiting[static_cast<size_t>(i)]->ReceiveId(), i);
}

TEST_F(ListenerTest, WhereTooManyWaitAFetchIsAnsweredSoon) {
  Listener::Options options;
  options.parked_max = 10;
  Serve(std::move(options));
  RawClient client = Connect();
  const absl::Time begin = absl::Now();
  client.Ask(ToFetch(0, 3'600'000), 11, 1);
  EXPECT_EQ(client.ReceiveId(), 1);
  EXPECT_LT(absl::Now() - begin, absl::Minutes(10));
}

TEST_F(ListenerTest, ResponsesThatNobodyTakesGiveWayToOthers) {
  Listener::Options options;
  options.responses_memory_max = 500'000;
  options.contended_timeout = absl::Milliseconds(100);
  Serve(std::move(options));
  for (int i = 0; i < 4; ++i) world_.Write("t", {std::string(500'000, 'x')});
  std::vector<std::unique_ptr<RawClient>> greedy;
  for (int i = 0; i < 3; ++i) {
    greedy.push_back(std::make_unique<RawClient>(listener_->port()));
    for (int j = 0; j < 40; ++j) greedy.back()->Ask(ToFetch(0, 0), 11, j);
  }
  RawClient other = Connect();
  for (int i = 0; i < 20; ++i) {
    other.Ask(ToFetch(0, 0), 11, i);
    ASSERT_EQ(other.ReceiveId(), i);
  }
  EXPECT_TRUE(Eventually(kSoon, [&] { return Counted("selvage_kafka_refused_total") >= 1; }));
}

TEST_F(ListenerTest, SmallRequestsDoNotWaitBehindLargeOnes) {
  Listener::Options options;
  options.memory_max = 200'000;
  options.request_max = 150'000;
  options.contended_timeout = absl::Hours(1);
  options.request_timeout = absl::Hours(1);
  Serve(std::move(options));
  RawClient half = Connect();
  SendHalf(half);
  RawClient waiting = Connect();
  waiting.Ask(ToProduce(std::string(100'000, 'x')), 7, 2);
  RawClient other = Connect();
  for (int i = 0; i < 20; ++i) ExpectServed(other);
  EXPECT_EQ(world_.LogOf("t").state().end, Offset(0));
  half.Close();
  EXPECT_EQ(waiting.ReceiveId(), 2);
}

TEST_F(ListenerTest, MoreConnectionsThanAllowedAreClosed) {
  Listener::Options options;
  options.connections_max = 5;
  Serve(std::move(options));
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(std::make_unique<RawClient>(listener_->port()));
    ExpectServed(*clients.back());
  }
  RawClient more = Connect();
  EXPECT_TRUE(more.IsClosed());
  EXPECT_EQ(Counted("selvage_connections_refused_total{listener=\"kafka\"}"), 1);
  EXPECT_EQ(Counted("selvage_connections_max{listener=\"kafka\"}"), 5);
  clients.pop_back();
  EXPECT_TRUE(Eventually(kSoon, [&] { return Counted("selvage_kafka_connections") == 4; }));
  RawClient again = Connect();
  ExpectServed(again);
}

TEST_F(ListenerTest, ManyConnectionsAreServed) {
  Serve();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 500; ++i) clients.push_back(std::make_unique<RawClient>(listener_->port()));
  for (const auto& client : clients) {
    ASSERT_TRUE(client->connected());
    client->Ask(ApiVersionsRequest(), 0, 1);
  }
  for (const auto& client : clients) EXPECT_EQ(client->ReceiveId(), 1);
}

TEST_F(ListenerTest, MemoryOfRequestsIsBoundedAndAllAreServed) {
  Listener::Options options;
  options.memory_max = 200'000;
  options.request_max = 150'000;
  Serve(std::move(options));
  // One fits at a time into the memory for large ones.
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<RawClient>(listener_->port()));
    clients.back()->Ask(ToProduce(std::string(100'000, 'x')), 7, i);
  }
  for (int i = 0; i < 8; ++i) EXPECT_EQ(clients[static_cast<size_t>(i)]->ReceiveId(), i);
  EXPECT_EQ(world_.LogOf("t").state().end, Offset(8));
  RawClient large = Connect();
  large.Send(std::string("\0\x03\0\0\0\0\0\x09", 8));  // more than request_max
  EXPECT_TRUE(large.IsClosed());
}

TEST_F(ListenerTest, AClientThatReadsNothingIsHeldBack) {
  Listener::Options options;
  options.responses_max = 4;
  Serve(std::move(options));
  RawClient other = Connect();
  for (int i = 0; i < 16; ++i) world_.Write("t", {std::string(500'000, 'x')});
  RawClient greedy = Connect();
  for (int i = 0; i < 40; ++i) greedy.Ask(ToFetch(0, 0), 11, i);
  ExpectServed(other);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(greedy.ReceiveId(), i);
}

TEST_F(ListenerTest, StopEndsWhatWaits) {
  Serve();
  RawClient waiting = Connect();
  waiting.Ask(ToFetch(0, 60'000), 11, 1);
  RawClient idle = Connect();
  ExpectServed(idle);
  listener_->Stop();
  EXPECT_TRUE(idle.IsClosed());
  EXPECT_TRUE(waiting.IsClosed());
  listener_.reset();
}

TEST_F(ListenerTest, APortThatIsTakenIsAClearError) {
  Serve();
  Listener::Options options;
  options.port = listener_->port();
  const auto second = Listener::Bind(std::move(options));
  EXPECT_EQ(ErrorKind(second.status()), "kafka_listen_failed");
  Listener::Options nowhere;
  nowhere.host = "no-address";
  EXPECT_EQ(ErrorKind(Listener::Bind(std::move(nowhere)).status()), "kafka_listen_failed");
}

TEST_F(ListenerTest, ApiVersionsFromTheFutureHoldNoMemory) {
  Listener::Options options;
  options.memory_max = 1000;
  Serve(std::move(options));
  RawClient other = Connect();
  for (int i = 0; i < 20; ++i) {
    RawClient client = Connect();
    // Its version is too new; what follows is the body of the future.
    client.Send(std::string("\0\0\0\x78\0\x12\0\x63\0\0\0\x07\xff\xff", 14) + std::string(110, 'x'));
    ASSERT_EQ(client.ReceiveId(), 7) << "client " << i;
  }
  ExpectServed(other);
}

/// A client that trusts one authority and wants a certificate for 127.0.0.1.
class TlsClient {
 public:
  TlsClient(uint16_t port, const std::string& authority) : stream_(io_, context_) {
    namespace ssl = boost::asio::ssl;
    context_.load_verify_file(authority);
    stream_.set_verify_mode(ssl::verify_peer);
    stream_.set_verify_callback(ssl::host_name_verification("127.0.0.1"));
    stream_.lowest_layer().connect({boost::asio::ip::make_address("127.0.0.1"), port}, error_);
    if (!error_) stream_.handshake(ssl::stream_base::client, error_);
  }
  boost::system::error_code error() const { return error_; }
  /// When the certificate that it was shown ends.
  std::string CertificateEnd() {
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(
        SSL_get1_peer_certificate(stream_.native_handle()), &X509_free);
    const ASN1_TIME* end = X509_get0_notAfter(certificate.get());
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(end)),
            static_cast<size_t>(ASN1_STRING_length(end))};
  }
  /// The correlation id of the answer to a request.
  int32_t Ask() {
    const std::string bytes = KafkaFrame(ApiVersionsRequest(), 0, 7);
    boost::asio::write(stream_, boost::asio::buffer(bytes), error_);
    char answer[8] = {};
    if (!error_) boost::asio::read(stream_, boost::asio::buffer(answer), error_);
    return LoadBig<int32_t>(answer + 4);
  }

 private:
  boost::asio::io_context io_;
  boost::asio::ssl::context context_{boost::asio::ssl::context::tls_client};
  boost::system::error_code error_;
  boost::asio::ssl::stream<tcp::socket> stream_;
};

class TlsListenerTest : public ListenerTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(InitAuthority(dir_.path(), "test.selvage", absl::Hours(1000), absl::Now()).ok());
    Serve({.tls = Renew(absl::Hours(100))});
  }
  TlsFiles Renew(absl::Duration validity) {
    return Issue(dir_.path(), {Role::kEdge, "rig", validity, {}, {}}, dir_.path(), absl::Now()).value();
  }

  selvage::test::TestDir dir_;
};

TEST_F(TlsListenerTest, ServesThoseWhoTrustItsAuthority) {
  TlsClient client(listener_->port(), dir_.File("ca.crt"));
  ASSERT_FALSE(client.error()) << client.error().message();
  EXPECT_EQ(client.Ask(), 7);
}

TEST_F(TlsListenerTest, AClientWithoutTlsIsClosedAndOthersAreServed) {
  RawClient plain = Connect();
  plain.Ask(ApiVersionsRequest(), 0, 1);
  EXPECT_NE(plain.ReceiveId(), 1);
  TlsClient client(listener_->port(), dir_.File("ca.crt"));
  EXPECT_EQ(client.Ask(), 7);
}

TEST_F(TlsListenerTest, ARenewedCertificateIsTaken) {
  TlsClient before(listener_->port(), dir_.File("ca.crt"));
  ASSERT_FALSE(before.error()) << before.error().message();
  Renew(absl::Hours(200));
  EXPECT_TRUE(Eventually(kSoon, [&] {
    TlsClient after(listener_->port(), dir_.File("ca.crt"));
    return !after.error() && after.CertificateEnd() != before.CertificateEnd();
  }));
  EXPECT_EQ(before.Ask(), 7) << "who is connected stays so";
}

}  // namespace
}  // namespace selvage::kafka::test
