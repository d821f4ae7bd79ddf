#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

/// What is served, as one table: requests are dispatched and checked by it, and the OpenAPI document is made
/// from it.
namespace selvage::api {

enum class Action {
  kListTables,
  kGetTable,
  kPutTable,
  kDropTable,
  kGetIndex,
  kPutIndex,
  kDropIndex,
  kScan,
  kGetRow,
  kPutRow,
  kPatchRow,
  kDeleteRow,
  kQuery,
  kBatch,
  kWatch,
  kListViews,
  kGetView,
  kPutView,
  kDropView,
  kRebuildView,
  kOpenApi,
};

inline constexpr std::string_view kJsonType = "application/json";
inline constexpr std::string_view kMergePatchType = "application/merge-patch+json";
inline constexpr std::string_view kUpdateType = "application/vnd.selvage.update+json";
inline constexpr std::string_view kEventStreamType = "text/event-stream";

struct Parameter {
  enum class Place { kPath, kQuery, kHeader };
  /// An integer in a range.
  struct Range {
    int64_t min = 0;
    int64_t max = 0;
  };

  std::string_view name;
  Place place = Place::kQuery;
  std::string_view description;
  std::optional<Range> range = {};  ///< without it a text
  std::string_view pattern = {};    ///< of a text, as a regular expression; whoever uses the text checks it
  std::string_view example = {};    ///< of a text that has a pattern
  size_t length_min = 0;            ///< of a text; bytes
  std::optional<size_t> length_max = {};
  std::string_view error_kind = "invalid_parameter";  ///< of a value that it cannot have
};

/// A body in one of the forms it may have. `schema` names one of Schemas(), or is empty where the form is no
/// JSON.
struct Content {
  std::string_view media_type;
  std::string_view schema;
};

struct Answer {
  int status = 200;
  std::string_view description;
  Content content = {};                        ///< without a media type there is no body
  std::vector<std::string_view> headers = {};  ///< names of ReplyHeaders()
};

struct Route {
  Action action;
  std::string_view method;
  std::string_view path;  ///< parts in braces are parameters, one segment each
  std::string_view id;    ///< of the operation
  std::string_view summary;
  std::string_view description = {};
  std::vector<Parameter> parameters = {};
  std::vector<Content> bodies = {};  ///< one of them must be sent; none: there must be no body
  size_t body_max = 0;               ///< bytes
  std::vector<Answer> answers = {};  ///< when the request is done
  std::vector<int> refusals = {};    ///< statuses of problems
  /// Whether the answer may be as long as a page of rows, so that memory is to be kept for it.
  bool long_answer = false;

  /// A GET is served as HEAD as well, unless it never ends.
  bool has_head() const { return method == "GET" && action != Action::kWatch; }
};

/// Rows in a page of a scan or a query: without a limit, and at most.
inline constexpr int64_t kPageRowsDefault = 1000;
inline constexpr int64_t kPageRowsMax = 10'000;
/// Of keys and JSON in a page; one row always fits.
inline constexpr size_t kPageBytesMax = 1u << 20;
/// 100 years.
inline constexpr int64_t kTtlMaxMs = int64_t{36'525} * 24 * 3600 * 1000;
/// The end of the year 9999.
inline constexpr int64_t kExpiresAtMaxMs = 253'402'300'799'999;

const std::vector<Route>& Routes();

struct Schema {
  std::string_view name;
  std::string_view json;  ///< a JSON Schema (2020-12)
};
const std::vector<Schema>& Schemas();

struct ReplyHeader {
  std::string_view name;
  std::string_view description;
};
const std::vector<ReplyHeader>& ReplyHeaders();

}  // namespace selvage::api
