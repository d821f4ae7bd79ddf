#include "ctl/row_compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/table/rows_digest.h"

namespace selvage::ctl {
namespace {

using table::RowsDigest;

/// Rows of a part, by how far the comparison has gone into it. The last parts are read row by row. Large
/// steps ask less often, small ones carry less over a link.
constexpr std::array<uint32_t, 3> kRowsOfPart = {50'000, 2'500, 125};
constexpr size_t kRowByRow = kRowsOfPart.size() - 1;

absl::Status Unexpected(std::string_view end, std::string_view what) {
  return MakeError(absl::StatusCode::kInternal, "unexpected_answer", fmt::format("the {} {}", end, what));
}

/// The smaller of two ends of ranges, of which an empty one is the last of all.
std::string FirstOf(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return a.empty() ? b : a;
  return std::min(a, b);
}

class RowComparer {
 public:
  RowComparer(const TableCopies& copies, v1::DigestRowsRequest range)
      : copies_(copies), range_(std::move(range)) {}

  absl::StatusOr<RowComparison> Run() {
    SELVAGE_RETURN_IF_ERROR(Compare(range_.from(), range_.to(), 0));
    return std::move(result_);
  }

 private:
  enum class End { kCore, kEdge };
  static std::string_view NameOf(End end) { return end == End::kCore ? "core" : "edge"; }

  struct Answer {
    v1::DigestRowsResponse response;
    RowsDigest digest;
    std::string end;  ///< where the part ends; empty: with the last key of all
  };

  absl::StatusOr<Answer> Ask(End end, const std::string& from, const std::string& to, uint32_t rows_max,
                             bool versions) {
    v1::DigestRowsRequest request = range_;
    request.set_from(from);
    request.set_to(to);
    request.set_rows_max(rows_max);
    request.set_versions(versions);
    SELVAGE_ASSIGN_OR_RETURN(v1::DigestRowsResponse response,
                             (end == End::kCore ? copies_.core : copies_.edge)(request));
    if (response.has_next() && (response.next() <= from || (!to.empty() && response.next() >= to))) {
      return Unexpected(NameOf(end), "goes on with keys that were not asked for");
    }
    const auto digest = RowsDigest::From(response.digest(), response.rows());
    if (!digest) return Unexpected(NameOf(end), "gives a digest of another length");
    if (!range_.has_at_ms()) range_.set_at_ms(response.at_ms());
    if (incarnation_.empty()) incarnation_ = response.incarnation();
    if (incarnation_ != response.incarnation()) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "table_changed",
                       "they are different tables of one name", "selvagectl table describe says more");
    }
    std::string part_end = response.has_next() ? response.next() : to;
    return Answer{std::move(response), *digest, std::move(part_end)};
  }

  /// Until the first difference.
  absl::Status Compare(std::string from, const std::string& to, size_t depth) {
    if (depth == kRowByRow) return CompareRowByRow(std::move(from), to);
    while (true) {
      SELVAGE_ASSIGN_OR_RETURN(const Answer core, Ask(End::kCore, from, to, kRowsOfPart[depth], false));
      SELVAGE_ASSIGN_OR_RETURN(const bool equal, EdgeHas(core, from, kRowsOfPart[depth]));
      if (equal) {
        result_.rows += core.digest.rows();
      } else {
        SELVAGE_RETURN_IF_ERROR(Compare(from, core.end, depth + 1));
      }
      if (result_.difference || !core.response.has_next()) return absl::OkStatus();
      from = core.end;
    }
  }

  /// True when the edge has the rows of this part of the core's.
  absl::StatusOr<bool> EdgeHas(const Answer& core, std::string from, uint32_t rows_max) {
    RowsDigest edge;
    while (edge.rows() <= core.digest.rows()) {
      SELVAGE_ASSIGN_OR_RETURN(const Answer part, Ask(End::kEdge, from, core.end, rows_max, false));
      edge.Add(part.digest);
      if (!part.response.has_next()) return edge == core.digest;
      from = part.end;
    }
    return false;
  }

  absl::Status CompareRowByRow(std::string from, const std::string& to) {
    while (true) {
      SELVAGE_ASSIGN_OR_RETURN(const Answer core, Ask(End::kCore, from, to, kRowsOfPart.back(), true));
      SELVAGE_ASSIGN_OR_RETURN(const Answer edge, Ask(End::kEdge, from, to, kRowsOfPart.back(), true));
      const std::string end = FirstOf(core.end, edge.end);
      const auto difference = FirstDifference(core.response, edge.response, end);
      if (difference) {
        SELVAGE_ASSIGN_OR_RETURN(result_.difference, StillDifferent(*difference));
        if (result_.difference) return absl::OkStatus();
        from = difference->key;
        continue;
      }
      if (end == to) return absl::OkStatus();
      from = end;
    }
  }

  /// Among the keys before `end`; counts the rows before it.
  std::optional<RowDifference> FirstDifference(const v1::DigestRowsResponse& core,
                                               const v1::DigestRowsResponse& edge, const std::string& end) {
    int c = 0;
    int e = 0;
    const auto next = [&end](const v1::DigestRowsResponse& rows, int at) -> const v1::RowVersion* {
      if (at == rows.versions_size()) return nullptr;
      const v1::RowVersion& row = rows.versions(at);
      return end.empty() || row.key() < end ? &row : nullptr;
    };
    while (true) {
      const v1::RowVersion* at_core = next(core, c);
      const v1::RowVersion* at_edge = next(edge, e);
      if (at_core == nullptr && at_edge == nullptr) return std::nullopt;
      if (at_edge == nullptr || (at_core != nullptr && at_core->key() < at_edge->key())) {
        return RowDifference{.key = at_core->key(), .core_version = at_core->version(), .edge_version = {}};
      }
      if (at_core == nullptr || at_edge->key() < at_core->key()) {
        return RowDifference{.key = at_edge->key(), .core_version = {}, .edge_version = at_edge->version()};
      }
      if (at_core->version() != at_edge->version()) {
        return RowDifference{at_core->key(), at_core->version(), at_edge->version()};
      }
      ++result_.rows;
      ++c;
      ++e;
    }
  }

  /// Looks at the row again after each pause. Nothing when it is the same at both ends at last.
  absl::StatusOr<std::optional<RowDifference>> StillDifferent(const RowDifference& first) {
    RowDifference now = first;
    for (int looks = 0; copies_.pause(looks); ++looks) {
      SELVAGE_ASSIGN_OR_RETURN(now.core_version, VersionOf(End::kCore, first.key));
      SELVAGE_ASSIGN_OR_RETURN(now.edge_version, VersionOf(End::kEdge, first.key));
      if (now.core_version == now.edge_version) return std::nullopt;
    }
    now.changing = now.core_version != first.core_version || now.edge_version != first.edge_version;
    return std::optional(std::move(now));
  }

  absl::StatusOr<std::string> VersionOf(End end, const std::string& key) {
    SELVAGE_ASSIGN_OR_RETURN(const Answer answer, Ask(end, key, key + '\0', 1, true));
    return answer.response.versions().empty() ? std::string() : answer.response.versions(0).version();
  }

  const TableCopies& copies_;
  v1::DigestRowsRequest range_;
  std::string incarnation_;
  RowComparison result_;
};

}  // namespace

absl::StatusOr<RowComparison> CompareRows(const TableCopies& copies, const v1::DigestRowsRequest& range) {
  return RowComparer(copies, range).Run();
}

}  // namespace selvage::ctl
