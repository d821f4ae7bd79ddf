#include "tests/fault/power_cut_file_system.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/time/clock.h"

namespace selvage::test {
namespace {

using rocksdb::IOStatus;
using rocksdb::Slice;

/// RocksDB joins paths with a slash whatever stands before it.
std::string Plain(const std::string& path) {
  std::string plain;
  for (char c : path) {
    if (c != '/' || plain.empty() || plain.back() != '/') plain += c;
  }
  if (plain.size() > 1 && plain.back() == '/') plain.pop_back();
  return plain;
}

IOStatus NotThere(const std::string& path) {
  return IOStatus::PathNotFound("there is no such file", path);
}

/// Swallows everything.
class Silence : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
  size_t GetLogFileSize() const override { return 0; }
};

}  // namespace

std::string_view FileOpName(FileOp op) {
  static constexpr std::string_view kNames[] = {
      "create", "append", "truncate", "sync", "rename", "remove", "make directory", "sync directory", "read"};
  return kNames[static_cast<size_t>(op)];
}

std::string_view FileRole(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (name.ends_with(".log")) return "wal";
  if (name.ends_with(".sst")) return "table";
  if (name.ends_with(".blob")) return "blob";
  if (name.ends_with(".dbtmp")) return "temporary";
  if (name.starts_with("MANIFEST")) return "manifest";
  if (name.starts_with("OPTIONS")) return "options";
  if (name == "CURRENT") return "current";
  if (name == "IDENTITY") return "identity";
  return "other";
}

class PowerCutFileSystem::ReadableFile : public rocksdb::FSRandomAccessFile {
 public:
  ReadableFile(PowerCutFileSystem& fs, std::string path, PretendedDisk::NodeRef node)
      : fs_(fs), path_(std::move(path)), node_(std::move(node)) {}
  IOStatus Read(uint64_t offset, size_t size, const Io&, Slice* result, char* scratch,
                Debug*) const override {
    return fs_.Read(*node_, path_, offset, size, result, scratch);
  }

 private:
  PowerCutFileSystem& fs_;
  const std::string path_;
  const PretendedDisk::NodeRef node_;
};

class PowerCutFileSystem::SequentialFile : public rocksdb::FSSequentialFile {
 public:
  SequentialFile(PowerCutFileSystem& fs, std::string path, PretendedDisk::NodeRef node)
      : fs_(fs), path_(std::move(path)), node_(std::move(node)) {}
  IOStatus Read(size_t size, const Io&, Slice* result, char* scratch, Debug*) override {
    const IOStatus status = fs_.Read(*node_, path_, at_, size, result, scratch);
    at_ += result->size();
    return status;
  }
  IOStatus Skip(uint64_t bytes) override {
    at_ += bytes;
    return IOStatus::OK();
  }

 private:
  PowerCutFileSystem& fs_;
  const std::string path_;
  const PretendedDisk::NodeRef node_;
  uint64_t at_ = 0;
};

class PowerCutFileSystem::WritableFile : public rocksdb::FSWritableFile {
 public:
  WritableFile(PowerCutFileSystem& fs, std::string path, PretendedDisk::NodeRef node)
      : fs_(fs), path_(std::move(path)), node_(std::move(node)) {}
  using FSWritableFile::Append;
  IOStatus Append(const Slice& data, const Io&, Debug*) override { return fs_.Append(*node_, path_, data); }
  IOStatus Truncate(uint64_t size, const Io&, Debug*) override {
    absl::MutexLock lock(&fs_.mutex_);
    const Outcome outcome = fs_.Begin(FileOp::kTruncate, path_);
    if (outcome.done) PretendedDisk::Truncate(*node_, size);
    return outcome.status;
  }
  // Neither makes a byte durable.
  IOStatus Close(const Io&, Debug*) override { return IOStatus::OK(); }
  IOStatus Flush(const Io&, Debug*) override { return IOStatus::OK(); }
  IOStatus RangeSync(uint64_t, uint64_t, const Io&, Debug*) override { return IOStatus::OK(); }
  IOStatus Sync(const Io&, Debug*) override { return fs_.Sync(*node_, path_); }
  bool IsSyncThreadSafe() const override { return true; }
  uint64_t GetFileSize(const Io&, Debug*) override {
    absl::MutexLock lock(&fs_.mutex_);
    return node_->bytes.size();
  }

 private:
  PowerCutFileSystem& fs_;
  const std::string path_;
  const PretendedDisk::NodeRef node_;
};

class PowerCutFileSystem::Directory : public rocksdb::FSDirectory {
 public:
  Directory(PowerCutFileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}
  IOStatus Fsync(const Io&, Debug*) override { return fs_.SyncDirectory(path_); }
  IOStatus Close(const Io&, Debug*) override { return IOStatus::OK(); }

