#include "core/config.h"
#include "core/node.h"
#include "fabric/base/error.h"
#include "fabric/daemon/daemon_main.h"
#include "fabric/daemon/node_certificate.h"

/// For jemalloc, which reads it before main. A core has memory and threads enough for its usual number of
/// arenas.
extern "C" const char* malloc_conf;
const char* malloc_conf = "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0";

int main(int argc, char** argv) {
  bool restored = false;
  std::string take_store_of;
  selvage::DaemonProgram program;
  program.name = "selvage-core";
  program.sample_config = selvage::SampleCoreConfig;
  program.check = [](const std::string& path) -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(selvage::CoreConfig config, selvage::LoadCoreConfig(path));
    return selvage::CheckCertificate(config, selvage::Role::kCore);
  };
  program.run = [&restored, &take_store_of](const std::string& path) -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(selvage::CoreConfig config, selvage::LoadCoreConfig(path));
    config.take_store_of = take_store_of;
    return selvage::RunCore(config, restored);
  };
  program.flags.push_back(
      {"--restored", "The data directory was restored from a backup: tell the edges (once)", &restored});
  program.options.push_back({"--take-store-of",
                             "Id of the core whose store in data_dir this one takes over, for good (once)",
                             &take_store_of});
  return selvage::RunDaemonMain(program, argc, argv);
}
