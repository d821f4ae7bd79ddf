#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "fabric/base/clock.h"
#include "fabric/kafka/protocol/produce.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"
#include "tests/support/raw_kafka_client.h"

/// What is wrong with certificates is a matter of the link: the node starts, serves its site, says what is
/// wrong, and links once it is mended.
namespace selvage::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr absl::Duration kMended = absl::Seconds(40);  // files are looked at each ten seconds

TlsFiles OwnFilesIn(const std::string& dir, const std::string& name) {
  return {dir + "/" + name + ".crt", dir + "/" + name + ".key", dir + "/ca.crt"};
}

class CertificateTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(own_dir_);
    ASSERT_THAT(cluster_.Prepare(), IsOk());
    ASSERT_THAT(core().Start(), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("readings", v1::UP)), IsOk());
    ASSERT_THAT(Issue(cluster_.authority(), {Role::kEdge, "edge-0", absl::Hours(1), {}, {}}, expired_,
                      now_ - absl::Hours(48)),
                IsOk());
    ASSERT_THAT(InitAuthority(foreign_ + "-authority", "test.selvage.example", absl::Hours(24 * 90), now_),
                IsOk());
    ASSERT_THAT(
        Issue(foreign_ + "-authority", {Role::kEdge, "edge-0", absl::Hours(24), {}, {}}, foreign_, now_),
        IsOk());
    for (auto [name, file] : {std::pair{"tls.cert", own_.cert}, {"tls.key", own_.key}, {"tls.ca", own_.ca}}) {
      ASSERT_THAT(edge().Set(name, file), IsOk());
    }
  }

  /// Puts these files where the edge looks, each in one step; an empty name takes the file away.
  void Put(const TlsFiles& files) {
    for (auto [from, to] : {std::pair{files.key, own_.key}, {files.cert, own_.cert}, {files.ca, own_.ca}}) {
      std::filesystem::remove(to);
      if (from.empty()) continue;
      std::filesystem::copy_file(from, to + ".new");
      std::filesystem::rename(to + ".new", to);
    }
  }

  /// A Kafka client of the site writes one record.
  bool Write(const std::string& value) {
    kafka::ProduceRequest request;
    request.acks = -1;
    request.topic_data.push_back({"readings", {{0, Bytes(BatchOf({value}))}}});
    RawKafkaClient client(edge().kafka_port());
    client.Ask(request, 9, 1);
    const auto response = client.ReceiveAs<kafka::ProduceResponse>(9);
    return !response.responses.empty() && !response.responses[0].partition_responses.empty() &&
           response.responses[0].partition_responses[0].error_code == kafka::ErrorCode::kNone;
  }

  Daemon& core() { return cluster_.core(); }
  Daemon& edge() { return cluster_.edge(); }

  const absl::Time now_ = SystemClock().Wall();
  Cluster cluster_{{.edges = 1, .core = {{"log.format", "json"}}, .edge = {{"log.format", "json"}}}};
  const std::string own_dir_ = cluster_.dir().File("own");
  const TlsFiles own_ = OwnFilesIn(own_dir_, "edge");
  const std::string expired_ = cluster_.dir().File("expired");
  const std::string foreign_ = cluster_.dir().File("foreign");
};

