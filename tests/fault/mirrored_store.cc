#include "tests/fault/mirrored_store.h"

#include <fmt/format.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"

namespace selvage::test {
namespace {

/// Above every key in use.
const std::string& Top() {
  static const std::string top(64, '\xff');
  return top;
}

/// How a store differs from the mirror in one family; empty when it does not.
absl::StatusOr<std::string> Difference(KvStore& store, KvStore& mirror, Family family) {
  auto have = store.Scan(family, "", Top());
  auto want = mirror.Scan(family, "", Top());
  have->Seek("");
  want->Seek("");
  while (have->Valid() && want->Valid() && have->key() == want->key() && have->value() == want->value()) {
    have->Next();
    want->Next();
  }
  SELVAGE_RETURN_IF_ERROR(have->status());
  if (!have->Valid() && !want->Valid()) return std::string();
  const bool lacks = !have->Valid() || (want->Valid() && want->key() < have->key());
  const bool differs = have->Valid() && want->Valid() && want->key() == have->key();
  return fmt::format("the store {} {} in {}",
                     differs ? "holds another value of"
                     : lacks ? "lacks"
                             : "should not hold",
                     absl::CHexEscape(std::string(lacks ? want->key() : have->key())), FamilyName(family));
}

absl::StatusOr<std::string> Difference(KvStore& store, KvStore& mirror) {
  for (Family family : kAllFamilies) {
    SELVAGE_ASSIGN_OR_RETURN(std::string difference, Difference(store, mirror, family));
    if (!difference.empty()) return difference;
  }
  return std::string();
}

}  // namespace

absl::Status Mirror::Compare(KvStore& store) {
  std::string all;
  while (true) {
    SELVAGE_ASSIGN_OR_RETURN(const std::string difference, Difference(store, sure_));
    if (difference.empty()) break;
    all += (all.empty() ? "" : "; and with the write under way ") + difference;
    if (unsure_.empty()) return absl::DataLossError(all);
    // Not without that batch, so only with it.
    SELVAGE_RETURN_IF_ERROR(sure_.Write(*unsure_.front(), /*sync=*/true));
    unsure_.pop_front();
  }
  unsure_.clear();
  return absl::OkStatus();
}

/// A batch for the target and the same one for the mirror.
class MirroredStore::Batch : public WriteBatch {
 public:
  Batch(KvStore& target, KvStore& mirror)
      : mirror_(mirror), to_target_(target.NewBatch()), to_mirror_(mirror.NewBatch()) {}

  void Put(Family family, std::string_view key, std::initializer_list<std::string_view> parts) override {
    to_target_->Put(family, key, parts);
    to_mirror_->Put(family, key, parts);
  }
  void Delete(Family family, std::string_view key) override {
    to_target_->Delete(family, key);
    to_mirror_->Delete(family, key);
  }
  void DeleteRange(Family family, std::string_view from, std::string_view to) override {
    to_target_->DeleteRange(family, from, to);
    to_mirror_->DeleteRange(family, from, to);
  }
  size_t ByteSize() const override { return to_target_->ByteSize(); }
  bool Empty() const override { return to_target_->Empty(); }
  void Clear() override {
    to_target_->Clear();
    to_mirror_ = mirror_.NewBatch();
  }

  WriteBatch& to_target() { return *to_target_; }
  /// For the mirror; an empty one takes its place.
  std::unique_ptr<WriteBatch> TakeForMirror() { return std::exchange(to_mirror_, mirror_.NewBatch()); }

 private:
  KvStore& mirror_;
  const std::unique_ptr<WriteBatch> to_target_;
  std::unique_ptr<WriteBatch> to_mirror_;
};

std::unique_ptr<WriteBatch> MirroredStore::NewBatch() {
  return std::make_unique<Batch>(target_, mirror_.sure_);
}

absl::Status MirroredStore::Write(WriteBatch& batch, bool sync) {
  auto& ours = dynamic_cast<Batch&>(batch);
  const absl::Status written = target_.Write(ours.to_target(), sync && sync_);
  std::unique_ptr<WriteBatch> noted = ours.TakeForMirror();
  if (!written.ok()) {
    mirror_.unsure_.push_back(std::move(noted));
    return written;
  }
  SELVAGE_CHECK(mirror_.unsure_.empty());  // a store that failed once writes nothing more
  return mirror_.sure_.Write(*noted, /*sync=*/true);
}

}  // namespace selvage::test
