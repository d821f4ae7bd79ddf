#include "tests/simulation/sim_disk.h"

#include "fabric/base/check.h"
#include "fabric/base/error.h"

namespace selvage::sim {
namespace {

const std::string kBehindAllKeys(64, '\xff');

}  // namespace

SimDisk::SimDisk(const Image& image) : acked_ends(image.acked_ends), views(image.views) {
  auto batch = NewBatch();
  for (const Image::Row& row : image.rows) batch->Put(row.family, row.key, {row.value});
  SELVAGE_CHECK(MemoryStore::Write(*batch, /*sync=*/true).ok());
}

SimDisk::Image SimDisk::Copy() {
  Image image;
  image.acked_ends = acked_ends;
  image.views = views;
  for (Family family : kAllFamilies) {
    auto cursor = MemoryStore::Scan(family, "", kBehindAllKeys);
    for (cursor->Seek(""); cursor->Valid(); cursor->Next()) {
      image.rows.push_back({family, std::string(cursor->key()), std::string(cursor->value())});
    }
  }
  return image;
}

void SimDisk::Restart(test::SeededRandom& random) {
  LoseUnsynced(random.Below(UnsyncedBatches() + 1));
  armed_ = dead_ = false;
}

absl::Status SimDisk::Write(WriteBatch& batch, bool sync) {
  const absl::Status gone = MakeError(absl::StatusCode::kInternal, "io_error", "the simulated disk failed");
  if (dead_) return gone;
  if (!armed_ || writes_left_-- > 0) return MemoryStore::Write(batch, sync);
  dead_ = true;
  if (end_ != End::kNotWritten) {
    SELVAGE_RETURN_IF_ERROR(MemoryStore::Write(batch, sync && end_ == End::kSynced));
  }
  return gone;
}

}  // namespace selvage::sim
