#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <map>
#include <ostream>
#include <string>

#include "selvage/v1/admin.pb.h"

/// Tables that more than one noun prints.
namespace selvage::ctl {

/// One row for each log: what `stream describe` and `origin list` show.
void PrintLogs(std::ostream& out, const google::protobuf::RepeatedPtrField<v1::LogSummary>& logs);

/// One row for each flow: what `status` and `edge describe` show.
void PrintFlows(std::ostream& out, const google::protobuf::RepeatedPtrField<v1::FlowStatus>& flows);

/// One row for each table and node that reads it.
void PrintTables(std::ostream& out, const google::protobuf::RepeatedPtrField<v1::TableStatus>& tables);

/// "a=1,b=2", sorted.
std::string LabelText(const google::protobuf::Map<std::string, std::string>& labels);

/// "3.1 MiB of 10.0 GiB"; without the second part when there is no budget.
std::string StoreText(uint64_t bytes, uint64_t budget);

}  // namespace selvage::ctl
