#include "fabric/link/document_flows.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/link/link.h"
#include "tests/support/admit.h"
#include "tests/unit/link/linked_nodes.h"

namespace selvage {
namespace {

using replication::Session;

/// A message with one field.
std::string Text(const std::string& text) {
  return std::string("\n") + static_cast<char>(text.size()) + text;
}

/// Two ends of a link with nothing but documents: the core writes "spec", the edge takes it.
class DocumentFlowsTest : public ::testing::Test {
 protected:
  struct End {
    explicit End(bool is_edge) : session(Options(is_edge), absl::ZeroDuration()) {}
    static Session::Options Options(bool is_edge) {
      Session::Options options;
      options.is_edge = is_edge;
      return options;
    }
    Session session;
    std::shared_ptr<Errands> errands = std::make_shared<Errands>(Errands::AtOnce(), [] {});
  };

  void Begin() {
    edge_.session.SendHello({});
    Settle();
    core_.session.SendWelcome({});
    Settle();
    const std::vector<std::string> capabilities = {"document"};
    core_link_.Begin(core_.session, capabilities, {});
    edge_link_.Begin(edge_.session, capabilities, {});
  }
  void Settle() {
    for (int round = 0; round < 20; ++round) {
      Carry(core_, core_link_, edge_);
      Carry(edge_, edge_link_, core_);
    }
  }
  void Carry(End& from, Link& link, End& to) {
    Session::Ready ready = from.session.TakeReady(now_, 1 << 20);
    for (Session::Persist& persist : ready.persist) {
      persist.sink->Persist(std::move(persist.entry), [&](const auto& durable) {
        from.session.Persisted(persist.flow, persist.credit, durable);
      });
    }
    for (const Session::Event& event : ready.events) {
      if (const auto* held = std::get_if<Session::FlowHeld>(&event)) held_.push_back(ErrorKind(held->why));
      link.Handle(from.session, event);
    }
    from.errands->Apply(from.session);
    for (const replication::Message& message : ready.messages) {
      data_ += message.frame.has_data() ? 1 : 0;
      to.session.Step(message, now_);
    }
    now_ += absl::Milliseconds(50);
  }

