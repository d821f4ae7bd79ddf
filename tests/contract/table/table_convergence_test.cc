/// Three nodes with one table under random histories: writes everywhere, links that are cut anywhere,
/// restarts, restores, clocks that are ahead, subscriptions that change. Bugs are planted, and each must be
/// found.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/canary.h"
#include "tests/contract/table/table_sites.h"

namespace selvage::table {
namespace {

constexpr size_t kSites = 3;
constexpr size_t kCore = 0;

/// What was written in a way that tells what must come of it without merging: increments of a row that is
/// never set or deleted, and rows that are put once and deleted at most once. Each node knows some of it, and
/// what some node knows at the end must be there.
class Ledger {
 public:
  struct Event {
    enum class Kind { kCount, kPut, kDelete };
    Kind kind = Kind::kCount;
    std::string key;
    std::string field = {};  // of a count
    int64_t amount = 0;      // of a count; of a put the value
  };

  void Written(size_t site, Event event) {
    known_[site].insert(events_.size());
    events_.push_back(std::move(event));
  }
  /// `to` has all that `from` has of rows with this prefix, but for those that wait for their time there.
  void Told(size_t from, size_t to, std::string_view prefix, const std::set<std::string>& waiting) {
    for (const size_t event : known_[from]) {
      const std::string& key = events_[event].key;
      if (key.starts_with(prefix) && !waiting.contains(key)) known_[to].insert(event);
    }
  }
  /// A site may lose what has another prefix.
  void ForgetOthers(size_t site, std::string_view prefix) {
    std::erase_if(known_[site],
                  [&](size_t event) { return !std::string_view(events_[event].key).starts_with(prefix); });
  }
  void Back(size_t site) { backups_[site] = known_[site]; }
  void DropBackups() { backups_ = {}; }
  void Restore(size_t site) {
    if (backups_[site]) known_[site] = *backups_[site];
  }

  /// Of the node that must have everything.
  void Check(Site& core) const {
    std::set<size_t> known;
    for (const auto& some : known_) known.insert(some.begin(), some.end());
    std::map<std::string, std::pair<int64_t, int64_t>> counts;  // least and most
    std::map<std::string, Event> puts;
    std::map<std::string, bool> deletes;  // whether some node knows
    for (size_t i = 0; i < events_.size(); ++i) {
      const Event& event = events_[i];
      if (event.kind == Event::Kind::kCount) {
        counts[event.field].first += known.contains(i) ? event.amount : 0;
        counts[event.field].second += event.amount;
      } else if (event.kind == Event::Kind::kDelete) {
        deletes[event.key] = known.contains(i);
      } else if (known.contains(i)) {
        puts[event.key] = event;
      }
    }
    const auto fields = ParseFields(core.Json("counts").empty() ? "{}" : core.Json("counts"));
    for (const auto& [name, bounds] : counts) {
      const auto field = fields->find(name);
      const int64_t count = field == fields->end() ? 0 : std::get<int64_t>(*field->second.number());
      EXPECT_GE(count, bounds.first) << "increments of " << name << " are lost";
      EXPECT_LE(count, bounds.second) << "increments of " << name << " count twice";
    }
    for (const auto& [key, is_known] : deletes) {
      EXPECT_TRUE(!is_known || core.Json(key).empty()) << key << " came back";
    }
    for (const auto& [key, put] : puts) {
      EXPECT_TRUE(deletes.contains(key) || core.Json(key) == JsonOf(put.amount)) << key << " is lost";
    }
  }
  static std::string JsonOf(int64_t value) { return "{\"v\":" + std::to_string(value) + "}"; }

 private:
  std::vector<Event> events_;
  std::array<std::set<size_t>, kSites> known_;
  std::array<std::optional<std::set<size_t>>, kSites> backups_;
};

/// A program that keeps a copy of a table by its changes.
class Follower {
 public:
  void StartAnew() {
    rows_.clear();
    at_ = {};
  }
  void Follow(Site& site) {
    for (bool more = true; more;) {
      const auto page = site.tables().ReadChanges("t", at_, "", 7, kAll);
      if (ErrorKind(page.status()) == "position_expired") {
        StartAnew();
        continue;
      }
      ASSERT_EQ(page.status(), absl::OkStatus());
      for (const RowChanged& change : page->changes) {
        if (change.row) {
          rows_[change.key] = change.row->version;
        } else {
          rows_.erase(change.key);
        }
      }
      at_ = page->next;
      more = page->more;
    }
    EXPECT_TRUE(rows_ == site.Digests()) << "changes lead to other rows";
  }

