#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/ids.h"
#include "tests/support/damaged_store.h"
#include "tests/support/seeded_random.h"
#include "tests/support/view_model.h"

namespace selvage::sim {

/// What the views on one disk must hold, by the incarnation of the table; it is copied with the disk.
using ViewModel = std::map<std::string, test::ViewBuildModel>;

/// A machine's disk: a store with crash semantics, and the file of acknowledged ends beside it. A power cut
/// or an error may be armed for a write to come, so that the process dies in the midst of what it does.
/// Values may rot.
class SimDisk : public DamagedStore {
 public:
  /// What a copy of the data directory holds.
  struct Image {
    struct Row {
      Family family;
      std::string key;
      std::string value;
    };
    std::vector<Row> rows;
    std::map<LogNumber, Offset> acked_ends;
    ViewModel views;
  };

  SimDisk() = default;
  explicit SimDisk(const Image& image);
  Image Copy();

  /// How the last write before the process dies ends.
  enum class End {
    kNotWritten,
    kNotSynced,   ///< written; what remains of it is decided by Restart
    kSynced,      ///< durable, but the process never hears of it
    kFailedSync,  ///< the process hears an error, and must stop
  };
  /// The write after `writes` more ends so; none succeeds after it until Restart.
  void Arm(uint64_t writes, End end) {
    armed_ = true;
    writes_left_ = writes;
    end_ = end;
  }
  /// No write succeeds any more: the process is dead, whatever it still does.
  bool dead() const { return dead_; }
  void Kill() { dead_ = true; }
  /// What the disk holds when it is used again: of what was not synced, some first part.
  void Restart(test::SeededRandom& random);

  absl::Status Write(WriteBatch& batch, bool sync) override;

  /// As of the file; replaced atomically.
  std::map<LogNumber, Offset> acked_ends;
  /// No part of the disk: what a checker found that the views on it had read.
  ViewModel views;

 private:
  bool armed_ = false;
  bool dead_ = false;
  uint64_t writes_left_ = 0;
  End end_ = End::kNotWritten;
};

}  // namespace selvage::sim
