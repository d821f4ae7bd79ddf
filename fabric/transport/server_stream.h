#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/transport/frame_stream.h"
#include "fabric/transport/link_driver.h"

namespace selvage {

/// The accepting end of one link's stream; reports to `driver`. Keeps itself alive until gRPC is done with
/// it.
class ServerStream final : public FrameStream,
                           public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  /// Tells the client at once that the link is up. `context` is gRPC's.
  static std::shared_ptr<ServerStream> Create(grpc::CallbackServerContext* context,
                                              std::shared_ptr<LinkDriver> driver);

  void StartRead(grpc::ByteBuffer* into) override;
  void StartWrite(const grpc::ByteBuffer* frame, bool more) override;
  void Finish(const absl::Status& reason) override;
  void Cancel() override;

 private:
  using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
  ServerStream(grpc::CallbackServerContext* context, std::shared_ptr<LinkDriver> driver);

  void OnReadDone(bool ok) override { driver_->ReadDone(ok); }
  void OnWriteDone(bool ok) override { driver_->WriteDone(ok); }
  void OnDone() override;

  std::shared_ptr<LinkDriver> driver_;
  std::shared_ptr<ServerStream> self_;

  absl::Mutex mutex_;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::CallbackServerContext* context_ ABSL_GUARDED_BY(mutex_);  // nothing once gRPC takes it back
};

/// What a server answers with a status that is not OK: code and message.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace selvage
