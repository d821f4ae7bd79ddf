#include "fabric/node/log_places.h"

namespace selvage {

bool LogPlaces::ReplicatedFromHere(const LogOrigin& origin, const v1::StreamDefinition& definition) const {
  if (is_edge_) return origin.edge.empty() && definition.direction() == v1::UP;
  // A shared stream is kept as its retention says, whoever has read it.
  return definition.direction() == v1::DOWN;
}

bool LogPlaces::IsSource(const LogOrigin& origin) const {
  if (is_edge_ || origin.edge.empty()) return origin.edge.empty();
  const auto definition = catalog_.Find(origin.stream);
  return definition && definition->direction() != v1::UP;
}

std::optional<DamageControl::OtherCopy> LogPlaces::OtherCopyOf(const Log& log) const {
  const LogOrigin& origin = log.origin();
  const auto definition = catalog_.Find(origin.stream);
  if (!definition) return std::nullopt;
  const v1::Direction direction = definition->direction();
  if (!IsSource(origin)) return DamageControl::OtherCopy{.to = Offset(INT64_MAX)};
  if (direction == v1::LOCAL) return DamageControl::OtherCopy{.to = Offset(0), .is_source = true};
  return DamageControl::OtherCopy{.to = log.acknowledged().value_or(Offset(0)),
                                  .is_source = true,
                                  .several = direction == v1::DOWN_SHARED};
}

}  // namespace selvage
