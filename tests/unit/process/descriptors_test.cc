#include "fabric/process/descriptors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "fabric/base/error.h"

namespace selvage {
namespace {

uint64_t Sum(const DescriptorShares& shares) {
  return static_cast<uint64_t>(shares.store_files) + shares.http + shares.admin + shares.kafka +
         shares.links + shares.api;
}

TEST(Descriptors, ClientsGetWhatTheyWantWhereThereIsEnough) {
  const auto shares = ShareDescriptors(1 << 20, {.kafka = 10'000, .links = 10'000, .api = 1000});
  ASSERT_TRUE(shares.ok());
  EXPECT_EQ(shares->kafka, 10'000u);
  EXPECT_EQ(shares->links, 10'000u);
  EXPECT_EQ(shares->api, 1000u);
  EXPECT_EQ(shares->store_files, 256);
}

TEST(Descriptors, StoreAndOperatorsComeFirst) {
  for (uint64_t limit : {192, 256, 1024, 4096, 20'000}) {
    for (const DescriptorWants& wants : {DescriptorWants{10'000, 0, 0}, DescriptorWants{10'000, 10'000, 1000},
                                         DescriptorWants{0, 50, 1000}}) {
      const auto shares = ShareDescriptors(limit, wants);
      ASSERT_TRUE(shares.ok()) << limit;
      EXPECT_LE(Sum(*shares) + 80, limit);
      EXPECT_GE(shares->store_files, 32);
      EXPECT_GE(shares->http, 8u);
      EXPECT_GE(shares->admin, 8u);
      if (wants.kafka > 0) {
        EXPECT_GE(shares->kafka, 16u) << limit;
      }
      if (wants.api > 0) {
        EXPECT_GE(shares->api, 8u) << limit;
      }
      if (wants.links > 0) {
        EXPECT_GE(shares->links, 16u) << limit;
      }
    }
  }
}

TEST(Descriptors, WithTooFewTheNodeSaysSo) {
  const auto shares = ShareDescriptors(100, {.kafka = 10});
  EXPECT_EQ(ErrorKind(shares.status()), "too_few_descriptors");
}

TEST(Descriptors, TheSoftLimitIsRaised) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit lowered{std::min<rlim_t>(before.rlim_cur, 256), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
  EXPECT_EQ(RaiseDescriptorLimit(), before.rlim_max);
  rlimit after{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
}

}  // namespace
}  // namespace selvage
