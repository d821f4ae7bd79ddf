#include "ctl/digest_compare.h"

#include <fmt/format.h>

#include <algorithm>

#include "ctl/output.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

/// One copy, read page by page.
class Side {
 public:
  Side(std::string name, const DigestPages& pages) : name_(std::move(name)), pages_(pages) {}

  /// The first page, which tells where the copy starts and ends.
  absl::Status Open() {
    SELVAGE_ASSIGN_OR_RETURN(first_, pages_(kFromStart));
    return absl::OkStatus();
  }
  const v1::ReadDigestsResponse& first() const { return first_; }

  /// The entry that contains `offset`, or the first one after it when the copy has forgotten it; nothing when
  /// there is none. `offset` never decreases.
  absl::StatusOr<std::optional<v1::EntryDigest>> At(int64_t offset) {
    while (!entries_.empty() && entries_.front().to() <= offset) entries_.pop_front();
    if (entries_.empty()) SELVAGE_RETURN_IF_ERROR(ReadPage(offset));
    if (entries_.empty()) return std::optional<v1::EntryDigest>();
    return std::optional(entries_.front());
  }

 private:
  static constexpr int64_t kFromStart = -2;  // as FetchRequest has it

  absl::Status ReadPage(int64_t offset) {
    absl::StatusOr<v1::ReadDigestsResponse> page = pages_(offset);
    if (!page.ok() && ErrorKind(page.status()) == "offset_out_of_range")
      page = pages_(kFromStart);  // forgotten
    if (!page.ok()) return page.status();
    int64_t next = -1;
    for (const v1::EntryDigest& entry : page->entries()) {
      if (entry.to() <= entry.from() || (next >= 0 && entry.from() != next)) {
        return MakeError(
            absl::StatusCode::kInternal, "unexpected_answer",
            fmt::format("the entries of the {} do not follow each other at offset {}", name_, entry.from()));
      }
      next = entry.to();
      if (entry.to() > offset) entries_.push_back(entry);
    }
    return absl::OkStatus();
  }

  const std::string name_;
  const DigestPages& pages_;
  v1::ReadDigestsResponse first_;
  std::deque<v1::EntryDigest> entries_;
};

std::string EntryText(const v1::EntryDigest& entry) {
  return fmt::format("a {} {}..{} {}", entry.gap() ? "gap" : "batch", entry.from(), entry.to() - 1,
                     Hex(entry.digest()).substr(0, 16));
}

std::string DifferenceText(int64_t offset, const v1::EntryDigest& core, const v1::EntryDigest& edge) {
  return fmt::format("at offset {} the core has {}, the edge has {}", offset, EntryText(core),
                     EntryText(edge));
}

void AddGap(Comparison& result, bool at_core, int64_t from, int64_t to) {
  if (!result.gaps.empty() && result.gaps.back().at_core == at_core && result.gaps.back().to == from) {
    result.gaps.back().to = to;
  } else {
    result.gaps.push_back(OneSidedGap{at_core, from, to});
  }
}

/// One step at `offset`: counts an equal entry, notes a gap or a difference; returns where to go on.
int64_t Step(Comparison& result, int64_t offset, const v1::EntryDigest& core, const v1::EntryDigest& edge) {
  if (core.gap() != edge.gap()) {
    // Not damage: the gap's side knows that it lacks these records, and why.
    int64_t to = std::min(core.to(), edge.to());
    AddGap(result, core.gap(), offset, to);
    return to;
  }
  if (core.gap()) {  // both are gaps; they may be cut differently, which loses nothing
    int64_t to = std::min(core.to(), edge.to());
    if (core.from() == edge.from() && core.to() == edge.to()) ++result.entries;
    return to;
  }
  if (core.from() != edge.from() || core.to() != edge.to() || core.digest() != edge.digest()) {
    result.difference = DifferenceText(offset, core, edge);
    return result.to;
  }
  ++result.entries;
  result.records += core.to() - core.from();
  return core.to();
}

}  // namespace

absl::StatusOr<Comparison> CompareDigests(const DigestPages& core_pages, const DigestPages& edge_pages) {
  Side core("core", core_pages);
  Side edge("edge", edge_pages);
  SELVAGE_RETURN_IF_ERROR(core.Open());
  SELVAGE_RETURN_IF_ERROR(edge.Open());
  Comparison result;
  result.core_end = core.first().end();
  result.edge_end = edge.first().end();
  result.from = std::max(core.first().start(), edge.first().start());
  result.to = std::max(result.from, std::min(result.core_end, result.edge_end));
  if (core.first().log_id() != edge.first().log_id()) {
    result.difference = fmt::format("they are different logs: {} at the core, {} at the edge",
                                    Hex(core.first().log_id()), Hex(edge.first().log_id()));
    return result;
  }
  int64_t offset = result.from;
  while (offset < result.to && result.equal()) {
    SELVAGE_ASSIGN_OR_RETURN(std::optional<v1::EntryDigest> at_core, core.At(offset));
    SELVAGE_ASSIGN_OR_RETURN(std::optional<v1::EntryDigest> at_edge, edge.At(offset));
    if (!at_core || !at_edge) {
      return MakeError(
          absl::StatusCode::kInternal, "unexpected_answer",
          fmt::format("the {} has no entry at offset {}, before its end", at_core ? "edge" : "core", offset));
    }
    int64_t held = std::max(at_core->from(), at_edge->from());
    if (held > offset) {
      offset = held;  // one of them has forgotten the entries in between since we began
      continue;
    }
    offset = Step(result, offset, *at_core, *at_edge);
  }
  return result;
}

}  // namespace selvage::ctl