  absl::Duration now_;
  End edge_{true};
  End core_{false};
  int told_ = 0;
  uint64_t holds_ = 0;  // the generation of the core's lineage
  std::optional<absl::Status> refuse_;
  std::vector<std::string> taken_;
  std::vector<std::string> held_;  // kinds of errors
  int data_ = 0;                   // frames
  DocumentSource spec_{"spec", [this] { ++told_; }};
  DocumentFlows core_documents_{core_.errands, {&spec_}, {}};
  DocumentFlows edge_documents_{
      edge_.errands,
      {},
      {{.name = "spec",
        .held = [this](const std::string& history) { return history == "lineage" ? holds_ : 0; },
        .take =
            [this](std::string body, const IncomingDocument::Done& done) {
              if (refuse_) return done(*refuse_);
              taken_.push_back(std::move(body));
              done(absl::OkStatus());
            }}}};
  Link core_link_{core_.errands, {&core_documents_}};
  Link edge_link_{edge_.errands, {&edge_documents_}};
};

TEST_F(DocumentFlowsTest, OnlyTheNewestIsSent) {
  spec_.set_history("lineage");
  spec_.Set(3, Text("three"));
  Begin();
  spec_.Set(4, Text("four"));
  Settle();
  EXPECT_EQ(taken_, std::vector<std::string>{Text("four")});
  EXPECT_TRUE(spec_.told());
  spec_.Set(6, Text("six"));
  EXPECT_FALSE(spec_.told());
  spec_.Set(7, Text("seven"));
  Settle();
  EXPECT_EQ(taken_, (std::vector<std::string>{Text("four"), Text("seven")}));
  EXPECT_GT(told_, 0);
}

TEST_F(DocumentFlowsTest, WhatIsHeldIsNotSentAgain) {
  holds_ = 7;
  spec_.set_history("lineage");
  spec_.Set(7, Text("seven"));
  Begin();
  Settle();
  EXPECT_TRUE(taken_.empty());
  EXPECT_EQ(data_, 0);
  EXPECT_TRUE(spec_.told());
}

TEST_F(DocumentFlowsTest, AnotherHistoryBeginsAnew) {
  holds_ = 7;
  spec_.set_history("another");
  spec_.Set(2, Text("two"));
  Begin();
  Settle();
  EXPECT_EQ(taken_, std::vector<std::string>{Text("two")});
}

TEST_F(DocumentFlowsTest, AGenerationBehindTheOfferedOneDoesNotHoldTheFlow) {
  holds_ = 7;
  spec_.set_history("lineage");
  spec_.Set(5, Text("five"));
  Begin();
  Settle();
  EXPECT_TRUE(held_.empty());
  spec_.Set(8, Text("eight"));
  Settle();
  EXPECT_EQ(taken_, std::vector<std::string>{Text("eight")});
}

TEST_F(DocumentFlowsTest, OneThatIsRefusedIsOfferedAgainInItsNewestForm) {
  spec_.set_history("lineage");
  spec_.Set(1, Text("one"));
  refuse_ = MakeError(absl::StatusCode::kUnavailable, "disk_full", "no room", "", Retry::kYes);
  Begin();
  Settle();
  EXPECT_TRUE(taken_.empty());
  EXPECT_FALSE(spec_.told());
  EXPECT_EQ(held_.front(), "disk_full");
  refuse_.reset();
  spec_.Set(2, Text("two"));
  for (int i = 0; i < 90; ++i) {
    now_ += absl::Seconds(1);
    Settle();
  }
  EXPECT_EQ(taken_, std::vector<std::string>{Text("two")});
  EXPECT_TRUE(spec_.told());
}

TEST_F(DocumentFlowsTest, AnUnknownDocumentIsRefusedQuietly) {
  DocumentSource other("weather");
  other.set_history("lineage");
  other.Set(1, Text("rain"));
  Begin();
  core_.session.Offer(other);
  Settle();
  EXPECT_EQ(held_, std::vector<std::string>{"unknown_kind"});
  EXPECT_FALSE(edge_.session.TakeReady(now_, 1 << 20).closed);
}

TEST_F(DocumentFlowsTest, AnEntryThatIsNoDocumentIsRefused) {
  class Odd : public DocumentSource {
   public:
    using DocumentSource::DocumentSource;
    absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t max_bytes) override {
      auto entries = DocumentSource::Read(from, max_bytes);
      for (FlowEntry& entry : *entries) entry.kind = EntryKind::kBatch;
      return entries;
    }
  };
  Odd odd("spec");
  odd.set_history("lineage");
  odd.Set(1, Text("one"));
  Begin();
  core_.session.Offer(odd);
  Settle();
  EXPECT_TRUE(taken_.empty());
  EXPECT_EQ(held_, std::vector<std::string>{"unknown_encoding"});
}

// Two bytes each on the link, and a hundred when they are read.
TEST_F(DocumentFlowsTest, ADocumentOfManyEmptyFieldsIsRefused) {
  std::string many;
  for (int i = 0; i < 100'001; ++i) many += std::string("\x42\x00", 2);
  EXPECT_TRUE(HasFieldsWithin(std::string_view(many).substr(2), 100'000));
  EXPECT_FALSE(HasFieldsWithin(many, 100'000));
  EXPECT_FALSE(HasFieldsWithin("\x42", 100));
  EXPECT_TRUE(HasFieldsWithin("", 0));
  spec_.set_history("lineage");
  spec_.Set(1, many);
  Begin();
  Settle();
  EXPECT_TRUE(taken_.empty());
  EXPECT_EQ(held_.front(), "document_too_large");
}

TEST_F(DocumentFlowsTest, APeerThatOffersInALoopIsCutOff) {
  Begin();
  std::vector<std::unique_ptr<DocumentSource>> many;
  for (int i = 0; i < 20; ++i) {
    many.push_back(std::make_unique<DocumentSource>("spec"));
    many.back()->set_history("lineage");
    core_.session.Offer(*many.back());
  }
  Settle();
  const Session::Ready ready = edge_.session.TakeReady(now_, 1 << 20);
  EXPECT_TRUE(ready.closed);
  EXPECT_EQ(ErrorKind(ready.reason), "protocol_error");
}

/// The documents of real nodes.
class NodeDocumentsTest : public LinkedNodes {
 protected:
  /// Documents that an end sent since Link.
  int Documents(int side) {
    return static_cast<int>(std::ranges::count_if(ends_[side].sent, [](const v1::Frame& frame) {
      return frame.data().kind() == static_cast<uint32_t>(EntryKind::kDocument);
    }));
  }
  void SetLabel(const std::string& edge, const std::string& value) {
    v1::SetEdgeRequest request;
    request.set_edge(edge);
    (*request.mutable_set_labels())["site"] = value;
    ASSERT_TRUE(core_.fleet->specs.SetEdge(request).ok());
  }
};

TEST_F(NodeDocumentsTest, AChangeOfOneEdgeIsNewsForThatEdgeAlone) {
  v1::Hello hello;
  hello.set_protocol(replication::kLinkProtocol);
  hello.set_edge("other");
  hello.set_store_id(std::string(16, 's'));
  hello.set_boot_id(std::string(16, 'b'));
  hello.set_empty(true);
  ASSERT_TRUE(test::Admit(*core_.fleet, hello).ok());
  Link();
  Pass(3);
  const int before = Documents(1);
  SetLabel("other", "north");
  Pass(3);
  EXPECT_EQ(Documents(1), before);
  SetLabel("rig", "south");
  Pass(3);
  EXPECT_EQ(Documents(1), before + 1);
  EXPECT_EQ(edge_.edge->spec().labels().at("site"), "south");
  CreateStream("up", v1::UP);
  Pass(3);
  EXPECT_EQ(Documents(1), before + 2);
  Unlink();
  Link();
  Pass(3);
  EXPECT_EQ(Documents(1), 0) << "the edge has it already";
}

TEST_F(NodeDocumentsTest, ACoreWithoutDocumentsIsNotOfferedAny) {
  core_lacks_ = "document";
  CreateStream("up", v1::UP);
  Link();
  Pass(3);
  for (const v1::Frame& frame : ends_[0].sent) EXPECT_NE(frame.flow_open().kind(), v1::DOCUMENT);
  EXPECT_EQ(core_.state->alarms().open_count(), 0);
  edge_.Append(Up(), 3);
  Pass(3);
  EXPECT_EQ(UpReplica().state().end, Offset(3));
}

}  // namespace
}  // namespace selvage
