#include "fabric/config/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace selvage {
namespace {

constexpr char kIntroduction[] = R"(# Configuration

<!-- Generated from the tables in edge/config.cc, core/config.cc and fabric/config/daemon_config.cc; a test compares. -->

Each daemon reads one YAML file. `--check-config` reads it, reports every problem with file, line, column and what is
allowed, and ends; `--print-config-reference` prints a complete file with every setting at its default. Unknown and
repeated keys are errors. A dot in a name below is a level in the file: `storage.budget` is `budget` under `storage`.

How values are written:

| Type | Written as |
| --- | --- |
| size | a whole number with `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024), `kB`, `MB`, `GB` or `TB`; bytes without a unit |
| duration | a whole number with `ms`, `s`, `m`, `h` or `d` |
| rate | a whole number with `bit/s`, `kbit/s`, `Mbit/s`, `Gbit/s`, `B/s`, `KiB/s`, `MiB/s`, `GiB/s`, `kB/s`, `MB/s` or `GB/s` |
| host:port | a name or an IP address and a port; an IPv6 address in brackets, `[2001:db8::1]:7443` |
| IP:port | the same, but an IP address or `localhost`; port 0 lets the system choose |
| DNS label | 1 to 63 lower-case letters, digits and hyphens, no hyphen first or last |
| text, choice, number, true or false | as in YAML |
)";

std::string DefaultOf(const Setting& setting) {
  if (setting.required) return "required";
  if (setting.shape != Setting::Shape::kScalar) return "empty";
  return setting.default_text.empty() ? "none" : fmt::format("`{}`", setting.default_text);
}

void AppendTable(std::string& out, const std::vector<Setting>& settings) {
  out += "\n| Setting | Type | Default | Allowed | Meaning |\n| --- | --- | --- | --- | --- |\n";
  for (const Setting& setting : settings) {
    fmt::format_to(std::back_inserter(out), "| `{}` | {} | {} | {} | {} |\n", setting.path, setting.type,
                   DefaultOf(setting), setting.allowed, setting.help);
  }
}

/// Lines of at most about 100 columns, each after `indent` and "# ".
void AppendComment(std::string& out, const std::string& indent, std::string_view text) {
  constexpr size_t kWidth = 96;
  while (!text.empty()) {
    size_t size = text.size();
    if (size > kWidth) {
      const size_t space = text.rfind(' ', kWidth);
      size = space == std::string_view::npos ? text.size() : space;
    }
    fmt::format_to(std::back_inserter(out), "{}# {}\n", indent, text.substr(0, size));
    text.remove_prefix(std::min(text.size(), size + 1));
  }
}

std::string CommentOf(const Setting& setting) {
  std::string about = setting.type;
  if (!setting.allowed.empty()) about += ": " + setting.allowed;
  return fmt::format("{} ({}{})", setting.help, setting.required ? "required; " : "", about);
}

/// Text that YAML would not read back as it is needs quotes.
std::string YamlValue(const std::string& text) {
  return text.empty() ? R"("")" : text;
}

/// A row with all its settings, commented out: an example, not a default.
void AppendRowExample(std::string& out, const std::string& indent, const std::vector<Setting>& row) {
  out += indent + "# For example, in place of []:\n";
  const char* lead = "- ";
  for (const Setting& setting : row) {
    AppendComment(out, indent + "#   ", CommentOf(setting));
    fmt::format_to(std::back_inserter(out), "{}# {}{}: {}\n", indent, lead, setting.path,
                   YamlValue(setting.required ? setting.example : setting.default_text));
    lead = "  ";
  }
}

void AppendSample(std::string& out, const std::string& indent, const std::string& key,
                  const Setting& setting) {
  AppendComment(out, indent, CommentOf(setting));
  if (setting.shape == Setting::Shape::kRows) {
    fmt::format_to(std::back_inserter(out), "{}{}: []\n", indent, key);
    AppendRowExample(out, indent, setting.add_row());
    return;
  }
  const std::string value = setting.required ? setting.example : setting.default_text;
  if (setting.shape == Setting::Shape::kList) {
    fmt::format_to(std::back_inserter(out), "{}{}: [{}]\n", indent, key, value);
  } else {
    fmt::format_to(std::back_inserter(out), "{}{}: {}\n", indent, key, YamlValue(value));
  }
}

}  // namespace

std::string SampleConfig(std::string_view program, const std::vector<Setting>& settings) {
  std::string out = fmt::format(
      "# Configuration of {}: every setting at its default; required ones show an example.\n", program);
  std::string section;
  for (const Setting& setting : settings) {
    const size_t dot = setting.path.find('.');
    const std::string owner = dot == std::string::npos ? "" : setting.path.substr(0, dot);
    if (owner != section && !owner.empty()) out += "\n" + owner + ":\n";
    if (owner != section && owner.empty()) out += "\n";
    section = owner;
    AppendSample(out, owner.empty() ? "" : "  ", owner.empty() ? setting.path : setting.path.substr(dot + 1),
                 setting);
  }
  return out;
}

std::string ReferenceIntroduction() {
  return kIntroduction;
}

std::string ReferenceSection(std::string_view program, std::string_view about,
                             const std::vector<Setting>& settings) {
  std::string section = fmt::format("\n## {}\n\n{}\n", program, about);
  AppendTable(section, settings);
  for (const Setting& setting : settings) {
    if (setting.shape != Setting::Shape::kRows) continue;
    fmt::format_to(std::back_inserter(section), "\nEach element of `{}`:\n", setting.path);
    AppendTable(section, setting.add_row());
  }
  return section;
}

}  // namespace selvage
