#include "fabric/kafka/handlers/topic_configs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "fabric/base/error.h"
#include "fabric/stream/produce_check.h"
#include "fabric/stream/stream_catalog.h"

namespace selvage::kafka {
namespace {

absl::Status Invalid(std::string_view value, std::string_view allowed) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_config",
                   fmt::format("'{}' is not allowed", value.substr(0, 100)),
                   fmt::format("allowed: {}", allowed));
}

std::optional<int64_t> Number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

absl::Status SetBool(std::string_view value, auto set) {
  if (value != "true" && value != "false") return Invalid(value, "true, false");
  set(value == "true");
  return absl::OkStatus();
}

absl::Status SetInRange(std::string_view value, int64_t min, int64_t max, auto set) {
  const auto number = Number(value);
  if (!number || *number < min || *number > max) return Invalid(value, fmt::format("{} to {}", min, max));
  set(*number);
  return absl::OkStatus();
}

/// Kafka says "no limit" with -1, we with 0; so Kafka's 0 is the smallest there is.
absl::Status SetLimit(std::string_view value, auto set) {
  const auto number = Number(value);
  if (!number || *number < -1) return Invalid(value, "a number, or -1 for no limit");
  set(*number == -1 ? 0 : std::max<int64_t>(*number, 1));
  return absl::OkStatus();
}
std::string Limit(int64_t ours) {
  return std::to_string(ours == 0 ? -1 : ours);
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

template <class Enum>
struct Word {
  std::string_view word;
  Enum value;
};
template <class Enum, size_t n>
std::string WordOf(const std::array<Word<Enum>, n>& words, Enum value) {
  for (const auto& [word, known] : words) {
    if (known == value) return std::string(word);
  }
  return "";
}
template <class Enum, size_t n>
absl::Status SetWord(const std::array<Word<Enum>, n>& words, std::string_view value, auto set) {
  std::string allowed;
  for (const auto& [word, known] : words) {
    if (Lower(value) == word) {
      set(known);
      return absl::OkStatus();
    }
    allowed += (allowed.empty() ? "" : ", ") + std::string(word);
  }
  return Invalid(value, allowed);
}

constexpr std::array<Word<v1::Direction>, 4> kDirections = {
    {{"up", v1::UP}, {"down", v1::DOWN}, {"down_shared", v1::DOWN_SHARED}, {"local", v1::LOCAL}}};
constexpr std::array<Word<v1::OnFull>, 2> kOnFull = {
    {{"reject", v1::REJECT}, {"drop_oldest", v1::DROP_OLDEST}}};
constexpr std::array<Word<v1::LinkCompression>, 2> kLinkCompression = {
    {{"zstd", v1::ZSTD}, {"none", v1::NONE}}};
constexpr std::array<Word<v1::StartAt>, 2> kStartAt = {{{"earliest", v1::EARLIEST}, {"latest", v1::LATEST}}};

constexpr std::array<Word<v1::CleanupPolicy>, 3> kCleanup = {
    {{"delete", v1::CLEANUP_DELETE},
     {"compact", v1::CLEANUP_COMPACT},
     {"compact,delete", v1::CLEANUP_COMPACT_DELETE}}};

std::string CleanupOf(const v1::StreamDefinition& definition) {
  const std::string word = WordOf(kCleanup, definition.settings().cleanup());
  return word.empty() ? "delete" : word;  // stored before there was a choice
}

/// A row whose value is the same everywhere.
template <TopicConfig::Use use, const char* value>
constexpr TopicConfig Constant(std::string_view name, ConfigType type, std::string_view help) {
  return {name,
          type,
          use,
          help,
          [](const v1::StreamDefinition&, const Settings&) { return std::string(value); },
          nullptr};
}
constexpr char kTrue[] = "true", kFalse[] = "false", kZero[] = "0", kOne[] = "1",
               kMaxLong[] = "9223372036854775807";
constexpr char kProducer[] = "producer", kCreateTime[] = "CreateTime";
constexpr char kHalf[] = "0.5", kGiB[] = "1073741824", kWeek[] = "604800000", kMinute[] = "60000";
constexpr char kTenMiB[] = "10485760", kFourKiB[] = "4096";

constexpr std::string_view kNoSegments = "Logs have no segments here.";
constexpr std::string_view kSynced = "Every write is synced before it is acknowledged.";

constexpr TopicConfig kConfigs[] = {
    {"cleanup.policy", ConfigType::kList, TopicConfig::Use::kSettable,
     "delete: whole batches go, by age and size; compact: all but the newest record of each key; or both. "
     "Only local "
     "topics are compacted.",
     [](const v1::StreamDefinition& d, const Settings&) { return CleanupOf(d); },
     [](std::string_view value, v1::StreamDefinition& d) {
       const std::string sorted = value == "delete,compact" ? "compact,delete" : std::string(value);
       return SetWord(kCleanup, sorted, [&](v1::CleanupPolicy v) { d.mutable_settings()->set_cleanup(v); });
     }},
    Constant<TopicConfig::Use::kFixed, kProducer>("compression.type", ConfigType::kString,
                                                  "Batches stay as their producer made them."),
    {"delete.retention.ms", ConfigType::kLong, TopicConfig::Use::kSettable,
     "How long a compacted topic keeps a record without a value.",
     [](const v1::StreamDefinition& d, const Settings&) {
       return std::to_string(d.settings().delete_retention_ms());
     },
     [](std::string_view value, v1::StreamDefinition& d) {
       // Our 0 means the default.
       return SetInRange(value, 0, INT64_MAX, [&](int64_t v) {
         d.mutable_settings()->set_delete_retention_ms(std::max<int64_t>(v, 1));
       });
     }},
    Constant<TopicConfig::Use::kIgnored, kMinute>("file.delete.delay.ms", ConfigType::kLong, kNoSegments),
    Constant<TopicConfig::Use::kIgnored, kOne>("flush.messages", ConfigType::kLong, kSynced),
    Constant<TopicConfig::Use::kIgnored, kZero>("flush.ms", ConfigType::kLong, kSynced),
    Constant<TopicConfig::Use::kIgnored, kFourKiB>("index.interval.bytes", ConfigType::kInt, kNoSegments),
    Constant<TopicConfig::Use::kIgnored, kMaxLong>("max.compaction.lag.ms", ConfigType::kLong,
                                                   "For compacted topics."),
    {"max.message.bytes", ConfigType::kInt, TopicConfig::Use::kSettable,
     "Largest batch; never more than batch.max_bytes of the daemon's configuration.",
     [](const v1::StreamDefinition& d, const Settings& node) {
       return std::to_string(BatchBytesMax(d.settings(), node.batch_max));
     },
     [](std::string_view value, v1::StreamDefinition& d) {
       return SetInRange(value, 1, INT32_MAX, [&](int64_t v) {
         d.mutable_settings()->set_max_batch_bytes(static_cast<uint32_t>(v));
       });
     }},
    Constant<TopicConfig::Use::kIgnored, kMaxLong>("message.timestamp.after.max.ms", ConfigType::kLong,
                                                   "Any timestamp is taken."),
    Constant<TopicConfig::Use::kIgnored, kMaxLong>("message.timestamp.before.max.ms", ConfigType::kLong,
                                                   "Any timestamp is taken."),
    Constant<TopicConfig::Use::kFixed, kCreateTime>("message.timestamp.type", ConfigType::kString,
                                                    "Timestamps stay as the producer set them."),
    Constant<TopicConfig::Use::kIgnored, kHalf>("min.cleanable.dirty.ratio", ConfigType::kDouble,
                                                "For compacted topics."),
    Constant<TopicConfig::Use::kIgnored, kZero>("min.compaction.lag.ms", ConfigType::kLong,
                                                "For compacted topics."),
    Constant<TopicConfig::Use::kFixed, kOne>("min.insync.replicas", ConfigType::kInt,
                                             "A node is one broker."),
    Constant<TopicConfig::Use::kIgnored, kFalse>("preallocate", ConfigType::kBoolean, kNoSegments),
    {"retention.bytes", ConfigType::kLong, TopicConfig::Use::kSettable,
     "How much a partition keeps; -1: no limit.",
     [](const v1::StreamDefinition& d, const Settings&) { return Limit(d.settings().retention_bytes()); },
     [](std::string_view value, v1::StreamDefinition& d) {
       return SetLimit(value, [&](int64_t v) { d.mutable_settings()->set_retention_bytes(v); });
     }},
    {"retention.ms", ConfigType::kLong, TopicConfig::Use::kSettable,
     "How long a copy keeps a batch, counted from when it was stored there; -1: no limit.",
     [](const v1::StreamDefinition& d, const Settings&) { return Limit(d.settings().retention_ms()); },
     [](std::string_view value, v1::StreamDefinition& d) {
       return SetLimit(value, [&](int64_t v) { d.mutable_settings()->set_retention_ms(v); });
     }},
    Constant<TopicConfig::Use::kIgnored, kGiB>("segment.bytes", ConfigType::kInt, kNoSegments),
    Constant<TopicConfig::Use::kIgnored, kTenMiB>("segment.index.bytes", ConfigType::kInt, kNoSegments),
    Constant<TopicConfig::Use::kIgnored, kZero>("segment.jitter.ms", ConfigType::kLong, kNoSegments),
    Constant<TopicConfig::Use::kIgnored, kWeek>("segment.ms", ConfigType::kLong, kNoSegments),
    {"selvage.detached", ConfigType::kBoolean, TopicConfig::Use::kSettable,
     "The link carries nothing of the stream; each end keeps what it has. Needed before it can be deleted at "
     "the core.",
     [](const v1::StreamDefinition& d, const Settings&) {
       return std::string(d.settings().detached() ? kTrue : kFalse);
     },
     [](std::string_view value, v1::StreamDefinition& d) {
       return SetBool(value, [&](bool v) { d.mutable_settings()->set_detached(v); });
     }},
    {"selvage.direction", ConfigType::kString, TopicConfig::Use::kAtCreate,
     "up: from the edges to the core; down: from the core to one edge; down_shared: to all edges; local: "
     "nowhere.",
     [](const v1::StreamDefinition& d, const Settings&) { return WordOf(kDirections, d.direction()); },
     [](std::string_view value, v1::StreamDefinition& d) {
       return SetWord(kDirections, value, [&](v1::Direction v) { d.set_direction(v); });
     }},
    {"selvage.keep_after_ack", ConfigType::kBoolean, TopicConfig::Use::kSettable,
     "An edge keeps what the core acknowledged as retention says; otherwise it goes at once.",
     [](const v1::StreamDefinition& d, const Settings&) {
       return std::string(d.settings().keep_after_ack() ? kTrue : kFalse);
     },
     [](std::string_view value, v1::StreamDefinition& d) {
       return SetBool(value, [&](bool v) { d.mutable_settings()->set_keep_after_ack(v); });
     }},
    {"selvage.link_compression", ConfigType::kString, TopicConfig::Use::kSettable,
     "On the link, for batches that their producer did not compress: zstd or none.",
     [](const v1::StreamDefinition& d, const Settings&) {
       return WordOf(kLinkCompression, d.settings().link_compression());
     },
     [](std::string_view value, v1::StreamDefinition& d) {
       return SetWord(kLinkCompression, value,
                      [&](v1::LinkCompression v) { d.mutable_settings()->set_link_compression(v); });
     }},
    {"selvage.on_full", ConfigType::kString, TopicConfig::Use::kSettable,
     "What a write does when the disk budget is used up: reject, or drop_oldest.",
     [](const v1::StreamDefinition& d, const Settings&) { return WordOf(kOnFull, d.settings().on_full()); },
     [](std::string_view value, v1::StreamDefinition& d) {
       return SetWord(kOnFull, value, [&](v1::OnFull v) { d.mutable_settings()->set_on_full(v); });
     }},
    {"selvage.priority", ConfigType::kInt, TopicConfig::Use::kSettable,
     "0 to 9; a higher one overtakes on the link.",
     [](const v1::StreamDefinition& d, const Settings&) { return std::to_string(d.settings().priority()); },
     [](std::string_view value, v1::StreamDefinition& d) {
       return SetInRange(value, 0, 9,
                         [&](int64_t v) { d.mutable_settings()->set_priority(static_cast<uint32_t>(v)); });
     }},
    {"selvage.start_at", ConfigType::kString, TopicConfig::Use::kSettable,
     "Where a new edge starts in a down_shared stream: earliest or latest.",
     [](const v1::StreamDefinition& d, const Settings&) { return WordOf(kStartAt, d.settings().start_at()); },
     [](std::string_view value, v1::StreamDefinition& d) {
       return SetWord(kStartAt, value, [&](v1::StartAt v) { d.mutable_settings()->set_start_at(v); });
     }},
    {"selvage.weight", ConfigType::kInt, TopicConfig::Use::kSettable,
     "1 to 1000; share of the link within one priority.",
     [](const v1::StreamDefinition& d, const Settings&) { return std::to_string(d.settings().weight()); },
     [](std::string_view value, v1::StreamDefinition& d) {
       return SetInRange(value, 1, 1000,
                         [&](int64_t v) { d.mutable_settings()->set_weight(static_cast<uint32_t>(v)); });
     }},
    Constant<TopicConfig::Use::kIgnored, kFalse>("unclean.leader.election.enable", ConfigType::kBoolean,
                                                 "A node is one broker."),
};

absl::Status Apply(const ConfigChange& change, bool creating, const Settings& node,
                   v1::StreamDefinition& definition) {
  const auto& [name, value] = change;
  const TopicConfig* config = FindTopicConfig(name);
  if (config == nullptr) {
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_config",
                     fmt::format("there is no setting {}", name.substr(0, 100)), "docs/kafka.md lists them");
  }
  if (config->use == TopicConfig::Use::kIgnored) return absl::OkStatus();
  const std::string is = config->get(definition, node);
  if (config->use == TopicConfig::Use::kFixed && Lower(value) != Lower(is)) {
    return Annotate(Invalid(value, is), name);
  }
  if (config->use == TopicConfig::Use::kAtCreate && !creating && Lower(value) != is) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "immutable",
                     fmt::format("{} is {} for ever", name, is), "make another stream");
  }
  if (config->set == nullptr) return absl::OkStatus();
  const absl::Status set = config->set(value, definition);
  return set.ok() ? set : Annotate(set, name);
}

}  // namespace

std::span<const TopicConfig> TopicConfigs() {
  return kConfigs;
}

const TopicConfig* FindTopicConfig(std::string_view name) {
  for (const TopicConfig& config : kConfigs) {
    if (config.name == name) return &config;
  }
  return nullptr;
}

absl::Status ApplyConfigs(const std::vector<ConfigChange>& changes, bool creating, const Settings& node,
                          v1::StreamDefinition& definition) {
  for (const ConfigChange& change : changes) {
    SELVAGE_RETURN_IF_ERROR(Apply(change, creating, node, definition));
  }
  return absl::OkStatus();
}

std::string DefaultOf(const TopicConfig& config, const v1::StreamDefinition& definition,
                      const Settings& node) {
  v1::StreamDefinition as_made = definition;
  *as_made.mutable_settings() = DefaultStreamSettings();
  return config.get(as_made, node);
}

}  // namespace selvage::kafka
