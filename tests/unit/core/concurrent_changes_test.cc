#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/replication/message.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/telemetry/log.h"
#include "tests/support/admit.h"
#include "tests/unit/core/threaded_node.h"

/// What operators, Kafka clients, links and the upkeep change at the same time.
namespace selvage {
namespace {

class ConcurrentChangesTest : public ::testing::Test {
 protected:
  ConcurrentChangesTest() { ConfigureLog({.level = LogLevel::kError}); }
  static v1::StreamDefinition Definition(const std::string& name, v1::Direction direction = v1::UP) {
    v1::StreamDefinition definition;
    definition.set_name(name);
    definition.set_direction(direction);
    return definition;
  }
  static v1::Hello HelloOf(const std::string& edge) {
    v1::Hello hello;
    hello.set_protocol(replication::kLinkProtocol);
    hello.set_edge(edge);
    hello.set_store_id(std::string(16, 's'));
    hello.set_boot_id(std::string(16, 'b'));
    hello.set_empty(true);
    return hello;
  }
  static void Together(const std::vector<std::function<void()>>& all) {
    std::vector<std::thread> threads;
    threads.reserve(all.size());
    for (const auto& one : all) threads.emplace_back(one);
    for (std::thread& thread : threads) thread.join();
  }
};

TEST_F(ConcurrentChangesTest, ASpecIsNeverOlderThanItsGeneration) {
  ThreadedNode core("core", false);
  ASSERT_TRUE(core.fleet->CreateStream(Definition("readings")).ok());
  std::atomic<bool> changing = true;
  Together({[&] {
              v1::SetStreamRequest request;
              request.set_stream("readings");
              request.add_fields("priority");
              for (uint32_t i = 0; i < 3'000; ++i) {
                request.mutable_settings()->set_priority(i % 10);
                ASSERT_TRUE(core.fleet->SetStream(request).ok());
              }
              changing = false;
            },
            [&] {
              while (changing) {
                const v1::EdgeSpec spec = core.fleet->SpecFor("rig");
                // Each change is one of this stream, and gives it the new generation.
                ASSERT_LE(spec.generation(), spec.streams(0).generation())
                    << "the edge would ignore the new content";
              }
            }});
}

TEST_F(ConcurrentChangesTest, AFlushTakesNoAdmissionBack) {
  ThreadedNode core("core", false);
  ASSERT_TRUE(test::Admit(*core.fleet, HelloOf("rig")).ok());
  v1::EdgeStatus status;
  status.set_version(std::string(20'000, 'v'));
  for (int i = 0; i < 300; ++i) {
    uint64_t admitted = 0;
    Together({[&] {
                auto admission = test::Admit(*core.fleet, HelloOf("rig"));
                ASSERT_TRUE(admission.ok());
                admitted = admission->fence.epoch.value();
              },
              [&] {
                test::Report(*core.fleet, "rig", status);
                ASSERT_TRUE(core.fleet->Flush().ok());
              }});
    v1::StoredEdge stored;
    ASSERT_TRUE(stored.ParseFromString(**core.store.Get(Family::kMeta, std::string(kEdgePrefix) + "rig")));
    ASSERT_EQ(stored.session_epoch(), admitted) << "a crash would lose it";
  }
}

TEST_F(ConcurrentChangesTest, WhatTheCoreDefinesIsNotOverwrittenByWhoeverMakesItHere) {
  ThreadedNode edge("rig", true);
  for (uint64_t i = 1; i <= 300; ++i) {
    const std::string name = fmt::format("stream-{}", i);
    v1::EdgeSpec spec;
    spec.set_generation(i);
    v1::StreamDefinition& definition = *spec.add_streams();
    definition = *CompleteDefinition(Definition(name));
    definition.set_generation(i);
    definition.set_created(i);
    Together({[&] { (void)edge.edge->CreateStream(Definition(name)); },
              [&] { ASSERT_TRUE(edge.edge->ApplySpec(spec).ok()); },
              [&] {
                v1::SetStreamRequest request;
                request.set_stream(name);
                request.add_fields("priority");
                request.mutable_settings()->set_priority(9);
                (void)edge.edge->SetStream(request);
              }});
    ASSERT_EQ(edge.state->catalog().Find(name)->generation(), i);
    ASSERT_EQ(edge.state->catalog().Find(name)->settings().priority(), definition.settings().priority());
    ASSERT_NE(edge.state->logs().Find({"", Slot(0), name, PartitionId(0)}), nullptr);
  }
}

TEST_F(ConcurrentChangesTest, AStreamDeletedHereAndDefinedByTheCoreHasItsLogs) {
  ThreadedNode edge("rig", true);
  for (uint64_t i = 1; i <= 300; ++i) {
    const std::string name = fmt::format("stream-{}", i);
    ASSERT_TRUE(edge.edge->CreateStream(Definition(name)).ok());
    v1::EdgeSpec spec;
    spec.set_generation(i);
    v1::StreamDefinition& definition = *spec.add_streams();
    definition = *CompleteDefinition(Definition(name));
    definition.set_generation(i);
    definition.set_created(i);
    Together({[&] { (void)edge.edge->DeleteStream(name); },
              [&] { ASSERT_TRUE(edge.edge->ApplySpec(spec).ok()); }});
    ASSERT_TRUE(edge.state->catalog().Find(name));
    ASSERT_NE(edge.state->logs().Find({"", Slot(0), name, PartitionId(0)}), nullptr)
        << "it could not be written";
  }
}

}  // namespace
}  // namespace selvage
