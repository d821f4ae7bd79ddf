#include "tests/fault/pretended_disk.h"

#include <algorithm>
#include <utility>

namespace selvage::test {
namespace {

constexpr size_t kSector = 512;

/// What a torn write leaves of `tail`, which begins at byte `at` of its file.
std::string TornTail(std::string tail, size_t at, SeededRandom& random, bool prefix_only) {
  const uint64_t kinds = prefix_only ? 4 : 6;
  switch (random.Below(kinds)) {
    case 0:
      return "";
    case 1:
      return tail;
    case 2:
      tail.resize(random.Below(tail.size() + 1));
      return tail;
    case 3: {  // whole sectors
      const size_t end = (at + random.Below(tail.size() + 1)) / kSector * kSector;
      tail.resize(end > at ? end - at : 0);
      return tail;
    }
    case 4: {  // the last sectors hold what was on the platter before
      tail.resize(random.Below(tail.size() + 1));
      const size_t garbage = std::min<size_t>(tail.size(), random.Between(1, 2 * kSector));
      const std::string other = random.Bytes(garbage);
      tail.replace(tail.size() - garbage, garbage, other);
      return tail;
    }
    default: {  // sectors written in no order
      for (size_t from = 0; from < tail.size();) {
        const size_t to = std::min(tail.size(), ((at + from) / kSector + 1) * kSector - at);
        if (random.Chance(0.50)) std::fill(tail.begin() + from, tail.begin() + to, '\0');
        from = to;
      }
      return tail;
    }
  }
}

}  // namespace

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return "";
  return slash == 0 && path.size() > 1 ? "/" : path.substr(0, slash);
}

void PretendedDisk::AddDirectory(const std::string& path) {
  for (std::string at = path; !at.empty(); at = DirectoryOf(at)) {
    if (now_.contains(at)) return;
    auto node = std::make_shared<Node>();
    node->directory = true;
    now_[at] = durable_[at] = node;
  }
}

PretendedDisk::NodeRef PretendedDisk::Find(const std::string& path) const {
  auto it = now_.find(path);
  return it == now_.end() ? nullptr : it->second;
}

std::vector<std::string> PretendedDisk::List(const std::string& directory) const {
  std::vector<std::string> names;
  for (auto it = now_.upper_bound(directory); it != now_.end() && it->first.starts_with(directory); ++it) {
    if (DirectoryOf(it->first) == directory) names.push_back(it->first.substr(it->first.rfind('/') + 1));
  }
  return names;
}

void PretendedDisk::Apply(const std::string& path, Change change) {
  for (const auto& [name, node] : change.entries) {
    if (node == nullptr) {
      now_.erase(name);
    } else {
      now_[name] = node;
    }
  }
  unsynced_[DirectoryOf(path)].push_back(std::move(change));
}

PretendedDisk::NodeRef PretendedDisk::Create(const std::string& path) {
  const NodeRef directory = Find(DirectoryOf(path));
  if (directory == nullptr || !directory->directory) return nullptr;
  auto node = std::make_shared<Node>();
  Apply(path, Change{{{path, node}}});
  return node;
}

bool PretendedDisk::MakeDirectory(const std::string& path) {
  const NodeRef made = Create(path);
  if (made != nullptr) made->directory = true;
  return made != nullptr;
}

bool PretendedDisk::Rename(const std::string& from, const std::string& to) {
  const NodeRef node = Find(from);
  if (node == nullptr || node->directory || DirectoryOf(from) != DirectoryOf(to)) return false;
  Apply(to, Change{{{from, nullptr}, {to, node}}});
  return true;
}

bool PretendedDisk::Remove(const std::string& path) {
  if (Find(path) == nullptr) return false;
  Apply(path, Change{{{path, nullptr}}});
  return true;
}

void PretendedDisk::SyncDirectory(const std::string& path) {
  for (Change& change : std::exchange(unsynced_[path], {})) {
    for (auto& [name, node] : change.entries) {
      if (node == nullptr) {
        durable_.erase(name);
      } else {
        durable_[name] = std::move(node);
      }
    }
  }
}

void PretendedDisk::Sync(Node& file) {
  if (!file.poisoned) file.synced = file.bytes.size();
}

void PretendedDisk::Truncate(Node& file, size_t size) {
  file.bytes.resize(std::min(file.bytes.size(), size));
  file.synced = std::min(file.synced, size);
}

void PretendedDisk::ForgetEntries(SeededRandom& random) {
  for (auto& [directory, changes] : unsynced_) {
    const size_t kept = random.Chance(0.50)   ? random.Below(changes.size() + 1)
                        : random.Chance(0.50) ? changes.size()
                                              : 0;
    changes.resize(kept);
  }
  for (const auto& [directory, changes] : std::map(unsynced_)) SyncDirectory(directory);
  unsynced_.clear();
  // What lies in a directory that is gone is gone.
  std::erase_if(durable_, [&](const auto& entry) {
    const std::string parent = DirectoryOf(entry.first);
    return !parent.empty() && !durable_.contains(parent);
  });
  now_ = durable_;
}

void PretendedDisk::Tear(Node& file, SeededRandom& random, bool prefix_only) {
  if (file.synced < file.bytes.size()) {
    std::string tail = TornTail(file.bytes.substr(file.synced), file.synced, random, prefix_only);
    if (file.poisoned) tail.clear();
    file.bytes.resize(file.synced);
    file.bytes += tail;
  }
  file.synced = file.bytes.size();
  file.poisoned = false;
}

uint64_t PretendedDisk::FileBytes() const {
  uint64_t bytes = 0;
  for (const auto& [path, node] : now_) bytes += node->bytes.size();
  return bytes;
}

}  // namespace selvage::test