TEST_F(CertificateTest, AnEdgeWithoutAGoodCertificateServesItsSiteAndLinksOnceItHasOne) {
  const TlsFiles good = OwnFilesIn(cluster_.identities(), "edge-edge-0");
  const TlsFiles old = OwnFilesIn(expired_, "edge-edge-0");
  const TlsFiles foreign = OwnFilesIn(foreign_, "edge-edge-0");
  const TlsFiles neighbour = OwnFilesIn(cluster_.identities(), "operator-ops");
  // The site has its stream from a time when all was well.
  Put(good);
  ASSERT_THAT(edge().Start(), IsOk());
  ASSERT_THAT(AwaitLinked(core(), "edge-0"), IsOk());
  ASSERT_TRUE(Eventually(kMended, [&] { return Write("0"); }));
  int written = 1;
  const std::vector<std::pair<std::string, TlsFiles>> cases = {
      {"there is no file", {"", "", ""}},
      {"there is no file", {good.cert, "", good.ca}},
      {"holds no certificate", {good.key, good.key, good.ca}},
      {"does not belong to", {good.cert, neighbour.key, good.ca}},
      {"do not vouch", {foreign.cert, foreign.key, good.ca}},
      {"node.id is edge-0", neighbour},
      {"expired", {old.cert, old.key, good.ca}},
  };
  for (const auto& [what, files] : cases) {
    ASSERT_THAT(edge().Stop(), IsOk()) << what;
    Put(files);
    const size_t before = ReadFile(edge().log_path()).size();
    ASSERT_THAT(edge().Start(), IsOk()) << what;
    EXPECT_TRUE(Write(std::to_string(written++))) << what;
    EXPECT_EQ(edge().Metric("selvage_certificate_usable"), 0) << what;
    EXPECT_GE(edge().Metric("selvage_alarms_open{node=\"edge-0\"}"), 1) << what;
    EXPECT_EQ(edge().Metric("selvage_link_up{edge=\"edge-0\"}"), 0) << what;
    EXPECT_THAT(ReadFile(edge().log_path()).substr(before), HasSubstr(what));
  }
  Put(good);
  ASSERT_THAT(AwaitLinked(core(), "edge-0", kMended), IsOk());
  EXPECT_TRUE(Eventually(kMended, [&] { return edge().Metric("selvage_certificate_usable") == 1; }));
  EXPECT_TRUE(
      Eventually(kMended, [&] { return edge().Metric("selvage_alarms_open{node=\"edge-0\"}") == 0; }));
  EXPECT_THAT(AwaitEnd(core(), At("readings", 0, "edge-0"), Offset(written)), IsOk());
}

TEST_F(CertificateTest, TheCoreSaysWhoseCertificateHasExpired) {
  const TlsFiles good = OwnFilesIn(cluster_.identities(), "edge-edge-0");
  const TlsFiles old = OwnFilesIn(expired_, "edge-edge-0");
  Put({old.cert, old.key, good.ca});
  ASSERT_THAT(edge().Start(), IsOk());
  auto alarm = AwaitAlarm(core(), "edge_certificate", kMended);
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->subject(), "edge-0");
  EXPECT_THAT(alarm->message(), HasSubstr("expired at"));
  EXPECT_THAT(ReadFile(core().log_path()),
              AllOf(HasSubstr("a link is refused"), HasSubstr("127.0.0.1"),
                    HasSubstr("spiffe://test.selvage.example/edge/edge-0 expired")));
  Put(good);
  ASSERT_THAT(AwaitLinked(core(), "edge-0", kMended), IsOk());
  EXPECT_TRUE(Eventually(kMended, [&] {
    const auto alarms = Alarms(core());
    return std::none_of(alarms.begin(), alarms.end(),
                        [](const auto& a) { return a.kind() == "edge_certificate"; });
  }));
}

TEST_F(CertificateTest, ALogInJsonIsJsonWhoeverConnects) {
  const TlsFiles good = OwnFilesIn(cluster_.identities(), "edge-edge-0");
  // Somebody who speaks no TLS, and an edge of another authority.
  boost::asio::io_context io;
  boost::asio::ip::tcp::socket socket(io);
  socket.connect({boost::asio::ip::make_address("127.0.0.1"), core().admin_port()});
  boost::asio::write(socket, boost::asio::buffer(std::string("GET / HTTP/1.1\r\n\r\n")));
  boost::system::error_code ended;
  char byte;
  while (!ended) socket.read_some(boost::asio::buffer(&byte, 1), ended);
  // Trusted by its own check of its files, and dials.
  TlsFiles foreign = OwnFilesIn(foreign_, "edge-edge-0");
  std::ofstream(foreign.ca, std::ios::app) << ReadFile(good.ca);
  Put(foreign);
  ASSERT_THAT(edge().Start(), IsOk());
  EXPECT_TRUE(Eventually(kMended, [&] {
    return ReadFile(core().log_path()).find("spiffe://test.selvage.example/edge/edge-0") != std::string::npos;
  })) << ReadFile(core().log_path());
  EXPECT_TRUE(Eventually(kMended, [&] {
    return ReadFile(core().log_path()).find("gRPC says") != std::string::npos;
  })) << ReadFile(core().log_path());
  ASSERT_THAT(edge().Stop(), IsOk());
  ASSERT_THAT(core().Stop(), IsOk());
  for (Daemon* daemon : {&core(), &edge()}) {
    std::istringstream lines(ReadFile(daemon->log_path()));
    for (std::string line; std::getline(lines, line);) {
      boost::system::error_code error;
      boost::json::parse(line, error);
      EXPECT_FALSE(error) << line;
    }
  }
}

