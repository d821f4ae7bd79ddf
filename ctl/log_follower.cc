#include "ctl/log_follower.h"

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

constexpr int64_t kAtEnd = -1;  // as FetchRequest.offset has them
constexpr int64_t kAtStart = -2;
constexpr uint32_t kBytesInAll = 32 << 20;
constexpr uint32_t kBytesMost = 1 << 20;
constexpr uint32_t kBytesLeast = 64 << 10;
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(250);
constexpr absl::Duration kLongestBackoff = absl::Seconds(5);
constexpr absl::Duration kEmptyPause = absl::Milliseconds(20);
constexpr absl::Duration kInterruptLook = absl::Milliseconds(200);

// What a node that comes back, or catches up, makes good.
bool MayMend(const absl::Status& error) {
  return IsRetryable(error) || error.code() == absl::StatusCode::kUnavailable ||
         error.code() == absl::StatusCode::kDeadlineExceeded;
}

}  // namespace

/// One Fetch call. Announces its end to the follower on a thread of gRPC.
class LogFollower::Fetch {
 public:
  Fetch(LogFollower& follower, size_t reader, v1::FetchRequest request) : request_(std::move(request)) {
    follower.client_.Prepare(context_, absl::Milliseconds(request_.max_wait_ms()));
    follower.client_.stub().async()->Fetch(&context_, &request_, &response_,
                                           [&follower, reader, this](grpc::Status s) {
                                             absl::MutexLock lock(&follower.mutex_);
                                             status_ = std::move(s);
                                             follower.finished_.push_back(reader);
                                           });
  }

  void Cancel() { context_.TryCancel(); }
  /// Only after its end was announced.
  absl::StatusOr<v1::FetchResponse> Answer(const Client& client) {
    if (!status_.ok()) return client.Explain(status_, context_);
    return std::move(response_);
  }

 private:
  const v1::FetchRequest request_;
  v1::FetchResponse response_;
  grpc::ClientContext context_;
  grpc::Status status_;
};

struct LogFollower::LogReader {
  v1::LogAddress address;
  int64_t offset = kAtEnd;      // of the next fetch; negative until the first answer
  std::optional<int64_t> stop;  // without follow: the end as first seen
  bool positioned = false;
  bool done = false;
  absl::Duration fetch_at;
  absl::Duration backoff = kFirstBackoff;
  std::unique_ptr<Fetch> fetch;
};

LogFollower::LogFollower(const Client& client, Options options)
    : client_(client), options_(std::move(options)) {
  for (const v1::LogAddress& address : options_.logs) {
    readers_.push_back(std::make_unique<LogReader>());
    readers_.back()->address = address;
  }
}

LogFollower::~LogFollower() {
  size_t under_way = 0;
  for (auto& reader : readers_) {
    if (reader->fetch == nullptr) continue;
    reader->fetch->Cancel();
    ++under_way;
  }
  auto all_back = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return finished_.size() >= under_way; };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&all_back));
}

absl::Status LogFollower::Run() {
  while (!Done()) {
    if (options_.interrupted && options_.interrupted()) return absl::OkStatus();
    for (auto& reader : readers_) {
      if (!reader->positioned) SELVAGE_RETURN_IF_ERROR(Position(*reader));
    }
    StartDue();
    if (std::optional<size_t> finished = NextFinished())
      SELVAGE_RETURN_IF_ERROR(Handle(*readers_[*finished]));
  }
  return absl::OkStatus();
}

bool LogFollower::Done() const {
  if (options_.max_records >= 0 && shown_ >= options_.max_records) return true;
  return std::all_of(readers_.begin(), readers_.end(), [](const auto& reader) { return reader->done; });
}

