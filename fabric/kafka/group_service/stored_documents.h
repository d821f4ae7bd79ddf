#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/storage/kv_store.h"

namespace selvage::kafka {

/// A part of what is stored of the consumer groups that cannot be read.
struct UnreadableDocuments {
  absl::Status error;
  std::string after;   ///< the last key before it; empty: there is none
  std::string before;  ///< the first key behind it; empty: there is none
};

/// Calls `each` with the key and the document of everything that is stored of the consumer groups and can be
/// read, each key once, in no certain order. What cannot is returned as one part: all that lies between the
/// first damage and the last. Errors: those of the store but kDataLoss.
absl::StatusOr<std::optional<UnreadableDocuments>> ForEachStoredDocument(
    KvStore& store, const std::function<void(std::string_view key, std::string_view document)>& each);

/// Replaces everything that is stored of the consumer groups with what of it can be read, so that what is
/// written from here on can be read again. Errors: those of the store but kDataLoss, and then nothing was
/// added.
absl::Status StageReadableDocuments(KvStore& store, WriteBatch& batch);

}  // namespace selvage::kafka