 private:
  PowerCutFileSystem& fs_;
  const std::string path_;
};

class PowerCutFileSystem::Lock : public rocksdb::FileLock {
 public:
  explicit Lock(std::string path) : path(std::move(path)) {}
  const std::string path;
};

void PowerCutFileSystem::AddDirectory(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  disk_.AddDirectory(Plain(path));
}

void PowerCutFileSystem::Arm(const Fault& fault) {
  absl::MutexLock lock(&mutex_);
  fault_ = fault;
  struck_.reset();
}

void PowerCutFileSystem::Disarm() {
  absl::MutexLock lock(&mutex_);
  fault_.reset();
  struck_.reset();
  full_ = false;
}

void PowerCutFileSystem::CutPower() {
  absl::MutexLock lock(&mutex_);
  powered_ = false;
}

void PowerCutFileSystem::RestorePower() {
  absl::MutexLock lock(&mutex_);
  // The engine's manifest does not bear other bytes at its end than were written there. File systems that
  // write data before they lengthen a file (ext4 by default, XFS, Btrfs) leave none.
  disk_.CutPower(random_, [](const std::string& path) { return FileRole(path) == "manifest"; });
  locked_.clear();
  powered_ = true;
}

bool PowerCutFileSystem::powered() const {
  absl::MutexLock lock(&mutex_);
  return powered_;
}

std::optional<PowerCutFileSystem::Strike> PowerCutFileSystem::struck() const {
  absl::MutexLock lock(&mutex_);
  return struck_;
}

uint64_t PowerCutFileSystem::operations() const {
  absl::MutexLock lock(&mutex_);
  return operations_;
}

void PowerCutFileSystem::set_slow_one_in(uint64_t operations) {
  absl::MutexLock lock(&mutex_);
  slow_one_in_ = operations;
}

void PowerCutFileSystem::set_ignore_syncs(bool files, bool directories) {
  absl::MutexLock lock(&mutex_);
  ignore_file_syncs_ = files;
  ignore_directory_syncs_ = directories;
}

uint64_t PowerCutFileSystem::FileBytes() const {
  absl::MutexLock lock(&mutex_);
  return disk_.FileBytes();
}

std::optional<std::string> PowerCutFileSystem::FlipBit(std::string_view role) {
  absl::MutexLock lock(&mutex_);
  std::vector<std::pair<std::string, PretendedDisk::NodeRef>> files;
  for (const auto& [path, node] : disk_.nodes()) {
    if (!node->bytes.empty() && (role.empty() || FileRole(path) == role)) files.emplace_back(path, node);
  }
  if (files.empty()) return std::nullopt;
  const auto& [path, node] = files[random_.Below(files.size())];
  const size_t byte = random_.Below(node->bytes.size());
  const int bit = static_cast<int>(random_.Below(8));
  node->bytes[byte] = static_cast<char>(node->bytes[byte] ^ (1 << bit));
  return fmt::format("bit {} of byte {} of {} in {}", bit, byte, node->bytes.size(), path);
}

PowerCutFileSystem::Outcome PowerCutFileSystem::Begin(FileOp op, const std::string& path) {
  if (!powered_) return {false, IOStatus::IOError("the power is out", path)};
  if (op != FileOp::kRead) ++operations_;
  if (full_ && (op == FileOp::kCreate || op == FileOp::kAppend)) {
    return {false, IOStatus::NoSpace("the disk is full", path)};
  }
  const bool counts = fault_ && (fault_->only ? *fault_->only == op : op != FileOp::kRead);
  if (!counts || fault_->after-- > 0) return {};

  const Fault fault = *std::exchange(fault_, std::nullopt);
  struck_ = Strike{op, path};
  switch (fault.kind) {
    case Fault::Kind::kPowerCut:
      powered_ = false;
      return {fault.takes_effect, IOStatus::IOError("the power went out", path)};
    case Fault::Kind::kIoError:
      return {fault.takes_effect, IOStatus::IOError("injected error", path)};
    case Fault::Kind::kNoSpace:
      full_ = true;
      return {fault.takes_effect, IOStatus::NoSpace("the disk became full", path)};
  }
  return {};
}

void PowerCutFileSystem::MaybeWait() {
  absl::Duration wait;
  {
    absl::MutexLock lock(&mutex_);
    if (slow_one_in_ == 0 || !random_.OneIn(slow_one_in_)) return;
    wait = absl::Microseconds(static_cast<int64_t>(random_.Below(200)));
  }
  absl::SleepFor(wait);
}

