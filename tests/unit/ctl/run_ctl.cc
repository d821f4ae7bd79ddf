#include "tests/unit/ctl/run_ctl.h"

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sstream>

namespace selvage::ctl {
namespace {

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenPlainChannel(const ConnectionOptions& options) {
  grpc::ChannelArguments arguments = ChannelSettings(options.address);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // every run connects for itself
  return grpc::CreateCustomChannel(options.address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

CtlRun RunCtl(const std::string& address, std::vector<std::string> arguments, const std::string& input,
              const std::function<void(World&)>& change) {
  std::ostringstream out;
  std::ostringstream err;
  World world;
  world.out = &out;
  world.err = &err;
  world.connect = OpenPlainChannel;
  world.pause = [](absl::Duration) { return false; };
  int file = memfd_create("input", MFD_CLOEXEC);
  EXPECT_EQ(write(file, input.data(), input.size()), static_cast<ssize_t>(input.size()));
  lseek(file, 0, SEEK_SET);
  world.in = file;
  if (change) change(world);
  if (!address.empty()) arguments.insert(arguments.begin(), {"--address", address});
  CtlRun run;
  run.code = Run(std::move(arguments), std::move(world));
  close(file);
  run.out = out.str();
  run.err = err.str();
  return run;
}

InputPipe::InputPipe() {
  EXPECT_EQ(pipe(fds_), 0);
}

InputPipe::~InputPipe() {
  CloseWrite();
  close(fds_[0]);
}

void InputPipe::Write(const std::string& text) {
  EXPECT_EQ(write(fds_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

void InputPipe::CloseWrite() {
  if (fds_[1] >= 0) close(std::exchange(fds_[1], -1));
}

}  // namespace selvage::ctl
