#include "fabric/stream/stream_catalog.h"

#include "fabric/storage/commit.h"
#include "fabric/storage/memory_store.h"
#include "tests/unit/stream/record_batch_samples.h"

namespace selvage {
namespace {

v1::StreamDefinition Definition(const std::string& name, v1::Direction direction = v1::UP,
                                int partitions = 0) {
  v1::StreamDefinition definition;
  definition.set_name(name);
  definition.set_direction(direction);
  definition.set_partitions(partitions);
  return definition;
}

TEST(CompleteDefinition, FillsInDefaults) {
  auto complete = CompleteDefinition(Definition("sensors"));
  ASSERT_TRUE(complete.ok());
  EXPECT_EQ(complete->partitions(), 1);
  EXPECT_EQ(complete->settings().on_full(), v1::REJECT);
  EXPECT_EQ(complete->settings().weight(), 1u);
  EXPECT_EQ(complete->settings().link_compression(), v1::ZSTD);
  EXPECT_EQ(complete->settings().start_at(), v1::EARLIEST);
  EXPECT_EQ(CompleteDefinition(*complete)->SerializeAsString(), complete->SerializeAsString());
}

TEST(CompleteDefinition, OnlyLocalStreamsAreCompacted) {
  for (v1::CleanupPolicy cleanup : {v1::CLEANUP_COMPACT, v1::CLEANUP_COMPACT_DELETE}) {
    for (v1::Direction direction : {v1::UP, v1::DOWN, v1::DOWN_SHARED}) {
      v1::StreamDefinition definition = Definition("sensors", direction);
      definition.mutable_settings()->set_cleanup(cleanup);
      EXPECT_EQ(KindOf(CompleteDefinition(definition)), "compaction_not_replicated");
    }
    v1::StreamDefinition definition = Definition("settings", v1::LOCAL);
    definition.mutable_settings()->set_cleanup(cleanup);
    auto complete = CompleteDefinition(definition);
    ASSERT_TRUE(complete.ok()) << complete.status();
    EXPECT_EQ(complete->settings().delete_retention_ms(), 24 * 3'600'000);
  }
  EXPECT_EQ(CompleteDefinition(Definition("sensors"))->settings().cleanup(), v1::CLEANUP_DELETE);
}

TEST(CompleteDefinition, RefusesWhatIsNotAllowed) {
  auto refused = [](auto change) {
    v1::StreamDefinition definition = Definition("sensors");
    change(definition);
    return KindOf(CompleteDefinition(definition));
  };
  using D = v1::StreamDefinition;
  EXPECT_EQ(refused([](D&) {}), "");
  EXPECT_EQ(refused([](D& d) { d.set_name(""); }), "invalid_stream");
  EXPECT_EQ(refused([](D& d) { d.set_name("a/b"); }), "invalid_stream");
  EXPECT_EQ(refused([](D& d) { d.set_name(std::string(250, 'a')); }), "invalid_stream");
  EXPECT_EQ(refused([](D& d) { d.set_name(std::string(185, 'a')); }), "");
  EXPECT_EQ(refused([](D& d) { d.set_direction(v1::DIRECTION_UNSPECIFIED); }), "invalid_stream");
  EXPECT_EQ(refused([](D& d) { d.set_direction(static_cast<v1::Direction>(9)); }), "invalid_stream");
  EXPECT_EQ(refused([](D& d) { d.set_partitions(-1); }), "invalid_stream");
  EXPECT_EQ(refused([](D& d) { d.set_partitions(1025); }), "invalid_stream");
  EXPECT_EQ(refused([](D& d) { d.mutable_settings()->set_priority(10); }), "invalid_stream");
  EXPECT_EQ(refused([](D& d) { d.mutable_settings()->set_weight(1001); }), "invalid_stream");
  EXPECT_EQ(refused([](D& d) { d.mutable_settings()->set_retention_ms(-1); }), "invalid_stream");
  EXPECT_EQ(refused([](D& d) { d.mutable_settings()->set_retention_bytes(-1); }), "invalid_stream");
  EXPECT_EQ(refused([](D& d) { d.mutable_settings()->set_on_full(static_cast<v1::OnFull>(7)); }),
            "invalid_stream");
}

TEST(CheckSameShape, DirectionAndPartitionsAreImmutable) {
  EXPECT_EQ(KindOf(CheckSameShape(Definition("s", v1::UP, 2), Definition("s", v1::UP, 2))), "");
  EXPECT_EQ(KindOf(CheckSameShape(Definition("s", v1::UP, 2), Definition("s", v1::UP, 3))),
            "definition_mismatch");
  EXPECT_EQ(KindOf(CheckSameShape(Definition("s", v1::UP, 3), Definition("s", v1::UP, 2))),
            "definition_mismatch");
  EXPECT_EQ(KindOf(CheckSameShape(Definition("s", v1::LOCAL, 3), Definition("s", v1::LOCAL, 2))), "")
      << "it grew";
  EXPECT_EQ(KindOf(CheckSameShape(Definition("s", v1::LOCAL, 2), Definition("s", v1::LOCAL, 3))),
            "definition_mismatch");
  EXPECT_EQ(KindOf(CheckSameShape(Definition("s", v1::UP, 2), Definition("s", v1::DOWN, 2))),
            "definition_mismatch");
}

TEST(MergeSettings, TakesTheNamedFieldsOnly) {
  v1::StreamSettings into, from;
  into.set_retention_ms(1000);
  into.set_retention_bytes(2000);
  into.set_keep_after_ack(true);
  into.set_priority(3);
  from.set_retention_ms(5);
  from.set_priority(7);
  ASSERT_TRUE(MergeSettings(from, {"retention_ms", "keep_after_ack"}, into).ok());
  EXPECT_EQ(into.retention_ms(), 5);
  EXPECT_FALSE(into.keep_after_ack()) << "a named field is taken even where it says nothing";
  EXPECT_EQ(into.retention_bytes(), 2000);
  EXPECT_EQ(into.priority(), 3u);
  const std::string before = into.SerializeAsString();
  EXPECT_EQ(KindOf(MergeSettings(from, {"priority", "colour"}, into)), "invalid_stream");
  EXPECT_EQ(into.SerializeAsString(), before);
}

TEST(StreamCatalog, IsDurable) {
  MemoryStore store;
  Committer committer(store, {});
  {
    StreamCatalog catalog(store, committer);
    ASSERT_TRUE(catalog.Open().ok());
    EXPECT_TRUE(catalog.All().empty());
    ASSERT_TRUE(catalog.Put(Definition("a", v1::UP, 1)).ok());
    ASSERT_TRUE(catalog.Put(Definition("b", v1::DOWN, 2)).ok());
    ASSERT_TRUE(catalog.Put(Definition("c")).ok());
    ASSERT_TRUE(catalog
                    .Put(Definition("a", v1::UP, 4),
                         [](WriteBatch& batch) { batch.Put(Family::kMeta, "also", {"x"}); })
                    .ok());
    ASSERT_TRUE(Commit(committer, [&](WriteBatch& batch) {
                  catalog.StageRemove(batch, "c");
                  return absl::OkStatus();
                }).ok());
    catalog.Forget("c");
    EXPECT_FALSE(catalog.Find("c").has_value());
  }
  StreamCatalog catalog(store, committer);
  ASSERT_TRUE(catalog.Open().ok());
  ASSERT_EQ(catalog.All().size(), 2u);
  EXPECT_EQ(catalog.Find("a")->partitions(), 4);
  EXPECT_EQ(catalog.Find("b")->direction(), v1::DOWN);
  EXPECT_EQ(**store.Get(Family::kMeta, "also"), "x");
}

TEST(StreamCatalog, DamageIsAnError) {
  MemoryStore store;
  auto batch = store.NewBatch();
  batch->Put(Family::kMeta, "stream/a", {"\xff\xff\xff"});
  ASSERT_TRUE(store.Write(*batch, true).ok());
  Committer committer(store, {});
  EXPECT_EQ(KindOf(StreamCatalog(store, committer).Open()), "corrupt_meta");
}

}  // namespace
}  // namespace selvage
