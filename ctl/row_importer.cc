#include "ctl/row_importer.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

absl::Status OfLine(const absl::Status& error, int64_t line) {
  return Annotate(error, fmt::format("line {}", line));
}

size_t BytesOfRow(const v1::RowOperation& operation) {
  return operation.key().size() + operation.put().row().size();
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

/// The node looked at the rows and does not take them, all or none: one by one shows which.
bool IsRefusal(const absl::Status& error) {
  return error.code() == absl::StatusCode::kInvalidArgument;
}

}  // namespace

RowImporter::RowImporter(Options options) : options_(std::move(options)), batch_(EmptyRequest()) {
  outcome_.lines = options_.skip;
}

v1::WriteRowsRequest RowImporter::EmptyRequest() const {
  v1::WriteRowsRequest request;
  request.set_table(options_.table);
  return request;
}

absl::Status RowImporter::Run(LineInput& input) {
  while (true) {
    if (options_.interrupted && options_.interrupted()) {
      outcome_.interrupted = true;
      return absl::OkStatus();
    }
    const auto line = input.Next();
    if (!line && input.at_end()) return Flush();
    if (!line) {
      SELVAGE_RETURN_IF_ERROR(input.ReadSome());
      continue;
    }
    if (++line_ > options_.skip) SELVAGE_RETURN_IF_ERROR(Take(*line));
  }
}

absl::Status RowImporter::Take(std::string_view line) {
  if (IsBlank(line)) return absl::OkStatus();
  auto row = ParseRowLine(line);
  if (!row.ok()) {
    --line_;  // the lines before are in, and this one is where to resume
    SELVAGE_RETURN_IF_ERROR(Flush());
    return OfLine(row.status(), line_ + 1);
  }
  v1::RowOperation& operation = *batch_.add_operations();
  operation.set_key(std::move(row->key));
  operation.mutable_put()->set_row(std::move(row->row));
  if (row->expires_at_ms) operation.mutable_put()->set_expires_at_ms(*row->expires_at_ms);
  batch_lines_.push_back(line_);
  batch_bytes_ += BytesOfRow(operation);
  if (batch_lines_.size() < options_.batch_rows && batch_bytes_ < options_.batch_bytes)
    return absl::OkStatus();
  return Flush();
}

absl::Status RowImporter::Flush() {
  const v1::WriteRowsRequest batch = std::exchange(batch_, EmptyRequest());
  const std::vector<int64_t> lines = std::exchange(batch_lines_, {});
  batch_bytes_ = 0;
  if (!lines.empty()) {
    const absl::Status sent = Send(batch);
    if (IsRefusal(sent)) {
      for (int i = 0; i < batch.operations_size(); ++i) {
        v1::WriteRowsRequest one = EmptyRequest();
        *one.add_operations() = batch.operations(i);
        const int64_t line = lines[static_cast<size_t>(i)];
        const absl::Status alone = batch.operations_size() == 1 ? sent : Send(one);
        if (!alone.ok()) return OfLine(alone, line);
        outcome_.lines = line;
      }
    } else if (!sent.ok()) {
      return Annotate(sent, fmt::format("lines {}..{}", lines.front(), lines.back()));
    }
  }
  outcome_.lines = std::max(outcome_.lines, line_);
  if (options_.progress) options_.progress(outcome_);
  return absl::OkStatus();
}

absl::Status RowImporter::Send(const v1::WriteRowsRequest& request) {
  const auto written = options_.write(request);
  if (!written.ok()) return written.status();
  outcome_.rows += request.operations_size();
  for (const v1::RowOperation& operation : request.operations()) outcome_.bytes += BytesOfRow(operation);
  return absl::OkStatus();
}

}  // namespace selvage::ctl