IOStatus PowerCutFileSystem::Read(const PretendedDisk::Node& node, const std::string& path, uint64_t offset,
                                  size_t size, Slice* result, char* scratch) {
  absl::MutexLock lock(&mutex_);
  *result = Slice(scratch, 0);
  const Outcome outcome = Begin(FileOp::kRead, path);
  if (!outcome.status.ok()) return outcome.status;
  if (offset >= node.bytes.size()) return IOStatus::OK();
  const size_t count = std::min(size, node.bytes.size() - offset);
  std::memcpy(scratch, node.bytes.data() + offset, count);
  *result = Slice(scratch, count);
  return IOStatus::OK();
}

IOStatus PowerCutFileSystem::Append(PretendedDisk::Node& node, const std::string& path, const Slice& data) {
  MaybeWait();
  absl::MutexLock lock(&mutex_);
  const bool powered = powered_;
  const Outcome outcome = Begin(FileOp::kAppend, path);
  size_t count = data.size();
  // A write that fails may have written a part.
  if (!outcome.done) count = powered ? random_.Below(count + 1) : 0;
  node.bytes.append(data.data(), count);
  return outcome.status;
}

IOStatus PowerCutFileSystem::Sync(PretendedDisk::Node& node, const std::string& path) {
  MaybeWait();
  absl::MutexLock lock(&mutex_);
  const bool powered = powered_;
  const Outcome outcome = Begin(FileOp::kSync, path);
  if (outcome.done) {
    if (!ignore_file_syncs_) PretendedDisk::Sync(node);
  } else if (powered && powered_) {
    PretendedDisk::FailSync(node);
  }
  return outcome.status;
}

IOStatus PowerCutFileSystem::SyncDirectory(const std::string& path) {
  MaybeWait();
  absl::MutexLock lock(&mutex_);
  const Outcome outcome = Begin(FileOp::kSyncDirectory, path);
  if (outcome.done && !ignore_directory_syncs_) disk_.SyncDirectory(path);
  return outcome.status;
}

IOStatus PowerCutFileSystem::Find(const std::string& path, PretendedDisk::NodeRef* node) {
  absl::MutexLock lock(&mutex_);
  if (!powered_) return IOStatus::IOError("the power is out", path);
  *node = disk_.Find(Plain(path));
  return *node == nullptr ? NotThere(path) : IOStatus::OK();
}

IOStatus PowerCutFileSystem::NewSequentialFile(const std::string& path, const rocksdb::FileOptions&,
                                               std::unique_ptr<rocksdb::FSSequentialFile>* file, Debug*) {
  PretendedDisk::NodeRef node;
  const IOStatus found = Find(path, &node);
  if (found.ok()) *file = std::make_unique<SequentialFile>(*this, Plain(path), std::move(node));
  return found;
}

IOStatus PowerCutFileSystem::NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions&,
                                                 std::unique_ptr<rocksdb::FSRandomAccessFile>* file, Debug*) {
  PretendedDisk::NodeRef node;
  const IOStatus found = Find(path, &node);
  if (found.ok()) *file = std::make_unique<ReadableFile>(*this, Plain(path), std::move(node));
  return found;
}

IOStatus PowerCutFileSystem::OpenWritable(const std::string& path, bool keep_content,
                                          std::unique_ptr<rocksdb::FSWritableFile>* file) {
  MaybeWait();
  absl::MutexLock lock(&mutex_);
  PretendedDisk::NodeRef node = disk_.Find(Plain(path));
  if (node == nullptr || !keep_content) {
    const Outcome outcome = Begin(FileOp::kCreate, Plain(path));
    if (outcome.done) node = disk_.Create(Plain(path));
    if (!outcome.status.ok()) return outcome.status;
    if (node == nullptr) return NotThere(path);
  }
  *file = std::make_unique<WritableFile>(*this, Plain(path), std::move(node));
  return IOStatus::OK();
}

IOStatus PowerCutFileSystem::NewWritableFile(const std::string& path, const rocksdb::FileOptions&,
                                             std::unique_ptr<rocksdb::FSWritableFile>* file, Debug*) {
  return OpenWritable(path, /*keep_content=*/false, file);
}

IOStatus PowerCutFileSystem::ReopenWritableFile(const std::string& path, const rocksdb::FileOptions&,
                                                std::unique_ptr<rocksdb::FSWritableFile>* file, Debug*) {
  return OpenWritable(path, /*keep_content=*/true, file);
}

IOStatus PowerCutFileSystem::NewDirectory(const std::string& path, const Io&,
                                          std::unique_ptr<rocksdb::FSDirectory>* directory, Debug*) {
  PretendedDisk::NodeRef node;
  const IOStatus found = Find(path, &node);
  if (found.ok()) *directory = std::make_unique<Directory>(*this, Plain(path));
  return found;
}

