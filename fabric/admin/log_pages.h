#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/stream/log_store.h"
#include "selvage/v1/admin.pb.h"

/// Parts of a log as answers to one call, of bounded size.
namespace selvage {

inline constexpr int64_t kOffsetEnd = -1;    ///< FetchRequest.offset: the end of the log
inline constexpr int64_t kOffsetStart = -2;  ///< and its start

inline constexpr uint32_t kFetchBytesMax = 4u
                                           << 20;  ///< of entries in one answer; one larger entry comes alone
inline constexpr uint32_t kDigestEntriesMax = 1000;
inline constexpr size_t kDigestBytesMax = 32u << 20;  ///< read from the disk for one answer

/// Entries from the request's offset on; none at the end. Gap entries are named with their reason. Errors:
/// "offset_out_of_range", those of Log::Read.
absl::Status FetchPage(Log& log, const v1::FetchRequest& request, v1::FetchResponse& response);

/// XXH3-128 of the stored bytes of each entry, read from the disk, in the canonical (big-endian) form. The
/// same errors.
absl::Status DigestPage(Log& log, const v1::ReadDigestsRequest& request, v1::ReadDigestsResponse& response);

}  // namespace selvage
