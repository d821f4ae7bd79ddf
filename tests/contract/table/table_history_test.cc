#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tests/contract/table/table_node.h"

namespace selvage::table {
namespace {

/// What a table of one node should hold, kept the simple way.
class TableModel {
 public:
  void Put(const std::string& key, const std::string& field, int64_t value) { rows_[key] = {{field, value}}; }
  void Set(const std::string& key, const std::string& field, int64_t value) { rows_[key][field] = value; }
  void Add(const std::string& key, const std::string& field, int64_t by) { rows_[key][field] += by; }
  void Delete(const std::string& key) { rows_.erase(key); }

  std::map<std::string, std::string> Rows() const {
    std::map<std::string, std::string> rows;
    for (const auto& [key, fields] : rows_) {
      std::string json = "{";
      for (const auto& [name, value] : fields) {
        json += (json.size() > 1 ? ",\"" : "\"") + name + "\":" + std::to_string(value);
      }
      rows[key] = json + "}";
    }
    return rows;
  }

 private:
  std::map<std::string, std::map<std::string, int64_t>> rows_;
};

/// A random history of one node with many writes in each group, restarts, and a reader of changes.
class TableHistory : public ::testing::TestWithParam<StoreKind> {};
INSTANTIATE_TEST_SUITE_P(Stores, TableHistory, ::testing::ValuesIn(AllStoreKinds()), NameOfStore);

TEST_P(TableHistory, RowsAndChangesAreThoseOfAPlainMap) {
  auto fixture = GetParam().make();
  FakeClock clock;
  test::SeededRandom random(20);
  int done = 0;  // told of also by the node's end
  int written = 0;
  std::optional<TableNode> node(std::in_place, fixture->store(), clock, random);
  ASSERT_EQ((*node)->Create(Definition()), absl::OkStatus());
  TableModel model;
  std::map<std::string, std::string> followed;
  FeedPosition at;
  const auto write = [&](RowOperation operation) {
    ++written;
    (*node)->Write("t", {std::move(operation)}, [&](const auto& outcome) { done += outcome.ok() ? 1 : 0; });
  };
  for (int step = 0; step < 1500; ++step) {
    const std::string key = "k" + std::to_string(random.Below(12));
    const std::string field(1, static_cast<char>('a' + random.Below(3)));
    const auto value = static_cast<int64_t>(random.Below(1000));
    switch (random.Below(5)) {
      case 0:
        write(PutOf(key, "{\"" + field + "\":" + std::to_string(value) + "}"));
        model.Put(key, field, value);
        break;
      case 1:
        write(DeleteOf(key));
        model.Delete(key);
        break;
      case 2:
        write(IncrementOf(key, field, value));
        model.Add(key, field, value);
        break;
      default:
        write(SetOf(key, field, std::to_string(value)));
        model.Set(key, field, value);
    }
    clock.Advance(absl::Milliseconds(static_cast<int64_t>(random.Below(3))));
    if (!random.OneIn(8)) continue;
    while (node->committer().CommitOnce()) {
    }
    ASSERT_EQ(done, written);
    ASSERT_EQ((*node)->CheckInvariants(), absl::OkStatus()) << "step " << step;
    if (random.OneIn(10)) {
      node.reset();
      fixture->Reopen();
      node.emplace(fixture->store(), clock, random);
    }
    std::map<std::string, std::string> rows;
    const auto page = (*node)->Scan("t", {});
    for (const RowView& row : page->rows) rows[row.key] = row.json;
    ASSERT_EQ(rows, model.Rows()) << "step " << step;
    for (const std::string& change : node->Changes(at)) {
      const size_t equals = change.find('=');
      const std::string changed = change.substr(0, equals);
      followed[changed] = change.substr(equals + 1);
      if (followed[changed].empty()) followed.erase(changed);
    }
    ASSERT_EQ(followed, model.Rows()) << "step " << step;
  }
}

}  // namespace
}  // namespace selvage::table
