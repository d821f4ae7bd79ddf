#include "fabric/transport/client_stream.h"

#include <string>
#include <utility>

namespace selvage {
namespace {

constexpr char kMethod[] = "/selvage.v1.Link/Connect";

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace

ClientStream::ClientStream(std::shared_ptr<grpc::Channel> channel)
    : channel_(std::move(channel)), stub_(channel_) {}

void ClientStream::Connect(std::function<void()> up, Failed failed) {
  up_ = std::move(up);
  failed_ = std::move(failed);
  self_ = shared_from_this();
  stub_.PrepareBidiStreamingCall(&context_, kMethod, grpc::StubOptions(), this);
  // One for the reads and one for the writes, which come from outside of gRPC's reactions: the call outlives
  // both.
  AddMultipleHolds(2);
  StartCall();
}

void ClientStream::Attach(std::shared_ptr<LinkDriver> driver) {
  absl::MutexLock lock(&mutex_);
  driver_ = std::move(driver);
}

void ClientStream::Abandon() {
  Cancel();
  RemoveHold();
  RemoveHold();
}

std::shared_ptr<LinkDriver> ClientStream::driver() {
  absl::MutexLock lock(&mutex_);
  return driver_;
}

void ClientStream::StartRead(grpc::ByteBuffer* into) {
  grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>::StartRead(into);
}

void ClientStream::StartWrite(const grpc::ByteBuffer* frame, bool more) {
  grpc::WriteOptions options;
  if (more) options.set_buffer_hint();
  grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>::StartWrite(frame, options);
}

void ClientStream::Finish(const absl::Status&) {
  StartWritesDone();
  RemoveHold();
}

void ClientStream::Cancel() {
  context_.TryCancel();
}

void ClientStream::OnReadInitialMetadataDone(bool ok) {
  if (ok) return up_();
  RemoveHold();
  RemoveHold();
}

void ClientStream::OnReadDone(bool ok) {
  driver()->ReadDone(ok);
  if (!ok) RemoveHold();
}

void ClientStream::OnWriteDone(bool ok) {
  driver()->WriteDone(ok);
}

void ClientStream::OnDone(const grpc::Status& status) {
  // The last reference must not die here: with it goes the channel, and a thread of gRPC that destroys the
  // last channel of the process waits for itself.
  std::shared_ptr<ClientStream> self = std::move(self_);
  up_ = nullptr;
  auto failed = std::exchange(failed_, nullptr);
  std::shared_ptr<LinkDriver> driver;
  {
    absl::MutexLock lock(&mutex_);
    driver.swap(driver_);
  }
  if (driver == nullptr) return failed(std::move(self), FromGrpc(status));
  failed = nullptr;  // whoever hears of the end may take down what it refers to
  LinkDriver::Ended(std::move(driver), FromGrpc(status), std::move(self));
}

}  // namespace selvage
