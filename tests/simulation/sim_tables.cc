#include "tests/simulation/sim_tables.h"

#include <fmt/format.h>

#include <memory>
#include <set>
#include <utility>

#include "fabric/base/error.h"

namespace selvage::sim {

using table::CanonicalJson;
using table::Fields;
using table::RowOperation;
using table::Update;

namespace {

constexpr size_t kAllBytes = size_t{1} << 40;
constexpr uint64_t kKeys = 6;
/// The field that each node indexes.
const std::string kIndexed = "a";

Fields FieldsOf(const std::optional<table::RowView>& row) {
  return row ? *table::ParseFields(row->json) : Fields();
}

}  // namespace

SimTables::SimTables(Surroundings world, std::string node, bool is_edge, SimClock& clock)
    : world_(world),
      ledger_(world.tables),
      clock_(clock),
      field_(fmt::format("m{}", world.tables.NextMachine())),
      copy_(std::move(node), is_edge) {}

v1::TableDefinition SimTables::Definition(const std::string& table) {
  v1::TableDefinition definition;
  definition.set_name(table);
  definition.set_direction(v1::TABLE_BOTH);
  if (table == TableLedger::kSites) definition.mutable_settings()->set_prefix("site/${edge}/");
  return definition;
}

void SimTables::Opened(table::TableStore& tables) {
  seen_ = 0;
  copy_.fresh = true;
  Follow(tables);
  CheckFollowed(tables);
}

void SimTables::Follow(table::TableStore& tables) {
  const uint64_t end = tables.End().sequence + (tables.changes() << 40);
  if (std::exchange(seen_, end) == end) return;
  for (const std::string& name : ledger_.tables()) FollowTable(tables, name);
  copy_.fresh = false;
}

void SimTables::FollowTable(table::TableStore& tables, const std::string& name) {
  const auto definition = tables.Find(name);
  if (!definition || name == TableLedger::kRemade) return;
  TableCopy::Table& state = copy_.tables[name];
  for (bool more = true; more && !world_.time.violated();) {
    const auto page = tables.ReadChanges(name, state.at, "", 1000, kAllBytes);
    if (ErrorKind(page.status()) == "position_expired") return ScanAll(tables, name);
    if (!page.ok()) {
      return world_.time.Violate(
          fmt::format("{}: table {} cannot be followed: {}", copy_.node, name, Describe(page.status())));
    }
    for (const table::RowChanged& change : page->changes) {
      ledger_.Saw(copy_, name, change.key, FieldsOf(change.row), wall_ms());
    }
    state.at = page->next;
    more = page->more;
  }
}

void SimTables::ScanAll(table::TableStore& tables, const std::string& name) {
  TableCopy::Table& state = copy_.tables[name];
  state.at = tables.Facts(name)->end;
  const auto page = tables.Scan(name, {.rows_max = 100'000, .bytes_max = kAllBytes});
  std::map<std::string, Fields> rows;
  for (const table::RowView& row : page->rows) rows[row.key] = FieldsOf(row);
  for (const auto& [key, fields] : state.rows) rows[key];
  for (auto& [key, fields] : rows) ledger_.Saw(copy_, name, key, std::move(fields), wall_ms());
}

void SimTables::CheckFollowed(table::TableStore& tables) {
  for (const auto& [name, state] : copy_.tables) {
    if (!tables.Find(name)) continue;
    std::map<std::string, Fields> rows, followed;
    const auto page = tables.Scan(name, {.rows_max = 100'000, .bytes_max = kAllBytes});
    if (!page.ok()) {
      return world_.time.Violate(
          fmt::format("{}: table {} cannot be read: {}", copy_.node, name, Describe(page.status())));
    }
    CheckIndexed(tables, name, page->rows);
    const auto looked_at = [&, &table = name](const std::string& key) {
      return !TableLedger::Expires(key) && TableLedger::Gives(copy_, table, key);
    };
    for (const table::RowView& row : page->rows) {
      if (looked_at(row.key)) rows[row.key] = FieldsOf(row);
    }
    for (const auto& [key, fields] : state.rows) {
      if (looked_at(key) && !fields.empty()) followed[key] = fields;
    }
    for (const auto& [key, fields] : rows) {
      if (followed[key] == fields) continue;
      world_.time.Violate(
          fmt::format("{}: table {}: its changes do not tell of row {}", copy_.node, name, key));
    }
    for (const auto& [key, fields] : followed) {
      if (rows.contains(key)) continue;
      world_.time.Violate(
          fmt::format("{}: table {}: its changes do not tell that row {} is gone", copy_.node, name, key));
    }
  }
}

void SimTables::CheckIndexed(table::TableStore& tables, const std::string& name,
                             const std::vector<table::RowView>& rows) {
  const auto page = tables.Query(name, {.order = *table::ParseOrder(kIndexed, /*descending=*/false),
                                        .rows_max = 100'000,
                                        .bytes_max = kAllBytes});
  if (!page.ok()) {
    return world_.time.Violate(
        fmt::format("{}: table {} cannot be queried: {}", copy_.node, name, Describe(page.status())));
  }
  std::multiset<std::string> found;
  for (const table::RowView& row : page->rows) found.insert(row.key);
  for (const table::RowView& row : rows) {
    if (found.count(row.key) == 1) continue;
    world_.time.Violate(fmt::format("{}: table {}: a query by an index finds row {} {} times", copy_.node,
                                    name, row.key, found.count(row.key)));
  }
}

CanonicalJson SimTables::Value(const Batch& batch, const std::string& key, const std::string& field) {
  return CanonicalJson::Of(ledger_.NextValue(copy_, {batch.table, key, field}, wall_ms()));
}

void SimTables::Write(table::TableStore& tables) {
  test::SeededRandom& random = ledger_.random();
  Batch batch;
  batch.table = ledger_.tables()[random.Below(ledger_.tables().size())];
  if (!tables.Find(batch.table)) return;
  // Rows may be there already, and be on their way. On a disk that fails it is tried again.
  if (tables.Indexes(batch.table)->empty()) (void)tables.CreateIndex(batch.table, kIndexed, kIndexed);
  for (uint64_t n = random.OneIn(4) ? random.Between(2, 4) : 1; n > 0; --n) AddOperation(batch);
  Submit(tables, std::move(batch));
}

void SimTables::PutOne(table::TableStore& tables) {
  Batch batch;
  batch.table = TableLedger::kShared;
  PutOnce(batch, "");
  Submit(tables, std::move(batch));
}

void SimTables::AddOperation(Batch& batch) {
  test::SeededRandom& random = ledger_.random();
  std::string prefix;
  if (batch.table == TableLedger::kSites) {
    const std::string site =
        copy_.is_edge ? copy_.node
                      : fmt::format("edge-{}", random.Below(static_cast<uint64_t>(world_.limits.edges)));
    prefix = "site/" + site + "/";
  }
  const std::string key = fmt::format("{}k{}", prefix, random.Below(kKeys));
  const std::string field(1, static_cast<char>('a' + random.Below(2)));
  switch (random.Below(10)) {
    case 0: {
      Fields fields;
      for (const char* name : {"a", "b"}) {
        if (random.OneIn(2)) fields.emplace(name, Value(batch, key, name));
      }
      batch.operations.push_back({key, RowOperation::Put{fields}});
      return;
    }
    case 1:
      batch.operations.push_back({key, RowOperation::Delete()});
      return;
    case 2:
      batch.operations.push_back({key, Update{.increment = {{TableLedger::kSum, int64_t{1}}}}});
      return;
    case 3:
      batch.operations.push_back({key, Update{.unset = {field}}});
      return;
    case 4:
      return PutOnce(batch, prefix);
    case 5:
      return DeleteOnce(batch, prefix);
    case 6:
    case 7:
      return AddToCounts(batch, prefix);
    case 8:
      if (ledger_.expiring()) return UseExpiring(batch, prefix);
      [[fallthrough]];
    default:
      batch.operations.push_back({key, Update{.set = {{field, Value(batch, key, field)}}}});
  }
}

void SimTables::PutOnce(Batch& batch, const std::string& prefix) {
  const std::string name = fmt::format("{}once/{}", prefix, ledger_.random().Next());
  const CanonicalJson value = Value(batch, name, "v");
  ledger_.Putting(batch.table, name, std::get<int64_t>(*value.number()));
  batch.operations.push_back({name, RowOperation::Put{{{"v", value}}}});
}

void SimTables::DeleteOnce(Batch& batch, const std::string& prefix) {
  if (batch.table == TableLedger::kRemade) return;
  std::vector<std::string> there;
  for (const auto& [key, fields] : copy_.tables[batch.table].rows) {
    if (TableLedger::IsOnce(key) && key.starts_with(prefix) && !fields.empty()) there.push_back(key);
  }
  if (there.empty()) return;
  const std::string key = ledger_.random().Pick(there);
  ledger_.Deleting(batch.table, key);
  batch.operations.push_back({key, RowOperation::Delete()});
  batch.deleted.push_back(key);
}

void SimTables::AddToCounts(Batch& batch, const std::string& prefix) {
  // Some rows, so that none has the counts of all.
  const TableLedger::Target target{batch.table, prefix + "counts" + field_.back(), field_};
  const auto amount = static_cast<int64_t>(ledger_.random().Between(1, 5));
  if (batch.table != TableLedger::kRemade) {
    ledger_.Adding(copy_, target, amount);
    batch.added.emplace_back(target, amount);
  }
  batch.operations.push_back({target.key, Update{.increment = {{field_, amount}}}});
}

void SimTables::UseExpiring(Batch& batch, const std::string& prefix) {
  test::SeededRandom& random = ledger_.random();
  const std::string key = fmt::format("{}ttl/{}", prefix, random.Below(kKeys));
  const int64_t at_ms = wall_ms() + static_cast<int64_t>(random.Spread(1'000, 3'600'000));
  if (random.OneIn(2)) {
    batch.operations.push_back({key, RowOperation::Put{{{"a", Value(batch, key, "a")}}, at_ms}});
  } else {
    batch.operations.push_back(
        {key, Update{.set = {{"b", Value(batch, key, "b")}}, .expiry = Update::NewExpiry{at_ms}}});
  }
}

void SimTables::Submit(table::TableStore& tables, Batch batch) {
  if (batch.operations.empty()) return;
  auto operations = std::move(batch.operations);
  const std::string table = batch.table;
  auto submitted = std::make_shared<bool>(false);
  tables.Write(table, std::move(operations),
               [this, submitted, batch = std::move(batch)](const auto& outcome) {
                 world_.time.Trace("{}: table {}: a write is {}", copy_.node, batch.table,
                                   outcome.ok() ? "acknowledged" : Describe(outcome.status()));
                 for (const auto& [target, amount] : batch.added) {
                   if (outcome.ok()) ledger_.Added(target, amount);
                   // Later, nobody knows whether it was written.
                   if (!outcome.ok() && !*submitted) ledger_.NotAdded(target, amount);
                 }
                 if (!outcome.ok()) return;
                 for (const auto& key : batch.deleted) ledger_.Deleted(copy_, batch.table, key);
               });
  *submitted = true;
}

}  // namespace selvage::sim
