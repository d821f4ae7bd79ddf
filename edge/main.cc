#include "edge/config.h"
#include "edge/node.h"
#include "fabric/base/error.h"
#include "fabric/control/daemon_main.h"
#include "fabric/control/node_certificate.h"

int main(int argc, char** argv) {
  selvage::DaemonProgram program;
  program.name = "selvage-edge";
  program.sample_config = selvage::SampleEdgeConfig;
  program.check = [](const std::string& path) -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(selvage::EdgeConfig config, selvage::LoadEdgeConfig(path));
    return selvage::CheckCertificate(config, selvage::Role::kEdge);
  };
  program.run = [](const std::string& path) -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(selvage::EdgeConfig config, selvage::LoadEdgeConfig(path));
    return selvage::RunEdge(config);
  };
  return selvage::RunDaemonMain(program, argc, argv);
}
