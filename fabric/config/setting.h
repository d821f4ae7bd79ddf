#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fabric/config/value.h"

/// The rows of a daemon's configuration table. The reader, the reference page and the sample file all come
/// from the same rows, so they cannot disagree.
namespace selvage {

/// One row. Made by the functions below, which bind it to the variable that receives the value; that variable
/// must outlive the row.
struct Setting {
  enum class Shape {
    kScalar,
    kList,  ///< scalars; `set` is called once for each
    kRows,  ///< maps with settings of their own
  };

  std::string path;     ///< dotted, for example "storage.budget"
  std::string type;     ///< one word or two, for example "size"
  std::string allowed;  ///< what restricts it further; may be empty
  Shape shape = Shape::kScalar;
  bool required = false;
  std::string default_text;  ///< as it would be written; ignored for a required setting
  std::string example;       ///< what the sample file shows for a required setting
  std::string help;          ///< one sentence or more, without Markdown

  /// Takes a value as it is written. The error says what is wrong with it and what is allowed.
  std::function<absl::Status(const std::string&)> set;
  /// For kRows: adds an element to the target and returns the settings of that element, good until the next
  /// call.
  std::function<std::vector<Setting>()> add_row;

  Setting& Default(std::string text);
  Setting& Required(std::string example_text);
  Setting& Help(std::string text);
};

/// What a number may be. With `zero` set, 0 is allowed too and means that, for example "no limit".
template <class T>
struct Limits {
  T min;
  T max;
  std::string zero = {};
};

Setting TextSetting(std::string path, std::string* target);
/// `parse` decides what is allowed and says so in its error.
Setting CheckedTextSetting(std::string path, std::string type, std::string* target,
                           std::function<absl::StatusOr<std::string>(std::string_view)> parse);
Setting BoolSetting(std::string path, bool* target);
Setting SizeSetting(std::string path, uint64_t* target, Limits<uint64_t> limits);
Setting RateSetting(std::string path, uint64_t* target, Limits<uint64_t> limits);
Setting DurationSetting(std::string path, absl::Duration* target, Limits<absl::Duration> limits);
Setting IntegerSetting(std::string path, uint32_t* target, Limits<uint32_t> limits);
Setting DnsLabelSetting(std::string path, std::string* target);
Setting ListenSetting(std::string path, Address* target);
/// Also "off" or an empty text, which leave the address empty.
Setting OptionalListenSetting(std::string path, Address* target);
/// An empty text is allowed and means none.
Setting OptionalAddressSetting(std::string path, Address* target);
/// At least one.
Setting AddressListSetting(std::string path, std::vector<Address>* target);
/// One of `words`; `store` gets its place among them.
Setting ChoiceSetting(std::string path, std::vector<std::string> words, std::function<void(size_t)> store);
Setting ChoiceSetting(std::string path, std::vector<std::string> words, std::string* target);
Setting RowsSetting(std::string path, std::function<std::vector<Setting>()> add_row);

}  // namespace selvage
