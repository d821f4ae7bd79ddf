#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/client_callback.h>

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/transport/frame_stream.h"
#include "fabric/transport/link_driver.h"

namespace selvage {

/// The dialling end of one link's stream. It either comes up, and is then given to a driver or abandoned, or
/// fails. Keeps itself alive until it is over.
class ClientStream final : public FrameStream,
                           private grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                           public std::enable_shared_from_this<ClientStream> {
 public:
  explicit ClientStream(std::shared_ptr<grpc::Channel> channel);

  /// Gets the stream's own reference to itself, not to be dropped in the calling thread.
  using Failed = std::function<void(std::shared_ptr<ClientStream> stream, const absl::Status&)>;

  /// Dials. `up` is called when the server has answered, `failed` when the stream is over and has no driver;
  /// each at most once, on a thread of gRPC.
  void Connect(std::function<void()> up, Failed failed);
  /// After `up`: reports to `driver` from here on. Then start the driver.
  void Attach(std::shared_ptr<LinkDriver> driver);
  /// After `up`, in place of Attach: breaks it off, and `failed` follows.
  void Abandon();

  void StartRead(grpc::ByteBuffer* into) override;
  void StartWrite(const grpc::ByteBuffer* frame, bool more) override;
  void Finish(const absl::Status& reason) override;
  void Cancel() override;

 private:
  void OnReadInitialMetadataDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;
  std::shared_ptr<LinkDriver> driver();

  const std::shared_ptr<grpc::Channel> channel_;
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub_;
  grpc::ClientContext context_;
  std::function<void()> up_;
  Failed failed_;
  std::shared_ptr<ClientStream> self_;

  absl::Mutex mutex_;
  std::shared_ptr<LinkDriver> driver_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage
