#include "ctl/stream_options.h"

#include "ctl/options.h"

namespace selvage::ctl {

void StreamSettingsOptions::AddTo(CLI::App& app) {
  auto add = [this](const char* field, CLI::Option* option) {
    options_.emplace_back(field, option->group("Settings"));
  };
  add("retention_ms",
      AddParsed(app, "--retention", retention_, ParseDurationOrNone,
                "How long a copy keeps records, for example 7d; none: no limit (default 7d)"));
  add("retention_bytes",
      AddParsed(app, "--retention-bytes", retention_bytes_, ParseSizeOrNone,
                "How much a partition keeps, for example 10GiB; none: no limit (default none)"));
  add("on_full", AddChoice<v1::OnFull>(
                     app, "--on-full", on_full_, {{"reject", v1::REJECT}, {"drop-oldest", v1::DROP_OLDEST}},
                     "When the disk budget is used up: refuse writes, or drop the oldest (default reject)"));
  add("priority", app.add_option("--priority", priority_, "0 to 9; higher overtakes on the link (default 5)")
                      ->check(CLI::Range(0, 9)));
  add("weight", app.add_option("--weight", weight_, "Share within one priority, 1 to 1000 (default 1)")
                    ->check(CLI::Range(1, 1000)));
  add("link_compression",
      AddChoice<v1::LinkCompression>(app, "--link-compression", link_compression_,
                                     {{"zstd", v1::ZSTD}, {"none", v1::NONE}},
                                     "For batches that their producer did not compress (default zstd)"));
  add("keep_after_ack",
      app.add_flag("--keep-after-ack,!--no-keep-after-ack", keep_after_ack_,
                   "Whether an edge keeps acknowledged data as retention says (default), or drops "
                   "them at once"));
  add("start_at", AddChoice<v1::StartAt>(
                      app, "--start-at", start_at_, {{"earliest", v1::EARLIEST}, {"latest", v1::LATEST}},
                      "Where a new edge starts in a down-shared stream (default earliest)"));
  add("cleanup", AddChoice<v1::CleanupPolicy>(
                     app, "--cleanup", cleanup_,
                     {{"delete", v1::CLEANUP_DELETE},
                      {"compact", v1::CLEANUP_COMPACT},
                      {"compact-delete", v1::CLEANUP_COMPACT_DELETE}},
                     "Old records go by retention, or when a newer one of their key has come (local "
                     "streams only), or both (default delete)"));
  add("delete_retention_ms",
      AddParsed(app, "--delete-retention", delete_retention_, ParseDurationOrNone,
                "How long a compacted stream keeps a record without a value (default 24h)"));
  add("max_batch_bytes", AddParsed(app, "--max-batch-bytes", max_batch_bytes_, ParseSizeOrNone,
                                   "Largest batch that is taken; none: what the node takes (default none)"));
  add("detached",
      app.add_flag("--detach,!--attach", detached_,
                   "Whether the link carries nothing of it, while each end keeps what it has; Kafka "
                   "clients may delete it only then (default attached)"));
}

v1::StreamSettings StreamSettingsOptions::settings() const {
  v1::StreamSettings settings;
  settings.set_retention_ms(absl::ToInt64Milliseconds(retention_));
  settings.set_retention_bytes(static_cast<int64_t>(retention_bytes_));
  settings.set_on_full(on_full_);
  settings.set_priority(priority_);
  settings.set_weight(weight_);
  settings.set_link_compression(link_compression_);
  settings.set_keep_after_ack(keep_after_ack_);
  settings.set_start_at(start_at_);
  settings.set_cleanup(cleanup_);
  settings.set_delete_retention_ms(absl::ToInt64Milliseconds(delete_retention_));
  settings.set_max_batch_bytes(static_cast<uint32_t>(max_batch_bytes_));
  settings.set_detached(detached_);
  return settings;
}

std::vector<std::string> StreamSettingsOptions::given() const {
  std::vector<std::string> fields;
  for (const auto& [field, option] : options_) {
    if (option->count() > 0) fields.push_back(field);
  }
  return fields;
}

}  // namespace selvage::ctl
