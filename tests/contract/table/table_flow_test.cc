#include "fabric/table/table_flow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/storage/memory_store.h"
#include "fabric/table/row_format.h"
#include "selvage/v1/link.pb.h"
#include "tests/contract/table/table_node.h"

namespace selvage::table {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const Incarnation kIncarnation = *Incarnation::FromBytes(std::string(16, 'i'));

v1::TableDefinition Shared(v1::TableDirection direction = v1::TABLE_BOTH) {
  v1::TableDefinition definition = Definition("t", direction);
  definition.set_incarnation(kIncarnation.bytes());
  return definition;
}

std::unique_ptr<MemoryStore> CopyOf(KvStore& store) {
  auto copy = std::make_unique<MemoryStore>();
  auto batch = copy->NewBatch();
  for (const Family family : kAllFamilies) {
    auto cursor = store.Scan(family, "", std::string(8, '\xff'));
    for (cursor->Seek(""); cursor->Valid(); cursor->Next())
      batch->Put(family, cursor->key(), {cursor->value()});
  }
  EXPECT_TRUE(copy->Write(*batch, true).ok());
  return copy;
}

/// A node with a table that outlives its processes.
class Site {
 public:
  Site(int id, bool is_edge, Random& random, v1::TableDirection direction = v1::TABLE_BOTH)
      : id_(id), is_edge_(is_edge), random_(random) {
    Open();
    EXPECT_EQ(tables().Create(Shared(direction)), absl::OkStatus());
  }

  TableNode& node() { return *node_; }
  TableStore& tables() { return node_->tables(); }
  FakeClock& clock() { return clock_; }
  StoreId store_id() const { return samples::Store(id_); }
  int64_t now_ms() { return absl::ToUnixMillis(clock_.Wall()); }

