#include "edge/config.h"
#include "edge/node.h"
#include "fabric/base/error.h"
#include "fabric/control/daemon_main.h"

int main(int argc, char** argv) {
  std::string take_store_of;
  selvage::DaemonProgram program;
  program.name = "selvage-edge";
  program.sample_config = selvage::SampleEdgeConfig;
  program.check = [](const std::string& path) { return selvage::LoadEdgeConfig(path).status(); };
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