// Turns --from into the offset of the first fetch.
absl::Status LogFollower::Position(LogReader& reader) {
  reader.positioned = true;
  switch (options_.from.kind) {
    case TailFrom::Kind::kStart:
      reader.offset = kAtStart;
      return absl::OkStatus();
    case TailFrom::Kind::kEnd:
      reader.offset = kAtEnd;
      return absl::OkStatus();
    case TailFrom::Kind::kOffset:
      reader.offset = options_.from.value;
      return absl::OkStatus();
    case TailFrom::Kind::kTimestamp: {
      v1::FindOffsetRequest request;
      *request.mutable_address() = reader.address;
      request.set_timestamp_ms(options_.from.value);
      absl::StatusOr<v1::FindOffsetResponse> found = client_.Call(&Client::Stub::FindOffset, request);
      if (!found.ok()) return found.status();
      reader.offset = found->offset() < 0 ? kAtEnd : found->offset();
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

void LogFollower::StartDue() {
  absl::Duration now = SystemClock().Monotonic();
  uint32_t share = kBytesInAll / static_cast<uint32_t>(std::max<size_t>(readers_.size(), 1));
  for (size_t i = 0; i < readers_.size(); ++i) {
    LogReader& reader = *readers_[i];
    if (reader.done || reader.fetch != nullptr || reader.fetch_at > now) continue;
    v1::FetchRequest request;
    *request.mutable_address() = reader.address;
    request.set_offset(reader.offset);
    request.set_max_bytes(std::clamp(share, kBytesLeast, kBytesMost));
    // The first answer comes at once: it says where the log begins and ends.
    if (options_.follow && reader.offset >= 0) {
      request.set_max_wait_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(options_.poll)));
    }
    reader.fetch = std::make_unique<Fetch>(*this, i, std::move(request));
  }
}

std::optional<size_t> LogFollower::NextFinished() {
  auto any = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !finished_.empty(); };
  absl::MutexLock lock(&mutex_);
  if (!mutex_.AwaitWithTimeout(absl::Condition(&any), kInterruptLook)) return std::nullopt;
  size_t reader = finished_.front();
  finished_.pop_front();
  return reader;
}

absl::Status LogFollower::Handle(LogReader& reader) {
  absl::StatusOr<v1::FetchResponse> answer = reader.fetch->Answer(client_);
  reader.fetch.reset();
  if (!answer.ok()) return HandleError(reader, answer.status());
  reader.backoff = kFirstBackoff;
  reader.fetch_at = absl::ZeroDuration();
  if (reader.offset == kAtStart) reader.offset = answer->start();
  if (reader.offset == kAtEnd) reader.offset = answer->high_watermark();
  if (!reader.stop) reader.stop = answer->high_watermark();
  if (answer->start() > reader.offset) ShowMissing(reader, answer->start(), "expired");
  for (const v1::FetchedEntry& entry : answer->entries()) Show(reader, entry);
  // A node that does not hold the answer back must not be asked in a tight loop.
  if (answer->entries().empty()) reader.fetch_at = SystemClock().Monotonic() + kEmptyPause;
  // An answer without entries may still be ahead: after a gap at the end, for example.
  if (!Done() && answer->next_offset() > reader.offset)
    ShowMissing(reader, answer->next_offset(), "not in the answer");
  if (!options_.follow && reader.offset >= *reader.stop) reader.done = true;
  options_.flush();
  return absl::OkStatus();
}

absl::Status LogFollower::HandleError(LogReader& reader, const absl::Status& error) {
  if (ErrorKind(error) == "offset_out_of_range" && reader.offset >= 0) {
    v1::FetchRequest request;
    *request.mutable_address() = reader.address;
    request.set_offset(kAtStart);
    request.set_max_bytes(1);
    absl::StatusOr<v1::FetchResponse> start = client_.Call(&Client::Stub::Fetch, request);
    if (!start.ok() || start->start() <= reader.offset)
      return error;  // beyond the end: a mistake, not a trim
    ShowMissing(reader, start->start(), "expired");
    return absl::OkStatus();
  }
  if (!options_.follow || !MayMend(error)) return error;
  if (reader.backoff == kFirstBackoff) options_.broken(error);
  reader.fetch_at = SystemClock().Monotonic() + reader.backoff;
  reader.backoff = std::min(reader.backoff * 2, kLongestBackoff);
  return absl::OkStatus();
}

void LogFollower::Show(LogReader& reader, const v1::FetchedEntry& entry) {
  if (Done() || entry.to() <= reader.offset) return;
  if (entry.gap()) return ShowMissing(reader, entry.to(), entry.gap_reason());
  if (entry.from() > reader.offset) ShowMissing(reader, entry.from(), "not in the answer");
  ShowBatch(reader, entry);
}

void LogFollower::ShowBatch(LogReader& reader, const v1::FetchedEntry& entry) {
  absl::StatusOr<std::vector<Record>> records = DecodeRecords(entry.batch());
  if (!records.ok()) {
    options_.unreadable(reader.address, std::max(reader.offset, entry.from()), entry.to(), records.status());
    reader.offset = entry.to();
    return;
  }
  for (const Record& record : *records) {
    if (record.offset.value() < reader.offset) continue;  // reading began within the batch
    if (Done()) return;
    options_.record(reader.address, record);
    ++shown_;
    reader.offset = record.offset.value() + 1;
  }
  reader.offset = std::max(reader.offset, entry.to());
}

void LogFollower::ShowMissing(LogReader& reader, int64_t to, const std::string& reason) {
  options_.missing(reader.address, MissingRange{reader.offset, to, reason});
  reader.offset = to;
}

}  // namespace selvage::ctl
