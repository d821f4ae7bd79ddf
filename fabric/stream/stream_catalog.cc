#include "fabric/stream/stream_catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/stream/produce_check.h"

namespace selvage {
namespace {

constexpr int32_t kPartitionsMax = 1024;
constexpr int64_t kDeleteRetentionMs = 24 * 3600 * 1000;  // as in Kafka
constexpr int64_t kDefaultRetentionMs = int64_t{7} * 24 * 3600 * 1000;

absl::Status Invalid(std::string_view what, std::string_view hint) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_stream", what, hint);
}

}  // namespace

v1::StreamSettings DefaultStreamSettings() {
  v1::StreamSettings settings;
  settings.set_retention_ms(kDefaultRetentionMs);
  settings.set_on_full(v1::REJECT);
  settings.set_priority(kDefaultPriority);
  settings.set_weight(1);
  settings.set_link_compression(v1::ZSTD);
  settings.set_keep_after_ack(true);
  settings.set_start_at(v1::EARLIEST);
  settings.set_cleanup(v1::CLEANUP_DELETE);
  settings.set_delete_retention_ms(kDeleteRetentionMs);
  return settings;
}

absl::StatusOr<v1::StreamDefinition> CompleteDefinition(v1::StreamDefinition definition) {
  if (!IsStreamName(definition.name())) {
    return Invalid(fmt::format("'{}' is not a stream name", definition.name()),
                   fmt::format("use 1 to {} of a-z, A-Z, 0-9, '.', '_' and '-'", kMaxStreamName));
  }
  if (!v1::Direction_IsValid(definition.direction()) || definition.direction() == v1::DIRECTION_UNSPECIFIED) {
    return Invalid(fmt::format("stream {} has no direction", definition.name()),
                   "one of up, down, down-shared, local");
  }
  if (IsCaptureStream(definition.name()) && definition.captures().empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "name_reserved",
                     fmt::format("{} is the name of a stream that has a table's changes", definition.name()),
                     "selvagectl table capture TABLE makes it; choose another name for other streams");
  }
  if (definition.partitions() == 0) definition.set_partitions(1);
  if (definition.partitions() < 0 || definition.partitions() > kPartitionsMax) {
    return Invalid(fmt::format("stream {} with {} partitions", definition.name(), definition.partitions()),
                   fmt::format("1 to {} partitions", kPartitionsMax));
  }
  v1::StreamSettings& settings = *definition.mutable_settings();
  if (!v1::OnFull_IsValid(settings.on_full()) || !v1::LinkCompression_IsValid(settings.link_compression()) ||
      !v1::StartAt_IsValid(settings.start_at()) || !v1::CleanupPolicy_IsValid(settings.cleanup())) {
    return Invalid(fmt::format("stream {} has a setting that is not known here", definition.name()),
                   "it was written by a newer version: upgrade this node");
  }
  if (settings.on_full() == v1::ON_FULL_UNSPECIFIED) settings.set_on_full(v1::REJECT);
  if (settings.weight() == 0) settings.set_weight(1);
  if (settings.link_compression() == v1::LINK_COMPRESSION_UNSPECIFIED)
    settings.set_link_compression(v1::ZSTD);
  if (settings.start_at() == v1::START_AT_UNSPECIFIED) settings.set_start_at(v1::EARLIEST);
  if (settings.cleanup() == v1::CLEANUP_UNSPECIFIED) settings.set_cleanup(v1::CLEANUP_DELETE);
  if (settings.delete_retention_ms() == 0) settings.set_delete_retention_ms(kDeleteRetentionMs);
  if (IsCompacted(settings) && definition.direction() != v1::LOCAL) {
    return MakeError(absl::StatusCode::kInvalidArgument, "compaction_not_replicated",
                     fmt::format("stream {} is replicated, and only streams that are not can be compacted",
                                 definition.name()),
                     "make a stream of direction local for it, or let retention delete by age and size");
  }
  if (settings.priority() > 9) return Invalid(fmt::format("priority {}", settings.priority()), "0 to 9");
  if (settings.weight() > 1000) return Invalid(fmt::format("weight {}", settings.weight()), "1 to 1000");
  if (settings.delete_retention_ms() < 0) {
    return Invalid("a negative delete retention", "0 for 24 hours, or a positive time");
  }
  if (settings.retention_ms() < 0 || settings.retention_bytes() < 0) {
    return Invalid("a negative retention", "0 for no limit, or a positive age or size");
  }
  return definition;
}

