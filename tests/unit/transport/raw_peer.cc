#include "tests/unit/transport/raw_peer.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/slice.h>

#include <chrono>
#include <utility>

#include "absl/synchronization/notification.h"
#include "fabric/transport/codec.h"

namespace selvage::test {
namespace {

class RawCaller final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  RawCaller(const std::shared_ptr<grpc::Channel>& channel, std::vector<grpc::ByteBuffer> messages,
            absl::Duration deadline)
      : messages_(std::move(messages)) {
    context_.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(deadline));
    grpc::GenericStub(channel).PrepareBidiStreamingCall(&context_, "/selvage.v1.Link/Connect",
                                                        grpc::StubOptions(), this);
    StartRead(&answer_);
    OnWriteDone(true);
    StartCall();
  }

  RawCall Wait() {
    done_.WaitForNotification();
    return std::move(call_);
  }

 private:
  void OnWriteDone(bool ok) override {
    if (ok && next_ < messages_.size()) StartWrite(&messages_[next_++]);
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (auto message = DecodeFrame(answer_); message.ok()) call_.answers.push_back(*std::move(message));
    StartRead(&answer_);
  }
  void OnDone(const grpc::Status& status) override {
    call_.status = absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
    done_.Notify();
  }

  grpc::ClientContext context_;
  std::vector<grpc::ByteBuffer> messages_;
  size_t next_ = 0;
  grpc::ByteBuffer answer_;
  RawCall call_;
  absl::Notification done_;
};

class Answerer final : public grpc::ServerGenericBidiReactor {
 public:
  explicit Answerer(const grpc::ByteBuffer& answer) : answer_(answer) {
    StartWriteAndFinish(&answer_, grpc::WriteOptions(), grpc::Status::OK);
  }
  void OnDone() override { delete this; }

 private:
  const grpc::ByteBuffer answer_;
};

}  // namespace

grpc::ByteBuffer ToBuffer(std::string_view bytes) {
  grpc::Slice slice(bytes.data(), bytes.size());
  return grpc::ByteBuffer(&slice, 1);
}

RawCall CallLink(const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                 std::vector<grpc::ByteBuffer> messages, absl::Duration deadline) {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  RawCaller caller(grpc::CreateCustomChannel(address, credentials, args), std::move(messages), deadline);
  return caller.Wait();
}

grpc::ServerGenericBidiReactor* RawCore::Service::CreateReactor(grpc::GenericCallbackServerContext*) {
  ++calls;
  return new Answerer(answer);
}

RawCore::RawCore(const std::shared_ptr<grpc::ServerCredentials>& credentials,
                 const replication::Message& answer) {
  service_.answer = EncodeFrame(answer);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
  builder.RegisterCallbackGenericService(&service_);
  server_ = builder.BuildAndStart();
}

RawCore::~RawCore() {
  server_->Shutdown(std::chrono::system_clock::now());
}

}  // namespace selvage::test