TEST_F(CertificateTest, CheckConfigLooksAtTheCertificateFiles) {
  auto check = [&](const std::vector<std::string>& more) {
    std::vector<std::string> args = {EdgeProgram(), "--check-config"};
    args.insert(args.end(), more.begin(), more.end());
    auto run = RunProgram({.args = args});
    EXPECT_THAT(run, IsOk());
    return *run;
  };
  RunResult run = check({edge().config_path()});
  EXPECT_EQ(run.exit.code, 2);
  EXPECT_THAT(run.err, AllOf(HasSubstr("there is no file"), HasSubstr(own_.cert)));
  Put(OwnFilesIn(cluster_.identities(), "operator-ops"));
  run = check({"--config", edge().config_path()});
  EXPECT_EQ(run.exit.code, 2);
  EXPECT_THAT(run.err, HasSubstr("node.id is edge-0"));
  Put(OwnFilesIn(cluster_.identities(), "edge-edge-0"));
  run = check({edge().config_path()});
  EXPECT_EQ(run.exit.code, 0) << run.err;
}

TEST_F(CertificateTest, ClosedStandardDescriptorsAreAnErrorAndNobodyElsesFiles) {
  Put(OwnFilesIn(cluster_.identities(), "edge-edge-0"));
  ASSERT_THAT(edge().Start(), IsOk());
  ASSERT_THAT(AwaitLinked(core(), "edge-0"), IsOk());
  const std::string ctl =
      CtlProgram() + " --address " + edge().admin_address() + " --identity " + cluster_.operator_identity();
  ASSERT_TRUE(Eventually(kMended, [&] { return Write("first"); }));
  auto run = RunProgram({.args = {"/bin/sh", "-c", ctl + " stream produce readings <&-"}});
  ASSERT_THAT(run, IsOk()) << "it waits for its own descriptor";
  EXPECT_EQ(run->exit.code, 1);
  EXPECT_THAT(run->err, HasSubstr("the input cannot be read"));
  run = RunProgram({.args = {"/bin/sh", "-c", ctl + " group import - <&-"}});
  ASSERT_THAT(run, IsOk());
  EXPECT_EQ(run->exit.code, 1);
  EXPECT_THAT(run->err, HasSubstr("cannot read the standard input"));
  ASSERT_THAT(edge().Stop(), IsOk());
  // A daemon without any: its log is lost, and no line of it is in the store.
  ChildProcess::Options start;
  start.spawn.args = {"/bin/sh", "-c",
                      "exec " + EdgeProgram() + " " + edge().config_path() + " <&- >&- 2>&-"};
  start.output_path = cluster_.dir().File("no-output");
  auto daemon = ChildProcess::Start(start);
  ASSERT_THAT(daemon, IsOk());
  EXPECT_TRUE(Eventually(kMended, [&] { return edge().Get("/readyz").ok(); }));
  EXPECT_TRUE(Write("second"));
  auto ended = (*daemon)->Terminate(absl::Seconds(10));
  ASSERT_THAT(ended, IsOk());
  EXPECT_EQ(ended->code, 0);
}

}  // namespace
}  // namespace selvage::test