 private:
  std::map<std::string, RowDigest> rows_;
  FeedPosition at_;
};

class Convergence {
 public:
  explicit Convergence(uint64_t seed) : random_(seed) {
    const uint64_t kind = random_.Below(4);
    expiring_ = kind < 2;
    skewed_ = kind == 2;
    collecting_ = kind == 3;
    if (collecting_) {
      for (Site& site : sites_) {
        v1::TableDefinition definition = *site.tables().Find("t");
        definition.mutable_settings()->set_tombstones_kept_ms(absl::ToInt64Milliseconds(absl::Hours(1)));
        definition.mutable_settings()->set_tombstones_kept_max_ms(absl::ToInt64Milliseconds(absl::Hours(20)));
        EXPECT_EQ(site.tables().Set(definition), absl::OkStatus());
      }
    }
    for (Site& site : sites_) site.clock().Advance(absl::Seconds(static_cast<int64_t>(random_.Below(200))));
    for (Site& site : sites_) EXPECT_EQ(site.tables().CreateIndex("t", "early", "a"), absl::OkStatus());
  }

  void Run() {
    for (int round = 0; round < 60; ++round) {
      if (round == 20) MakeLateIndexes();
      Round();
    }
    Settle();
    for (Site& site : sites_) {
      ASSERT_EQ(site.tables().CheckInvariants(), absl::OkStatus());
      CheckOrdered(site);
    }
    for (size_t edge = 1; edge < kSites; ++edge) {
      EXPECT_EQ(RowsOf(edge, edge), RowsOf(kCore, edge)) << "edge " << edge;
      FollowChanges(edge);
    }
    ledger_.Check(sites_[kCore]);
    CheckSilence();
    CheckNoEcho();
  }

 private:
  size_t SomeSite() { return random_.Below(kSites); }

  void Round() {
    for (auto writes = random_.Below(6); writes > 0; --writes) Write(SomeSite());
    PassTime();
    if (random_.OneIn(6)) Restart(SomeSite());
    if (random_.OneIn(8)) {
      const size_t site = SomeSite();
      sites_[site].Back();
      ledger_.Back(site);
    }
    // A backup that is older than tombstones are kept brings back what was deleted.
    if (random_.OneIn(12) && !collecting_) Restore(SomeSite());
    if (random_.OneIn(20)) prefixes_[1 + random_.Below(2)] = random_.OneIn(2) ? "once/" : "";
    ASSERT_EQ(sites_[SomeSite()].tables().RunDue(), absl::OkStatus());
    if (collecting_) Collect();
    Link(1 + random_.Below(2));
    const size_t site = SomeSite();
    Commit(site);
    FollowChanges(site);
  }

  void Collect() {
    if (random_.OneIn(4)) {
      for (Site& site : sites_) site.clock().Advance(absl::Minutes(90));
    }
    for (Site& site : sites_) ASSERT_EQ(site.tables().RunDue(), absl::OkStatus());
  }

