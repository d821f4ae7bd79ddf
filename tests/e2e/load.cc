#include "tests/e2e/load.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "tests/e2e/calls.h"

namespace selvage::test {
namespace {

constexpr absl::Duration kPauseAfterError = absl::Milliseconds(50);

/// Makes batches of all sizes: most of them small, one in eight large.
class BatchMaker {
 public:
  BatchMaker(const Load::Target& target, size_t bytes_max, uint64_t seed)
      : name_(fmt::format("{}/{}/{}/", target.edge_name, target.stream, target.partition)),
        bytes_max_(bytes_max),
        random_(seed) {}

  struct Made {
    std::string bytes;
    std::vector<uint64_t> hashes;
  };
  Made Make() {
    BatchBuilder builder(Below(3) == 0 ? Codec::kZstd : Codec::kNone);
    const size_t size = Below(8) == 0 ? Below(bytes_max_) : Below(8 << 10);
    const size_t record_max = 1 + Below(std::max<size_t>(size, 1));
    Made made;
    size_t total = 0;
    do {
      Record record{.offset = Offset(0),
                    .timestamp = absl::ToUnixMillis(SystemClock().Wall()),
                    .key = name_ + std::to_string(sequence_++),
                    .value = Value(Below(record_max)),
                    .headers = {}};
      total += record.value->size() + record.key->size() + 16;
      made.hashes.push_back(HashOfRecord(record.timestamp, record.key, record.value));
      builder.Add(record);
    } while (total < size && made.hashes.size() < 500);
    made.bytes = builder.Build();
    return made;
  }
  size_t Below(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }

 private:
  std::string Value(size_t size) {
    std::string value(size, 'x');
    const bool compressible = Below(2) == 0;
    for (size_t i = 0; i < size; i += 8) {
      const uint64_t word = compressible ? i / 64 : random_();
      std::copy_n(reinterpret_cast<const char*>(&word), std::min<size_t>(8, size - i), value.data() + i);
    }
    return value;
  }

  const std::string name_;
  const size_t bytes_max_;
  std::mt19937_64 random_;
  uint64_t sequence_ = 0;
};

}  // namespace

Load::Load(std::vector<Target> targets, Options options) : targets_(std::move(targets)), options_(options) {
  uint64_t seed = options_.seed;
  for (const Target& target : targets_) {
    threads_.emplace_back([this, &target, seed = seed++] { Run(target, seed); });
  }
}

void Load::Stop() {
  if (!stopping_.HasBeenNotified()) stopping_.Notify();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Load::Run(const Target& target, uint64_t seed) {
  BatchMaker maker(target, options_.batch_bytes_max, seed);
  const v1::LogAddress address = At(target.stream, target.partition);
  absl::Duration pause = absl::ZeroDuration();
  while (!stopping_.WaitForNotificationWithTimeout(pause)) {
    BatchMaker::Made made = maker.Make();
    auto answer = Produce(*target.edge, address, made.bytes);
    if (!answer.ok()) {
      ++unknown_;
      pause = kPauseAfterError;
      continue;
    }
    acknowledged_ += made.hashes.size();
    absl::MutexLock lock(&mutex_);
    Offset offset(answer->base_offset());
    for (uint64_t hash : made.hashes) {
      checker_.Add({target.edge_name, target.stream, PartitionId(target.partition), offset, hash});
      ++offset;
    }
    pause = absl::Microseconds(static_cast<int64_t>(
        maker.Below(static_cast<size_t>(absl::ToInt64Microseconds(options_.pause_max)) + 1)));
  }
}

absl::StatusOr<LoadReport> Load::Check(Daemon& core) const {
  LoadReport report;
  std::vector<FoundRecord> found;
  absl::flat_hash_set<uint64_t> contents;
  for (const Target& target : targets_) {
    SELVAGE_ASSIGN_OR_RETURN(LogContents log,
                             ReadLog(core, At(target.stream, target.partition, target.edge_name)));
    report.gaps += log.gaps.size();
    for (const Record& record : log.records) {
      const uint64_t hash = HashOfRecord(record.timestamp, record.key, record.value);
      if (!contents.insert(hash).second) ++report.repeated;
      found.push_back({target.edge_name, target.stream, PartitionId(target.partition), record.offset, hash});
    }
  }
  absl::MutexLock lock(&mutex_);
  report.check = checker_.Check(found);
  return report;
}

std::string LoadReport::Describe() const {
  return fmt::format("{}; repeated {}, gaps {}", check.Describe(), repeated, gaps);
}

}  // namespace selvage::test
