/// HTTP requests for tables and views: a request line, header lines and, behind an empty line, a body.
#include <algorithm>
#include <string>
#include <variant>

#include "absl/strings/ascii.h"
#include "fabric/api/call.h"
#include "fabric/api/conditions.h"
#include "fabric/api/problem.h"
#include "fabric/api/request_json.h"
#include "fabric/api/view_json.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/table/canonical_json.h"
#include "tests/fuzz/input.h"

namespace selvage::api {
namespace {

/// Up to `end`, which is taken as well; or all of it.
std::string_view Take(std::string_view& text, std::string_view end) {
  const size_t at = std::min(text.find(end), text.size());
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(std::min(at + end.size(), text.size()));
  return taken;
}

RequestHead ReadHead(std::string_view& text) {
  RequestHead head;
  head.method = Take(text, " ");
  head.target = Take(text, "\n");
  for (std::string_view line = Take(text, "\n"); !line.empty(); line = Take(text, "\n")) {
    const std::string_view name = Take(line, ": ");
    head.headers[absl::AsciiStrToLower(absl::string_view(name.data(), name.size()))] = line;
  }
  return head;
}

/// What refuses a request is a problem that says so, and is the client's fault.
void CheckRefusal(const Reply& refusal) {
  SELVAGE_CHECK(refusal.status >= 400 && refusal.status < 500);
  SELVAGE_CHECK(HttpStatusOf(refusal.error) == refusal.status);
  const auto problem = table::ParseFields(refusal.body);
  SELVAGE_CHECK(problem.ok());
  SELVAGE_CHECK(problem->find("status")->second.text() == std::to_string(refusal.status));
}
void CheckRefusal(const absl::Status& status) {
  SELVAGE_CHECK(IsErrorKind(ErrorKind(status)));
  CheckRefusal(Refuse(status));
}

template <class T>
void CheckRead(const absl::StatusOr<T>& read) {
  if (!read.ok()) CheckRefusal(read.status());
}

void CheckScan(const absl::StatusOr<table::ScanRequest>& scan) {
  if (!scan.ok()) return CheckRefusal(scan.status());
  SELVAGE_CHECK(scan->rows_max >= 1 && scan->rows_max <= static_cast<size_t>(kPageRowsMax));
  SELVAGE_CHECK(*ReadContinuation(Continuation(scan->from)) == scan->from);
}

void CheckCall(const Call& call) {
  constexpr int64_t kNowMs = 1'700'000'000'000;
  for (const Parameter& parameter : call.route->parameters) {
    const std::string* value = call.Find(parameter.name);
    SELVAGE_CHECK(value != nullptr || parameter.place != Parameter::Place::kPath);
    if (value == nullptr) continue;
    SELVAGE_CHECK(table::IsValidUtf8(*value));
    SELVAGE_CHECK(PercentDecode(PercentEncode(*value), true) == *value);
    if (parameter.range) SELVAGE_CHECK(call.Integer(parameter.name).has_value());
  }
  switch (call.route->action) {
    case Action::kGetRow:
      return CheckRead(ReadCondition(call, table::RowDigest()));
    case Action::kPutRow:
    case Action::kPatchRow:
    case Action::kDeleteRow:
      return CheckRead(ReadRowOperation(call, kNowMs));
    case Action::kBatch:
      return CheckRead(ReadBatch(call.body, kNowMs));
    case Action::kScan:
      return CheckScan(ReadScan(call));
    case Action::kQuery:
      return CheckRead(ReadQuery(call.body));
    case Action::kPutIndex:
      return CheckRead(ReadIndex(call.body));
    case Action::kPutTable:
      return CheckRead(ReadDefinition(call.Text("table"), call.body));
    case Action::kPutView:
      return CheckRead(ReadView(call.Text("view"), call.body));
    default:
      return;
  }
}

}  // namespace
}  // namespace selvage::api

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace selvage::api;
  selvage::fuzz::Input input(data, size);
  std::string_view text = input.Rest();
  auto begun = BeginCall(ReadHead(text));
  if (const auto* refusal = std::get_if<Reply>(&begun)) {
    CheckRefusal(*refusal);
    return 0;
  }
  Call& call = std::get<Call>(begun);
  call.body = text;
  CheckCall(call);
  return 0;
}