IOStatus PowerCutFileSystem::FileExists(const std::string& path, const Io&, Debug*) {
  PretendedDisk::NodeRef node;
  const IOStatus found = Find(path, &node);
  return found.IsPathNotFound() ? IOStatus::NotFound() : found;
}

IOStatus PowerCutFileSystem::GetChildren(const std::string& path, const Io&, std::vector<std::string>* names,
                                         Debug*) {
  PretendedDisk::NodeRef node;
  const IOStatus found = Find(path, &node);
  absl::MutexLock lock(&mutex_);
  if (found.ok()) *names = disk_.List(Plain(path));
  return found;
}

IOStatus PowerCutFileSystem::DeleteFile(const std::string& path, const Io&, Debug*) {
  MaybeWait();
  absl::MutexLock lock(&mutex_);
  const Outcome outcome = Begin(FileOp::kRemove, Plain(path));
  if (outcome.done && !disk_.Remove(Plain(path))) return NotThere(path);
  return outcome.status;
}

IOStatus PowerCutFileSystem::CreateDir(const std::string& path, const Io&, Debug*) {
  absl::MutexLock lock(&mutex_);
  const Outcome outcome = Begin(FileOp::kMakeDirectory, Plain(path));
  if (outcome.done && !disk_.MakeDirectory(Plain(path))) return NotThere(path);
  return outcome.status;
}

IOStatus PowerCutFileSystem::CreateDirIfMissing(const std::string& path, const Io& io, Debug* debug) {
  PretendedDisk::NodeRef node;
  const IOStatus found = Find(path, &node);
  return found.IsPathNotFound() ? CreateDir(path, io, debug) : found;
}

IOStatus PowerCutFileSystem::DeleteDir(const std::string& path, const Io& io, Debug* debug) {
  return DeleteFile(path, io, debug);
}

IOStatus PowerCutFileSystem::GetFileSize(const std::string& path, const Io&, uint64_t* size, Debug*) {
  PretendedDisk::NodeRef node;
  const IOStatus found = Find(path, &node);
  absl::MutexLock lock(&mutex_);
  if (found.ok()) *size = node->bytes.size();
  return found;
}

IOStatus PowerCutFileSystem::GetFileModificationTime(const std::string& path, const Io&, uint64_t* time,
                                                     Debug*) {
  PretendedDisk::NodeRef node;
  *time = 0;
  return Find(path, &node);
}

IOStatus PowerCutFileSystem::RenameFile(const std::string& from, const std::string& to, const Io&, Debug*) {
  MaybeWait();
  absl::MutexLock lock(&mutex_);
  const Outcome outcome = Begin(FileOp::kRename, Plain(to));
  if (outcome.done && !disk_.Rename(Plain(from), Plain(to))) return NotThere(from);
  return outcome.status;
}

IOStatus PowerCutFileSystem::LockFile(const std::string& path, const Io&, rocksdb::FileLock** lock, Debug*) {
  absl::MutexLock guard(&mutex_);
  if (!powered_) return IOStatus::IOError("the power is out", path);
  if (!locked_.insert(Plain(path)).second) return IOStatus::IOError("it is locked", path);
  *lock = new Lock(Plain(path));
  return IOStatus::OK();
}

IOStatus PowerCutFileSystem::UnlockFile(rocksdb::FileLock* lock, const Io&, Debug*) {
  const std::unique_ptr<Lock> held(static_cast<Lock*>(lock));
  absl::MutexLock guard(&mutex_);
  locked_.erase(held->path);
  return IOStatus::OK();
}

IOStatus PowerCutFileSystem::GetTestDirectory(const Io&, std::string* path, Debug*) {
  *path = "/";
  return IOStatus::OK();
}

IOStatus PowerCutFileSystem::GetAbsolutePath(const std::string& path, const Io&, std::string* absolute,
                                             Debug*) {
  *absolute = path;
  return IOStatus::OK();
}

IOStatus PowerCutFileSystem::IsDirectory(const std::string& path, const Io&, bool* is_directory, Debug*) {
  PretendedDisk::NodeRef node;
  const IOStatus found = Find(path, &node);
  if (found.ok()) *is_directory = node->directory;
  return found;
}

IOStatus PowerCutFileSystem::NewLogger(const std::string&, const Io&,
                                       std::shared_ptr<rocksdb::Logger>* logger, Debug*) {
  *logger = std::make_shared<Silence>();
  return IOStatus::OK();
}

}  // namespace selvage::test
