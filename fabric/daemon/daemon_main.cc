#include "fabric/daemon/daemon_main.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "absl/synchronization/mutex.h"
#include "fabric/base/error.h"
#include "fabric/process/terminate.h"
#include "fabric/telemetry/build_info.h"
#include "fabric/telemetry/log.h"
#include "fabric/telemetry/standard_descriptors.h"

namespace selvage {

int RunDaemonMain(const DaemonProgram& program, int argc, char** argv) {
  SecureStandardDescriptors();
  // Debian builds Abseil with its search for deadlocks, which keeps a graph of all mutexes under one lock.
  // Tests have it on.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);

  CLI::App app{VersionLine(program.name)};
  std::string config;
  bool check = false, print_reference = false, version = false;
  app.add_option("-c,--config,config", config, "Configuration file (YAML)");
  app.add_flag("--check-config", check,
               "Read the configuration and the certificate files, report every problem, and end");
  app.add_flag("--print-config-reference", print_reference,
               "Print a complete, commented configuration file, and end");
  app.add_flag("--version", version, "Print the version, and end");
  for (const DaemonProgram::Flag& flag : program.flags) app.add_flag(flag.name, *flag.value, flag.help);
  for (const DaemonProgram::Option& option : program.options)
    app.add_option(option.name, *option.value, option.help);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (version) {
    std::printf("%s\n", VersionLine(program.name).c_str());
    return 0;
  }
  if (print_reference) {
    std::fputs(program.sample_config().c_str(), stdout);
    return 0;
  }
  if (config.empty()) {
    std::fprintf(stderr, "%s: --config is missing; --print-config-reference shows what goes into it\n",
                 program.name.c_str());
    return 2;
  }
  if (check) {
    absl::Status status = program.check(config);
    if (status.ok()) {
      std::printf("%s: ok\n", config.c_str());
      return 0;
    }
    const std::string hint = ErrorHint(status);
    std::fprintf(stderr, "%s%s%s\n", std::string(status.message()).c_str(), hint.empty() ? "" : "; ",
                 hint.c_str());
    return 2;
  }
  ExplainTermination();
  absl::Status status = program.run(config);
  if (status.ok()) return 0;
  if (ErrorKind(status) == "bad_config" || ErrorKind(status) == "config_unreadable") {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 2;
  }
  LogError("stopped by a failure", {{"kind", ErrorKind(status)}, {"error", status}});
  return 1;
}

}  // namespace selvage
