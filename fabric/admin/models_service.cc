#include "fabric/admin/models_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/model/manifest.h"

namespace selvage {
namespace {

constexpr CallGate::Call kAddModelRoot{"Models/AddModelRoot", Action::kWriteAdmin, true};
constexpr CallGate::Call kListModelRoots{"Models/ListModelRoots", Action::kReadAdmin};
constexpr CallGate::Call kBeginPublish{"Models/BeginPublish", Action::kWriteAdmin, true};
constexpr CallGate::Call kPutModelChunks{"Models/PutModelChunks", Action::kWriteAdmin, true};
constexpr CallGate::Call kFinishPublish{"Models/FinishPublish", Action::kWriteAdmin, true};
constexpr CallGate::Call kListModels{"Models/ListModels", Action::kReadAdmin};
constexpr CallGate::Call kGetModel{"Models/GetModel", Action::kReadAdmin};
constexpr CallGate::Call kGetModelChunks{"Models/GetModelChunks", Action::kReadAdmin};
constexpr CallGate::Call kDeleteModel{"Models/DeleteModel", Action::kWriteAdmin, true};

/// Of a request beside a manifest: its signatures.
constexpr size_t kBesideManifest = 64 << 10;
/// Of chunks in one request.
constexpr size_t kPutMax = 4 << 20;

absl::StatusOr<model::Digest> DigestIn(const std::string& bytes) {
  if (const auto digest = model::Digest::FromBytes(bytes)) return *digest;
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_request",
                   "a manifest is named by the 32 bytes of its SHA-256 digest");
}

}  // namespace

size_t ModelsRequestMax() {
  return std::max(model::kManifestBytesMax, kPutMax) + kBesideManifest;
}

grpc::ServerUnaryReactor* ModelsService::AddModelRoot(grpc::CallbackServerContext* context,
                                                      const v1::AddModelRootRequest* request,
                                                      v1::AddModelRootResponse* response) {
  return calls_.Run(context, kAddModelRoot, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(const model::Digest digest, models_.AddRoot(request->root()));
    SELVAGE_ASSIGN_OR_RETURN(const v1::ModelRoot root, model::ReadRoot(request->root().payload()));
    response->set_version(root.version());
    response->set_digest(digest.bytes());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ModelsService::ListModelRoots(grpc::CallbackServerContext* context,
                                                        const v1::ListModelRootsRequest* request,
                                                        v1::ListModelRootsResponse* response) {
  return calls_.Run(context, kListModelRoots, request, response, [=, this]() -> absl::Status {
    for (v1::ModelSigned& root : models_.Roots()) *response->add_roots() = std::move(root);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ModelsService::BeginPublish(grpc::CallbackServerContext* context,
                                                      const v1::BeginPublishRequest* request,
                                                      v1::BeginPublishResponse* response) {
  return calls_.Run(context, kBeginPublish, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(const auto begun, models_.BeginPublish(request->document()));
    response->set_manifest(begun.manifest.bytes());
    response->mutable_missing()->Add(begun.missing.begin(), begun.missing.end());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ModelsService::PutModelChunks(grpc::CallbackServerContext* context,
                                                        const v1::PutModelChunksRequest* request,
                                                        v1::PutModelChunksResponse* response) {
  return calls_.Run(context, kPutModelChunks, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(const model::Digest manifest, DigestIn(request->manifest()));
    std::vector<model::ModelRegistry::Piece> pieces;
    size_t bytes = 0;
    for (const auto& chunk : request->chunks()) {
      pieces.push_back({chunk.index(), chunk.data()});
      bytes += chunk.data().size();
    }
    if (bytes > kPutMax) {
      return MakeError(absl::StatusCode::kInvalidArgument, "invalid_request",
                       fmt::format("{} bytes of chunks; at most {} are taken at once", bytes, kPutMax));
    }
    return models_.PutChunks(manifest, pieces);
  });
}

grpc::ServerUnaryReactor* ModelsService::FinishPublish(grpc::CallbackServerContext* context,
                                                       const v1::FinishPublishRequest* request,
                                                       v1::ModelVersion* response) {
  return calls_.Run(context, kFinishPublish, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(const model::Digest manifest, DigestIn(request->manifest()));
    SELVAGE_ASSIGN_OR_RETURN(*response, models_.FinishPublish(manifest));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ModelsService::ListModels(grpc::CallbackServerContext* context,
                                                    const v1::ListModelsRequest* request,
                                                    v1::ListModelsResponse* response) {
  return calls_.Run(context, kListModels, request, response, [=, this]() -> absl::Status {
    for (v1::ModelVersion& version : models_.List()) {
      if (!request->model().empty() && version.model() != request->model()) continue;
      *response->add_versions() = std::move(version);
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ModelsService::GetModel(grpc::CallbackServerContext* context,
                                                  const v1::GetModelRequest* request,
                                                  v1::GetModelResponse* response) {
  return calls_.Run(context, kGetModel, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(*response->mutable_version(),
                             models_.Find(request->model(), request->version()));
    SELVAGE_ASSIGN_OR_RETURN(const model::Digest manifest, DigestIn(response->version().manifest()));
    SELVAGE_ASSIGN_OR_RETURN(*response->mutable_document(), models_.Document(manifest));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ModelsService::GetModelChunks(grpc::CallbackServerContext* context,
                                                        const v1::GetModelChunksRequest* request,
                                                        v1::GetModelChunksResponse* response) {
  return calls_.Run(context, kGetModelChunks, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(const model::Digest manifest, DigestIn(request->manifest()));
    SELVAGE_ASSIGN_OR_RETURN(const auto chunks, models_.ReadChunks(manifest, request->first()));
    for (const std::string& chunk : chunks) response->add_chunks(chunk);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ModelsService::DeleteModel(grpc::CallbackServerContext* context,
                                                     const v1::DeleteModelRequest* request,
                                                     v1::DeleteModelResponse* response) {
  return calls_.Run(context, kDeleteModel, request, response, [=, this]() -> absl::Status {
    return models_.Delete(request->model(), request->version());
  });
}

}  // namespace selvage
