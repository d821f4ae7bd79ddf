#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "fabric/stream/record_batch.h"
#include "fabric/view/view_build.h"
#include "selvage/v1/view.pb.h"
#include "tests/support/seeded_random.h"
#include "tests/support/view_model.h"

namespace selvage::sim {

/// Which nodes of a world have a view, what these show, and what producers write for them: the records of
/// each batch, by its payload (see Ledger), as they were before anybody stored or read them.
class ViewRecords {
 public:
  /// Half of the worlds that may have views do: with one at the core, and one at an edge.
  ViewRecords(uint64_t seed, bool may_be_on, int edges);

  bool on() const { return on_; }
  bool HasView(const std::string& node) const { return on_ && (node == "core" || node == edge_); }
  v1::ViewDefinition DefinitionAt(const std::string& node) const;
  /// Small enough that most pieces end within a batch, or so large that none does.
  view::PieceSizes piece() const { return piece_; }
  /// How far the payloads of two batches are apart, and so their times in milliseconds.
  uint64_t payload_step() const { return payload_step_; }

  /// Writes something for views into the records of a batch, of about the same size, and remembers it.
  void Shape(uint64_t payload, std::vector<Record>& records);
  /// The records of a batch that was shaped. Valid as long as this.
  const std::vector<test::ViewRecord>& Of(uint64_t payload) const { return records_.at(payload); }

  /// The choices of views: apart from those of the world.
  test::SeededRandom& random() { return random_; }

  static constexpr const char* kView = "view";

 private:
  void ShapeValue(test::SeededRandom& random, Record& record, test::ViewRecord& known);
  v1::ViewDefinition Draw();

  test::SeededRandom random_;
  const bool on_;
  std::string edge_;
  v1::ViewDefinition at_core_;
  v1::ViewDefinition at_edge_;
  view::PieceSizes piece_;
  uint64_t payload_step_ = 1;
  std::unordered_map<uint64_t, std::vector<test::ViewRecord>> records_;
};

}  // namespace selvage::sim
