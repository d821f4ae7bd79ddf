#include "ctl/client.h"

#include <fmt/format.h>
#include <grpcpp/create_channel.h>

#include <algorithm>
#include <chrono>

#include "ctl/units.h"
#include "fabric/admin/call_metadata.h"
#include "fabric/admin/error_metadata.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/config/value.h"
#include "fabric/security/credentials.h"

namespace selvage::ctl {
namespace {

constexpr int kMessageMax = 128 << 20;  // a page of entries, of which one may be larger than asked for
constexpr int kReconnectMaxMs = 2'000;

std::string LikelyCause(const ConnectionOptions& options) {
  absl::StatusOr<TlsFiles> files = TlsFilesOf(options);
  if (files.ok()) {
    absl::StatusOr<Identity> identity = CheckTlsFiles(*files, SystemClock().Wall());
    if (!identity.ok()) {
      std::string what(identity.status().message().data(), identity.status().message().size());
      std::string hint = ErrorHint(identity.status());
      return hint.empty() ? what : fmt::format("{} ({})", what, hint);
    }
  }
  return "is the daemon running and listening there, and is its certificate from the same authority as "
         "yours?";
}

}  // namespace

absl::StatusOr<TlsFiles> TlsFilesOf(const ConnectionOptions& options) {
  TlsFiles files{.cert = options.cert, .key = options.key, .ca = options.ca};
  if (!options.identity.empty()) {
    size_t slash = options.identity.rfind('/');
    std::string dir = slash == std::string::npos ? "" : options.identity.substr(0, slash + 1);
    if (files.cert.empty()) files.cert = options.identity + ".crt";
    if (files.key.empty()) files.key = options.identity + ".key";
    if (files.ca.empty()) files.ca = dir + "ca.crt";
  }
  if (!files.cert.empty() && !files.key.empty() && !files.ca.empty()) return files;
  std::string missing = files.cert.empty() ? "--cert" : files.key.empty() ? "--key" : "--ca";
  return MakeError(
      absl::StatusCode::kInvalidArgument, "no_identity",
      fmt::format("no certificate to show to {}: {} is not given", options.address, missing),
      "give --identity DIR/NAME (or SELVAGE_IDENTITY) as `selvagectl pki issue` printed it, or --cert, "
      "--key and --ca");
}

grpc::ChannelArguments ChannelSettings(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageMax);
  arguments.SetMaxSendMessageSize(kMessageMax);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  if (absl::StatusOr<Address> parsed = ParseAddress(address); parsed.ok() && IsLoopback(*parsed)) {
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  }
  return arguments;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenTlsChannel(const ConnectionOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(Address address, ParseAddress(options.address));
  SELVAGE_ASSIGN_OR_RETURN(TlsFiles files, TlsFilesOf(options));
  SELVAGE_ASSIGN_OR_RETURN(Identity own, CheckTlsFiles(files, SystemClock().Wall()));
  ExpectedPeer peer{.trust_domain = own.trust_domain, .role = std::nullopt, .id = ""};
  return grpc::CreateCustomChannel(address.ToString(), ChannelCredentials(files, peer),
                                   ChannelSettings(options.address));
}

void Client::AwaitReconnection() const {
  // gRPC fails calls at once while it tries to connect again, and its channel only comes on while somebody
  // waits for something on it: whoever calls, is refused and sleeps would never be connected.
  if (channel_->GetState(/*try_to_connect=*/false) != GRPC_CHANNEL_TRANSIENT_FAILURE) return;
  const absl::Duration longest = std::min(options_.timeout, absl::Milliseconds(kReconnectMaxMs));
  channel_->WaitForConnected(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(longest));
}

void Client::Prepare(grpc::ClientContext& context, absl::Duration longer) const {
  context.set_deadline(std::chrono::system_clock::now() +
                       absl::ToChronoMilliseconds(options_.timeout + longer));
  if (!options_.edge.empty()) context.AddMetadata(kEdgeMetadata, options_.edge);
}

absl::Status Client::Explain(const grpc::Status& status, const grpc::ClientContext& context) const {
  absl::Status error = FromTrailers(status, context);
  if (error.ok() || HasErrorTrailers(context)) return error;
  switch (error.code()) {
    case absl::StatusCode::kUnavailable:
      return MakeError(error.code(), "unreachable",
                       fmt::format("no connection to {}: {}", options_.address, status.error_message()),
                       LikelyCause(options_), Retry::kYes);
    case absl::StatusCode::kDeadlineExceeded:
      return MakeError(error.code(), "timeout",
                       fmt::format("no answer from {} within {}", options_.address,
                                   HumanSeconds(absl::ToDoubleSeconds(options_.timeout))),
                       LikelyCause(options_) + " A longer --timeout helps on a slow link.", Retry::kYes);
    case absl::StatusCode::kResourceExhausted:
      // gRPC's own refusal, before the node looked at the request; the node's come with trailers.
      return MakeError(
          absl::StatusCode::kInvalidArgument, "request_too_large",
          fmt::format("the request is larger than {} takes: {}", options_.address, status.error_message()),
          "send less at once");
    case absl::StatusCode::kUnimplemented:
      return MakeError(error.code(), "not_offered", fmt::format("{} does not offer this", options_.address),
                       "is it a Selvage node, and of this version?");
    default:
      return error;
  }
}

}  // namespace selvage::ctl
