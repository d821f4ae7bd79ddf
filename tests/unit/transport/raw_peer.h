#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fabric/replication/message.h"

namespace selvage::test {

grpc::ByteBuffer ToBuffer(std::string_view bytes);

/// What became of a call that CallLink made.
struct RawCall {
  absl::Status status;  ///< kDeadlineExceeded when it had not ended in time
  std::vector<replication::Message> answers;
};
/// Opens a link's stream to `address`, sends these messages as they are, reads until the end.
RawCall CallLink(const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                 std::vector<grpc::ByteBuffer> messages, absl::Duration deadline);

/// A server that answers every stream with one frame, whatever it is asked, and ends it.
class RawCore {
 public:
  RawCore(const std::shared_ptr<grpc::ServerCredentials>& credentials, const replication::Message& answer);
  ~RawCore();

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int calls() const { return service_.calls; }

 private:
  struct Service final : grpc::CallbackGenericService {
    grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;
    grpc::ByteBuffer answer;
    std::atomic<int> calls = 0;
  };
  Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace selvage::test
