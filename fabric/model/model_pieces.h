#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "fabric/model/digest.h"
#include "selvage/v1/model.pb.h"

namespace selvage::model {

/// What a core gives of models to edges. Thread-safe; calls wait for the disk.
class ModelPieces {
 public:
  virtual ~ModelPieces() = default;

  /// The signed manifest. Error: "unknown_model".
  virtual absl::StatusOr<v1::ModelSigned> Document(const Digest& manifest) const = 0;
  /// A chunk of a version that was published. Errors: "unknown_chunk", "corrupt_chunk", "io_error".
  virtual absl::StatusOr<std::string> ReadChunk(const Digest& chunk) = 0;
};

}  // namespace selvage::model
