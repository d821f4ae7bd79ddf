#pragma once

#include <optional>
#include <string_view>

#include "fabric/node/damage_control.h"
#include "fabric/stream/embedded_log.h"
#include "fabric/stream/stream_catalog.h"

namespace selvage {

/// The peer's name in fences and origins at an edge: what came from the core. Not a DNS label, so no edge has
/// it.
inline constexpr std::string_view kCoreOrigin = "@core";

/// Which of a node's logs are written here, and where else each of them is held. Safe to use from several
/// threads.
class LogPlaces {
 public:
  /// `catalog` must outlive it.
  LogPlaces(bool is_edge, const StreamCatalog& catalog) : is_edge_(is_edge), catalog_(catalog) {}

  /// True for what is written here: at the core also the logs of per-edge down streams.
  bool IsSource(const LogOrigin& origin) const;
  /// True when this node is the source of a log and somebody replicates it from here.
  bool ReplicatedFromHere(const LogOrigin& origin, const v1::StreamDefinition& definition) const;
  /// Where else a log is held; nothing when its stream is not known (any more).
  std::optional<DamageControl::OtherCopy> OtherCopyOf(const Log& log) const;

 private:
  const bool is_edge_;
  const StreamCatalog& catalog_;
};

}  // namespace selvage
