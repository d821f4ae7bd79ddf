#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "fabric/base/ids.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/producer_window.h"

namespace selvage {

/// The idempotent producers of one log, as they will be when everything staged is synced. Each is one small
/// value in the store beside the log, written in the same batch as the entries it tells of: a crash can
/// neither forget a batch nor invent one. Touched only by tasks while they are staged, but for MayHaveIdle.
class ProducerTable {
 public:
  explicit ProducerTable(LogNumber log) : log_(log) {}

  /// A stored value, found under `producer`, before anything else. False when it is damaged.
  bool Load(int64_t producer, std::string_view value);

  ProducerWindow::Judgement Judge(const ProducerSequence& sequence) const;
  /// Remembers a batch that is staged at `base`; Flush writes it. Above kProducersMax another is forgotten.
  void Add(WriteBatch& batch, const ProducerSequence& sequence, Offset base, int64_t now_ms);
  /// Writes what is known of the producer, if it changed since it was last written.
  void Flush(WriteBatch& batch, int64_t producer);
  /// Forgets producers that wrote last before `before_ms`.
  void ForgetIdle(WriteBatch& batch, int64_t before_ms);
  void ForgetAll(WriteBatch& batch);

  /// False when ForgetIdle would find none. Safe to call from any thread.
  bool MayHaveIdle(int64_t before_ms) const { return idlest_ms_ < before_ms; }
  /// No producer wrote last before this; INT64_MAX without producers. Safe to call from any thread.
  int64_t idlest_ms() const { return idlest_ms_; }
  size_t size() const { return producers_.size(); }

 private:
  struct Producer {
    ProducerWindow window;
    bool changed = false;
  };

  void ForgetIdlest(WriteBatch& batch);

  const LogNumber log_;
  absl::flat_hash_map<int64_t, Producer> producers_;
  /// No producer wrote last before this.
  std::atomic<int64_t> idlest_ms_{INT64_MAX};
};

}  // namespace selvage
