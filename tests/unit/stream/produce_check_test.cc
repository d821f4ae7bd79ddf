#include "fabric/stream/produce_check.h"

#include "fabric/base/error.h"
#include "tests/contract/log/log_node.h"

namespace selvage {
namespace {

std::string Batch(std::initializer_list<bool> keyed, Codec codec) {
  BatchBuilder builder(codec);
  for (bool with_key : keyed) {
    builder.Add({Offset(0), 1000, with_key ? std::optional<std::string>("k") : std::nullopt, "v", {}});
  }
  return builder.Build();
}

v1::StreamSettings Settings(v1::CleanupPolicy cleanup) {
  v1::StreamSettings settings;
  settings.set_cleanup(cleanup);
  return settings;
}

TEST(ProduceCheckTest, ACompactedStreamNeedsKeys) {
  for (Codec codec : {Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd}) {
    for (v1::CleanupPolicy cleanup : {v1::CLEANUP_COMPACT, v1::CLEANUP_COMPACT_DELETE}) {
      EXPECT_EQ(KindOfError(CheckProducedBatch(Batch({true, true}, codec), Settings(cleanup), kAll)), "");
      EXPECT_EQ(KindOfError(CheckProducedBatch(Batch({true, false}, codec), Settings(cleanup), kAll)),
                "keyless_record");
    }
    EXPECT_EQ(KindOfError(CheckProducedBatch(Batch({false}, codec), Settings(v1::CLEANUP_DELETE), kAll)), "");
    EXPECT_EQ(KindOfError(CheckProducedBatch(Batch({false}, codec), v1::StreamSettings(), kAll)), "");
  }
}

TEST(ProduceCheckTest, TheSmallerLimitHolds) {
  v1::StreamSettings settings;
  EXPECT_EQ(BatchBytesMax(settings, 1000), 1000u);
  settings.set_max_batch_bytes(900);
  EXPECT_EQ(BatchBytesMax(settings, 1000), 900u);
  settings.set_max_batch_bytes(1100);
  EXPECT_EQ(BatchBytesMax(settings, 1000), 1000u);
  const std::string batch = Batch({true}, Codec::kNone);
  settings.set_max_batch_bytes(static_cast<uint32_t>(batch.size()));
  EXPECT_EQ(KindOfError(CheckProducedBatch(batch, settings, kAll)), "");
  settings.set_max_batch_bytes(static_cast<uint32_t>(batch.size()) - 1);
  EXPECT_EQ(KindOfError(CheckProducedBatch(batch, settings, kAll)), "batch_too_large");
}

}  // namespace
}  // namespace selvage
