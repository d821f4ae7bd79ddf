#include "fabric/config/reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/config/suggest.h"
#include "fabric/telemetry/text_escape.h"

namespace selvage {
namespace {

constexpr size_t kFileBytesMax = 1u << 20;

using Place = ConfigProblems::Place;

Place PlaceOf(const YAML::Mark& mark) {
  return mark.is_null() ? Place{} : Place{mark.line + 1, mark.column + 1};
}

std::string Joined(std::string_view prefix, std::string_view key) {
  return fmt::format("{}{}{}", prefix, prefix.empty() || key.empty() ? "" : ".", key);
}

/// Keys and the parser's messages may hold anything that the file holds.
std::string Harmless(std::string_view text) {
  std::string out;
  internal::AppendTextEscaped(out, text, false);
  return out;
}

std::string_view Kind(const YAML::Node& node) {
  if (node.IsMap()) return "a section";
  if (node.IsSequence()) return "a list";
  return node.IsNull() ? "nothing" : "a single value";
}

std::string MessageOf(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

/// Notes where a YAML document begins, and nothing else.
class BeginOfDocument final : public YAML::EventHandler {
 public:
  const std::optional<YAML::Mark>& mark() const { return mark_; }

  void OnDocumentStart(const YAML::Mark&) override { mark_.reset(); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { Note(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { Note(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t, const std::string&) override {
    Note(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    Note(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    Note(mark);
  }
  void OnMapEnd() override {}

 private:
  void Note(const YAML::Mark& mark) {
    if (!mark_) mark_ = mark;
  }
  std::optional<YAML::Mark> mark_;
};

/// False, with a problem added, when something follows the first document. Not YAML::LoadAll: it takes a
/// stray
/// ',', ']' or '}' for empty documents without end, until no memory is left.
bool NothingFollows(const std::string& text, ConfigProblems& problems) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  BeginOfDocument begin;
  if (!parser.HandleNextDocument(begin) || !parser.HandleNextDocument(begin)) return true;
  const YAML::Mark mark = begin.mark().value_or(YAML::Mark::null_mark());
  const auto at = static_cast<size_t>(mark.pos);
  const bool stray = at < text.size() && std::string_view(",]}").find(text[at]) != std::string_view::npos;
  problems.AddAt(PlaceOf(mark), "",
                 stray ? fmt::format("not valid YAML: a stray '{}'", text[at])
                       : "a second YAML document; only one is allowed");
  return false;
}

/// Walks one mapping, of the file or of a row, against its settings.
class MapReader {
 public:
  /// `path` stands before the paths of the settings in messages, for example "streams[0]".
  MapReader(const std::vector<Setting>& settings, std::string path, ConfigProblems& problems)
      : settings_(settings), path_(std::move(path)), problems_(problems) {}

  void Read(const YAML::Node& map, Place place) {
    Section(map, "");
    for (const Setting& setting : settings_) {
      if (!setting.required || seen_.contains(setting.path)) continue;
      problems_.AddAt(path_.empty() ? Place{} : place, Joined(path_, setting.path),
                      fmt::format("is required ({}, for example {})", setting.type, setting.example));
    }
  }

 private:
  /// `prefix` is the dotted path of the section within the settings.
  void Section(const YAML::Node& map, const std::string& prefix) {
    std::set<std::string> keys;
    for (const auto& entry : map) {
      const YAML::Node& key_node = entry.first;
      const Place place = PlaceOf(key_node.Mark());
      if (!key_node.IsScalar()) {
        problems_.AddAt(place, Joined(path_, prefix), "a key must be a word");
        continue;
      }
      const std::string& key = key_node.Scalar();
      const std::string path = Joined(prefix, key);
      if (!keys.insert(key).second) {
        problems_.AddAt(place, Joined(path_, path), "is given twice; keep one");
        continue;
      }
      Key(path, prefix, key, entry.second, place);
    }
  }

  void Key(const std::string& path, const std::string& prefix, const std::string& key,
           const YAML::Node& value, Place key_place) {
    const std::string shown = Joined(path_, path);
    if (const Setting* setting = Find(path)) {
      seen_.insert(path);
      const bool has_value = !value.IsNull();
      problems_.Locate(shown, has_value ? PlaceOf(value.Mark()) : key_place);
      if (!has_value) return problems_.Add(shown, "has no value; give one or remove the key");
      return Value(*setting, shown, value);
    }
    if (!IsSection(path)) return problems_.AddAt(key_place, shown, Unknown(prefix, key));
    if (value.IsMap()) return Section(value, path);
    // A section whose lines are all commented out is empty, not wrong.
    if (!value.IsNull()) {
      problems_.AddAt(PlaceOf(value.Mark()), shown, fmt::format("must be a section, not {}", Kind(value)));
    }
  }

  void Value(const Setting& setting, const std::string& shown, const YAML::Node& value) {
    if (setting.shape == Setting::Shape::kScalar) {
      if (value.IsScalar()) return Set(setting, shown, value);
      return problems_.Add(shown,
                           fmt::format("must be a single value ({}), not {}", setting.type, Kind(value)));
    }
    if (!value.IsSequence()) return problems_.Add(shown, fmt::format("must be a list, not {}", Kind(value)));
    if (setting.required && value.size() == 0) problems_.Add(shown, "must not be empty");
    for (size_t i = 0; i < value.size(); ++i) {
      const YAML::Node item = value[i];
      const std::string item_path = fmt::format("{}[{}]", shown, i);
      problems_.Locate(item_path, PlaceOf(item.Mark()));
      if (setting.shape == Setting::Shape::kRows) {
        Row(setting, item_path, item);
      } else if (item.IsScalar()) {
        Set(setting, item_path, item);
      } else {
        problems_.Add(item_path, fmt::format("must be a single value, not {}", Kind(item)));
      }
    }
  }

  void Row(const Setting& setting, const std::string& item_path, const YAML::Node& item) {
    if (!item.IsMap()) return problems_.Add(item_path, fmt::format("must be a section, not {}", Kind(item)));
    const std::vector<Setting> row = setting.add_row();
    ApplyDefaults(row);
    MapReader(row, item_path, problems_).Read(item, PlaceOf(item.Mark()));
  }

  void Set(const Setting& setting, const std::string& shown, const YAML::Node& value) {
    if (absl::Status status = setting.set(value.Scalar()); !status.ok())
      problems_.Add(shown, MessageOf(status));
  }

  const Setting* Find(std::string_view path) const {
    const auto at =
        std::find_if(settings_.begin(), settings_.end(), [&](const Setting& s) { return s.path == path; });
    return at == settings_.end() ? nullptr : &*at;
  }

  bool IsSection(const std::string& path) const {
    return std::any_of(settings_.begin(), settings_.end(),
                       [&](const Setting& s) { return s.path.starts_with(path + "."); });
  }

  /// What may stand directly in a section.
  std::vector<std::string> KeysIn(const std::string& prefix) const {
    std::vector<std::string> keys;
    for (const Setting& setting : settings_) {
      if (!prefix.empty() && !setting.path.starts_with(prefix + ".")) continue;
      std::string key = setting.path.substr(prefix.empty() ? 0 : prefix.size() + 1);
      key.resize(std::min(key.size(), key.find('.')));
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(std::move(key));
    }
    return keys;
  }

  std::string Unknown(const std::string& prefix, const std::string& key) const {
    const std::vector<std::string> keys = KeysIn(prefix);
    if (auto closest = internal::ClosestWord(key, keys)) {
      return fmt::format("is not a setting; did you mean {}?", Joined(Joined(path_, prefix), *closest));
    }
    // The right name in the wrong section.
    for (const Setting& setting : settings_) {
      if (setting.path.ends_with("." + key) || setting.path == key) {
        return fmt::format("is not a setting; did you mean {}?", Joined(path_, setting.path));
      }
    }
    return fmt::format("is not a setting; allowed here: {}", fmt::join(keys, ", "));
  }

  const std::vector<Setting>& settings_;
  const std::string path_;
  ConfigProblems& problems_;
  std::set<std::string> seen_;
};

}  // namespace

void ConfigProblems::Locate(std::string_view path, Place place) {
  places_.insert_or_assign(std::string(path), place);
}

void ConfigProblems::Add(std::string_view path, std::string_view problem) {
  const auto at = places_.find(path);
  AddAt(at == places_.end() ? Place{} : at->second, path, problem);
}

void ConfigProblems::AddAt(Place place, std::string_view path, std::string_view problem) {
  problems_.push_back({place, std::string(path), std::string(problem)});
}

void ConfigProblems::Require(bool holds, std::initializer_list<std::string_view> paths,
                             std::string_view problem) {
  if (holds) return;
  for (const Problem& known : problems_) {
    if (std::find(paths.begin(), paths.end(), known.path) != paths.end()) return;
  }
  Add(*paths.begin(), problem);
}

absl::Status ConfigProblems::ToStatus() const {
  if (problems_.empty()) return absl::OkStatus();
  std::vector<Problem> sorted = problems_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
  });
  std::vector<std::string> lines;
  for (const Problem& problem : sorted) {
    const Place at = problem.place;
    lines.push_back(
        fmt::format("{}{}: {}{}{}", file_, at.line > 0 ? fmt::format(":{}:{}", at.line, at.column) : "",
                    Harmless(problem.path),
                    problem.path.empty() ? "" : (problem.text.front() == '"' ? ": " : " "), problem.text));
  }
  std::string message =
      lines.size() == 1 ? lines.front()
                        : fmt::format("{}: {} problems\n  {}", file_, lines.size(), fmt::join(lines, "\n  "));
  return MakeError(absl::StatusCode::kInvalidArgument, "bad_config", message,
                   "--print-config-reference shows every setting");
}

void ApplyDefaults(const std::vector<Setting>& settings) {
  for (const Setting& setting : settings) {
    if (setting.shape == Setting::Shape::kScalar && !setting.required)
      SELVAGE_CHECK(setting.set(setting.default_text).ok());
  }
}

void ReadSettings(std::string_view yaml, const std::vector<Setting>& settings, ConfigProblems& problems) {
  ApplyDefaults(settings);
  try {
    const std::string text(yaml);
    if (!NothingFollows(text, problems)) return;
    const YAML::Node root = YAML::Load(text);
    if (!root.IsMap() && !root.IsNull()) {
      return problems.AddAt(PlaceOf(root.Mark()), "",
                            fmt::format("the file must hold settings as key: value, not {}", Kind(root)));
    }
    MapReader(settings, "", problems).Read(root, {1, 1});
  } catch (const YAML::Exception& e) {
    problems.AddAt(PlaceOf(e.mark), "", fmt::format("not valid YAML: {}", Harmless(e.msg)));
  }
}

absl::StatusOr<std::string> ReadConfigFile(const std::string& path) {
  const auto unreadable = [&](std::string_view reason) {
    return MakeError(absl::StatusCode::kInvalidArgument, "config_unreadable",
                     fmt::format("cannot read the configuration {}: {}", path, reason));
  };
  std::ifstream file(path, std::ios::binary);
  if (!file) return unreadable(std::strerror(errno));
  std::string text(kFileBytesMax + 1, '\0');
  errno = 0;
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.gcount() == 0 && errno != 0)) return unreadable(std::strerror(errno));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kFileBytesMax) return unreadable("larger than 1MiB");
  return text;
}

}  // namespace selvage
