#include "fabric/config/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "fabric/base/error.h"
#include "fabric/config/reference.h"

namespace selvage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Row {
  std::string name;
  uint32_t partitions = 0;
};
struct Target {
  std::string id;
  uint64_t budget = 0;
  absl::Duration timeout;
  bool remote = true;
  std::string format;
  Address proxy;
  std::vector<Address> addresses;
  std::vector<Row> rows;

  std::vector<Setting> Settings() {
    return {
        DnsLabelSetting("node.id", &id).Required("site-1").Help("Name."),
        AddressListSetting("link.addresses", &addresses).Required("core:1").Help("Where."),
        OptionalAddressSetting("link.proxy", &proxy).Help("Through what."),
        DurationSetting("link.timeout", &timeout, {.min = absl::Seconds(1), .max = absl::Hours(1)})
            .Default("30s")
            .Help("How long."),
        SizeSetting("storage.budget", &budget, {.min = kMiB, .max = kGiB, .zero = "no limit"})
            .Default("64MiB")
            .Help("How much."),
        BoolSetting("http.allow_remote", &remote).Default("false").Help("Whether."),
        ChoiceSetting("log.format", {"text", "json"}, &format).Default("text").Help("How."),
        RowsSetting("streams",
                    [this] {
                      Row& row = rows.emplace_back();
                      return std::vector<Setting>{
                          TextSetting("name", &row.name).Required("sensors").Help("Name."),
                          IntegerSetting("partitions", &row.partitions, {.min = 1, .max = 8})
                              .Default("1")
                              .Help("N.")};
                    })
            .Help("Streams."),
    };
  }

  absl::Status Read(std::string_view yaml) {
    ConfigProblems problems("edge.yaml");
    ReadSettings(yaml, Settings(), problems);
    return problems.ToStatus();
  }
};

constexpr char kMinimal[] = "node: {id: rig-7}\nlink: {addresses: [core:7443]}\n";

/// What `yaml` is refused with, when read behind the two lines of kMinimal.
std::string Refusal(const std::string& yaml) {
  const absl::Status status = Target().Read(kMinimal + yaml);
  EXPECT_EQ(ErrorKind(status), status.ok() ? "" : "bad_config");
  return std::string(status.message().data(), status.message().size());
}

