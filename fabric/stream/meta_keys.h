#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "fabric/base/ids.h"

/// Keys of the meta family (docs/formats.md, "Meta family").
namespace selvage {

inline constexpr std::string_view kLogDocumentPrefix = "log/";  ///< + log number: StoredLog
inline constexpr std::string_view kNextLogKey = "next_log";     ///< number of the next log
inline constexpr std::string_view kGapIndexPrefix = "gap/";     ///< + log number + offset: the gap
inline constexpr std::string_view kProducerPrefix =
    "producer/";                                              ///< + log number + producer id: StoredProducer
inline constexpr std::string_view kStreamPrefix = "stream/";  ///< + name: StreamDefinition
inline constexpr std::string_view kAlarmPrefix = "alarm/";    ///< + id: AlarmDocument
inline constexpr std::string_view kEdgePrefix = "edge/";      ///< + id, at the core: StoredEdge
/// + id in hexadecimal digits, at the core: StoredModelRollout without its members
inline constexpr std::string_view kRolloutPrefix = "rollout/";
/// + that id, '/', edge id, at the core: StoredModelRollout.Member
inline constexpr std::string_view kRolloutMemberPrefix = "rollout_member/";
/// + edge id, '/', model, at the core: StoredModelAssignment
inline constexpr std::string_view kModelAssignmentPrefix = "model_assignment/";
inline constexpr std::string_view kReportPrefix = "report/";      ///< + edge id, at the core: StoredReport
inline constexpr std::string_view kCoreKey = "core";              ///< at the core: StoredCore
inline constexpr std::string_view kMembershipKey = "membership";  ///< at an edge: StoredMembership
inline constexpr std::string_view kSpecKey = "spec";              ///< at an edge: EdgeSpec

inline constexpr std::string_view kModelPinKey = "model_pin";      ///< at an edge: digest of the pinned root
inline constexpr std::string_view kModelTrustKey = "model_trust";  ///< at an edge: StoredModelTrust
inline constexpr std::string_view kModelPrefix = "model/";         ///< + name, at an edge: StoredEdgeModel
inline constexpr std::string_view kModelImportPrefix =
    "model_import/";  ///< + name, at an edge: digest of the manifest that was imported
inline constexpr std::string_view kModelRootPrefix = "model_root/";  ///< + version, at the core: ModelSigned
inline constexpr std::string_view kModelVersionPrefix =
    "model_version/";  ///< + digest of a manifest, at the core: ModelVersion
inline constexpr std::string_view kModelManifestPrefix =
    "model_manifest/";  ///< + digest of a manifest, at the core: ModelSigned

inline constexpr std::string_view kProducerIdsKey = "producer_ids";  ///< u64: first id not reserved yet

std::string LogDocumentKey(LogNumber log);
std::string GapIndexKey(LogNumber log, Offset offset);
/// What the keys of all producers of a log begin with.
std::string ProducerKeys(LogNumber log);
std::string ProducerKey(LogNumber log, int64_t producer);
/// The first key after all keys that start with `prefix`, which is not of bytes 0xff alone.
std::string PrefixEnd(std::string_view prefix);

/// "corrupt_meta" (kDataLoss): what the store holds under such a key cannot be read.
absl::Status DamagedMeta(std::string_view what);

}  // namespace selvage
