#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/seeded_random.h"

namespace selvage::test {

/// A disk in memory that knows of every byte and every directory entry whether it is on the platter or only
/// in the cache, and forgets the cache at a power cut.
///
/// A file's bytes are durable once the file was synced; an entry (a file made, renamed or removed, a
/// directory made) is durable once the directory it lies in was synced, and not before, whatever was done to
/// the file. Of the entries of one directory that were not synced, a power cut keeps those up to some point
/// in the order they were made, as journalling file systems do. Of the bytes that were not synced it keeps a
/// part; see CutPower.
///
/// Paths are absolute. Not thread-safe.
class PretendedDisk {
 public:
  struct Node {
    bool directory = false;
    std::string bytes;
    size_t synced = 0;      ///< so many of the bytes are durable
    bool poisoned = false;  ///< a sync failed: what it should have written is lost, whatever later syncs say
  };
  using NodeRef = std::shared_ptr<Node>;

  /// Makes a directory, and those above it, that were always there.
  void AddDirectory(const std::string& path);

  NodeRef Find(const std::string& path) const;
  /// Names in a directory.
  std::vector<std::string> List(const std::string& directory) const;
  /// A new, empty file; takes the place of one of that name. Null when the directory is not there.
  NodeRef Create(const std::string& path);
  /// False when there is nothing of that name, or no directory to make it in.
  bool MakeDirectory(const std::string& path);
  bool Rename(const std::string& from, const std::string& to);
  bool Remove(const std::string& path);
  void SyncDirectory(const std::string& path);

  static void Sync(Node& file);
  /// The sync failed: what was not synced before it never will be, though it can be read until the power
  /// goes.
  static void FailSync(Node& file) { file.poisoned = true; }
  static void Truncate(Node& file, size_t size);

  /// What a power cut leaves. Of a file's unsynced bytes, by chance: nothing, everything, a prefix, a prefix
  /// whose last sectors hold other bytes, or whole sectors that were never written (zeros) before others that
  /// were. Where `prefix_only` says so of a path, one of the first three.
  template <class Predicate>
  void CutPower(SeededRandom& random, const Predicate& prefix_only) {
    ForgetEntries(random);
    for (auto& [path, node] : now_) Tear(*node, random, prefix_only(path));
  }

  /// Bytes of all files.
  uint64_t FileBytes() const;
  /// All files, by path.
  const std::map<std::string, NodeRef>& nodes() const { return now_; }

 private:
  /// One change of a directory, all of it or nothing.
  struct Change {
    std::map<std::string, NodeRef> entries;  ///< null: the entry is gone
  };

  void Apply(const std::string& path, Change change);
  void ForgetEntries(SeededRandom& random);
  static void Tear(Node& file, SeededRandom& random, bool prefix_only);

  std::map<std::string, NodeRef> now_;
  std::map<std::string, NodeRef> durable_;
  std::map<std::string, std::vector<Change>> unsynced_;  // by directory
};

/// The directory a path lies in; empty for the root.
std::string DirectoryOf(const std::string& path);

}  // namespace selvage::test
