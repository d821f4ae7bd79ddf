#include "fabric/view/view_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/table/table_definition.h"
#include "fabric/view/view_definition.h"

namespace selvage::view {
namespace {

constexpr std::string_view kViewPrefix = "view/";  ///< + name: StoredView

std::string ViewKey(const std::string& name) {
  return std::string(kViewPrefix) + name;
}

std::string Stored(const v1::ViewDefinition& definition, const std::string& rebuilt) {
  v1::StoredView stored;
  *stored.mutable_definition() = definition;
  stored.set_rebuilt(rebuilt);
  return stored.SerializeAsString();
}

}  // namespace

absl::Status ViewStore::Open() {
  absl::MutexLock lock(&mutex_);
  auto cursor = env_.store.Scan(Family::kMeta, kViewPrefix, PrefixEnd(kViewPrefix));
  for (cursor->Seek(kViewPrefix); cursor->Valid(); cursor->Next()) {
    v1::StoredView stored;
    if (!stored.ParseFromString(std::string(cursor->value()))) return DamagedMeta("list of views");
    SELVAGE_RETURN_IF_ERROR(Load(stored));
  }
  return cursor->status();
}

absl::Status ViewStore::Load(const v1::StoredView& stored) {
  const std::string& name = stored.definition().name();
  View view;
  view.definition = stored.definition();
  view.serving = std::make_shared<ViewBuild>(env_, view.definition, name);
  SELVAGE_RETURN_IF_ERROR(view.serving->Open());
  if (!stored.rebuilt().empty()) {
    view.rebuilt = std::make_shared<ViewBuild>(env_, view.definition, stored.rebuilt());
    SELVAGE_RETURN_IF_ERROR(view.rebuilt->Open());
  }
  views_[name] = std::move(view);
  return absl::OkStatus();
}

absl::Status ViewStore::Unknown(const std::string& name) {
  return MakeError(absl::StatusCode::kNotFound, "unknown_view", fmt::format("there is no view {}", name),
                   "see selvagectl view list");
}

absl::StatusOr<ViewStore::View> ViewStore::Find(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  const auto found = views_.find(name);
  if (found == views_.end()) return Unknown(name);
  return found->second;
}

void ViewStore::Keep(View view) {
  absl::MutexLock lock(&mutex_);
  const std::string& name = view.definition.name();
  views_[name] = std::move(view);
  more_ = true;
}

absl::StatusOr<std::shared_ptr<ViewBuild>> ViewStore::MakeBuild(const v1::ViewDefinition& definition,
                                                                const std::string& table,
                                                                const table::TableStore::Also& also) {
  v1::TableDefinition of_rows;
  of_rows.set_name(table);
  of_rows.set_direction(v1::TABLE_LOCAL);
  of_rows.set_view(definition.name());
  of_rows.set_incarnation(table::Incarnation::Mint(env_.random).bytes());
  SELVAGE_ASSIGN_OR_RETURN(of_rows, table::CompleteDefinition(std::move(of_rows)));
  SELVAGE_RETURN_IF_ERROR(env_.tables.Create(of_rows, also));
  auto build = std::make_shared<ViewBuild>(env_, definition, table);
  SELVAGE_RETURN_IF_ERROR(build->Open());
  return build;
}

absl::StatusOr<v1::ViewDefinition> ViewStore::Create(v1::ViewDefinition definition) {
  SELVAGE_ASSIGN_OR_RETURN(definition, CompleteDefinition(std::move(definition)));
  const std::string& name = definition.name();
  absl::MutexLock working(&work_mutex_);
  if (Find(name).ok()) {
    return MakeError(absl::StatusCode::kAlreadyExists, "view_exists",
                     fmt::format("there is a view {} already", name),
                     "selvagectl view describe shows it; a view is not changed, but dropped and made again");
  }
  if (!env_.has_stream(definition.stream())) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_stream",
                     fmt::format("there is no stream {} here", definition.stream()),
                     "selvagectl stream list shows what there is");
  }
  View view;
  view.definition = definition;
  SELVAGE_ASSIGN_OR_RETURN(view.serving, MakeBuild(definition, name, [&](WriteBatch& batch) {
                             batch.Put(Family::kMeta, ViewKey(name), {Stored(definition, "")});
                           }));
  Keep(std::move(view));
  return definition;
}

std::vector<v1::ViewDefinition> ViewStore::All() const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::ViewDefinition> all;
  all.reserve(views_.size());
  for (const auto& [name, view] : views_) all.push_back(view.definition);
  return all;
}

absl::StatusOr<v1::ViewStatus> ViewStore::Describe(const std::string& name) const {
  SELVAGE_ASSIGN_OR_RETURN(const View view, Find(name));
  v1::ViewStatus status;
  *status.mutable_definition() = view.definition;
  view.serving->DescribeTo(status);
  if (view.rebuilt == nullptr) return status;
  const BuildFacts rebuilt = view.rebuilt->Facts();
  status.set_rebuilding(true);
  status.set_rebuild_behind(rebuilt.behind);
  if (status.error().empty() && rebuilt.fed && !rebuilt.fed->ok()) {
    status.set_error("building it anew: " + selvage::Describe(*rebuilt.fed));
  }
  return status;
}

