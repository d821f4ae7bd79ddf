#include "core/core_document.h"

#include "fabric/base/error.h"
#include "fabric/base/id128.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"

namespace selvage {

absl::Status CoreDocument::Open() {
  SELVAGE_ASSIGN_OR_RETURN(auto stored, store_.Get(Family::kMeta, kCoreKey));
  v1::StoredCore core;
  if (stored && !core.ParseFromString(*stored)) return DamagedMeta("core document");
  Change change(*this);
  change.core() = core;
  if (stored) {
    change.Show();
    return absl::OkStatus();
  }
  change.core().set_cluster_id(ClusterId::Mint(random_).bytes());
  change.core().set_lineage_id(LineageId::Mint(random_).bytes());
  change.NextGenerationOfAll();
  return change.Store();
}

v1::StoredCore CoreDocument::Get() const {
  absl::MutexLock lock(&mutex_);
  return core_;
}

std::string CoreDocument::cluster_id() const {
  absl::MutexLock lock(&mutex_);
  auto id = ClusterId::FromBytes(core_.cluster_id());
  return id ? id->hex() : "";
}

uint32_t CoreDocument::slots_used() const {
  absl::MutexLock lock(&mutex_);
  return core_.next_slot();
}

absl::Status CoreDocument::StartLineage(const std::function<void(WriteBatch&)>& also) {
  Change change(*this);
  change.NextGenerationOfAll();
  change.core().set_lineage_id(LineageId::Mint(random_).bytes());
  SELVAGE_RETURN_IF_ERROR(Commit(committer_, [&](WriteBatch& batch) {
    also(batch);
    change.Stage(batch);
    return absl::OkStatus();
  }));
  change.Show();
  return absl::OkStatus();
}

absl::Status CoreDocument::TakeOverCluster(const std::string& cluster_hex) {
  auto cluster = ClusterId::FromHex(cluster_hex);
  if (!cluster) return absl::OkStatus();
  Change change(*this);
  change.core().add_other_cluster_ids(cluster->bytes());
  return change.Store();
}

CoreDocument::Change::Change(CoreDocument& document) : document_(document) {
  document_.change_mutex_.Lock();
  core_ = document_.Get();
}

CoreDocument::Change::~Change() {
  document_.change_mutex_.Unlock();
}

uint64_t CoreDocument::Change::NextGeneration() {
  core_.set_generation(core_.generation() + 1);
  return core_.generation();
}

uint64_t CoreDocument::Change::NextGenerationOfAll() {
  core_.set_common_generation(NextGeneration());
  return core_.generation();
}

void CoreDocument::Change::Stage(WriteBatch& batch) const {
  batch.Put(Family::kMeta, kCoreKey, {core_.SerializeAsString()});
}

void CoreDocument::Change::Show() {
  absl::MutexLock lock(&document_.mutex_);
  document_.core_ = core_;
}

absl::Status CoreDocument::Change::Store() {
  SELVAGE_RETURN_IF_ERROR(Commit(document_.committer_, [&](WriteBatch& batch) {
    Stage(batch);
    return absl::OkStatus();
  }));
  Show();
  return absl::OkStatus();
}

}  // namespace selvage
