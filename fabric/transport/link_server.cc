#include "fabric/transport/link_server.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/error.h"
#include "fabric/security/authorizer.h"
#include "fabric/security/credentials.h"
#include "fabric/telemetry/log_limit.h"
#include "fabric/transport/codec.h"
#include "fabric/transport/link_driver.h"
#include "fabric/transport/server_stream.h"
#include "selvage/v1/link.grpc.pb.h"

namespace selvage {
namespace {

constexpr char kTooManyLinks[] = "too_many_links";
constexpr absl::Duration kRetryWhenFull = absl::Seconds(30);

/// Says why in a Close frame, and ends.
class Refusal final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Refusal(const absl::Status& why, absl::Duration retry_after) {
    replication::Message message;
    v1::Close& close = *message.frame.mutable_close();
    *close.mutable_problem() = replication::ToProblem(why);
    close.set_retry_after_ms(absl::ToInt64Milliseconds(retry_after));
    frame_ = EncodeFrame(message);
    StartWriteAndFinish(&frame_, grpc::WriteOptions(), ToGrpcStatus(why));
  }

 private:
  void OnDone() override { delete this; }

  grpc::ByteBuffer frame_;
};

/// The links that are there. Shared with them, since the last of a link may come after the server's end.
struct Links {
  absl::Mutex mutex;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  size_t opening ABSL_GUARDED_BY(mutex) = 0;
  absl::flat_hash_map<LinkDriver*, std::shared_ptr<LinkDriver>> drivers ABSL_GUARDED_BY(mutex);
};

}  // namespace

class LinkServer::Impl final : public v1::Link::WithRawCallbackMethod_Connect<v1::Link::Service> {
 public:
  Impl(Options options, boost::asio::any_io_executor executor, Clock& clock, HandlerFactory factory)
      : options_(std::move(options)),
        executor_(std::move(executor)),
        clock_(clock),
        factory_(std::move(factory)),
        authorizer_(options_.trust_domain) {
    options_.session.is_edge = false;
  }

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Connect(
      grpc::CallbackServerContext* context) override {
    auto identity = Authenticate(*context);
    if (!identity.ok()) return Refuse(*context, identity.status());

    if (absl::Status room = Reserve(); !room.ok()) {
      return new Refusal(room, ErrorKind(room) == kTooManyLinks ? kRetryWhenFull : absl::ZeroDuration());
    }
    auto driver = std::make_shared<LinkDriver>(LinkDriver::Options{options_.session, options_.close_timeout},
                                               executor_, clock_);
    auto handler = factory_(*identity, driver->Waker());
    absl::MutexLock lock(&links_->mutex);
    --links_->opening;
    if (!handler.ok()) return new Refusal(handler.status(), absl::ZeroDuration());
    if (links_->stopping) return new Refusal(Stopping(), absl::ZeroDuration());
    return Open(context, driver, *std::move(handler));
  }

  size_t links() const {
    absl::MutexLock lock(&links_->mutex);
    return links_->drivers.size();
  }

  void Stop(absl::Duration deadline, absl::Duration retry_after) {
    absl::MutexLock lock(&links_->mutex);
    links_->stopping = true;
    for (auto& [key, driver] : links_->drivers) driver->Close(Stopping(), retry_after);
    auto gone =
        +[](Links* links) ABSL_EXCLUSIVE_LOCKS_REQUIRED(links->mutex) { return links->drivers.empty(); };
    if (links_->mutex.AwaitWithTimeout(absl::Condition(gone, links_.get()), deadline)) return;
    for (auto& [key, driver] : links_->drivers) driver->Abort();
    links_->mutex.Await(absl::Condition(gone, links_.get()));
  }

 private:
  absl::StatusOr<Identity> Authenticate(const grpc::CallbackServerContext& context) const {
    SELVAGE_ASSIGN_OR_RETURN(const PeerCertificate peer, ShownCertificate(*context.auth_context()));
    SELVAGE_RETURN_IF_ERROR(authorizer_.Authorize(peer.identity, Action::kOpenLink, peer.identity.id));
    absl::Status valid = CheckDates(peer, clock_.Wall());
    if (!valid.ok() && options_.out_of_date) options_.out_of_date(peer.identity, valid);
    SELVAGE_RETURN_IF_ERROR(valid);
    return peer.identity;
  }

  Refusal* Refuse(const grpc::CallbackServerContext& context, const absl::Status& why) {
    if (const auto line = refused_log_.Admit(clock_.Monotonic())) {
      line->Write(LogLevel::kWarning, "a link is refused", {{"address", context.peer()}, {"error", why}});
    }
    return new Refusal(why, absl::ZeroDuration());
  }

  /// Counts a link that is about to open, if there is room for one.
  absl::Status Reserve() {
    absl::MutexLock lock(&links_->mutex);
    if (links_->stopping) return Stopping();
    if (links_->drivers.size() + links_->opening >= options_.max_links) {
      return MakeError(absl::StatusCode::kResourceExhausted, kTooManyLinks,
                       fmt::format("the core holds {} links, as many as it may", options_.max_links),
                       "raise link.max_links at the core", Retry::kYes);
    }
    ++links_->opening;
    return absl::OkStatus();
  }

  ServerStream* Open(grpc::CallbackServerContext* context, const std::shared_ptr<LinkDriver>& driver,
                     std::shared_ptr<replication::LinkHandler> handler)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(links_->mutex) {
    links_->drivers.emplace(driver.get(), driver);
    LinkDriver::Callbacks callbacks;
    callbacks.ended = [links = links_, key = driver.get()](const LinkEnd&) {
      absl::MutexLock lock(&links->mutex);
      links->drivers.erase(key);
    };
    auto stream = ServerStream::Create(context, driver);
    driver->Start(stream, std::move(handler), std::move(callbacks));
    return stream.get();
  }

  static absl::Status Stopping() {
    return MakeError(absl::StatusCode::kUnavailable, "core_stopping", "the core stops", "", Retry::kYes);
  }

  Options options_;
  const boost::asio::any_io_executor executor_;
  Clock& clock_;
  const HandlerFactory factory_;
  const Authorizer authorizer_;
  LogLimit refused_log_;
  const std::shared_ptr<Links> links_ = std::make_shared<Links>();
};

LinkServer::LinkServer(Options options, boost::asio::any_io_executor executor, Clock& clock,
                       HandlerFactory factory)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(executor), clock, std::move(factory))) {}

LinkServer::~LinkServer() {
  Stop(absl::ZeroDuration(), absl::ZeroDuration());
}

grpc::Service& LinkServer::service() {
  return *impl_;
}

size_t LinkServer::links() const {
  return impl_->links();
}

void LinkServer::Stop(absl::Duration deadline, absl::Duration retry_after) {
  impl_->Stop(deadline, retry_after);
}

}  // namespace selvage
