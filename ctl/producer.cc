#include "ctl/producer.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "ctl/units.h"
#include "fabric/base/check.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
constexpr absl::Duration kLongestBackoff = absl::Seconds(2);
constexpr absl::Duration kConnectionLook = absl::Milliseconds(50);
constexpr absl::Duration kProgressEvery = absl::Milliseconds(200);

// Refusals that come before anything was stored and pass with time. A full disk that a write ran into,
// instead of admission, is none of them: it stops the node in the middle of a commit, and the node says that
// no retry helps.
bool RefusedForNow(const absl::Status& error) {
  std::string kind = ErrorKind(error);
  return IsRetryable(error) &&
         (kind == "overloaded" || kind == "disk_full" || kind == "corrupt_batch" || kind == "stopping");
}

// What a node answers to a request that it does not carry out. Everything else, from a broken connection to a
// commit that failed, leaves open what is stored.
bool RefusedForGood(const absl::Status& error) {
  switch (error.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

}  // namespace

/// One Produce call. Finishes on a thread of gRPC, which then writes to the eventfd.
class Producer::Call {
 public:
  Call(const Client& client, const v1::LogAddress& address, const std::string& batch, int answered) {
    *request_.mutable_address() = address;
    request_.set_batch(batch);
    client.Prepare(context_);
    client.stub().async()->Produce(&context_, &request_, &response_, [this, answered](grpc::Status status) {
      absl::MutexLock lock(&mutex_);
      status_ = std::move(status);
      eventfd_write(answered, 1);  // cannot fail: its counter is far from full
    });
  }
  ~Call() {
    context_.TryCancel();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Call::finished));
  }

  bool IsFinished() {
    absl::MutexLock lock(&mutex_);
    return finished();
  }
  /// Once it is finished.
  absl::StatusOr<v1::ProduceResponse> Answer(const Client& client) {
    absl::MutexLock lock(&mutex_);
    if (!status_->ok()) return client.Explain(*status_, context_);
    return response_;
  }

 private:
  bool finished() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return status_.has_value(); }

  v1::ProduceRequest request_;
  v1::ProduceResponse response_;
  grpc::ClientContext context_;
  absl::Mutex mutex_;
  std::optional<grpc::Status> status_ ABSL_GUARDED_BY(mutex_);
};

Producer::Producer(const Client& client, LineInput& input, Options options)
    : client_(client),
      input_(input),
      options_(std::move(options)),
      batcher_(options_.batch),
      answered_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  SELVAGE_CHECK(answered_ >= 0);
  outcome_.lines = options_.skip_lines;
}

Producer::~Producer() {
  call_.reset();  // waits for the callback, which writes to answered_
  close(answered_);
}

absl::Status Producer::Run() {
  started_ = progress_at_ = now_ = SystemClock().Monotonic();
  while (true) {
    if (options_.interrupted && options_.interrupted()) outcome_.interrupted = no_more_lines_ = true;
    SELVAGE_RETURN_IF_ERROR(HandleAnswer());
    TakeLines();
    SELVAGE_RETURN_IF_ERROR(SendIfReady());
    if (no_more_lines_ && !batch_ && rest_.empty() && batcher_.empty()) return input_error_;
    SELVAGE_RETURN_IF_ERROR(Wait());
    ReportProgress();
  }
}

absl::Duration Producer::NextLineAt() const {
  if (options_.lines_per_second <= 0) return started_;
  double taken = static_cast<double>(std::max<int64_t>(0, outcome_.lines_read - options_.skip_lines));
  return started_ + absl::Seconds(taken / options_.lines_per_second);
}

void Producer::EndInput(absl::Status why) {
  no_more_lines_ = true;
  input_error_ = std::move(why);
}

void Producer::TakeLines() {
  while (!no_more_lines_ && !batcher_.full() && NextLineAt() <= now_) {
    std::optional<std::string_view> line = input_.Next();
    input_is_empty_ = !line.has_value();
    if (!line) {
      if (input_.at_end()) no_more_lines_ = true;
      return;
    }
    if (++outcome_.lines_read <= options_.skip_lines) continue;
    absl::Status added = batcher_.Add(*line, SystemClock().Wall(), now_);
    if (!added.ok()) EndInput(Annotate(added, fmt::format("line {}", outcome_.lines_read)));
  }
}

absl::Status Producer::SendIfReady() {
  if (!batch_) {
    bool ready = !batcher_.empty() && (batcher_.full() || no_more_lines_ || *batcher_.due() <= now_);
    if (rest_.empty() && !ready) return absl::OkStatus();
    if (rest_.empty()) {
      batch_ = batcher_.Take();
    } else {
      batch_ = std::move(rest_.front());
      rest_.pop_front();
    }
    first_try_ = send_at_ = now_;
    backoff_ = kFirstBackoff;
    in_doubt_ = noticed_ = false;
  }
  if (call_ != nullptr || send_at_ > now_) return absl::OkStatus();
  if (client_.channel().GetState(true) == GRPC_CHANNEL_READY) {
    call_ = std::make_unique<Call>(client_, options_.address, batch_->bytes, answered_);
    return absl::OkStatus();
  }
  absl::Status away = MakeError(absl::StatusCode::kUnavailable, "unreachable",
                                fmt::format("no connection to {}", client_.options().address),
                                "the node is down or cannot be reached", Retry::kYes);
  SELVAGE_RETURN_IF_ERROR(TryAgain(away));
  send_at_ = now_ + kConnectionLook;
  return absl::OkStatus();
}

