#pragma once

#include <string>
#include <vector>

#include "fabric/api/message.h"
#include "fabric/table/query.h"
#include "fabric/table/table_types.h"
#include "selvage/v1/table.pb.h"

/// What answers hold.
namespace selvage::api {

/// 200 with a JSON document.
Reply JsonReply(std::string json);

/// A row as a resource: its JSON, its version as entity tag, and when it expires.
Reply RowReply(const table::RowView& row);
/// A row that the client has in this version.
Reply NotModifiedReply(const table::RowView& row);
/// What became of a PUT, PATCH or DELETE of a row.
Reply WrittenReply(const table::RowWritten& written);

std::string PageJson(const table::ScanPage& page);
/// `count`: only the number of rows was asked for.
std::string PageJson(const table::QueryPage& page, bool count);
/// `plan`: JSON.
std::string PlanJson(const std::string& plan);
/// `written`: one for each of the operations.
std::string BatchJson(const std::vector<std::string>& keys, const std::vector<table::RowWritten>& written);

std::string DefinitionJson(const v1::TableDefinition& definition);
std::string TablesJson(const std::vector<v1::TableDefinition>& definitions);
/// A definition with how much the table holds, the position that a watch can begin at, and its indexes.
std::string TableJson(const v1::TableDefinition& definition, const table::TableFacts& facts,
                      const std::vector<table::IndexFacts>& indexes);
std::string IndexJson(const table::IndexFacts& index);

// Events, as text/event-stream has them.
/// The change of one row, with its position as the event's id.
std::string ChangeEvent(const table::RowChanged& change);
/// Says that everything before `position` was sent, in a form that clients keep and do not see.
std::string PositionEvent(const table::FeedPosition& position);
/// The watch ends: why, as problem details.
std::string ProblemEvent(const absl::Status& error);

}  // namespace selvage::api