TEST(Reader, ReadsEveryShapeAndKeepsDefaults) {
  Target target;
  ASSERT_EQ(Describe(target.Read(R"(
node:
  id: rig-7
link:
  addresses:
    - core-a.example.com:7443
    - "[2001:db8::1]:7443"
  timeout: 5m
storage:
  # nothing set here
streams:
  - name: sensors
    partitions: 4
  - {name: alarms}
)")),
            "ok");
  EXPECT_EQ(target.id, "rig-7");
  EXPECT_THAT(target.addresses,
              ElementsAre(Address{"core-a.example.com", 7443}, Address{"2001:db8::1", 7443}));
  EXPECT_EQ(target.timeout, absl::Minutes(5));
  EXPECT_EQ(target.budget, 64 * kMiB);
  EXPECT_FALSE(target.remote);
  EXPECT_EQ(target.format, "text");
  EXPECT_TRUE(target.proxy.empty());
  ASSERT_EQ(target.rows.size(), 2u);
  EXPECT_EQ(target.rows[0].name, "sensors");
  EXPECT_EQ(target.rows[0].partitions, 4u);
  EXPECT_EQ(target.rows[1].name, "alarms");
  EXPECT_EQ(target.rows[1].partitions, 1u);
}

TEST(Reader, TypicalMistakesGetExactlyOneClearLine) {
  struct Case {
    const char* yaml;
    const char* error;
  };
  const Case cases[] = {
      {"storage: {budget: 10XB}",
       "edge.yaml:3:19: storage.budget: \"10XB\" is not a size: write a whole number with B, KiB, MiB, GiB, "
       "TiB, kB, MB, GB or TB, for example 64MiB"},
      {"storage:\n  budget: 2GiB",
       "edge.yaml:4:11: storage.budget: \"2GiB\" is out of range: write 1MiB to 1GiB, or 0 for no limit"},
      {"storage:\n  bugdet: 2MiB",
       "edge.yaml:4:3: storage.bugdet is not a setting; did you mean storage.budget?"},
      {"budget: 2MiB", "edge.yaml:3:1: budget is not a setting; did you mean storage.budget?"},
      {"strage:\n  budget: 2MiB", "edge.yaml:3:1: strage is not a setting; did you mean storage?"},
      {"colour: red",
       "edge.yaml:3:1: colour is not a setting; allowed here: node, link, storage, http, log, streams"},
      {"storage:\n  budget: 2MiB\n  budget: 3MiB", "edge.yaml:5:3: storage.budget is given twice; keep one"},
      {"storage: {budget: 2MiB}\nstorage: {}", "edge.yaml:4:1: storage is given twice; keep one"},
      {"storage:\n  budget:", "edge.yaml:4:3: storage.budget has no value; give one or remove the key"},
      {"storage:\n  budget: [1MiB]",
       "edge.yaml:4:11: storage.budget must be a single value (size), not a list"},
      {"storage: 1MiB", "edge.yaml:3:10: storage must be a section, not a single value"},
      {"http: {allow_remote: yes}", "edge.yaml:3:22: http.allow_remote: \"yes\" is neither true nor false"},
      {"log: {format: xml}", "edge.yaml:3:15: log.format: \"xml\" is not a choice: write one of text, json"},
      {"streams: sensors", "edge.yaml:3:10: streams must be a list, not a single value"},
      {"streams: [sensors]", "edge.yaml:3:11: streams[0] must be a section, not a single value"},
      {"streams:\n  - partitions: 2",
       "edge.yaml:4:5: streams[0].name is required (text, for example sensors)"},
      {"streams:\n  - name: a\n    partitons: 2",
       "edge.yaml:5:5: streams[0].partitons is not a setting; did you mean streams[0].partitions?"},
      {"streams:\n  - {name: a, partitions: 9}",
       "edge.yaml:4:27: streams[0].partitions: \"9\" is out of range: write 1 to 8"},
      {"streams:\n  - {name: a, partitions: -1}",
       "edge.yaml:4:27: streams[0].partitions: \"-1\" is out of range"},
      {"streams:\n  - {name: ''}", "edge.yaml:4:12: streams[0].name must not be empty"},
      {"\"a\\eb\": 1",
       "edge.yaml:3:1: a\\x1bb is not a setting; allowed here: node, link, storage, http, log, streams"},
      {"? [a]\n: b", "edge.yaml:3:3: a key must be a word"},
      {"log:\n  format: \"text", "edge.yaml:4:16: not valid YAML: illegal EOF in scalar"},
      {"---\nlog: {}", "edge.yaml:4:1: a second YAML document; only one is allowed"},
  };
  for (const Case& c : cases) EXPECT_EQ(Refusal(c.yaml), c.error) << c.yaml;
}

TEST(Reader, PunctuationThatEndsNothingIsRefused) {
  const auto message = [](std::string_view yaml) { return std::string(Target().Read(yaml).message()); };
  EXPECT_EQ(message(","), "edge.yaml:1:1: not valid YAML: a stray ','");
  EXPECT_EQ(message(",node: [{"), "edge.yaml:1:1: not valid YAML: a stray ','");
}

TEST(Reader, MissingRequiredSettingsAreNamedWithAnExample) {
  EXPECT_EQ(Target().Read("").message(),
            "edge.yaml: 2 problems\n"
            "  edge.yaml: node.id is required (DNS label, for example site-1)\n"
            "  edge.yaml: link.addresses is required (list of host:port, for example core:1)");
  EXPECT_EQ(Target().Read("node: {id: a}\nlink: {addresses: []}").message(),
            "edge.yaml:2:19: link.addresses must not be empty");
}

TEST(Reader, AllProblemsAreListedInTheOrderOfTheFile) {
  EXPECT_EQ(
      Target()
          .Read("node:\n"
                "  id: Rig_7\n"
                "link:\n"
                "  addresses: [core:7443, core]\n"
                "  timeout: 30\n"
                "  timeuot: 30s\n")
          .message(),
      "edge.yaml: 4 problems\n"
      "  edge.yaml:2:7: node.id: \"Rig_7\" is not a DNS label: write 1 to 63 lower-case letters, digits and "
      "hyphens, no hyphen first or last\n"
      "  edge.yaml:4:26: link.addresses[1]: \"core\" is not an address: write host:port, for example "
      "core.example.com:7443 or [2001:db8::1]:7443\n"
      "  edge.yaml:5:12: link.timeout: \"30\" is not a duration: write a whole number with ms, s, m, h or d, "
      "for example 30s\n"
      "  edge.yaml:6:3: link.timeuot is not a setting; did you mean link.timeout?");
}

TEST(Reader, NotAMappingIsRefused) {
  EXPECT_EQ(Target().Read("- a").message(),
            "edge.yaml:1:1: the file must hold settings as key: value, not a list");
}

TEST(Reader, HostileYamlIsAnErrorNotACrash) {
  EXPECT_FALSE(Target().Read(std::string(100000, '[')).ok());
  EXPECT_FALSE(Target().Read(std::string(100000, '{')).ok());
  EXPECT_FALSE(Target().Read(std::string("node: \0\xff\xfe", 9)).ok());
  EXPECT_FALSE(Target().Read("a: &a [*a]").ok());
  EXPECT_FALSE(Target().Read("node: *nothing").ok());
  const std::string merge = std::string(kMinimal) + "<<: {log: {format: json}}";
  EXPECT_THAT(std::string(Target().Read(merge).message()), HasSubstr("<< is not a setting"));
}

TEST(Problems, RelationsAreNotHeldAgainstValuesThatAreAlreadyWrong) {
  ConfigProblems problems("edge.yaml");
  problems.Locate("a", {4, 2});
  problems.Require(false, {"a", "b"}, "must be less than b (3)");
  problems.Require(true, {"c"}, "never");
  EXPECT_EQ(problems.ToStatus().message(), "edge.yaml:4:2: a must be less than b (3)");
  problems.Require(false, {"b", "a"}, "must be more than a");
  EXPECT_EQ(problems.ToStatus().message(), "edge.yaml:4:2: a must be less than b (3)");
}

TEST(ConfigFile, SaysWhyItCannotBeRead) {
  const std::string directory = ::testing::TempDir();
  auto missing = ReadConfigFile(directory + "/selvage-no-such-file.yaml");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().message(), "cannot read the configuration " + directory +
                                            "/selvage-no-such-file.yaml: No such file or directory");
  auto not_a_file = ReadConfigFile(directory);
  ASSERT_FALSE(not_a_file.ok());
  EXPECT_THAT(std::string(not_a_file.status().message()), HasSubstr("Is a directory"));

  const std::string path = directory + "/selvage-config-test-" + std::to_string(getpid()) + ".yaml";
  std::ofstream(path) << "node: {}\n";
  EXPECT_EQ(ReadConfigFile(path).value(), "node: {}\n");
  std::ofstream(path) << std::string((1 << 20) + 1, '#');
  EXPECT_THAT(std::string(ReadConfigFile(path).status().message()), HasSubstr("larger than 1MiB"));
  unlink(path.c_str());
}

TEST(Sample, LoadsAsItIs) {
  Target target;
  const std::string sample = SampleConfig("test", target.Settings());
  EXPECT_EQ(Describe(target.Read(sample)), "ok") << sample;
  EXPECT_THAT(
      sample,
      HasSubstr("storage:\n  # How much. (size: 1MiB to 1GiB, or 0 for no limit)\n  budget: 64MiB\n"));
}

}  // namespace
}  // namespace selvage
