#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "fabric/api/server.h"
#include "fabric/api/table_service.h"
#include "fabric/base/check.h"
#include "fabric/base/random.h"
#include "fabric/node/node_state.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/memory_store.h"
#include "fabric/table/store_table_admin.h"
#include "fabric/table/table_store.h"
#include "fabric/telemetry/metrics.h"

namespace selvage::test {

/// Tables and views over HTTP as a daemon serves them, on a store in memory. Nothing feeds the views but who
/// calls it.
class ServedTables {
 public:
  explicit ServedTables(api::Server::Options options = {}, DiskBudget::Limits limits = {},
                        bool is_edge = true)
      : node_(NodeOptions(limits, is_edge), store_, SystemClock(), SystemRandom()),
        admin_(node_.tables(), SystemRandom()),
        service_(node_.tables(), admin_, node_.views(), SystemClock()) {
    committer_thread_.emplace(node_.committer());
    const absl::Status opened = node_.Open({});
    SELVAGE_CHECK(opened.ok());
    auto server = api::Server::Bind(std::move(options));
    SELVAGE_CHECK(server.ok());
    server_ = *std::move(server);
    server_->Serve(service_, metrics_);
  }
  ~ServedTables() { server_->Stop(); }

  uint16_t port() const { return server_->port(); }
  NodeState& node() { return node_; }
  table::TableStore& tables() { return node_.tables(); }
  Metrics& metrics() { return metrics_; }
  api::Server& server() { return *server_; }

 private:
  static NodeState::Options NodeOptions(const DiskBudget::Limits& limits, bool is_edge) {
    NodeState::Options options;
    options.node = is_edge ? "rig-7" : "main";
    options.is_edge = is_edge;
    options.disk = limits;
    return options;
  }

  MemoryStore store_;
  NodeState node_;
  table::StoreTableAdmin admin_;
  api::TableService service_;
  Metrics metrics_{"test"};
  std::optional<CommitterThread> committer_thread_;
  std::unique_ptr<api::Server> server_;
};

}  // namespace selvage::test
