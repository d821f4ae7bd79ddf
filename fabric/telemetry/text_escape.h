#pragma once

#include <string>
#include <string_view>

/// How foreign text enters a log line or a JSON document: it can neither end the line nor steer a terminal.
namespace selvage::internal {

/// Appends `text` as the inside of a JSON string (no quotes around it). Bytes that are not UTF-8 become
/// U+FFFD.
void AppendJsonEscaped(std::string& out, std::string_view text);
/// Appends `text` with control characters, backslashes and bytes that are not UTF-8 as \n, \t, \\ or \xNN,
/// and double quotes as \" when `quotes` is set.
void AppendTextEscaped(std::string& out, std::string_view text, bool quotes);
/// True when the text needs quotes around it in a key=value pair.
bool NeedsQuotes(std::string_view text);

}  // namespace selvage::internal