absl::Status CheckSameShape(const v1::StreamDefinition& have, const v1::StreamDefinition& other) {
  const bool grown = have.direction() == v1::LOCAL && have.partitions() > other.partitions();
  if (have.direction() == other.direction() && (have.partitions() == other.partitions() || grown))
    return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "definition_mismatch",
      fmt::format("stream {} is {} with {} partitions here and {} with {} there", have.name(),
                  v1::Direction_Name(have.direction()), have.partitions(),
                  v1::Direction_Name(other.direction()), other.partitions()),
      "direction and partition count are immutable: delete one of the two streams, or rename it");
}

absl::Status CheckProducible(const v1::StreamDefinition& definition) {
  if (definition.captures().empty()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "read_only_stream",
                   fmt::format("stream {} has the changes of table {}; only this node writes it",
                               definition.name(), definition.captures()),
                   "write the table, or another stream");
}

absl::Status MergeSettings(const v1::StreamSettings& from, const std::vector<std::string>& fields,
                           v1::StreamSettings& into) {
  const auto* descriptor = v1::StreamSettings::descriptor();
  const auto* reflection = v1::StreamSettings::GetReflection();
  v1::StreamSettings unnamed = into;
  for (const std::string& name : fields) {
    const auto* field = descriptor->FindFieldByName(name);
    if (field == nullptr)
      return Invalid(fmt::format("unknown setting {}", name), "see selvagectl stream set --help");
    reflection->ClearField(&unnamed, field);
  }
  v1::StreamSettings named = from;
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const auto* field = descriptor->field(i);
    if (std::find(fields.begin(), fields.end(), field->name()) == fields.end())
      reflection->ClearField(&named, field);
  }
  unnamed.MergeFrom(named);
  into = unnamed;
  return absl::OkStatus();
}

absl::Status StreamCatalog::Open() {
  auto cursor = store_.Scan(Family::kMeta, kStreamPrefix, PrefixEnd(kStreamPrefix));
  absl::MutexLock lock(&mutex_);
  for (cursor->Seek(kStreamPrefix); cursor->Valid(); cursor->Next()) {
    v1::StreamDefinition definition;
    if (!definition.ParseFromString(std::string(cursor->value()))) {
      return MakeError(absl::StatusCode::kDataLoss, "corrupt_meta", "the store's stream catalog is damaged");
    }
    streams_[definition.name()] = definition;
  }
  return cursor->status();
}

std::optional<v1::StreamDefinition> StreamCatalog::Find(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  auto it = streams_.find(name);
  if (it == streams_.end()) return std::nullopt;
  return it->second;
}

std::vector<v1::StreamDefinition> StreamCatalog::All() const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::StreamDefinition> all;
  all.reserve(streams_.size());
  for (const auto& [name, definition] : streams_) all.push_back(definition);
  return all;
}

absl::Status StreamCatalog::Put(const v1::StreamDefinition& definition,
                                std::function<void(WriteBatch&)> also) {
  return Commit(
      committer_,
      [&](WriteBatch& batch) {
        StagePut(batch, definition);
        also(batch);
        return absl::OkStatus();
      },
      // In the committer's order, so that two writers leave the same in memory as on disk.
      [&](const absl::Status& status) {
        if (status.ok()) Show(definition);
      });
}

void StreamCatalog::StagePut(WriteBatch& batch, const v1::StreamDefinition& definition) {
  batch.Put(Family::kMeta, std::string(kStreamPrefix) + definition.name(), {definition.SerializeAsString()});
}

void StreamCatalog::Show(const v1::StreamDefinition& definition) {
  absl::MutexLock lock(&mutex_);
  streams_[definition.name()] = definition;
  ++changes_;
}

void StreamCatalog::StageRemove(WriteBatch& batch, const std::string& name) {
  batch.Delete(Family::kMeta, std::string(kStreamPrefix) + name);
}

void StreamCatalog::Forget(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(name);
  ++changes_;
}

}  // namespace selvage
