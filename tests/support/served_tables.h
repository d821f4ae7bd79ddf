#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "fabric/api/server.h"
#include "fabric/api/table_service.h"
#include "fabric/base/check.h"
#include "fabric/base/random.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/memory_store.h"
#include "fabric/table/store_table_admin.h"
#include "fabric/table/table_store.h"
#include "fabric/telemetry/metrics.h"

namespace selvage::test {

/// Tables over HTTP as a daemon serves them, on a store in memory.
class ServedTables {
 public:
  explicit ServedTables(api::Server::Options options = {}, DiskBudget::Limits limits = {},
                        bool is_edge = true)
      : budget_(limits),
        committer_(store_, {}),
        tables_({store_, committer_, SystemClock(), SystemRandom(), budget_, fences_},
                {.is_edge = is_edge, .store_id = [id = StoreId::Mint(SystemRandom())] { return id; }}),
        admin_(tables_, SystemRandom()),
        service_(tables_, admin_, SystemClock()) {
    committer_thread_.emplace(committer_);
    const absl::Status opened = tables_.Open();
    SELVAGE_CHECK(opened.ok());
    auto server = api::Server::Bind(std::move(options));
    SELVAGE_CHECK(server.ok());
    server_ = *std::move(server);
    server_->Serve(service_, metrics_);
  }
  ~ServedTables() { server_->Stop(); }

  uint16_t port() const { return server_->port(); }
  table::TableStore& tables() { return tables_; }
  DiskBudget& budget() { return budget_; }
  Metrics& metrics() { return metrics_; }
  api::Server& server() { return *server_; }

 private:
  MemoryStore store_;
  DiskBudget budget_;
  FenceTable fences_;
  Committer committer_;
  table::TableStore tables_;
  table::StoreTableAdmin admin_;
  api::TableService service_;
  Metrics metrics_{"test"};
  std::optional<CommitterThread> committer_thread_;
  std::unique_ptr<api::Server> server_;
};

}  // namespace selvage::test
