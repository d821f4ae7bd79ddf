#pragma once

#include <rocksdb/file_system.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/fault/pretended_disk.h"
#include "tests/support/seeded_random.h"

namespace selvage::test {

/// What an engine asks of its disk. Reads change nothing, so a power cut at a read is one at the next change.
enum class FileOp {
  kCreate,
  kAppend,
  kTruncate,
  kSync,
  kRename,
  kRemove,
  kMakeDirectory,
  kSyncDirectory,
  kRead
};
std::string_view FileOpName(FileOp op);
/// What a file of an engine is for, by its name: "wal", "manifest", "current", "table", "blob" and so on.
std::string_view FileRole(std::string_view path);

/// Something that goes wrong.
struct Fault {
  enum class Kind {
    kPowerCut,  ///< from here on nothing works, until RestorePower
    kIoError,   ///< this operation fails, and after a failed sync its bytes are lost at the next power cut
    kNoSpace,   ///< from here on nothing more fits, until Disarm
  };
  Kind kind = Kind::kPowerCut;
  uint64_t after = 0;               ///< so many operations succeed before it strikes
  std::optional<FileOp> only = {};  ///< counts and strikes operations of this kind alone; else all but reads
  bool takes_effect = false;        ///< the operation is done all the same, but reported as failed
};

/// A file system for RocksDB on a PretendedDisk, with faults by seed: power cuts, errors, a full disk, slow
/// operations, flipped bits. Runs the same for the same seed as far as the engine's threads come in the same
/// order. Safe to use from several threads.
class PowerCutFileSystem : public rocksdb::FileSystem {
 public:
  explicit PowerCutFileSystem(uint64_t seed) : random_(seed) {}

  /// A directory that was always there, with those above it.
  void AddDirectory(const std::string& path);

  /// One fault at a time; counts from now.
  void Arm(const Fault& fault);
  void Disarm();
  void CutPower();
  /// Forgets what was not synced. Nothing may be open any more.
  void RestorePower();
  bool powered() const;

  /// Where the fault that is armed struck.
  struct Strike {
    FileOp op;
    std::string path;
  };
  std::optional<Strike> struck() const;
  /// Operations so far, without reads.
  uint64_t operations() const;

  /// One in so many operations takes up to 200 µs longer, which mixes the order of the engine's threads.
  void set_slow_one_in(uint64_t operations);
  /// A disk that lies: it says that it synced and does nothing.
  void set_ignore_syncs(bool files, bool directories);

  uint64_t FileBytes() const;
  /// Flips one bit of a file whose role is `role`, or of any file when it is empty. Where, or nothing when
  /// there is no such file.
  std::optional<std::string> FlipBit(std::string_view role);

  // rocksdb::FileSystem
  const char* Name() const override { return "PowerCutFileSystem"; }
  using Io = rocksdb::IOOptions;
  using Debug = rocksdb::IODebugContext;
  using IOStatus = rocksdb::IOStatus;
  IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                             std::unique_ptr<rocksdb::FSSequentialFile>* file, Debug* debug) override;
  IOStatus NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions& options,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file, Debug* debug) override;
  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file, Debug* debug) override;
  IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* file, Debug* debug) override;
  IOStatus NewDirectory(const std::string& path, const Io& io,
                        std::unique_ptr<rocksdb::FSDirectory>* directory, Debug* debug) override;
  IOStatus FileExists(const std::string& path, const Io& io, Debug* debug) override;
  IOStatus GetChildren(const std::string& path, const Io& io, std::vector<std::string>* names,
                       Debug* debug) override;
  IOStatus DeleteFile(const std::string& path, const Io& io, Debug* debug) override;
  IOStatus CreateDir(const std::string& path, const Io& io, Debug* debug) override;
  IOStatus CreateDirIfMissing(const std::string& path, const Io& io, Debug* debug) override;
  IOStatus DeleteDir(const std::string& path, const Io& io, Debug* debug) override;
  IOStatus GetFileSize(const std::string& path, const Io& io, uint64_t* size, Debug* debug) override;
  IOStatus GetFileModificationTime(const std::string& path, const Io& io, uint64_t* time,
                                   Debug* debug) override;
  IOStatus RenameFile(const std::string& from, const std::string& to, const Io& io, Debug* debug) override;
  IOStatus LockFile(const std::string& path, const Io& io, rocksdb::FileLock** lock, Debug* debug) override;
  IOStatus UnlockFile(rocksdb::FileLock* lock, const Io& io, Debug* debug) override;
  IOStatus GetTestDirectory(const Io& io, std::string* path, Debug* debug) override;
  IOStatus GetAbsolutePath(const std::string& path, const Io& io, std::string* absolute,
                           Debug* debug) override;
  IOStatus IsDirectory(const std::string& path, const Io& io, bool* is_directory, Debug* debug) override;
  /// The engine's own log is not part of the store: it goes nowhere.
  IOStatus NewLogger(const std::string& path, const Io& io, std::shared_ptr<rocksdb::Logger>* logger,
                     Debug* debug) override;

 private:
  class ReadableFile;
  class SequentialFile;
  class WritableFile;
  class Directory;
  class Lock;

  /// Whether an operation is to be done, and what is to be said of it.
  struct Outcome {
    bool done = true;
    IOStatus status;
  };
  Outcome Begin(FileOp op, const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Sleeps now and then. Before any lock.
  void MaybeWait();
  IOStatus OpenWritable(const std::string& path, bool keep_content,
                        std::unique_ptr<rocksdb::FSWritableFile>* file);
  IOStatus Find(const std::string& path, PretendedDisk::NodeRef* node);
  IOStatus Read(const PretendedDisk::Node& node, const std::string& path, uint64_t offset, size_t size,
                rocksdb::Slice* result, char* scratch);
  IOStatus Append(PretendedDisk::Node& node, const std::string& path, const rocksdb::Slice& data);
  IOStatus Sync(PretendedDisk::Node& node, const std::string& path);
  IOStatus SyncDirectory(const std::string& path);

  mutable absl::Mutex mutex_;
  SeededRandom random_ ABSL_GUARDED_BY(mutex_);
  PretendedDisk disk_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> locked_ ABSL_GUARDED_BY(mutex_);
  std::optional<Fault> fault_ ABSL_GUARDED_BY(mutex_);
  std::optional<Strike> struck_ ABSL_GUARDED_BY(mutex_);
  uint64_t operations_ ABSL_GUARDED_BY(mutex_) = 0;
  bool powered_ ABSL_GUARDED_BY(mutex_) = true;
  bool full_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t slow_one_in_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ignore_file_syncs_ ABSL_GUARDED_BY(mutex_) = false;
  bool ignore_directory_syncs_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace selvage::test
