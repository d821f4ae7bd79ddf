/// Tables between nodes, and how large they may be: what a change costs a core with many subscriptions, what
/// goes over a link after a time without one, how fast two copies converge, and what a node with many rows
/// takes to open and to hold. Nodes are on disk with the settings of the daemons; links are sessions without
/// a network between them.
#include <benchmark/benchmark.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "benchmarks/bench_support.h"
#include "fabric/base/check.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/base/random.h"
#include "fabric/replication/session.h"
#include "fabric/table/table_flow.h"

namespace selvage::bench {
namespace {

using replication::Session;
using table::RowOperation;
using table::TableSink;
using table::TableSource;
using table::TableStore;

constexpr char kTable[] = "bench";
const std::string kIncarnation(16, 'i');

v1::TableDefinition Definition() {
  v1::TableDefinition definition;
  definition.set_name(kTable);
  definition.set_direction(v1::TABLE_BOTH);
  definition.set_incarnation(kIncarnation);
  return definition;
}

double Elapsed(std::chrono::steady_clock::time_point from) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
}

double ProcessorSeconds() {
  rusage used{};
  SELVAGE_CHECK(getrusage(RUSAGE_SELF, &used) == 0);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

RowOperation Put(std::string key, const std::string& json) {
  return {std::move(key), RowOperation::Put{table::ParseFields(json).value()}};
}

/// Rows [from, to) in batches, from several threads.
void WriteRows(TableStore& tables, uint64_t from, uint64_t to,
               const std::function<RowOperation(uint64_t)>& row) {
  constexpr uint64_t kBatchRows = 500;
  std::atomic<uint64_t> next{from};
  std::vector<std::thread> threads;
  for (int writer = 0; writer < 4; ++writer) {
    threads.emplace_back([&] {
      for (uint64_t first = next.fetch_add(kBatchRows); first < to; first = next.fetch_add(kBatchRows)) {
        std::vector<RowOperation> rows;
        for (uint64_t n = first; n < std::min(to, first + kBatchRows); ++n) rows.push_back(row(n));
        SELVAGE_CHECK(tables.WriteAndWait(kTable, std::move(rows)).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// A changed row and many subscriptions.

/// Edges that read a table of a core, and have read everything so far.
class Subscriptions {
 public:
  /// With `lanes` false as it would be if nobody knew which rows a subscription is about.
  Subscriptions(NodeStore& core, int edges, bool lanes) : tables_(core.state().tables()) {
    edges_.reserve(static_cast<size_t>(edges));
    for (int i = 0; i < edges; ++i) {
      const std::string prefix = PrefixOf(i);
      const auto wake = [this, i] { woken_.push_back(i); };
      Edge& edge = edges_.emplace_back();
      edge.watch = lanes ? tables_.WatchRows(kTable, prefix, wake) : tables_.Watch(wake);
      edge.source = std::make_unique<TableSource>(
          tables_,
          TableSource::Options{.table = kTable,
                               .definition = Definition(),
                               .store_id = core.state().identity().store_id(),
                               .prefix = prefix,
                               .snapshots = lanes},
          [] {}, lanes ? edge.watch : 0);
      edge.at = Offset(edge.source->Describe().end());
      edge.source->Acknowledged({"", edge.at});
    }
  }
  ~Subscriptions() {
    for (const Edge& edge : edges_) tables_.Unwatch(edge.watch);
  }
  static std::string PrefixOf(int edge) { return "site/edge-" + std::to_string(edge) + "/"; }

  /// Each edge that was woken gets what there is for it. After a write, while nobody writes.
  void Serve() {
    for (const int woken : std::exchange(woken_, {})) {
      ++wakes;
      Edge& edge = edges_[static_cast<size_t>(woken)];
      while (edge.at < edge.source->end()) {
        const auto read = edge.source->Read(edge.at, 128 << 10);
        SELVAGE_CHECK(read.ok() && read->size() == 1);
        ++entries;
        bytes += read->front().body.size();
        edge.at = read->front().to;
        edge.source->Acknowledged({"", edge.at});
      }
    }
  }

  uint64_t wakes = 0;
  uint64_t entries = 0;
  uint64_t bytes = 0;

 private:
  struct Edge {
    std::unique_ptr<TableSource> source;
    int watch = 0;
    Offset at;
  };
  TableStore& tables_;
  std::vector<Edge> edges_;
  std::vector<int> woken_;  // by the committer, before a write is done
};

void BM_ChangedRow(benchmark::State& state) {
  const auto edges = static_cast<int>(state.range(0));
  constexpr int kChanges = 2'000;
  ScratchDir dir;
  auto core = OpenNode(dir.path(), "bench", false);
  TableStore& tables = core->state().tables();
  SELVAGE_CHECK(tables.Create(Definition()).ok());
  Subscriptions subscriptions(*core, edges, state.range(1) == 1);
  std::mt19937_64 random(7);
  double writing = 0, serving = 0;
  const double processor = ProcessorSeconds();
  for (auto _ : state) {
    for (int i = 0; i < kChanges; ++i) {
      const auto edge = static_cast<int>(random() % static_cast<uint64_t>(edges));
      const std::string key = Subscriptions::PrefixOf(edge) + "pump-" + std::to_string(random() % 20);
      const auto begin = std::chrono::steady_clock::now();
      SELVAGE_CHECK(tables.WriteAndWait(kTable, {Put(key, R"({"bar":)" + std::to_string(i) + "}")}).ok());
      const auto written = std::chrono::steady_clock::now();
      subscriptions.Serve();
      writing += std::chrono::duration<double>(written - begin).count();
      serving += Elapsed(written);
    }
  }
  SELVAGE_CHECK(subscriptions.bytes > 0);
  const auto per_row = [&](double amount) { return amount / kChanges; };
  state.counters["write_us"] = per_row(writing) * 1e6;
  state.counters["serve_us"] = per_row(serving) * 1e6;
  state.counters["processor_us"] = per_row(ProcessorSeconds() - processor) * 1e6;
  state.counters["wakes"] = per_row(static_cast<double>(subscriptions.wakes));
  state.counters["entries"] = per_row(static_cast<double>(subscriptions.entries));
}

// A link between an edge and a core.

/// One end of a link: a session, and what it persists, which is finished on the committer's thread.
class LinkEnd {
 public:
  LinkEnd(NodeStore& node, bool is_edge)
      : node_(node), session_({.is_edge = is_edge}, SystemClock().Monotonic()) {
    NodeState& state = node.state();
    SELVAGE_CHECK(RaiseFences(state.committer(), state.fences(), {PeerFence()}).ok());
  }

  Session& session() { return session_; }
  TableStore& tables() { return node_.state().tables(); }
  StoreId store_id() { return node_.state().identity().store_id(); }
  uint64_t bytes() const { return bytes_; }  ///< that were sent
  bool AllSent() const { return source_ && source_->acknowledged() == tables_end_(); }

  void Offer(bool snapshots, table::Life reader_life) {
    tables_end_ = [this] { return tables().End().sequence; };
    source_ = std::make_unique<TableSource>(tables(), TableSource::Options{.table = kTable,
                                                                           .definition = Definition(),
                                                                           .store_id = store_id(),
                                                                           .snapshots = snapshots,
                                                                           .reader_life = reader_life});
    session_.Offer(*source_);
  }
  /// The life of the peer's store, once its offer was taken.
  std::optional<table::Life> life() const {
    return sink_ ? std::optional(sink_->source_life()) : std::nullopt;
  }
  TableSource& source() { return *source_; }

  /// Persists and sends what is ready; offers that came are answered when `may_accept`. True when anything
  /// happened.
  bool Carry(LinkEnd& to, bool snapshots, bool may_accept) {
    const absl::Duration now = SystemClock().Monotonic();
    bool any = false;
    for (auto& [flow, credit, durable] : TakePersisted()) {
      session_.Persisted(flow, credit, durable);
      any = true;
    }
    Session::Ready ready = session_.TakeReady(now, 1 << 20);
    SELVAGE_CHECK(!ready.closed);
    for (Session::Persist& persist : ready.persist) {
      persist.sink->Persist(std::move(persist.entry),
                            [this, flow = persist.flow, credit = persist.credit](const auto& durable) {
                              const std::lock_guard lock(mutex_);
                              persisted_.push_back({flow, credit, durable});
                            });
    }
    for (const Session::Event& event : ready.events) {
      if (const auto* held = std::get_if<Session::FlowHeld>(&event)) {
        std::fprintf(stderr, "%s\n", Describe(held->why).c_str());
        std::abort();
      }
      if (const auto* offered = std::get_if<Session::FlowOffered>(&event)) offered_ = *offered;
    }
    if (offered_ && may_accept) Accept(to, snapshots);
    for (const replication::Message& message : ready.messages) {
      bytes_ += message.frame.ByteSizeLong() + message.payload.size();
      to.session_.Step(message, now);
    }
    return any || !ready.messages.empty() || !ready.persist.empty();
  }

 private:
  static Fence PeerFence() { return {"peer", SessionEpoch(1)}; }

  struct Persisted {
    replication::FlowNumber flow;
    size_t credit;
    absl::StatusOr<replication::FlowPosition> durable;
  };
  std::vector<Persisted> TakePersisted() {
    const std::lock_guard lock(mutex_);
    return std::exchange(persisted_, {});
  }
  void Accept(LinkEnd& from, bool snapshots) {
    const auto offered = *std::exchange(offered_, std::nullopt);
    const auto cursor = tables().Cursor(kTable, from.store_id());
    SELVAGE_CHECK(cursor.ok());
    sink_ = std::make_unique<TableSink>(
        tables(),
        TableSink::Options{.table = kTable,
                           .incarnation = *table::Incarnation::FromBytes(kIncarnation),
                           .store_id = store_id(),
                           .peer = from.store_id(),
                           .fence = PeerFence(),
                           .snapshots = snapshots,
                           .unsent = source_ ? source_->acknowledged().value_or(0) : 0},
        TableSink::Resume(*cursor, offered.open, SystemRandom()), offered.open.history(),
        [](const std::function<void()>& run) { run(); });
    session_.Accept(offered.flow, *sink_);
  }

  NodeStore& node_;
  Session session_;
  std::unique_ptr<TableSource> source_;
  std::unique_ptr<TableSink> sink_;
  std::function<uint64_t()> tables_end_;
  std::optional<Session::FlowOffered> offered_;
  uint64_t bytes_ = 0;
  std::mutex mutex_;
  std::vector<Persisted> persisted_;
};

struct Exchanged {
  uint64_t up_bytes = 0;
  uint64_t down_bytes = 0;
  double seconds = 0;
  double processor_seconds = 0;
};

/// Links the two until both have everything.
Exchanged Link(NodeStore& edge_node, NodeStore& core_node) {
  LinkEnd edge(edge_node, true);
  LinkEnd core(core_node, false);
  const auto begin = std::chrono::steady_clock::now();
  const double processor = ProcessorSeconds();
  const auto carry = [&] {
    const bool up = edge.Carry(core, true, edge.AllSent());
    const bool down = core.Carry(edge, false, true);
    if (!up && !down) absl::SleepFor(absl::Microseconds(50));
  };
  edge.session().SendHello({});
  carry();
  core.session().SendWelcome({});
  carry();
  edge.Offer(false, {});
  while (!core.life()) carry();
  core.Offer(true, *core.life());
  for (bool caught_up = false; !edge.AllSent() || !core.AllSent() || !caught_up;) {
    carry();
    caught_up = edge.AllSent();
    if (caught_up) core.source().CatchUp();
  }
  return {edge.bytes(), core.bytes(), Elapsed(begin), ProcessorSeconds() - processor};
}

/// An edge and a core with a table, of which the edge has read once.
struct LinkedNodes {
  LinkedNodes() {
    for (NodeStore* node : {edge.get(), core.get()}) {
      SELVAGE_CHECK(node->state().tables().Create(Definition()).ok());
    }
    Link(*edge, *core);
  }
  TableStore& at_edge() { return edge->state().tables(); }
  TableStore& at_core() { return core->state().tables(); }

  ScratchDir dir;
  std::unique_ptr<NodeStore> edge = OpenNode(dir.path() / "edge", "edge", true);
  std::unique_ptr<NodeStore> core = OpenNode(dir.path() / "core", "core", false);
};

table::RowsDigest DigestOf(TableStore& tables) {
  table::RowsDigest digest;
  std::optional<std::string> from = "";
  while (from) {
    const auto page = tables.DigestRows(kTable, {.from = *from, .at_ms = 0});
    SELVAGE_CHECK(page.ok());
    digest.Add(page->digest);
    from = page->next;
  }
  return digest;
}

void BM_OfflineUpdates(benchmark::State& state) {
  constexpr uint64_t kUpdates = 1'000'000;
  constexpr uint64_t kRows = 100;
  Exchanged exchanged;
  for (auto _ : state) {
    LinkedNodes nodes;
    WriteRows(nodes.at_edge(), 0, kRows, [](uint64_t n) {
      return Put("pump-" + std::to_string(n), R"({"bar":0,"ok":true,"site":"plant-7","unit":"bar"})");
    });
    Link(*nodes.edge, *nodes.core);
    WriteRows(nodes.at_edge(), 0, kUpdates, [](uint64_t n) {
      table::Update update;
      update.set = table::ParseFields(R"({"bar":)" + std::to_string(n * 0x9E3779B97F4A7C15 % 100'003) +
                                      R"(,"ok":)" + (n % 7 == 0 ? "false" : "true") + "}")
                       .value();
      return RowOperation{"pump-" + std::to_string(n % kRows), std::move(update)};
    });
    exchanged = Link(*nodes.edge, *nodes.core);
    SELVAGE_CHECK(DigestOf(nodes.at_edge()) == DigestOf(nodes.at_core()));
  }
  state.counters["up_bytes"] = static_cast<double>(exchanged.up_bytes);
  state.counters["down_bytes"] = static_cast<double>(exchanged.down_bytes);
}

void BM_Converge(benchmark::State& state) {
  constexpr uint64_t kRows = 1'000'000;
  // Of the rows of each side a tenth are written at the other as well.
  constexpr uint64_t kShared = 50'000;
  Exchanged exchanged;
  for (auto _ : state) {
    LinkedNodes nodes;
    const auto write = [](TableStore& tables, uint64_t first, const char* site) {
      WriteRows(tables, first, first + kRows / 2, [&](uint64_t n) {
        return Put("sensor/" + std::to_string(n * 0x9E3779B97F4A7C15 % 1'000'000'007),
                   R"({"bar":)" + std::to_string(n % 1000) + R"(,"ok":true,"site":")" + site + R"("})");
      });
    };
    write(nodes.at_edge(), 0, "edge");
    write(nodes.at_core(), kRows / 2 - kShared, "core");
    exchanged = Link(*nodes.edge, *nodes.core);
    SELVAGE_CHECK(DigestOf(nodes.at_edge()) == DigestOf(nodes.at_core()));
    SELVAGE_CHECK(nodes.at_core().Facts(kTable)->counts.rows == kRows - kShared);
  }
  state.counters["seconds"] = exchanged.seconds;
  state.counters["processor_s"] = exchanged.processor_seconds;
  state.counters["rows_per_s"] = static_cast<double>(kRows) / exchanged.seconds;
  state.counters["up_bytes"] = static_cast<double>(exchanged.up_bytes);
  state.counters["down_bytes"] = static_cast<double>(exchanged.down_bytes);
}

// Many rows.

/// Of /proc/self/status, in MiB.
double StatusMiB(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return std::stod(line.substr(field.size() + 1)) / 1024;
  }
  return 0;
}

struct Opened {
  double open_ms = 0;
  double resident = 0;       // after opening
  double resident_most = 0;  // of the whole run
  double resident_read = 0;  // after reading rows here and there
  double rows_per_s = 0;
};

/// Runs in a process of its own, which then ends at once, as if killed.
Opened InChild(const std::function<Opened()>& run) {
  int ends[2];
  SELVAGE_CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  SELVAGE_CHECK(child >= 0);
  if (child == 0) {
    const Opened result = run();
    SELVAGE_CHECK(write(ends[1], &result, sizeof result) == sizeof result);
    _exit(0);
  }
  Opened result;
  SELVAGE_CHECK(read(ends[0], &result, sizeof result) == sizeof result);
  SELVAGE_CHECK(waitpid(child, nullptr, 0) == child);
  close(ends[0]);
  close(ends[1]);
  return result;
}

std::string SmallRowKey(uint64_t n) {
  return "row/" + std::to_string(n * 0x9E3779B97F4A7C15 % 100'000'000'003);
}

void BM_ManyRows(benchmark::State& state) {
  const auto rows = static_cast<uint64_t>(state.range(0));
  const auto row = [](uint64_t n) {
    return Put(SmallRowKey(n), R"({"bar":)" + std::to_string(n % 1000) + R"(,"ok":true})");
  };
  ScratchDir dir;
  const auto write = [&] {
    auto node = OpenNode(dir.path(), "bench", true);
    TableStore& tables = node->state().tables();
    SELVAGE_CHECK(tables.Create(Definition()).ok());
    const auto begin = std::chrono::steady_clock::now();
    WriteRows(tables, 0, rows, row);
    const double rate = static_cast<double>(rows) / Elapsed(begin);
    node.reset();
    return Opened{.resident_most = StatusMiB("VmHWM"), .rows_per_s = rate};
  };
  const auto open = [&] {
    Opened opened;
    const auto begin = std::chrono::steady_clock::now();
    auto node = OpenNode(dir.path(), "bench", true);
    opened.open_ms = Elapsed(begin) * 1e3;
    opened.resident = StatusMiB("VmRSS");
    TableStore& tables = node->state().tables();
    SELVAGE_CHECK(tables.Facts(kTable)->counts.rows == rows);
    std::mt19937_64 random(3);
    for (int i = 0; i < 100'000; ++i) {
      const auto found = tables.Get(kTable, SmallRowKey(random() % rows));
      SELVAGE_CHECK(found.ok() && found->has_value());
    }
    WriteRows(tables, 0, std::min<uint64_t>(rows, 20'000), row);
    opened.resident_read = StatusMiB("VmRSS");
    opened.resident_most = StatusMiB("VmHWM");
    node.release();  // NOLINT(bugprone-unused-return-value): as if killed
    return opened;
  };
  for (auto _ : state) {
    const Opened written = InChild(write);
    const Opened closed = InChild(open);
    const Opened killed = InChild(open);
    state.counters["write_rows_per_s"] = written.rows_per_s;
    state.counters["write_most_MiB"] = written.resident_most;
    state.counters["open_ms"] = closed.open_ms;
    state.counters["open_killed_ms"] = killed.open_ms;
    state.counters["open_MiB"] = closed.resident;
    state.counters["used_MiB"] = closed.resident_read;
    state.counters["most_MiB"] = std::max(closed.resident_most, killed.resident_most);
  }
}

BENCHMARK(BM_ChangedRow)
    ->ArgNames({"edges", "lanes"})
    ->ArgsProduct({{10, 100, 1000}, {1, 0}})
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->UseRealTime();
BENCHMARK(BM_OfflineUpdates)->Iterations(1)->Unit(benchmark::kSecond)->UseRealTime();
BENCHMARK(BM_Converge)->Iterations(1)->Unit(benchmark::kSecond)->UseRealTime();
BENCHMARK(BM_ManyRows)
    ->ArgName("rows")
    ->Arg(100'000)
    ->Arg(1'000'000)
    ->Arg(10'000'000)
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->UseRealTime();

}  // namespace
}  // namespace selvage::bench
