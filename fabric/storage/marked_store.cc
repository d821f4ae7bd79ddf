#include "fabric/storage/marked_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"

namespace selvage {
namespace {

/// In the meta family.
constexpr std::string_view kWriteNumberKey = "write_number";

}  // namespace

LostWrites LostOf(const WriteMark& mark, uint64_t recovered) {
  LostWrites lost;
  for (const auto& [subject, number] : mark.newest) {
    if (number > recovered) lost.subjects.push_back(subject);
  }
  lost.perhaps_others = mark.left_out > recovered;
  return lost;
}

/// Notes the subjects of what is added.
class MarkedStore::Batch : public WriteBatch {
 public:
  Batch(std::unique_ptr<WriteBatch> inner, const SubjectOf& subject_of)
      : inner_(std::move(inner)), subject_of_(subject_of) {}

  void Put(Family family, std::string_view key, std::initializer_list<std::string_view> parts) override {
    Note(family, key);
    inner_->Put(family, key, parts);
  }
  void Delete(Family family, std::string_view key) override {
    Note(family, key);
    inner_->Delete(family, key);
  }
  void DeleteRange(Family family, std::string_view from, std::string_view to) override {
    Note(family, from);
    inner_->DeleteRange(family, from, to);
  }
  size_t ByteSize() const override { return inner_->ByteSize(); }
  bool Empty() const override { return inner_->Empty(); }
  void Clear() override {
    inner_->Clear();
    subjects_.clear();
  }

  WriteBatch& inner() { return *inner_; }
  const std::set<std::string>& subjects() const { return subjects_; }

 private:
  void Note(Family family, std::string_view key) {
    if (family == Family::kLog) return;  // the bulk; logs have their acknowledged ends
    if (std::string subject = subject_of_(family, key); !subject.empty())
      subjects_.insert(std::move(subject));
  }

  const std::unique_ptr<WriteBatch> inner_;
  const SubjectOf& subject_of_;
  std::set<std::string> subjects_;
};

absl::StatusOr<uint64_t> MarkedStore::Open() {
  SELVAGE_ASSIGN_OR_RETURN(const std::optional<std::string> stored,
                           store_.Get(Family::kMeta, kWriteNumberKey));
  if (!stored) return 0;
  if (stored->size() != sizeof(uint64_t)) {
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_meta",
                     "the number of the newest write is damaged");
  }
  number_ = LoadBig<uint64_t>(stored->data());
  return number_;
}

WriteMark MarkedStore::mark() const {
  absl::MutexLock lock(&mutex_);
  return mark_;
}

uint64_t MarkedStore::last() const {
  absl::MutexLock lock(&mutex_);
  return last_;
}

std::unique_ptr<WriteBatch> MarkedStore::NewBatch() {
  return std::make_unique<Batch>(store_.NewBatch(), subject_of_);
}

absl::Status MarkedStore::Write(WriteBatch& batch, bool sync) {
  auto* ours = dynamic_cast<Batch*>(&batch);
  SELVAGE_CHECK(ours != nullptr);
  if (!ours->subjects().empty()) {
    std::string number;
    AppendBig<uint64_t>(number, ++number_);
    ours->inner().Put(Family::kMeta, kWriteNumberKey, {number});
  }
  SELVAGE_RETURN_IF_ERROR(store_.Write(ours->inner(), sync));
  unsynced_.insert(ours->subjects().begin(), ours->subjects().end());
  if (!sync || unsynced_.empty()) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  for (const std::string& subject : std::exchange(unsynced_, {})) mark_.newest[subject] = number_;
  last_ = number_;
  if (mark_.newest.size() > kSubjectsMax) LeaveOutOldest();
  return absl::OkStatus();
}

/// Half of them, so that it is done seldom.
void MarkedStore::LeaveOutOldest() {
  std::vector<uint64_t> numbers;
  numbers.reserve(mark_.newest.size());
  for (const auto& [subject, number] : mark_.newest) numbers.push_back(number);
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  const uint64_t left_out = *middle;
  mark_.left_out = left_out;
  std::erase_if(mark_.newest, [&](const auto& entry) { return entry.second <= left_out; });
}

}  // namespace selvage