absl::Status Producer::HandleAnswer() {
  if (call_ == nullptr || !call_->IsFinished()) return absl::OkStatus();
  absl::StatusOr<v1::ProduceResponse> answer = call_->Answer(client_);
  call_.reset();
  return answer.ok() ? Acknowledge(*answer) : HandleFailure(answer.status());
}

absl::Status Producer::Acknowledge(const v1::ProduceResponse& response) {
  if (response.next_offset() - response.base_offset() != batch_->records() || response.base_offset() < 0) {
    outcome_.lines_in_doubt = batch_->records();
    return MakeError(absl::StatusCode::kInternal, "unexpected_answer",
                     fmt::format("{} records were sent, but offsets {} to {} were acknowledged",
                                 batch_->records(), response.base_offset(), response.next_offset()),
                     "is the node of this version?");
  }
  if (options_.acks != nullptr) {
    int64_t offset = response.base_offset();
    for (uint64_t hash : batch_->value_hashes) {
      *options_.acks << fmt::format("{} {} {:016x}\n", options_.address.partition(), offset++, hash);
    }
    options_.acks->flush();
    if (!*options_.acks) {
      return MakeError(absl::StatusCode::kUnavailable, "file_write_failed",
                       "the file of --acks-file cannot be written");
    }
  }
  if (outcome_.records == 0) outcome_.first_offset = response.base_offset();
  if (outcome_.records > 0 && response.base_offset() != outcome_.last_offset + 1) outcome_.contiguous = false;
  outcome_.last_offset = response.next_offset() - 1;
  outcome_.records += batch_->records();
  outcome_.lines += batch_->records();
  outcome_.bytes += batch_->value_bytes;
  batch_.reset();
  return absl::OkStatus();
}

absl::Status Producer::HandleFailure(const absl::Status& error) {
  if (RefusedForNow(error)) return TryAgain(error);
  if (ErrorKind(error) == "batch_too_large" || ErrorKind(error) == "request_too_large")
    return SendInParts(error);
  if (!RefusedForGood(error)) {
    in_doubt_ = true;
    if (options_.retry_in_doubt) {
      SELVAGE_RETURN_IF_ERROR(TryAgain(error));
      ++outcome_.batches_sent_again;
      return absl::OkStatus();
    }
  }
  if (in_doubt_) outcome_.lines_in_doubt = batch_->records();
  return error;
}

// One line may be what makes a batch too large: the lines around it are written, and the error names it.
absl::Status Producer::SendInParts(const absl::Status& why) {
  if (batch_->records() == 1) return Annotate(why, fmt::format("line {}", outcome_.lines + 1));
  std::pair<LineBatch, LineBatch> halves = SplitInTwo(*batch_, options_.batch.codec);
  rest_.push_front(std::move(halves.second));
  batch_ = std::move(halves.first);
  first_try_ = send_at_ = now_;
  return absl::OkStatus();
}

// Plans the next try of the batch, or gives the error back when it was tried for long enough.
absl::Status Producer::TryAgain(const absl::Status& why) {
  if (now_ - first_try_ >= options_.retry_for) {
    if (in_doubt_) outcome_.lines_in_doubt = batch_->records();
    return Annotate(
        why, fmt::format("given up after {}", HumanSeconds(absl::ToDoubleSeconds(options_.retry_for))));
  }
  if (options_.notice && !std::exchange(noticed_, true)) {
    options_.notice(fmt::format("waiting: {}; trying again for up to {}",
                                std::string_view(why.message().data(), why.message().size()),
                                HumanSeconds(absl::ToDoubleSeconds(options_.retry_for))));
  }
  send_at_ = now_ + backoff_;
  backoff_ = std::min(backoff_ * 2, kLongestBackoff);
  return absl::OkStatus();
}

// Until the next time that was planned; -1: only an answer or input can bring something to do.
int Producer::TimeoutMs(bool may_take, bool want_input) const {
  absl::Duration until = options_.progress ? progress_at_ + kProgressEvery : absl::InfiniteDuration();
  if (may_take && !want_input) until = std::min(until, NextLineAt());
  if (batch_ && call_ == nullptr) until = std::min(until, send_at_);
  if (!batch_ && !batcher_.empty()) until = std::min(until, *batcher_.due());
  if (until == absl::InfiniteDuration()) return -1;
  absl::Duration left = std::clamp(until - now_, absl::ZeroDuration(), absl::Hours(1));
  return static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))));
}

// Until there is something to do: input, an answer, or a time that was planned.
absl::Status Producer::Wait() {
  bool may_take = !no_more_lines_ && !batcher_.full();
  bool want_input = may_take && input_is_empty_ && NextLineAt() <= now_;
  std::array<pollfd, 2> fds{{{answered_, POLLIN, 0}, {want_input ? input_.fd() : -1, POLLIN, 0}}};
  int ready = poll(fds.data(), fds.size(), TimeoutMs(may_take, want_input));
  int error = errno;
  now_ = SystemClock().Monotonic();
  if (ready < 0 && error != EINTR) {
    return MakeError(absl::StatusCode::kInternal, "input_unreadable",
                     fmt::format("the input cannot be waited for: {}", std::strerror(error)));
  }
  if (ready > 0 && fds[0].revents != 0) {
    eventfd_t count;
    eventfd_read(answered_, &count);
  }
  if (ready > 0 && fds[1].revents != 0) {
    if (absl::Status read = input_.ReadSome(); !read.ok()) EndInput(std::move(read));
  }
  return absl::OkStatus();
}

void Producer::ReportProgress() {
  if (!options_.progress || now_ < progress_at_ + kProgressEvery) return;
  progress_at_ = now_;
  options_.progress(outcome_);
}

}  // namespace selvage::ctl
