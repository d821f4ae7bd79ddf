// What happens to the table of an edge, drawn by chance.
#include <fmt/format.h>

#include "fabric/base/error.h"
#include "fabric/table/table_definition.h"
#include "tests/fault/edge_life.h"

namespace selvage::test {
namespace {

using table::RowOperation;

const std::string kTable = "rows";

/// The one field `name`, as JSON.
table::Fields FieldOf(const std::string& name, const std::string& json) {
  return {{name, *table::CanonicalJson::Parse(json)}};
}

}  // namespace

absl::Status EdgeLife::CheckTable() {
  return table_.CheckRecovered(state_->tables(), kTable);
}

absl::Status EdgeLife::MakeTable() {
  v1::TableDefinition definition;
  definition.set_name(kTable);
  definition.set_direction(v1::TABLE_BOTH);
  definition.set_incarnation(table::Incarnation::Mint(random_).bytes());
  SELVAGE_ASSIGN_OR_RETURN(definition, table::CompleteDefinition(std::move(definition)));
  const absl::Status made = state_->tables().Create(definition);
  if (!made.ok()) return Excuse(made, "making a table");
  table_.Made();
  return Excuse(state_->tables().CreateIndex(kTable, "n", "n"), "making an index");
}

/// Draws one operation, and does it to `state`.
RowOperation EdgeLife::DrawOperation(TableModel::State& state) {
  const std::string key = fmt::format("own-{}", random_.Below(10));
  TableModel::Row& row = state.rows[key];
  const auto draw_text = [&] {
    // Beyond 4096 bytes a value goes into a blob file.
    const size_t size = random_.Chance(0.2) ? random_.Between(2000, 9000) : random_.Below(100);
    return std::string(size, static_cast<char>('a' + random_.Below(26)));
  };
  const auto quoted = [](const std::string& text) { return '"' + text + '"'; };
  switch (random_.Below(5)) {
    case 0:
      state.rows.erase(key);
      return {key, RowOperation::Delete()};
    case 1:
    case 2: {
      const auto by = static_cast<int64_t>(random_.Between(1, 9));
      row.n = row.n.value_or(0) + by;
      return {key, table::Update{.increment = {{"n", table::JsonNumber(by)}}}};
    }
    case 3: {
      row.text = draw_text();
      return {key, table::Update{.set = FieldOf("text", quoted(*row.text))}};
    }
    default:
      row = {.n = std::nullopt, .text = draw_text()};
      return {key, RowOperation::Put{FieldOf("text", quoted(*row.text))}};
  }
}

std::function<void(const absl::Status&)> EdgeLife::TableAnswer() {
  return [this](const absl::Status& done) {
    if (done.ok()) {
      ++acknowledged_writes_;
      return table_.Acknowledged();
    }
    if (usable() && ErrorKind(done) != "stopping") {
      wrong_answer_.Update(Annotate(done, "a write to a table on a good disk"));
    }
  };
}

absl::Status EdgeLife::WriteRows() {
  if (!state_->tables().Find(kTable)) return MakeTable();
  for (uint64_t left = random_.Between(1, 4); left > 0; --left) {
    TableModel::State after = table_.newest();
    std::vector<RowOperation> operations;
    for (uint64_t rows = random_.Between(1, 4); rows > 0; --rows) operations.push_back(DrawOperation(after));
    table_.Submit(std::move(after));
    state_->tables().Write(kTable, std::move(operations),
                           [answer = TableAnswer()](const auto& written) { answer(written.status()); });
  }
  if (random_.Chance(0.8)) CommitAll();
  return absl::OkStatus();
}

absl::Status EdgeLife::ReceiveRows() {
  const auto definition = state_->tables().Find(kTable);
  if (!definition) return MakeTable();
  for (uint64_t left = random_.Between(1, 3); left > 0; --left) {
    TableModel::State after = table_.newest();
    table::Incoming incoming{.incarnation = *table::Incarnation::FromBytes(definition->incarnation()),
                             .peer = table_.peer(),
                             .fence = {std::string(kCoreOrigin), SessionEpoch(session_)}};
    for (uint64_t rows = random_.Between(1, 3); rows > 0; --rows) {
      const std::string key = fmt::format("peer-{}", random_.Below(10));
      TableModel::Row& row = after.rows[key];
      row.n = static_cast<int64_t>(++after.read);
      const table::Stamp stamp{table::Hlc(after.read), table_.peer()};
      incoming.changes.push_back(
          {key, table::Put(table::Row(), FieldOf("n", std::to_string(*row.n)), std::nullopt, stamp)});
    }
    incoming.cursor.feed.sequence = after.read;
    table_.Submit(std::move(after));
    state_->tables().Apply(kTable, std::move(incoming), TableAnswer());
  }
  if (random_.Chance(0.8)) CommitAll();
  return absl::OkStatus();
}

absl::Status EdgeLife::FollowTable() {
  if (!state_->tables().Find(kTable)) return absl::OkStatus();
  return Excuse(table_.Follow(state_->tables(), kTable, random_.Between(1, 5), random_.OneIn(2)),
                "following a table");
}

}  // namespace selvage::test
