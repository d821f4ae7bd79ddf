#include "fabric/stream/fence_table.h"

#include "fabric/base/error.h"
#include "fabric/storage/commit.h"

namespace selvage {

absl::Status RaiseFences(Committer& committer, FenceTable& table, const std::vector<Fence>& fences,
                         const std::function<absl::Status(WriteBatch&)>& also) {
  return Commit(committer, [&](WriteBatch& batch) {
    SELVAGE_RETURN_IF_ERROR(also(batch));
    for (const Fence& fence : fences) table.Raise(fence);
    return absl::OkStatus();
  });
}

}  // namespace selvage
