#include "ctl/output.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <limits>
#include <sstream>

#include "ctl/text_tables.h"
#include "fabric/base/error.h"
#include "selvage/v1/admin.pb.h"

namespace selvage::ctl {
namespace {

TEST(OutputTest, TableAlignsByCharactersAndShowsNothingAsDash) {
  Table table({{"edge"}, {"end", Table::Align::kRight}, {"state"}});
  table.Add({"rig-7", "12", "streaming"});
  table.Add({"küste", "1000000", ""});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(),
            "EDGE       END  STATE\n"
            "rig-7       12  streaming\n"
            "küste  1000000  -\n");
}

TEST(OutputTest, TableKeepsTerminalsSafe) {
  Table table({{"what"}});
  table.Add({"\x1b[2Jboo\nnext"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(), "WHAT\n\\x1b[2Jboo\\nnext\n");
}

TEST(OutputTest, JsonHoldsEveryFieldWithRawNumbers) {
  v1::LogSummary log;
  log.set_edge("rig-7");
  log.set_stream("sensors");
  log.set_log_id(std::string("\x00\xff\x10", 3));
  log.set_end(std::numeric_limits<int64_t>::max());
  log.set_bytes(std::numeric_limits<uint64_t>::max());
  log.set_acked(-1);
  EXPECT_EQ(
      JsonText(ToJson(log), false),
      R"({"edge":"rig-7","slot":0,"stream":"sensors","partition":0,"topic_partition":0,"log_id":"00ff10",)"
      R"("start":0,"end":9223372036854775807,"bytes":18446744073709551615,"acked":-1,"leader_epoch":0,)"
      R"("superseded":false})");
}

TEST(OutputTest, JsonOfNestedMessagesMapsAndEnums) {
  v1::EdgeSummary edge;
  edge.set_edge("rig-7");
  edge.add_former_slots(2);
  (*edge.mutable_labels())["b"] = "2";
  (*edge.mutable_labels())["a"] = "say \"hi\"\n";
  v1::FlowStatus& flow = *edge.mutable_status()->add_flows();
  flow.set_direction(v1::DOWN_SHARED);
  flow.set_lag_seconds(1.5);
  flow.set_catch_up_seconds(std::numeric_limits<double>::infinity());
  boost::json::value json = ToJson(edge);
  EXPECT_EQ(JsonText(json.at("labels"), false), R"({"a":"say \"hi\"\n","b":"2"})");
  EXPECT_EQ(JsonText(json.at("former_slots"), false), "[2]");
  const boost::json::value& of_flow = json.at("status").at("flows").at(0);
  EXPECT_EQ(of_flow.at("direction"), "down-shared");
  EXPECT_EQ(JsonText(of_flow.at("lag_seconds"), false), "1.5");
  EXPECT_EQ(JsonText(of_flow.at("catch_up_seconds"), false), "null");
  EXPECT_TRUE(ToJson(v1::EdgeSummary()).at("status").is_null());
}

TEST(OutputTest, JsonDocumentsAreIndentedAndParseAgain) {
  boost::json::value value = {{"a", {1, 2}}, {"b", {{"c", nullptr}}}, {"d", boost::json::array()}};
  EXPECT_EQ(JsonText(value, true),
            "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {\n    \"c\": null\n  },\n  \"d\": []\n}");
  EXPECT_EQ(boost::json::parse(JsonText(value, true)), value);
}

TEST(OutputTest, JsonStringsStayValidWhateverTheirBytes) {
  boost::json::value value = {{"text", "\x01\xff\t"}};
  EXPECT_EQ(JsonText(value, false), "{\"text\":\"\\u0001\xEF\xBF\xBD\\t\"}");
}

TEST(OutputTest, Utf8IsToldFromOtherBytes) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("grün\n"));
  EXPECT_TRUE(IsUtf8("\xEF\xBF\xBD"));
  EXPECT_FALSE(IsUtf8("\xff"));
  EXPECT_FALSE(IsUtf8("\xEF\xBF\xBD and \xC3"));
}

TEST(OutputTest, ErrorsSayWhatHappenedWhatToDoAndWhetherARetryHelps) {
  std::ostringstream err;
  PrintError(err, MakeError(absl::StatusCode::kResourceExhausted, "disk_full", "the disk budget is used up",
                            "raise it or wait", Retry::kYes));
  PrintError(err, MakeError(absl::StatusCode::kNotFound, "unknown_stream", "there is no stream x"));
  EXPECT_EQ(err.str(),
            "error: the disk budget is used up; hint: raise it or wait; a retry helps\n"
            "error: there is no stream x; a retry does not help\n");
}

TEST(OutputTest, ALongCellStaysOnItsOwnLineAndIsNotCut) {
  Table table({{"group"}, {"lag", Table::Align::kRight}});
  const std::string name(300, 'g');
  table.Add({name, "1"});
  table.Add({"short", "20"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(), "GROUP  LAG\n" + name + "    1\nshort   20\n");
}

TEST(OutputTest, FlowTableIsGolden) {
  v1::GetStatusResponse status;
  v1::FlowStatus& flow = *status.add_flows();
  flow.set_edge("rig-7");
  flow.set_stream("sensors");
  flow.set_direction(v1::UP);
  flow.set_state("streaming");
  flow.set_source_end(1500);
  flow.set_replica_end(1000);
  flow.set_lag_bytes(64 << 10);
  flow.set_lag_seconds(12);
  flow.set_rate_bytes(8000);
  flow.set_catch_up_seconds(8);
  v1::FlowStatus& held = *status.add_flows();
  held.set_edge("rig-8");
  held.set_stream("commands");
  held.set_partition(3);
  held.set_direction(v1::DOWN);
  held.set_state("held");
  held.set_detail("fork at 40");
  held.set_source_end(7);
  held.set_replica_end(-1);
  held.set_catch_up_seconds(-1);
  std::ostringstream out;
  PrintFlows(out, status.flows());
  EXPECT_EQ(
      out.str(),
      "EDGE   STREAM    PARTITION  DIRECTION  SOURCE END  REPLICA END  LAG  LAG BYTES  LAG TIME       RATE  "
      "CATCH UP  STATE\n"
      "rig-7  sensors           0  up               1500         1000  500   64.0 KiB       12s  7.8 KiB/s  "
      "   8.00s  streaming\n"
      "rig-8  commands          3  down                7            -    -        0 B     0.00s      0 B/s  "
      "       -  held: fork at 40\n");
}

}  // namespace
}  // namespace selvage::ctl