std::map<std::string, ViewFacts> ViewStore::AllFacts() const {
  std::map<std::string, View> views;
  {
    absl::MutexLock lock(&mutex_);
    views = views_;
  }
  std::map<std::string, ViewFacts> facts;
  for (const auto& [name, view] : views) {
    facts[name].serving = view.serving->Facts();
    if (view.rebuilt != nullptr) facts[name].rebuilt = view.rebuilt->Facts();
  }
  return facts;
}

absl::Status ViewStore::Rebuild(const std::string& name) {
  absl::MutexLock working(&work_mutex_);
  SELVAGE_ASSIGN_OR_RETURN(View view, Find(name));
  if (view.rebuilt != nullptr) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "rebuilding",
                     fmt::format("view {} is being built anew already", name),
                     "selvagectl view describe tells how far it is");
  }
  const std::string table = name + std::string(kRebuildSuffix);
  SELVAGE_ASSIGN_OR_RETURN(view.rebuilt, MakeBuild(view.definition, table, [&](WriteBatch& batch) {
                             batch.Put(Family::kMeta, ViewKey(name), {Stored(view.definition, table)});
                           }));
  Keep(view);
  return CopyIndexes(view);
}

absl::Status ViewStore::CopyIndexes(const View& view) {
  SELVAGE_ASSIGN_OR_RETURN(const auto wanted, env_.tables.Indexes(view.serving->table()));
  SELVAGE_ASSIGN_OR_RETURN(const auto made, env_.tables.Indexes(view.rebuilt->table()));
  for (const table::IndexFacts& index : wanted) {
    const bool there =
        std::any_of(made.begin(), made.end(), [&](const auto& other) { return other.name == index.name; });
    if (there) continue;
    SELVAGE_RETURN_IF_ERROR(env_.tables.CreateIndex(view.rebuilt->table(), index.name, index.path));
  }
  return absl::OkStatus();
}

absl::Status ViewStore::Drop(const std::string& name) {
  absl::MutexLock working(&work_mutex_);
  SELVAGE_ASSIGN_OR_RETURN(View view, Find(name));
  if (view.rebuilt != nullptr) {
    SELVAGE_RETURN_IF_ERROR(env_.tables.DropOwned(view.rebuilt->table(), [&](WriteBatch& batch) {
      view.rebuilt->StageForget(batch);
      batch.Put(Family::kMeta, ViewKey(name), {Stored(view.definition, "")});
    }));
    view.rebuilt = nullptr;
    Keep(view);
  }
  SELVAGE_RETURN_IF_ERROR(env_.tables.DropOwned(name, [&](WriteBatch& batch) {
    view.serving->StageForget(batch);
    batch.Delete(Family::kMeta, ViewKey(name));
  }));
  absl::MutexLock lock(&mutex_);
  views_.erase(name);
  return absl::OkStatus();
}

absl::StatusOr<bool> ViewStore::RunOnce() {
  {
    absl::MutexLock lock(&mutex_);
    if (views_.empty()) return false;
    const bool changed = !env_.logs.ChangedSince(seen_).empty();
    if (!changed && !more_) return false;
    more_ = false;
  }
  bool more = false;
  absl::Status first;
  for (const v1::ViewDefinition& definition : All()) {
    absl::MutexLock working(&work_mutex_);
    const auto view = Find(definition.name());
    if (!view.ok()) continue;
    const auto fed = Feed(*view);
    if (fed.ok()) {
      more |= *fed;
    } else {
      first.Update(Annotate(fed.status(), fmt::format("view {}", definition.name())));
    }
  }
  absl::MutexLock lock(&mutex_);
  // Also where a view was made meanwhile.
  more_ = more_ || more || !first.ok();
  if (!first.ok()) return first;
  return more;
}

absl::StatusOr<bool> ViewStore::Feed(const View& view) {
  auto serving = view.serving->Feed();
  if (view.rebuilt == nullptr) return serving;
  SELVAGE_ASSIGN_OR_RETURN(const bool rebuilt, view.rebuilt->Feed());
  if (!rebuilt && view.rebuilt->AtTheEnd()) SELVAGE_RETURN_IF_ERROR(PutInPlace(view));
  // What is wrong with the one that serves may be why it is built anew.
  return rebuilt || (serving.ok() && *serving);
}

absl::Status ViewStore::PutInPlace(View view) {
  // A crash may have left some out when the rebuilding began, or they were made since.
  SELVAGE_RETURN_IF_ERROR(CopyIndexes(view));
  const std::string& name = view.definition.name();
  SELVAGE_RETURN_IF_ERROR(env_.tables.Replace(name, view.rebuilt->table(), [&](WriteBatch& batch) {
    view.serving->StageForget(batch);
    batch.Put(Family::kMeta, ViewKey(name), {Stored(view.definition, "")});
  }));
  view.serving = std::move(view.rebuilt);
  view.serving->Rename(name);
  Keep(std::move(view));
  return absl::OkStatus();
}

}  // namespace selvage::view
