#include "fabric/admin/log_pages.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/stream/log_format.h"
#include "fabric/stream/record_batch.h"

namespace selvage {
namespace {

constexpr size_t kDigestReadBytes = 1u << 20;
/// Retention may pass the start between looking it up and reading from it.
constexpr int kStartAttempts = 5;

absl::StatusOr<Offset> Resolve(Log& log, int64_t offset) {
  if (offset >= 0) return Offset(offset);
  const LogState state = log.state();
  if (offset == kOffsetEnd) return state.end;
  if (offset == kOffsetStart) return state.log_start();
  return MakeError(absl::StatusCode::kOutOfRange, "offset_out_of_range",
                   fmt::format("{} is not an offset", offset),
                   "an offset from 0 on, -1 for the end or -2 for the start");
}

struct Page {
  Offset from;
  std::vector<Entry> entries;
};

absl::StatusOr<Page> ReadPage(Log& log, int64_t offset, size_t max_bytes, bool from_disk) {
  for (int attempt = 1;; ++attempt) {
    SELVAGE_ASSIGN_OR_RETURN(const Offset from, Resolve(log, offset));
    auto entries = log.Read(from, max_bytes, from_disk);
    if (entries.ok()) return Page{from, *std::move(entries)};
    const bool start_moved = offset == kOffsetStart && ErrorKind(entries.status()) == "offset_out_of_range";
    if (!start_moved || attempt == kStartAttempts) return entries.status();
  }
}

std::string Digest(std::string_view bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  return std::string(reinterpret_cast<const char*>(canonical.digest), sizeof canonical.digest);
}

}  // namespace

absl::Status FetchPage(Log& log, const v1::FetchRequest& request, v1::FetchResponse& response) {
  const uint32_t wanted = request.max_bytes() == 0 ? kFetchBytesMax : request.max_bytes();
  SELVAGE_ASSIGN_OR_RETURN(Page page,
                           ReadPage(log, request.offset(), std::min(wanted, kFetchBytesMax), false));
  for (const Entry& entry : page.entries) {
    v1::FetchedEntry& fetched = *response.add_entries();
    fetched.set_from(entry.from.value());
    fetched.set_to(entry.to.value());
    if (entry.kind == EntryKind::kBatch) {
      fetched.set_batch(entry.body.data(), entry.body.size());
      continue;
    }
    SELVAGE_ASSIGN_OR_RETURN(const Gap gap, DecodeGap(entry.body.view()));
    fetched.set_gap(true);
    fetched.set_gap_reason(std::string(GapReasonName(gap.reason)));
  }
  // Looked up after the entries, so that the end is never before them.
  const LogState state = log.state();
  response.set_start(state.log_start().value());
  response.set_high_watermark(state.end.value());
  response.set_next_offset((page.entries.empty() ? page.from : page.entries.back().to).value());
  return absl::OkStatus();
}

absl::Status DigestPage(Log& log, const v1::ReadDigestsRequest& request, v1::ReadDigestsResponse& response) {
  const uint32_t wanted = request.max_entries() == 0 ? kDigestEntriesMax : request.max_entries();
  const int entries_max = static_cast<int>(std::min(wanted, kDigestEntriesMax));
  int64_t offset = request.offset();
  size_t bytes = 0;
  while (response.entries_size() < entries_max && bytes < kDigestBytesMax) {
    SELVAGE_ASSIGN_OR_RETURN(Page page, ReadPage(log, offset, kDigestReadBytes, true));
    if (page.entries.empty()) break;
    for (const Entry& entry : page.entries) {
      if (response.entries_size() == entries_max) break;
      v1::EntryDigest& digest = *response.add_entries();
      digest.set_from(entry.from.value());
      digest.set_to(entry.to.value());
      digest.set_gap(entry.kind == EntryKind::kGap);
      digest.set_digest(Digest(entry.body.view()));
      bytes += entry.body.size();
      offset = entry.to.value();
    }
  }
  const LogState state = log.state();
  response.set_log_id(state.id.bytes());
  response.set_start(state.start.value());
  response.set_end(state.end.value());
  return absl::OkStatus();
}

}  // namespace selvage
