#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/model/chunk_fetch.h"
#include "fabric/model/model_pieces.h"
#include "tests/unit/link/linked_nodes.h"
#include "tests/unit/model/model_samples.h"

namespace selvage {
namespace {

using model::Digest;

/// One version of one chunk.
class OneVersion : public model::ModelPieces {
 public:
  OneVersion() { document_.set_payload(model::samples::ManifestOf(1, {"weights"}).SerializeAsString()); }

  Digest manifest() const { return Digest::Of(document_.payload()); }
  absl::StatusOr<v1::ModelSigned> Document(const Digest& manifest) const override {
    if (manifest == this->manifest()) return document_;
    return MakeError(absl::StatusCode::kNotFound, "unknown_model", "there is no such model");
  }
  absl::StatusOr<std::string> ReadChunk(const Digest&) override { return "weights"; }

 private:
  v1::ModelSigned document_;
};

/// Models over the links that the daemons make.
class ModelLinkTest : public LinkedNodes {
 protected:
  std::optional<absl::StatusOr<std::string>> Fetch(const Digest& manifest) {
    std::optional<absl::StatusOr<std::string>> result;
    chunk_fetchers_.FetchManifest(
        manifest, [&](absl::StatusOr<std::string> document) { result = std::move(document); });
    Pass(2);
    return result;
  }
};

TEST_F(ModelLinkTest, AnEdgeFetchesOverTheLinkThatIsThere) {
  OneVersion version;
  const auto before = Fetch(version.manifest());
  ASSERT_TRUE(before.has_value());
  EXPECT_EQ(ErrorKind(before->status()), "link_lost") << "there is no link yet";
  core_.fleet->models = &version;
  Link();
  const auto linked = Fetch(version.manifest());
  ASSERT_TRUE(linked.has_value());
  EXPECT_EQ(linked->status(), absl::OkStatus());
  Unlink();
  const auto after = Fetch(version.manifest());
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(ErrorKind(after->status()), "link_lost");
  Link();
  const auto again = Fetch(Digest::Of("another"));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(ErrorKind(again->status()), "unknown_model");
  Unlink();
}

TEST_F(ModelLinkTest, ARootThatIsAddedReachesALinkedEdge) {
  std::vector<v1::ModelSigned> roots;
  core_.fleet->specs.SetModelRoots([&] { return roots; });
  Link();
  Pass(1);
  EXPECT_EQ(edge_.edge->spec().model_roots_size(), 0);
  v1::ModelSigned root;
  root.set_payload("root 1");
  const uint64_t generation = core_.fleet->specs.Generation("rig");
  ASSERT_EQ(core_.fleet->specs.ChangeForAll([](WriteBatch&) {}, [&] { roots.push_back(root); }),
            absl::OkStatus());
  EXPECT_GT(core_.fleet->specs.Generation("rig"), generation);
  Pass(2);
  ASSERT_EQ(edge_.edge->spec().model_roots_size(), 1);
  EXPECT_EQ(edge_.edge->spec().model_roots(0).payload(), "root 1");
}

}  // namespace
}  // namespace selvage
