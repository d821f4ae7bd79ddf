#include "fabric/link/link.h"

#include <utility>
#include <variant>

#include "fabric/replication/message.h"

namespace selvage {

using replication::Session;

FlowKind* Link::Find(uint32_t kind) const {
  for (FlowKind* candidate : kinds_) {
    if (static_cast<uint32_t>(candidate->kind()) == kind) return candidate;
  }
  return nullptr;
}

bool Link::Handle(Session& session, const Session::Event& event) {
  if (const auto* offered = std::get_if<Session::FlowOffered>(&event)) {
    OnOffered(session, *offered);
  } else if (const auto* ended = std::get_if<Session::FlowEnded>(&event)) {
    if (FlowKind* kind = Find(ended->kind)) kind->OnEnded(ended->flow, ended->why);
  } else if (const auto* held = std::get_if<Session::FlowHeld>(&event)) {
    if (FlowKind* kind = Find(held->kind)) kind->OnHeld(session, *held);
  } else if (const auto* forked = std::get_if<Session::FlowForked>(&event)) {
    if (FlowKind* kind = Find(forked->kind)) kind->OnForked(session, *forked);
  } else if (const auto* asked = std::get_if<Session::Requested>(&event)) {
    OnRequested(session, asked->request);
  } else if (const auto* refused = std::get_if<Session::RequestRefused>(&event)) {
    for (FlowKind* kind : kinds_) kind->OnRefused(*refused);
  } else {
    return false;
  }
  return true;
}

void Link::OnOffered(Session& session, const Session::FlowOffered& offered) {
  if (FlowKind* kind = Find(offered.open.kind())) {
    return kind->OnOffered(session, offered.flow, offered.open);
  }
  session.Refuse(offered.flow, replication::UnknownKind("flow"), absl::InfiniteDuration());
}

void Link::OnRequested(Session& session, const v1::FlowRequest& request) {
  for (FlowKind* kind : kinds_) {
    if (kind->OnRequested(session, request)) return;
  }
  session.SendRefusal(request.request(), replication::UnknownKind("request"));
}

void Link::Tick(Session& session) {
  for (FlowKind* kind : begun_) kind->Tick(session);
  errands_->Apply(session);
}

void Link::Woken(Session& session) {
  errands_->Apply(session);
  for (FlowKind* kind : begun_) kind->Woken(session);
}

void Link::End() {
  errands_->Drop();
  if (std::exchange(ended_, true)) return;
  for (FlowKind* kind : kinds_) kind->End();
}

}  // namespace selvage
