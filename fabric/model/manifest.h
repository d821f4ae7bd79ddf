#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/model/digest.h"
#include "selvage/v1/model.pb.h"

/// What a version of a model is made of.
namespace selvage::model {

inline constexpr size_t kManifestBytesMax = 16 << 20;
inline constexpr int kModelFilesMax = 10'000;
inline constexpr uint64_t kModelBytesMax = uint64_t{64} << 30;

/// True for a path of a file below a model's folder: at most 16 names joined by '/', none of them empty, "."
/// or "..", of UTF-8 without control characters, '\' and ':', up to 255 bytes each and 1,024 in all.
bool IsModelPath(std::string_view path);

/// Reads the payload of a signed manifest. Error: "invalid_manifest", which says what is wrong: a name, a
/// path that leaves the folder or comes twice, sizes that do not add up, a digest that is none, more than the
/// limits above.
absl::StatusOr<v1::ModelManifest> ReadManifest(std::string_view payload);

/// Of all files.
uint64_t BytesOf(const v1::ModelManifest& manifest);

struct ManifestChunk {
  Digest digest;
  uint32_t size = 0;
};
/// The chunks of a manifest that ReadManifest took, each once, in the order in which they first occur: the
/// order of a bundle, and by whose indexes chunks are asked for.
std::vector<ManifestChunk> DistinctChunks(const v1::ModelManifest& manifest);

}  // namespace selvage::model
