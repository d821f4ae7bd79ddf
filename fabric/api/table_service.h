#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "fabric/api/service.h"
#include "fabric/api/view_answers.h"
#include "fabric/base/clock.h"
#include "fabric/table/table_admin.h"
#include "fabric/table/table_store.h"
#include "fabric/view/view_store.h"

namespace selvage::api {

/// Serves the tables and views of a node. What it is given must outlive it, and writes that are under way
/// must be over before it ends.
class TableService : public Service {
 public:
  TableService(table::TableStore& tables, table::TableAdmin& admin, view::ViewStore& views, Clock& clock);
  ~TableService() override;

  void Answer(const Call& call, std::function<void(Reply)> done) override;
  absl::StatusOr<std::unique_ptr<EventSource>> Watch(const Call& call) override;
  void OnChange(std::function<void()> wake) override;

 private:
  using Done = std::function<void(Reply)>;

  /// All that is answered at once.
  absl::StatusOr<Reply> Read(const Call& call);
  absl::StatusOr<Reply> GetTable(const std::string& table);
  absl::StatusOr<Reply> PutTable(const Call& call);
  absl::StatusOr<Reply> DropTable(const std::string& table);
  absl::StatusOr<Reply> GetRow(const Call& call);
  absl::StatusOr<Reply> Scan(const Call& call);
  absl::StatusOr<Reply> Query(const Call& call);
  absl::StatusOr<table::IndexFacts> FindIndex(const Call& call);
  absl::StatusOr<Reply> PutIndex(const Call& call);
  absl::StatusOr<Reply> DropIndex(const Call& call);
  void WriteRow(const Call& call, Done done);
  void WriteBatch(const Call& call, Done done);
  int64_t now_ms() const;

  table::TableStore& tables_;
  table::TableAdmin& admin_;
  ViewAnswers views_;
  Clock& clock_;
  std::optional<int> watch_;  // the thread's that calls OnChange
};

}  // namespace selvage::api
