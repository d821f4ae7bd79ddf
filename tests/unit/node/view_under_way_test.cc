/// Views of a node while the disk takes its time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "fabric/node/node_state.h"
#include "fabric/storage/committer.h"
#include "fabric/stream/record_batch.h"
#include "fabric/view/view_store.h"
#include "tests/support/eventually.h"
#include "tests/support/held_store.h"

namespace selvage {
namespace {

TEST(ViewUnderWayTest, WhoAsksDoesNotWaitForThePieceThatIsBeingWritten) {
  HeldStore store;
  NodeState::Options options;
  options.node = "rig-7";
  NodeState node(options, store, SystemClock(), SystemRandom());
  CommitterThread committer(node.committer());
  ASSERT_EQ(node.Open({}), absl::OkStatus());
  v1::StreamDefinition stream;
  stream.set_name("s");
  stream.set_direction(v1::LOCAL);
  stream.set_partitions(1);
  *stream.mutable_settings() = DefaultStreamSettings();
  stream = CompleteDefinition(stream).value();
  ASSERT_EQ(node.catalog().Put(stream), absl::OkStatus());
  ASSERT_EQ(node.streams().CreateLogs(stream), absl::OkStatus());
  v1::ViewDefinition view;
  view.set_name("v");
  view.set_stream("s");
  view.mutable_newest();
  ASSERT_EQ(node.views().Create(view).status(), absl::OkStatus());
  BatchBuilder builder;
  builder.Add({Offset(0), 1000, "k", "{}", {}});
  absl::Notification appended;
  ASSERT_EQ(node.logs()
                .Find({"", Slot(0), "s", PartitionId(0)})
                ->Append(builder.Build(), [&](const auto&) { appended.Notify(); }),
            absl::OkStatus());
  appended.WaitForNotification();

  store.Hold(true);
  std::thread feeding([&] { EXPECT_EQ(node.views().RunOnce().status(), absl::OkStatus()); });
  EXPECT_TRUE(test::Eventually(absl::Seconds(30), [&] { return store.waited_for(); }));
  absl::Notification answered;
  std::thread asking([&] {
    EXPECT_EQ(node.views().All().size(), 1u);
    const v1::ViewStatus status = node.views().Describe("v").value();
    EXPECT_EQ(status.logs(0).behind(), 1u);
    const std::map<std::string, view::ViewFacts> facts = node.views().AllFacts();
    EXPECT_EQ(facts.at("v").serving.behind, 1u);
    answered.Notify();
  });
  EXPECT_TRUE(answered.WaitForNotificationWithTimeout(absl::Seconds(20)));
  store.Hold(false);
  feeding.join();
  asking.join();
  EXPECT_EQ(node.views().AllFacts().at("v").serving.behind, 0u);
}

}  // namespace
}  // namespace selvage
