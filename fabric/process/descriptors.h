#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"

/// How a daemon shares out its file descriptors, so that clients cannot take those that the store, the link
/// and the operators need: an engine that cannot open its next file stops the node.
namespace selvage {

/// What clients may have at most, wherever there are descriptors enough.
struct DescriptorWants {
  size_t kafka = 0;  ///< connections of Kafka clients
  size_t links = 0;  ///< links that are accepted
  size_t api = 0;    ///< connections of HTTP clients that use tables
};

struct DescriptorShares {
  uint64_t limit = 0;   ///< of the process
  int store_files = 0;  ///< that the engine keeps open
  size_t http = 0;      ///< connections of scrapers and probes
  size_t admin = 0;     ///< connections of operators
  size_t api = 0;
  size_t kafka = 0;
  size_t links = 0;
};

/// Store and operators first; what is left goes to clients. Error: "too_few_descriptors"
/// (kResourceExhausted).
absl::StatusOr<DescriptorShares> ShareDescriptors(uint64_t limit, const DescriptorWants& wants);

/// Raises the soft limit of this process to the hard one: the limit from here on.
uint64_t RaiseDescriptorLimit();

/// Both, and says in the log what came of it; a warning when clients get less than they might want. Call it
/// before anything listens.
absl::StatusOr<DescriptorShares> TakeDescriptors(const DescriptorWants& wants);

}  // namespace selvage
