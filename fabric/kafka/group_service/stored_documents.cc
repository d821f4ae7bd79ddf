#include "fabric/kafka/group_service/stored_documents.h"

#include <utility>
#include <vector>

#include "fabric/base/error.h"

namespace selvage::kafka {
namespace {

/// Above every key: a group's name is shorter than the largest length that a key begins with.
const std::string& AboveAllKeys() {
  static const std::string kTop(5, '\xff');
  return kTop;
}

}  // namespace

absl::StatusOr<std::optional<UnreadableDocuments>> ForEachStoredDocument(
    KvStore& store, const std::function<void(std::string_view key, std::string_view document)>& each) {
  UnreadableDocuments unreadable;
  auto forwards = store.Scan(Family::kGroup, "", AboveAllKeys());
  for (forwards->Seek(""); forwards->Valid(); forwards->Next()) {
    each(forwards->key(), forwards->value());
    unreadable.after = forwards->key();
  }
  unreadable.error = forwards->status();
  if (unreadable.error.ok()) return std::nullopt;
  if (!absl::IsDataLoss(unreadable.error)) return unreadable.error;

  // A cursor does not get past the damage, so another one comes from the other side.
  auto backwards = store.Scan(Family::kGroup, "", AboveAllKeys());
  for (backwards->SeekForPrev(AboveAllKeys()); backwards->Valid() && backwards->key() > unreadable.after;
       backwards->Prev()) {
    each(backwards->key(), backwards->value());
    unreadable.before = backwards->key();
  }
  if (!backwards->status().ok() && !absl::IsDataLoss(backwards->status())) return backwards->status();
  return unreadable;
}

absl::Status StageReadableDocuments(KvStore& store, WriteBatch& batch) {
  std::vector<std::pair<std::string, std::string>> documents;
  SELVAGE_RETURN_IF_ERROR(ForEachStoredDocument(store, [&](std::string_view key, std::string_view document) {
                            documents.emplace_back(key, document);
                          }).status());
  batch.DeleteRange(Family::kGroup, "", AboveAllKeys());
  for (const auto& [key, document] : documents) batch.Put(Family::kGroup, key, {document});
  return absl::OkStatus();
}

}  // namespace selvage::kafka
