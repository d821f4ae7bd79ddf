#include "fabric/transport/server_stream.h"

#include <grpcpp/server_context.h>

#include <string>
#include <utility>

namespace selvage {

grpc::Status ToGrpcStatus(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

std::shared_ptr<ServerStream> ServerStream::Create(grpc::CallbackServerContext* context,
                                                   std::shared_ptr<LinkDriver> driver) {
  std::shared_ptr<ServerStream> stream(new ServerStream(context, std::move(driver)));
  stream->self_ = stream;
  stream->StartSendInitialMetadata();
  return stream;
}

ServerStream::ServerStream(grpc::CallbackServerContext* context, std::shared_ptr<LinkDriver> driver)
    : driver_(std::move(driver)), context_(context) {}

void ServerStream::StartRead(grpc::ByteBuffer* into) {
  absl::MutexLock lock(&mutex_);
  if (!finished_) Reactor::StartRead(into);  // Finish ended the stream: nothing may be started any more
}

void ServerStream::StartWrite(const grpc::ByteBuffer* frame, bool more) {
  grpc::WriteOptions options;
  if (more) options.set_buffer_hint();
  Reactor::StartWrite(frame, options);
}

void ServerStream::Finish(const absl::Status& reason) {
  {
    absl::MutexLock lock(&mutex_);
    finished_ = true;
  }
  Reactor::Finish(ToGrpcStatus(reason));
}

void ServerStream::Cancel() {
  absl::MutexLock lock(&mutex_);
  if (context_ != nullptr) context_->TryCancel();
}

void ServerStream::OnDone() {
  std::shared_ptr<ServerStream> self = std::move(self_);
  {
    absl::MutexLock lock(&mutex_);
    context_ = nullptr;
  }
  LinkDriver::Ended(std::move(driver_), absl::OkStatus());
}

}  // namespace selvage
