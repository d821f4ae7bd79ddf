#include "edge/config.h"
#include "edge/node.h"
#include "fabric/base/error.h"
#include "fabric/daemon/daemon_main.h"
#include "fabric/daemon/node_certificate.h"

/// For jemalloc, which reads it before main: one arena, small caches for threads, and what was freed goes
/// back to the system within half a second, so that resident memory follows what is in use
/// (docs/benchmarks.md has what else was tried).
extern "C" const char* malloc_conf;
const char* malloc_conf =
    "narenas:1,background_thread:true,dirty_decay_ms:500,muzzy_decay_ms:0,"
    "lg_tcache_nslots_mul:-2,tcache_nslots_small_min:2,lg_tcache_max:12";

int main(int argc, char** argv) {
  std::string take_store_of;
  selvage::DaemonProgram program;
  program.name = "selvage-edge";
  program.sample_config = selvage::SampleEdgeConfig;
  program.check = [](const std::string& path) -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(selvage::EdgeConfig config, selvage::LoadEdgeConfig(path));
    return selvage::CheckCertificate(config, selvage::Role::kEdge);
  };
  program.run = [&take_store_of](const std::string& path) -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(selvage::EdgeConfig config, selvage::LoadEdgeConfig(path));
    config.take_store_of = take_store_of;
    return selvage::RunEdge(config);
  };
  program.options.push_back(
      {"--take-store-of",
       "Id of the edge whose store in data_dir this one takes over, for good (once); what its "
       "core does not hold yet goes there under this edge's name",
       &take_store_of});
  return selvage::RunDaemonMain(program, argc, argv);
}
