#include "tests/simulation/view_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "fabric/view/view_definition.h"

namespace selvage::sim {
namespace {

constexpr uint64_t kViewSeed = 0x7669657773;  // apart from all other choices
constexpr uint64_t kViewKeys = 4;

/// As much of it as fits, of letters that JSON needs no escapes for.
std::string Letters(std::string bytes, size_t size) {
  bytes.resize(size);
  for (char& byte : bytes) byte = static_cast<char>('a' + (static_cast<unsigned char>(byte) & 15));
  return bytes;
}

}  // namespace

ViewRecords::ViewRecords(uint64_t seed, bool may_be_on, int edges)
    : random_(seed ^ kViewSeed), on_(random_.OneIn(2) && may_be_on) {
  if (!on_) return;
  edge_ = fmt::format("edge-{}", random_.Below(static_cast<uint64_t>(edges)));
  at_core_ = Draw();
  at_edge_ = Draw();
  piece_.bytes = random_.Spread(1, 256 << 10);
  piece_.rows = random_.Spread(1, 1000);
  payload_step_ = random_.Between(10, 300);
}

v1::ViewDefinition ViewRecords::DefinitionAt(const std::string& node) const {
  return node == edge_ ? at_edge_ : at_core_;
}

v1::ViewDefinition ViewRecords::Draw() {
  v1::ViewDefinition definition;
  definition.set_name(kView);
  // Of the first it is sure that edges write to it; another may be local, come from the core, or come late.
  definition.set_stream(random_.OneIn(4) ? "stream-1" : "stream-0");
  const uint64_t kind = random_.Below(4);
  if (kind == 0) {
    definition.mutable_newest();
    return *view::CompleteDefinition(definition);
  }
  v1::ViewAggregate& aggregate = *definition.mutable_aggregate();
  aggregate.add_group_by()->set_path(std::string(view::kRecordKey));
  aggregate.add_columns()->set_function(v1::VIEW_COUNT);
  for (const v1::ViewFunction function : {v1::VIEW_SUM, v1::VIEW_MIN, v1::VIEW_MAX, v1::VIEW_DISTINCT}) {
    v1::ViewColumn& column = *aggregate.add_columns();
    column.set_function(function);
    column.set_path("v");
  }
  if (kind > 1) {
    aggregate.set_window_ms(static_cast<int64_t>(random_.Between(1, 4)) * view::kWindowMsMin);
    if (!random_.OneIn(4)) aggregate.set_lateness_ms(static_cast<int64_t>(random_.Between(1, 4000)));
  }
  return *view::CompleteDefinition(definition);
}

void ViewRecords::Shape(uint64_t payload, std::vector<Record>& records) {
  test::SeededRandom random(payload ^ kViewSeed);
  std::vector<test::ViewRecord>& known = records_[payload];
  known.resize(records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    Record& record = records[i];
    if (!random.OneIn(8)) record.key = fmt::format("k{}", random.Below(kViewKeys));
    // The first one's time names the batch. Producers send others that are older than that.
    if (i > 0) {
      const auto off = static_cast<int64_t>(random.Below(5000)) - 4000;
      record.timestamp = std::max<int64_t>(0, record.timestamp + off);
    }
    ShapeValue(random, record, known[i]);
    known[i].key = record.key;
    known[i].value = record.value;
    known[i].timestamp_ms = record.timestamp;
  }
}

void ViewRecords::ShapeValue(test::SeededRandom& random, Record& record, test::ViewRecord& known) {
  if (random.OneIn(12)) {
    record.value = std::nullopt;
    return;
  }
  if (random.OneIn(16)) {
    record.value = "no JSON";
    return;
  }
  known.is_object = true;
  std::string fields;
  const uint64_t kind = random.Below(12);
  if (kind == 0) {
    known.text = fmt::format("t{}", random.Below(5));
    fields = fmt::format("\"v\":\"{}\"", *known.text);
  } else if (kind > 1) {
    known.number = static_cast<int64_t>(random.Below(40)) - 20;
    fields = fmt::format("\"v\":{}", *known.number);
  }
  const std::string drawn = *std::exchange(record.value, std::nullopt);
  const size_t taken = fields.size() + std::string_view("{,\"w\":\"\"}").size();
  if (drawn.size() > taken) {
    fields += fmt::format("{}\"w\":\"{}\"", fields.empty() ? "" : ",", Letters(drawn, drawn.size() - taken));
  }
  record.value = '{' + fields + '}';
}

}  // namespace selvage::sim