  /// A link that ends anywhere.
  void Link(size_t edge) {
    Session former = Begin(edge);
    if (random_.OneIn(8)) {
      Steps(former, edge);
      Session session = Begin(edge);
      ExpectRefused(former.up());
      if (former.down()) ExpectRefused(*former.down());
      return Steps(session, edge);
    }
    Steps(former, edge);
    if (!random_.OneIn(8)) return;
    former.up().StepInVain();
    if (former.down()) former.down()->StepInVain();
    Restart(random_.OneIn(2) ? kCore : edge);
  }
  Session Begin(size_t edge) { return {sites_[edge], sites_[kCore], ++epoch_, prefixes_[edge]}; }
  void Steps(Session& session, size_t edge) {
    for (auto steps = random_.Below(12); steps > 0; --steps) {
      Step(session, edge, random_.OneIn(2));
      if (random_.OneIn(5)) Write(SomeSite());
    }
  }
  bool Step(Session& session, size_t edge, bool up) {
    const bool began = session.down().has_value();
    const bool any = up ? session.StepUp() : session.StepDown();
    if (session.up().CaughtUp()) ledger_.Told(edge, kCore, "", WaitingAt(edge));
    if (!session.down()) return any;
    if (!began && session.down()->needed_snapshot()) {
      ledger_.ForgetOthers(edge, prefixes_[edge]);
    }
    if (session.down()->CaughtUp()) ledger_.Told(kCore, edge, prefixes_[edge], WaitingAt(kCore));
    return any;
  }
  std::set<std::string> WaitingAt(size_t at) {
    std::set<std::string> keys;
    const auto changes = sites_[at].tables().Quarantined("t", 10'000);
    for (const QuarantinedChange& waiting : *changes) keys.insert(waiting.change.key);
    return keys;
  }
  static void ExpectRefused(Flow& flow) {
    EXPECT_EQ(flow.StepStale().value_or("stale_session"), "stale_session");
  }

  void Write(size_t at) {
    std::vector<RowOperation> operations;
    std::vector<Ledger::Event> events;
    for (auto more = random_.OneIn(6) ? random_.Between(2, 4) : 1; more > 0; --more) {
      AddOperation(at, operations, events);
    }
    sites_[at].tables().Write("t", std::move(operations), [this, at, events](const auto& outcome) {
      if (!outcome.ok()) return;
      for (const Ledger::Event& event : events) ledger_.Written(at, event);
    });
    // Else with whatever comes next, in one group.
    if (random_.OneIn(2)) Commit(at);
  }
  void AddOperation(size_t at, std::vector<RowOperation>& operations, std::vector<Ledger::Event>& events) {
    const std::string key = "k" + std::to_string(random_.Below(8));
    const std::string field(1, static_cast<char>('a' + random_.Below(3)));
    switch (random_.Below(9)) {
      case 0:
        operations.push_back(PutOf(key, R"({"a":1,"b":)" + std::to_string(random_.Below(9)) + "}"));
        return;
      case 1:
        operations.push_back(DeleteOf(key));
        return;
      case 2: {
        const auto by = static_cast<int64_t>(random_.Below(5));
        operations.push_back(IncrementOf("counts", field, by));
        events.push_back({Ledger::Event::Kind::kCount, "counts", field, by});
        return;
      }
      case 3:
        if (expiring_ && random_.OneIn(3)) {
          const int64_t at_ms = sites_[at].now_ms() + static_cast<int64_t>(random_.Below(200'000'000));
          operations.push_back({key, Update{.expiry = Update::NewExpiry{at_ms}}});
        } else if (expiring_) {
          const int64_t at_ms = sites_[at].now_ms() + static_cast<int64_t>(random_.Below(600'000));
          operations.push_back(PutOf(key, R"({"ttl":1})", at_ms));
        } else {
          operations.push_back(IncrementOf(key, field, 1));
        }
        return;
      case 4: {
        const int64_t number = ++puts_;
        const std::string once = "once/" + std::to_string(number % 10) + "/" + std::to_string(number);
        operations.push_back(PutOf(once, Ledger::JsonOf(number)));
        events.push_back({Ledger::Event::Kind::kPut, once, {}, number});
        not_deleted_.push_back(once);
        return;
      }
      case 5: {
        if (not_deleted_.empty()) return;
        std::string& once = random_.Pick(not_deleted_);
        if (sites_[at].Json(once).empty()) return;
        operations.push_back(DeleteOf(once));
        events.push_back({Ledger::Event::Kind::kDelete, once});
        std::swap(once, not_deleted_.back());
        not_deleted_.pop_back();
        return;
      }
      case 6:
        if (!random_.OneIn(4)) return;
        operations.push_back(SetOf(key, field, "\"" + std::string(20'000, 'x') + "\""));
        return;
      default:
        operations.push_back(SetOf(key, field, std::to_string(random_.Below(100))));
    }
  }
  void Commit(size_t at) {
    sites_[at].Commit();
    ASSERT_EQ(sites_[at].tables().CheckInvariants(), absl::OkStatus());
  }

  /// Of rows that are there already, and changed before they are in the index.
  void MakeLateIndexes() {
    for (Site& site : sites_) EXPECT_EQ(site.tables().CreateIndex("t", "late", "b"), absl::OkStatus());
  }
  /// In the order of an index each row that is seen comes once. A store that was restored may lack one.
  static void CheckOrdered(Site& site) {
    for (const char* path : {"a", "b"}) {
      const auto page = site.tables().Query(
          "t", {.order = *ParseOrder(path, false), .rows_max = 100'000, .bytes_max = kAll});
      ASSERT_EQ(page.status(), absl::OkStatus());
      std::map<std::string, RowDigest> digests;
      for (const RowView& row : page->rows)
        EXPECT_TRUE(digests.emplace(row.key, row.version).second) << row.key;
      EXPECT_TRUE(digests == site.Digests()) << "by " << path;
    }
  }

  void PassTime() {
    // Where rows expire, clocks differ by less than the margin.
    auto passed = absl::Seconds(static_cast<int64_t>(random_.Below(40)));
    if (expiring_ && random_.OneIn(20)) {
      passed = absl::Hours(25);
      MeetBeforeADay();
    }
    if (expiring_) {
      for (Site& site : sites_) site.clock().Advance(passed);
    } else if (random_.OneIn(3)) {
      sites_[SomeSite()].clock().Advance(passed);
    }
    if (skewed_ && random_.OneIn(60)) sites_[SomeSite()].clock().Advance(absl::Hours(1));
  }
  /// Expired rows are kept for a day: who is away for longer, or comes back from an older backup, may keep
  /// what is gone elsewhere.
  void MeetBeforeADay() {
    for (int i = 0; i < 2; ++i) {
      for (size_t edge = 1; edge < kSites; ++edge) {
        Commit(edge);
        Commit(kCore);
        Session session = Begin(edge);
        Drain(session, edge);
      }
    }
    for (Site& site : sites_) site.DropBackup();
    ledger_.DropBackups();
  }
  void Restart(size_t at) { sites_[at].Restart(); }
  void Restore(size_t at) {
    sites_[at].Restore();
    ledger_.Restore(at);
    followers_[at].StartAnew();
  }
  void FollowChanges(size_t at) {
    if (expiring_) return;
    followers_[at].Follow(sites_[at]);
  }

  /// All clocks reach one time, and everybody hears of everything.
  void Settle() {
    absl::Time latest = sites_[kCore].clock().Wall();
    for (Site& site : sites_) {
      site.Commit();
      latest = std::max(latest, site.clock().Wall());
    }
    for (Site& site : sites_) site.clock().JumpTo(latest + absl::Hours(1));
    for (int i = 0; i < 4; ++i) {
      for (Site& site : sites_) {
        if (i == 2) site.clock().Advance(absl::Hours(30));
        ASSERT_EQ(site.tables().RunDue(), absl::OkStatus());
      }
      for (size_t edge = 1; edge < kSites; ++edge) {
        Session session = Begin(edge);
        Drain(session, edge);
      }
    }
  }
  void Drain(Session& session, size_t edge) {
    for (bool any = true; any;) {
      any = Step(session, edge, true);
      any = Step(session, edge, false) || any;
    }
  }
  /// Whoever has everything is sent nothing.
  void CheckSilence() {
    for (size_t edge = 1; edge < kSites; ++edge) {
      Session session = Begin(edge);
      session.Drain();
      EXPECT_EQ(session.up().bytes(), 0u);
      EXPECT_EQ(session.down()->bytes(), 0u);
    }
  }
  /// A change goes to each of the others once, and not back.
  void CheckNoEcho() {
    const auto bytes = [&](size_t edge) {
      Session session = Begin(edge);
      session.Drain();
      return std::pair(session.up().bytes() > 0, session.down()->bytes() > 0);
    };
    ASSERT_EQ(sites_[1].Do(PutOf("once/echo", "{}")), "");
    EXPECT_EQ(bytes(1), std::pair(true, false));
    EXPECT_EQ(bytes(2), std::pair(false, true));
    EXPECT_EQ(bytes(1), std::pair(false, false));
    EXPECT_EQ(bytes(2), std::pair(false, false));
  }
  /// The rows of a site that an edge is to have, with versions.
  std::map<std::string, std::string> RowsOf(size_t at, size_t edge) {
    std::map<std::string, std::string> rows;
    const auto page =
        sites_[at].tables().Scan("t", {.prefix = prefixes_[edge], .rows_max = 100'000, .bytes_max = kAll});
    for (const RowView& row : page->rows) rows[row.key] = row.json.substr(0, 100) + " " + row.version.hex();
    return rows;
  }

  test::SeededRandom random_;
  bool expiring_ = false;
  bool skewed_ = false;
  bool collecting_ = false;  ///< tombstones are kept for an hour
  Ledger ledger_;
  uint64_t epoch_ = 0;
  int64_t puts_ = 0;
  std::vector<std::string> not_deleted_;
  std::array<std::string, kSites> prefixes_;
  std::array<Follower, kSites> followers_;
  std::array<Site, kSites> sites_ = {Site(1, false, random_), Site(2, true, random_), Site(3, true, random_)};
};

void CheckConvergence(uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Convergence(seed).Run();
}

/// Some seeds each.
class TableConvergence : public ::testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, TableConvergence, ::testing::Range<uint64_t>(0, 10));

TEST_P(TableConvergence, AllCopiesEndEqual) {
  for (uint64_t seed = GetParam() * 20; seed < (GetParam() + 1) * 20; ++seed) CheckConvergence(seed);
}

#ifdef SELVAGE_CANARIES
constexpr uint64_t kHunted = 200;

class PlantedTableTest : public ::testing::TestWithParam<std::pair<Canary, const char*>> {
 protected:
  void TearDown() override { planted_canary = Canary::kNone; }
};

TEST_P(PlantedTableTest, IsFound) {
  planted_canary = GetParam().first;
  for (uint64_t seed = 0; seed < kHunted; ++seed) {
    ::testing::TestPartResultArray failures;
    {
      using Reporter = ::testing::ScopedFakeTestPartResultReporter;
      Reporter reporter(Reporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
      CheckConvergence(seed);
    }
    if (failures.size() == 0) continue;
    std::string first = failures.GetTestPartResult(0).message();
    RecordProperty("seed", std::to_string(seed));
    std::cout << "seed " << seed << ": " << first.substr(0, 200) << "\n";
    return;
  }
  FAIL() << "not found";
}

INSTANTIATE_TEST_SUITE_P(All, PlantedTableTest,
                         ::testing::Values(std::pair(Canary::kForgetTombstone, "ForgetTombstone"),
                                           std::pair(Canary::kEchoChange, "EchoChange"),
                                           std::pair(Canary::kResumePastRestored, "ResumePastRestored"),
                                           std::pair(Canary::kFilterDespiteFullTo, "FilterDespiteFullTo"),
                                           std::pair(Canary::kSweepAtCore, "SweepAtCore"),
                                           std::pair(Canary::kSweepUnsent, "SweepUnsent"),
                                           std::pair(Canary::kCountByStore, "CountByStore"),
                                           std::pair(Canary::kIgnoreOverlay, "IgnoreOverlay"),
                                           std::pair(Canary::kApplyQuarantined, "ApplyQuarantined"),
                                           std::pair(Canary::kDropExpiry, "DropExpiry"),
                                           std::pair(Canary::kMoveForeignCursor, "MoveForeignCursor"),
                                           std::pair(Canary::kCursorBeforeRows, "CursorBeforeRows"),
                                           std::pair(Canary::kKeepSubscription, "KeepSubscription"),
                                           std::pair(Canary::kKeepLife, "KeepLife"),
                                           std::pair(Canary::kDeleteStandingRecord, "DeleteStandingRecord"),
                                           std::pair(Canary::kSkipTableFence, "SkipTableFence"),
                                           std::pair(Canary::kLoseIntervalBoundary, "LoseIntervalBoundary"),
                                           std::pair(Canary::kAdvancePastUnread, "AdvancePastUnread"),
                                           std::pair(Canary::kNoteFirstChange, "NoteFirstChange"),
                                           std::pair(Canary::kIndexNotWithRow, "IndexNotWithRow"),
                                           std::pair(Canary::kCollectUnseen, "CollectUnseen")),
                         [](const auto& planted) { return planted.param.second; });
#endif

}  // namespace
}  // namespace selvage::table
