#pragma once

#include "core/core_admin.h"
#include "core/core_topics.h"
#include "core/fleet.h"

namespace selvage::test {

inline CoreAdmin::Parts AdminParts(Fleet& fleet) {
  return {fleet.node.catalog(), fleet.node.logs(), fleet.node.alarms(), fleet.streams,
          fleet.logs,           fleet.edges,       fleet.specs,         fleet.admitter,
          fleet.links,          fleet.reports,     fleet.view};
}

inline CoreTopics::Parts TopicParts(Fleet& fleet, CoreAdmin& admin) {
  return {fleet.node.catalog(), fleet.node.logs(), fleet.core, fleet.edges, fleet.streams, admin};
}

}  // namespace selvage::test
