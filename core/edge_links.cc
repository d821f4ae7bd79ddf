#include "core/edge_links.h"

#include <utility>
#include <vector>

namespace selvage {

uint64_t EdgeLinks::Linked(const std::string& edge, SessionEpoch epoch, Handle handle) {
  std::function<void()> former;
  uint64_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (const Link* link = FindLocked(edge); link != nullptr) {
      if (link->epoch > epoch) return 0;
      former = link->handle.close;
    }
    number = next_link_++;
    links_.insert_or_assign(edge, Link{number, epoch, std::move(handle)});
  }
  if (former) former();
  return number;
}

bool EdgeLinks::Unlinked(const std::string& edge, uint64_t link) {
  absl::MutexLock lock(&mutex_);
  const auto it = links_.find(edge);
  if (it == links_.end() || it->second.number != link) return false;
  links_.erase(it);
  return true;
}

void EdgeLinks::SetFlowOpen(const std::string& edge, uint64_t link, LogNumber log, bool open) {
  absl::MutexLock lock(&mutex_);
  const auto it = links_.find(edge);
  if (it == links_.end() || it->second.number != link) return;
  if (open) {
    it->second.open_flows.insert(log);
  } else {
    it->second.open_flows.erase(log);
  }
}

const EdgeLinks::Link* EdgeLinks::FindLocked(const std::string& edge) const {
  const auto it = links_.find(edge);
  return it == links_.end() ? nullptr : &it->second;
}

bool EdgeLinks::Counts(const std::string& edge, uint64_t link) const {
  absl::MutexLock lock(&mutex_);
  const Link* current = FindLocked(edge);
  return current != nullptr && current->number == link;
}

bool EdgeLinks::IsUp(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  return links_.contains(edge);
}

std::optional<EdgeLinks::Up> EdgeLinks::Find(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  const Link* link = FindLocked(edge);
  if (link == nullptr) return std::nullopt;
  return Up{link->number, link->open_flows};
}

NodeCaller EdgeLinks::CallerOf(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  const Link* link = FindLocked(edge);
  return link == nullptr ? nullptr : link->handle.call;
}

int EdgeLinks::count() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(links_.size());
}

void EdgeLinks::Close(const std::string& edge) const {
  Call(&Handle::close, edge);
}

void EdgeLinks::CloseAll() const {
  CallAll(&Handle::close);
}

void EdgeLinks::Wake(const std::string& edge) const {
  Call(&Handle::wake, edge);
}

void EdgeLinks::WakeAll() const {
  CallAll(&Handle::wake);
}

void EdgeLinks::Call(std::function<void()> Handle::*what, const std::string& edge) const {
  std::function<void()> call;
  {
    absl::MutexLock lock(&mutex_);
    if (const Link* link = FindLocked(edge); link != nullptr) call = link->handle.*what;
  }
  if (call) call();
}

void EdgeLinks::CallAll(std::function<void()> Handle::*what) const {
  std::vector<std::function<void()>> calls;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [edge, link] : links_) calls.push_back(link.handle.*what);
  }
  for (const auto& call : calls) call();
}

}  // namespace selvage
