#include "edge/uplink_tables.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/error.h"

namespace selvage {

std::map<std::string, TableEnd::Offer> UplinkTables::Offers() {
  std::map<std::string, Offer> offers;
  for (v1::TableDefinition& definition : tables_.All()) {
    if (definition.direction() != v1::TABLE_UP && definition.direction() != v1::TABLE_BOTH) continue;
    Offer& offer = offers[definition.name()];
    offer.source.table = definition.name();
    offer.source.store_id = identity_.store_id();
    offer.source.reader = "core";
    offer.source.definition = std::move(definition);
  }
  return offers;
}

absl::StatusOr<table::TableSink::Options> UplinkTables::TableFor(const v1::FlowOpen& open) {
  const v1::TableDefinition& offered = open.table().definition();
  const auto peer = StoreId::FromBytes(open.table().store_id());
  const auto have = tables_.Find(offered.name());
  if (!have || !peer || have->incarnation() != offered.incarnation()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "table_changed",
                     fmt::format("table {} is not here as the core has it", offered.name().substr(0, 200)),
                     "the spec brings it", Retry::kYes);
  }
  if (have->direction() == v1::TABLE_LOCAL) {
    return MakeError(absl::StatusCode::kPermissionDenied, "permission_denied",
                     fmt::format("rows of table {} do not come from the core", offered.name()));
  }
  return table::TableSink::Options{.table = have->name(),
                                   .incarnation = *table::Incarnation::FromBytes(have->incarnation()),
                                   .store_id = identity_.store_id(),
                                   .peer = *peer,
                                   .snapshots = true,
                                   // The core may have less of such a table than its writers.
                                   .sweeps = have->direction() != v1::TABLE_UP};
}

}  // namespace selvage
