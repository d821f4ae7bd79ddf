#pragma once

#include <google/protobuf/message.h>

#include <boost/json/value.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

/// What selvagectl prints: tables for people, JSON for programs. Tables show human units and no control
/// characters (names and messages come from other nodes); JSON holds raw numbers.
namespace selvage::ctl {

enum class Format { kTable, kJson };

/// Columns as wide as their widest cell, two blanks apart, a header in capitals.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string name;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// `cells` has one text for each column; an empty one is shown as "-".
  void Add(std::vector<std::string> cells);
  void Print(std::ostream& out) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// "name: value" lines with the values aligned.
void PrintFields(std::ostream& out, const std::vector<std::pair<std::string, std::string>>& fields);

/// A message as a tree: every field, with its name in the .proto file; enums as EnumWord, bytes in
/// hexadecimal, maps as objects, absent messages as null.
boost::json::value ToJson(const google::protobuf::Message& message);

/// JSON text. `indent` makes it a document over several lines; without it, one line. No newline at the end.
std::string JsonText(const boost::json::value& value, bool indent);

/// One document and a newline.
void PrintJson(std::ostream& out, const boost::json::value& value);
void PrintJson(std::ostream& out, const google::protobuf::Message& message);

/// An enumerator as it is written on the command line: DOWN_SHARED is "down-shared".
std::string EnumWord(std::string_view enumerator);

/// The text on one line and harmless to a terminal.
std::string Printable(std::string_view text);

/// True when the bytes are text that JSON can carry as it is.
bool IsUtf8(std::string_view bytes);

/// 16 bytes and the like, in hexadecimal.
std::string Hex(std::string_view bytes);

/// An error as {kind, message, hint, retryable}.
boost::json::value ErrorJson(const absl::Status& status);

/// "error: what; hint: what to do; a retry helps" and a newline.
void PrintError(std::ostream& err, const absl::Status& status);

}  // namespace selvage::ctl
