#include "core/config.h"
#include "core/node.h"
#include "fabric/base/error.h"
#include "fabric/control/daemon_main.h"
#include "fabric/control/node_certificate.h"

int main(int argc, char** argv) {
  bool restored = false;
  selvage::DaemonProgram program;
  program.name = "selvage-core";
  program.sample_config = selvage::SampleCoreConfig;
  program.check = [](const std::string& path) -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(selvage::CoreConfig config, selvage::LoadCoreConfig(path));
    return selvage::CheckCertificate(config, selvage::Role::kCore);
  };
  program.run = [&restored](const std::string& path) -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(selvage::CoreConfig config, selvage::LoadCoreConfig(path));
    return selvage::RunCore(config, restored);
  };
  program.flags.push_back(
      {"--restored", "The data directory was restored from a backup: tell the edges (once)", &restored});
  return selvage::RunDaemonMain(program, argc, argv);
}
