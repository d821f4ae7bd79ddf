#include "fabric/link/document_flows.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/replication/message.h"
#include "fabric/stream/stream_catalog.h"
#include "fabric/telemetry/log.h"

namespace selvage {

using replication::FlowNumber;
using replication::FlowPosition;
using replication::Session;

namespace {

/// An honest peer offers each document once.
constexpr size_t kDocumentsMax = 8;

class DocumentSink : public replication::FlowSink {
 public:
  DocumentSink(FlowPosition at, const IncomingDocument& document) : at_(std::move(at)), document_(document) {}

  FlowPosition position() override { return at_; }
  absl::Status Check(const FlowEntry& entry) override {
    if (entry.kind != EntryKind::kDocument) {
      return MakeError(absl::StatusCode::kUnimplemented, "unknown_encoding",
                       fmt::format("an entry of kind {} is no document", static_cast<uint32_t>(entry.kind)),
                       "the peer runs a newer version: upgrade this end");
    }
    if (entry.body.size() <= document_.bytes_max &&
        HasFieldsWithin(entry.body.view(), document_.fields_max)) {
      return absl::OkStatus();
    }
    return MakeError(
        absl::StatusCode::kInvalidArgument, "document_too_large",
        fmt::format("a {} of {} bytes; at most {} bytes with {} fields are taken", document_.name,
                    entry.body.size(), document_.bytes_max, document_.fields_max));
  }
  void Persist(FlowEntry entry, Done done) override {
    FlowPosition after = at_;
    after.offset = entry.to;
    document_.take(std::string(entry.body.view()),
                   [after = std::move(after), done = std::move(done)](const absl::Status& taken) {
                     done(taken.ok() ? absl::StatusOr<FlowPosition>(after) : taken);
                   });
  }

 private:
  const FlowPosition at_;
  const IncomingDocument& document_;
};

}  // namespace

bool HasFieldsWithin(std::string_view message, size_t fields_max) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(message.data()),
                                            static_cast<int>(message.size()));
  for (size_t fields = 0;; ++fields) {
    const uint32_t tag = in.ReadTag();
    if (tag == 0) return in.ConsumedEntireMessage();
    if (fields == fields_max || !google::protobuf::internal::WireFormatLite::SkipField(&in, tag))
      return false;
  }
}

void DocumentSource::Set(uint64_t generation, std::string body) {
  generation_ = generation;
  body_ = Bytes(std::move(body));
}

v1::FlowOpen DocumentSource::Describe() {
  v1::FlowOpen open;
  open.set_kind(v1::DOCUMENT);
  open.set_history(history_);
  open.set_end(static_cast<int64_t>(generation_));
  open.mutable_document()->set_name(name_);
  return open;
}

replication::FlowSettings DocumentSource::settings() {
  // Documents share the link with streams, and alarms overtake both.
  return {.priority = kDefaultPriority, .weight = 1, .compress = true};
}

absl::StatusOr<std::vector<FlowEntry>> DocumentSource::Read(Offset from, size_t) {
  std::vector<FlowEntry> entries;
  if (from < end()) {
    entries.push_back(
        {.kind = EntryKind::kDocument, .from = from, .to = end(), .body = body_, .compressible = true});
  }
  return entries;
}

void DocumentSource::Acknowledged(const FlowPosition& durable) {
  told_ = durable.offset.value();
  on_told_();
}

void DocumentFlows::Begin(Session& session, const Fence&) {
  for (DocumentSource* source : outgoing_) session.Offer(*source);
}

void DocumentFlows::OnHeld(Session& session, const Session::FlowHeld& held) {
  const auto sender = session.senders().find(held.flow);
  if (sender == session.senders().end()) return;
  LogWarning(
      "a document is not taken by the peer",
      {{"document", sender->second->source().Describe().document().name()}, {"error", Describe(held.why)}});
}

void DocumentFlows::OnOffered(Session& session, FlowNumber flow, const v1::FlowOpen& open) {
  const auto document = std::find_if(incoming_.begin(), incoming_.end(), [&](const IncomingDocument& known) {
    return known.name == open.document().name();
  });
  if (document == incoming_.end()) {
    return session.Refuse(flow, replication::UnknownKind("document"), absl::InfiniteDuration());
  }
  if (looked_for_ + sinks_.size() >= kDocumentsMax) {
    return session.Close(replication::ProtocolError("the peer offers a document again and again"));
  }
  ++looked_for_;
  unanswered_.insert(flow);
  errands_->Add([this, &document = *document, held = document->held, flow, history = open.history(),
                 end = open.end()]() -> Errands::Then {
    // A generation behind the one on offer is of a core that was set back: the next above it is taken.
    const int64_t at = std::min(static_cast<int64_t>(held(history)), std::max<int64_t>(end, 0));
    return [this, &document, flow, position = FlowPosition{history, Offset(at)}](Session& later) {
      --looked_for_;
      if (unanswered_.erase(flow) == 0) return;  // the peer ended it meanwhile
      auto sink = std::make_unique<DocumentSink>(position, document);
      later.Accept(flow, *sink);
      sinks_[flow] = std::move(sink);
    };
  });
}

void DocumentFlows::OnEnded(FlowNumber flow, const absl::Status&) {
  unanswered_.erase(flow);
  sinks_.erase(flow);
}

}  // namespace selvage