  std::string Do(RowOperation operation) { return node_->Do({std::move(operation)}); }
  std::string Json(std::string_view key) { return node_->Json(key); }
  void Restart() {
    node_.reset();
    Open();
  }
  void Back() { backup_ = CopyOf(*store_); }
  /// As it was at the last backup. A core that is restored begins a new lineage.
  void Restore() {
    if (!backup_) return;
    node_.reset();
    store_ = CopyOf(*backup_);
    Open();
    if (is_edge_) return;
    auto batch = store_->NewBatch();
    tables().StageForgetCursors(*batch);
    EXPECT_TRUE(store_->Write(*batch, true).ok());
  }
  /// Of all rows as readers see them.
  std::map<std::string, RowDigest> Digests() {
    std::map<std::string, RowDigest> digests;
    const auto page = tables().Scan("t", {.rows_max = 100'000, .bytes_max = kAll});
    for (const RowView& row : page->rows) digests[row.key] = row.version;
    return digests;
  }
  std::string Text() {
    std::string text;
    const auto page = tables().Scan("t", {.rows_max = 100'000, .bytes_max = kAll});
    for (const RowView& row : page->rows) text += row.key + "=" + row.json + "\n";
    return text;
  }
  TableCounts Counts() { return tables().Facts("t")->counts; }

 private:
  void Open() { node_.emplace(*store_, clock_, random_, is_edge_, store_id()); }

  const int id_;
  const bool is_edge_;
  Random& random_;
  FakeClock clock_;
  std::unique_ptr<MemoryStore> store_ = std::make_unique<MemoryStore>();
  std::unique_ptr<MemoryStore> backup_;
  std::optional<TableNode> node_;
};

/// One direction of a link while it lasts.
class Flow {
 public:
  Flow(Site& from, Site& to, std::string prefix, bool snapshots, Fence fence, uint64_t unsent,
       Life reader_life = {})
      : to_(to),
        source_(from.tables(), {.table = "t",
                                .definition = *from.tables().Find("t"),
                                .store_id = from.store_id(),
                                .prefix = prefix,
                                .snapshots = snapshots,
                                .reader_life = reader_life}) {
    to.node().fences().Raise(fence);
    test::SeededRandom random(fence.epoch.value());
    const v1::FlowOpen open = source_.Describe();
    const auto cursor = to.tables().Cursor("t", from.store_id());
    const TableCursor at = TableSink::Resume(*cursor, open, random);
    needed_snapshot_ = TableSink::NeedsSnapshot(at);
    sink_.emplace(to.tables(),
                  TableSink::Options{.table = "t",
                                     .incarnation = kIncarnation,
                                     .store_id = to.store_id(),
                                     .peer = from.store_id(),
                                     .allowed = "",
                                     .fence = fence,
                                     .snapshots = snapshots,
                                     .unsent = unsent},
                  at, open.history(), [](const std::function<void()>& run) { run(); });
    at_ = sink_->position().offset;
    source_.Acknowledged(sink_->position());
  }

  Life life() const { return sink_->source_life(); }
  bool needed_snapshot() const { return needed_snapshot_; }
  TableSource& source() { return source_; }
  bool CaughtUp() { return at_ >= source_.end(); }
  /// One entry, as the session carries it. False when there is none.
  bool Step(size_t bytes_max = 300) {
    const auto entries = source_.Read(at_, bytes_max);
    EXPECT_EQ(entries.status(), absl::OkStatus());
    if (!entries.ok() || entries->empty()) return false;
    for (const FlowEntry& entry : *entries) {
      EXPECT_EQ(entry.from, at_);
      EXPECT_LT(entry.from, entry.to);
      EXPECT_EQ(sink_->Check(entry), absl::OkStatus());
      bytes_ += entry.body.size();
      std::optional<absl::StatusOr<replication::FlowPosition>> durable;
      sink_->Persist(entry, [&](const auto& done) { durable = done; });
      while (to_.node().committer().CommitOnce()) {
      }
      EXPECT_TRUE(durable && durable->ok()) << (durable ? durable->status() : absl::OkStatus());
      if (!durable || !durable->ok()) return false;
      EXPECT_EQ((**durable).offset, entry.to);
      at_ = entry.to;
      source_.Acknowledged(**durable);
    }
    return true;
  }
  void Drain() {
    while (Step(1 << 20)) {
    }
  }
  size_t bytes() const { return bytes_; }

 private:
  Site& to_;
  TableSource source_;
  std::optional<TableSink> sink_;
  Offset at_;
  bool needed_snapshot_ = false;
  size_t bytes_ = 0;
};

/// A link between an edge and the core: up first, and down once what the edge wrote is there, if the edge
/// needs a snapshot.
class Session {
 public:
  Session(Site& edge, Site& core, uint64_t epoch, std::string prefix = "")
      : edge_(edge),
        core_(core),
        epoch_(epoch),
        prefix_(std::move(prefix)),
        up_(edge, core, "", false, Fence{"edge", SessionEpoch(epoch)}, 0) {}

  Flow& up() { return up_; }
  bool StepUp() { return up_.Step(); }
  bool StepDown() {
    if (!down_) {
      if (!up_.CaughtUp()) return false;
      const uint64_t unsent = up_.source().acknowledged().value_or(0);
      down_.emplace(core_, edge_, prefix_, true, Fence{"@core", SessionEpoch(epoch_)}, unsent, up_.life());
    }
    return down_->Step();
  }
  /// Until neither has anything to say.
  void Drain() {
    bool any = true;
    while (any) {
      any = StepUp();
      any = StepDown() || any;
    }
  }
  std::optional<Flow>& down() { return down_; }

 private:
  Site& edge_;
  Site& core_;
  const uint64_t epoch_;
  const std::string prefix_;
  Flow up_;
  std::optional<Flow> down_;
};

class TableFlows : public ::testing::Test {
 protected:
  Session Link(Site& edge, std::string prefix = "") {
    return Session(edge, core_, ++epoch_, std::move(prefix));
  }
  void Sync(Site& edge, std::string prefix = "") { Link(edge, std::move(prefix)).Drain(); }

  test::SeededRandom random_{5};
  Site core_{1, false, random_};
  Site a_{2, true, random_};
  Site b_{3, true, random_};
  uint64_t epoch_ = 0;
};

TEST_F(TableFlows, RowsGoFromEdgeToEdgeThroughTheCore) {
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
  Sync(a_);
  EXPECT_EQ(core_.Json("k"), R"({"x":1})");
  Sync(b_);
  EXPECT_EQ(b_.Json("k"), R"({"x":1})");
  ASSERT_EQ(b_.Do(SetOf("k", "y", "2")), "");
  ASSERT_EQ(a_.Do(SetOf("k", "x", "3")), "");
  Sync(b_);
  Sync(a_);
  Sync(b_);
  for (Site* site : {&core_, &a_, &b_}) EXPECT_EQ(site->Json("k"), R"({"x":3,"y":2})");
}

TEST_F(TableFlows, NothingIsSentBackToWhereItCameFrom) {
  Sync(a_);
  Sync(b_);
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
  Session session = Link(a_);
  session.Drain();
  EXPECT_GT(session.up().bytes(), 0u);
  EXPECT_EQ(session.down()->bytes(), 0u);
  Session other = Link(b_);
  other.Drain();
  EXPECT_EQ(other.up().bytes(), 0u);
  EXPECT_GT(other.down()->bytes(), 0u);
}

TEST_F(TableFlows, ARowThatChangesAThousandTimesIsSentOnce) {
  Sync(a_);
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":0})")), "");
  Session once = Link(a_);
  once.Drain();
  for (int i = 1; i <= 1000; ++i) {
    ASSERT_EQ(a_.tables().WriteAndWait("t", {SetOf("k", "x", std::to_string(i))}).status(), absl::OkStatus());
  }
  Session session = Link(a_);
  session.Drain();
  EXPECT_EQ(core_.Json("k"), R"({"x":1000})");
  EXPECT_LT(session.up().bytes(), 2 * once.up().bytes());
}

TEST_F(TableFlows, ADeleteIsNotUndoneByWhatWasWrittenBefore) {
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
  Sync(a_);
  Sync(b_);
  ASSERT_EQ(b_.Do(SetOf("k", "x", "2")), "");
  b_.clock().Advance(absl::Seconds(1));
  a_.clock().Advance(absl::Seconds(2));
  ASSERT_EQ(a_.Do(DeleteOf("k")), "");
  Sync(a_);
  Sync(b_);
  Sync(a_);
  for (Site* site : {&core_, &a_, &b_}) EXPECT_EQ(site->Json("k"), "");
  EXPECT_THAT(*core_.tables().Conflicts("t", 10), SizeIs(1)) << "the 2 was lost";
}

TEST_F(TableFlows, CountersAddUp) {
  ASSERT_EQ(core_.Do(PutOf("k", R"({"n":0})")), "");
  Sync(a_);
  Sync(b_);
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(a_.Do(IncrementOf("k", "n", 1)), "");
    ASSERT_EQ(b_.Do(IncrementOf("k", "n", 10)), "");
    ASSERT_EQ(core_.Do(IncrementOf("k", "n", 100)), "");
    if (i == 3) Sync(a_);
    if (i == 5) Sync(b_);
    if (i == 7) a_.Restart();
  }
  Sync(a_);
  Sync(b_);
  Sync(a_);
  for (Site* site : {&core_, &a_, &b_}) EXPECT_EQ(site->Json("k"), R"({"n":1110})");
}

TEST_F(TableFlows, ASnapshotGoesOnWhereItWasCut) {
  for (int i = 0; i < 50; ++i) ASSERT_EQ(core_.Do(PutOf("k" + std::to_string(100 + i), R"({"x":1})")), "");
  int sessions = 0;
  while (a_.Digests().size() < 50) {
    ASSERT_LT(++sessions, 100);
    Session session = Link(a_);
    while (session.StepUp()) {
    }
    session.StepDown();
    session.StepDown();
    if (sessions % 7 == 0) core_.Restart();
    if (sessions % 5 != 0) continue;
    ASSERT_EQ(core_.Do(SetOf("k100", "x", std::to_string(sessions))), "");
  }
  EXPECT_GE(sessions, 3);
  Sync(a_);
  EXPECT_EQ(a_.Digests(), core_.Digests());
}

TEST_F(TableFlows, ASnapshotRemovesWhatTheCoreDoesNotHaveButNotWhatIsUnsent) {
  ASSERT_EQ(core_.Do(PutOf("in/1", "{}")), "");
  ASSERT_EQ(core_.Do(PutOf("out/1", "{}")), "");
  Sync(a_);
  EXPECT_THAT(a_.Digests(), SizeIs(2));
  // The subscription changes; meanwhile the edge writes.
  Session session = Link(a_, "in/");
  while (session.StepUp()) {
  }
  session.StepDown();
  ASSERT_EQ(a_.Do(PutOf("out/2", R"({"unsent":true})")), "");
  session.Drain();
  EXPECT_EQ(a_.Json("out/1"), "");
  EXPECT_EQ(a_.Counts().tombstones, 0u);
  EXPECT_EQ(a_.Json("in/1"), "{}");
  EXPECT_EQ(core_.Json("out/1"), "{}") << "the core never sweeps";
  EXPECT_EQ(core_.Json("out/2"), R"({"unsent":true})");
}

TEST_F(TableFlows, WhatIsWrittenWhileASnapshotRunsIsNotSwept) {
  for (int i = 0; i < 30; ++i) ASSERT_EQ(core_.Do(PutOf("k" + std::to_string(100 + i), R"({"x":1})")), "");
  Session session = Link(a_);
  while (session.StepUp()) {
  }
  session.StepDown();
  session.StepDown();
  // It reaches the core after the core looked at this interval, and before the edge applies the next one.
  ASSERT_EQ(a_.Do(PutOf("k1291", "{}")), "");
  ASSERT_EQ(a_.Do(PutOf("k0", "{}")), "");
  while (session.StepUp()) {
  }
  session.Drain();
  EXPECT_EQ(a_.Json("k1291"), "{}");
  EXPECT_EQ(a_.Digests(), core_.Digests());
}

TEST_F(TableFlows, ARestoredEdgeGetsItsRowsBackAndSendsWhatIsNew) {
  ASSERT_EQ(a_.Do(PutOf("old", "{}")), "");
  Sync(a_);
  a_.Back();
  ASSERT_EQ(a_.Do(PutOf("lost", R"({"x":1})")), "");
  Sync(a_);
  a_.Restore();
  ASSERT_EQ(a_.Do(PutOf("new", "{}")), "");
  EXPECT_EQ(a_.Json("lost"), "");
  Sync(a_);
  EXPECT_EQ(a_.Json("lost"), R"({"x":1})");
  EXPECT_EQ(core_.Json("new"), "{}") << "sequences were given twice, and epochs tell them apart";
  EXPECT_EQ(a_.Digests(), core_.Digests());
}

TEST_F(TableFlows, ARestoredCoreGetsBackWhatItHadFromItsEdges) {
  Sync(a_);
  core_.Back();
  ASSERT_EQ(core_.Do(PutOf("of-the-core", "{}")), "");
  ASSERT_EQ(b_.Do(PutOf("of-b", "{}")), "");
  Sync(b_);
  Sync(a_);
  core_.Restore();
  ASSERT_EQ(core_.Do(PutOf("newer", "{}")), "");
  Sync(a_);
  EXPECT_EQ(core_.Json("of-the-core"), "{}");
  EXPECT_EQ(core_.Json("of-b"), "{}");
  EXPECT_EQ(a_.Json("newer"), "{}");
  Sync(b_);
  EXPECT_EQ(a_.Digests(), core_.Digests());
  EXPECT_EQ(b_.Digests(), core_.Digests());
}

TEST_F(TableFlows, AStampFromTheFutureWaitsForItsTime) {
  Sync(a_);
  a_.clock().Advance(absl::Hours(1));
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
  Sync(a_);
  EXPECT_EQ(core_.Json("k"), "");
  EXPECT_THAT(*core_.tables().Quarantined("t", 10), SizeIs(1));
  ASSERT_EQ(core_.Do(PutOf("other", "{}")), "");
  Sync(b_);
  EXPECT_EQ(b_.Json("k"), "") << "it is in no feed";
  core_.Restart();
  ASSERT_EQ(core_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(core_.Json("k"), "");
  core_.clock().Advance(absl::Minutes(56));
  ASSERT_EQ(core_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(core_.Json("k"), R"({"x":1})");
  EXPECT_THAT(*core_.tables().Quarantined("t", 10), IsEmpty());
  EXPECT_EQ(core_.tables().CheckInvariants(), absl::OkStatus());
}

TEST_F(TableFlows, ALifeThatIsLengthenedElsewhereBringsTheRowBack) {
  ASSERT_EQ(core_.Do(PutOf("k", R"({"x":1})", core_.now_ms() + 1000)), "");
  Sync(a_);
  Sync(b_);
  ASSERT_EQ(b_.Do({"k", Update{.expiry = Update::NewExpiry{b_.now_ms() + 360'000'000}}}), "");
  for (Site* site : {&core_, &a_, &b_}) {
    site->clock().Advance(absl::Hours(25));
    ASSERT_EQ(site->tables().RunDue(), absl::OkStatus());
  }
  EXPECT_EQ(core_.Counts().rows, 0u);
  Sync(b_);
  EXPECT_EQ(core_.Json("k"), R"({"x":1})");
  Sync(a_);
  EXPECT_EQ(a_.Json("k"), R"({"x":1})");
}

TEST_F(TableFlows, ASupersededSessionWritesNothing) {
  ASSERT_EQ(a_.Do(PutOf("k", "{}")), "");
  TableSource source(a_.tables(), {.table = "t", .definition = Shared(), .store_id = a_.store_id()});
  const v1::FlowOpen open = source.Describe();
  const Fence old{"edge", SessionEpoch(1)};
  core_.node().fences().Raise(old);
  TableSink sink(core_.tables(),
                 {.table = "t",
                  .incarnation = kIncarnation,
                  .store_id = core_.store_id(),
                  .peer = a_.store_id(),
                  .fence = old},
                 TableSink::Resume(std::nullopt, open, random_), open.history(),
                 [](const auto& run) { run(); });
  source.Acknowledged(sink.position());
  const auto entries = source.Read(Offset(0), 1000);
  ASSERT_THAT(*entries, SizeIs(1));
  core_.node().fences().Raise({"edge", SessionEpoch(2)});
  std::string outcome;
  sink.Persist((*entries)[0], [&](const auto& done) { outcome = ErrorKind(done.status()); });
  while (core_.node().committer().CommitOnce()) {
  }
  EXPECT_EQ(outcome, "stale_session");
  EXPECT_EQ(core_.Json("k"), "");
  EXPECT_EQ(*core_.tables().Cursor("t", a_.store_id()), std::nullopt);
}

TEST_F(TableFlows, WhatAnEdgeMayNotWriteIsListedAndNotTaken) {
  Incoming incoming{.incarnation = kIncarnation,
                    .peer = a_.store_id(),
                    .fence = {"edge", SessionEpoch(1)},
                    .allowed = "a/"};
  core_.node().fences().Raise(incoming.fence);
  incoming.changes.push_back({"b/1", table::Put({}, {}, {}, samples::At(core_.now_ms(), 2))});
  incoming.changes.push_back({"a/1", table::Put({}, {}, {}, samples::At(core_.now_ms(), 2))});
  std::optional<absl::Status> done;
  core_.tables().Apply("t", incoming, [&](const absl::Status& status) { done = status; });
  while (core_.node().committer().CommitOnce()) {
  }
  EXPECT_EQ(done, absl::OkStatus());
  EXPECT_EQ(core_.Json("b/1"), "");
  EXPECT_EQ(core_.Json("a/1"), "{}");
  const auto conflicts = *core_.tables().Conflicts("t", 10);
  ASSERT_THAT(conflicts, SizeIs(1));
  EXPECT_EQ(conflicts[0].kind(), "not_allowed");
  EXPECT_EQ(conflicts[0].key(), "b/1");
}

TEST_F(TableFlows, BrokenEntriesAreRefused) {
  TableSource source(core_.tables(),
                     {.table = "t", .definition = Shared(), .store_id = core_.store_id(), .snapshots = true});
  const v1::FlowOpen open = source.Describe();
  TableSink sink(a_.tables(),
                 {.table = "t",
                  .incarnation = kIncarnation,
                  .store_id = a_.store_id(),
                  .peer = core_.store_id(),
                  .snapshots = true},
                 TableSink::Resume(std::nullopt, open, random_), open.history(),
                 [](const auto& run) { run(); });
  const auto check = [&](EntryKind kind, int64_t from, int64_t to, std::string body) {
    return ErrorKind(
        sink.Check({.kind = kind, .from = Offset(from), .to = Offset(to), .body = Bytes(std::move(body))}));
  };
  const std::string last = IntervalBody(std::nullopt, {}, "");
  EXPECT_EQ(check(EntryKind::kTableInterval, 0, kFeedBase + 1, last), "");
  EXPECT_EQ(check(EntryKind::kTableInterval, 0, 1, last), "protocol_error");
  EXPECT_EQ(check(EntryKind::kTableInterval, 0, kFeedBase, IntervalBody("k", {}, "")), "protocol_error");
  EXPECT_EQ(check(EntryKind::kTableInterval, 0, 1, IntervalBody("k", {}, "")), "");
  EXPECT_EQ(check(EntryKind::kTableInterval, 0, 1, "x"), "corrupt_changes");
  EXPECT_EQ(check(EntryKind::kTableChanges, 0, 1, ""), "protocol_error");
  EXPECT_EQ(check(EntryKind::kTableChanges, 0, kFeedBase + 1, "junk"), "corrupt_changes");
  EXPECT_EQ(check(EntryKind::kBatch, 0, kFeedBase + 1, ""), "unknown_encoding");
  ChangesWriter outside;
  outside.Add("z", table::Delete({}, samples::At(1, 1)));
  EXPECT_EQ(check(EntryKind::kTableInterval, 0, 1, IntervalBody("k", {}, std::move(outside).Take())),
            "protocol_error");
}

/// Three nodes, random writes, links that are cut anywhere, restarts and restores.
class TableConvergence : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Seeds, TableConvergence, ::testing::Range(0, 40));

TEST_P(TableConvergence, AllCopiesEndEqual) {
  test::SeededRandom random(static_cast<uint64_t>(GetParam()));
  Site core(1, false, random);
  std::array<Site, 2> edges = {Site(2, true, random), Site(3, true, random)};
  std::vector<Site*> sites = {&core, &edges[0], &edges[1]};
  uint64_t epoch = 0;
  const bool expiring = random.OneIn(2);
  SCOPED_TRACE(expiring ? "rows expire" : "rows do not expire");
  for (Site* site : sites) site->clock().Advance(absl::Seconds(static_cast<int64_t>(random.Below(200))));
  const auto write = [&](Site& site) {
    const std::string key = "k" + std::to_string(random.Below(8));
    const std::string field(1, static_cast<char>('a' + random.Below(3)));
    switch (random.Below(6)) {
      case 0:
        return PutOf(key, R"({"a":1,"b":)" + std::to_string(random.Below(9)) + "}");
      case 1:
        return DeleteOf(key);
      case 2:
        return IncrementOf("counts", field, static_cast<int64_t>(random.Below(5)));
      case 3:
        if (!expiring) return IncrementOf(key, field, 1);
        return PutOf(key, R"({"ttl":1})", site.now_ms() + static_cast<int64_t>(random.Below(600'000)));
      default:
        return SetOf(key, field, std::to_string(random.Below(100)));
    }
  };
  for (int round = 0; round < 60; ++round) {
    for (int i = static_cast<int>(random.Below(6)); i > 0; --i) {
      Site& site = *random.Pick(sites);
      (void)site.Do(write(site));
    }
    // Where rows expire, clocks differ by less than the margin.
    const auto passed = absl::Seconds(static_cast<int64_t>(random.Below(40)));
    if (expiring) {
      for (Site* site : sites) site->clock().Advance(passed);
    } else if (random.OneIn(3)) {
      random.Pick(sites)->clock().Advance(passed);
    }
    if (random.OneIn(6)) random.Pick(sites)->Restart();
    if (random.OneIn(8)) random.Pick(sites)->Back();
    if (random.OneIn(12)) random.Pick(sites)->Restore();
    ASSERT_EQ(random.Pick(sites)->tables().RunDue(), absl::OkStatus());
    Session session(edges[random.Below(2)], core, ++epoch);
    for (auto steps = random.Below(12); steps > 0; --steps) {
      if (random.OneIn(2)) {
        session.StepUp();
      } else {
        session.StepDown();
      }
      if (random.OneIn(5)) {
        Site& site = *random.Pick(sites);
        (void)site.Do(write(site));
      }
    }
  }
  // All clocks reach one time, and everybody hears of everything.
  absl::Time latest = core.clock().Wall();
  for (Site* site : sites) latest = std::max(latest, site->clock().Wall());
  for (Site* site : sites) site->clock().JumpTo(latest + absl::Hours(1));
  for (int i = 0; i < 4; ++i) {
    for (Site* site : sites) {
      if (i == 2) site->clock().Advance(absl::Hours(30));
    }
    for (Site* site : sites) ASSERT_EQ(site->tables().RunDue(), absl::OkStatus());
    for (Site& edge : edges) Session(edge, core, ++epoch).Drain();
  }
  for (Site* site : sites) ASSERT_EQ(site->tables().CheckInvariants(), absl::OkStatus());
  for (Site& edge : edges) {
    EXPECT_EQ(edge.Text(), core.Text());
    EXPECT_TRUE(edge.Digests() == core.Digests());
  }
}

}  // namespace
}  // namespace selvage::table
