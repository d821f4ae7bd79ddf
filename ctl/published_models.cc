#include "ctl/published_models.h"

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "ctl/options.h"
#include "ctl/session.h"
#include "ctl/units.h"
#include "fabric/base/error.h"
#include "fabric/model/bundle.h"
#include "fabric/model/manifest.h"
#include "fabric/model/model_trust.h"

namespace selvage::ctl {
namespace {

using Models = Client::Models;

/// Of chunks in one request.
constexpr size_t kPieceBytes = 2 << 20;
/// The core reads all of a version when it is finished, or deleted.
constexpr absl::Duration kReadsAll = absl::Minutes(10);

std::string HexOf(const std::string& digest) {
  return model::Digest::FromBytes(digest).value_or(model::Digest()).Hex();
}

void PrintVersion(Session& session, const v1::ModelVersion& version) {
  if (session.json()) {
    boost::json::value value = ToJson(version);
    value.as_object()["manifest"] = HexOf(version.manifest());
    return PrintJson(session.out(), value);
  }
  PrintFields(session.out(), {{"model", version.model()},
                              {"version", std::to_string(version.version())},
                              {"manifest", HexOf(version.manifest())},
                              {"runtime", version.runtime()},
                              {"files", std::to_string(version.files())},
                              {"size", HumanBytes(static_cast<double>(version.bytes()))},
                              {"chunks", std::to_string(version.chunks())},
                              {"published", HumanTimeMs(version.published_ms())}});
}

// --- Publishing

/// Sends the chunks that the core misses, as they come in the order of the manifest.
class MissingChunks {
 public:
  MissingChunks(Session& session, const Client& client, v1::BeginPublishResponse begun)
      : session_(session), client_(client), begun_(std::move(begun)) {
    request_.set_manifest(begun_.manifest());
  }

  absl::Status Take(std::string_view data) {
    const uint32_t index = index_++;
    if (next_ == begun_.missing_size() || begun_.missing(next_) != index) return absl::OkStatus();
    ++next_;
    auto& chunk = *request_.add_chunks();
    chunk.set_index(index);
    chunk.set_data(std::string(data));
    bytes_ += data.size();
    return bytes_ < kPieceBytes ? absl::OkStatus() : Send();
  }
  absl::Status Send() {
    if (request_.chunks().empty()) return absl::OkStatus();
    SELVAGE_RETURN_IF_ERROR(client_.Call(&Models::PutModelChunks, request_).status());
    sent_ += std::exchange(bytes_, 0);
    request_.clear_chunks();
    if (!session_.world.err_is_terminal) return absl::OkStatus();
    session_.err() << fmt::format("\r{} of {} chunks, {}", next_, begun_.missing_size(),
                                  HumanBytes(static_cast<double>(sent_)))
                   << (next_ == begun_.missing_size() ? "\n" : "") << std::flush;
    return absl::OkStatus();
  }
  uint64_t sent() const { return sent_; }

 private:
  Session& session_;
  const Client& client_;
  const v1::BeginPublishResponse begun_;
  v1::PutModelChunksRequest request_;
  uint32_t index_ = 0;
  int next_ = 0;
  size_t bytes_ = 0;
  uint64_t sent_ = 0;
};

absl::Status PublishModel(Session& session, const std::string& file) {
  SELVAGE_ASSIGN_OR_RETURN(model::BundleReader bundle, model::BundleReader::Open(file));
  SELVAGE_ASSIGN_OR_RETURN(const v1::ModelManifest manifest,
                           model::ReadManifest(bundle.document().payload()));
  SELVAGE_ASSIGN_OR_RETURN(const Client client, session.Connect());
  v1::BeginPublishRequest begin;
  *begin.mutable_document() = bundle.document();
  SELVAGE_ASSIGN_OR_RETURN(v1::BeginPublishResponse begun, client.Call(&Models::BeginPublish, begin));
  v1::FinishPublishRequest finish;
  finish.set_manifest(begun.manifest());
  MissingChunks missing(session, client, std::move(begun));
  SELVAGE_RETURN_IF_ERROR(bundle.ReadChunks(
      manifest, [&](const model::Digest&, std::string_view data) { return missing.Take(data); }));
  SELVAGE_RETURN_IF_ERROR(missing.Send());
  SELVAGE_ASSIGN_OR_RETURN(const v1::ModelVersion version,
                           client.Call(&Models::FinishPublish, finish, kReadsAll));
  if (!session.json()) {
    session.out() << fmt::format("published; {} of {} were not at the core yet\n",
                                 HumanBytes(static_cast<double>(missing.sent())),
                                 HumanBytes(static_cast<double>(version.bytes())));
  }
  PrintVersion(session, version);
  return absl::OkStatus();
}

struct NamedVersion {
  std::string model;
  uint64_t version = 0;
  std::string out;
};

absl::Status ListModels(Session& session, const std::string& model) {
  v1::ListModelsRequest request;
  request.set_model(model);
  SELVAGE_ASSIGN_OR_RETURN(const v1::ListModelsResponse all, session.Ask(&Models::ListModels, request));
  if (session.json()) {
    boost::json::array rows;
    for (const v1::ModelVersion& version : all.versions()) {
      boost::json::value value = ToJson(version);
      value.as_object()["manifest"] = HexOf(version.manifest());
      rows.push_back(std::move(value));
    }
    PrintJson(session.out(), rows);
    return absl::OkStatus();
  }
  Table table({{"model"},
               {"version", Table::Align::kRight},
               {"size", Table::Align::kRight},
               {"files", Table::Align::kRight},
               {"runtime"},
               {"published"},
               {"manifest"}});
  for (const v1::ModelVersion& version : all.versions()) {
    table.Add({version.model(), std::to_string(version.version()),
               HumanBytes(static_cast<double>(version.bytes())), std::to_string(version.files()),
               version.runtime(), HumanTimeMs(version.published_ms()),
               HexOf(version.manifest()).substr(0, 12)});
  }
  table.Print(session.out());
  return absl::OkStatus();
}

absl::StatusOr<v1::GetModelResponse> GetModel(const Client& client, const NamedVersion& named) {
  v1::GetModelRequest request;
  request.set_model(named.model);
  request.set_version(named.version);
  return client.Call(&Models::GetModel, request);
}

absl::Status ShowModel(Session& session, const NamedVersion& named) {
  SELVAGE_ASSIGN_OR_RETURN(const Client client, session.Connect());
  SELVAGE_ASSIGN_OR_RETURN(const v1::GetModelResponse found, GetModel(client, named));
  PrintVersion(session, found.version());
  if (session.json()) return absl::OkStatus();
  SELVAGE_ASSIGN_OR_RETURN(const v1::ModelManifest manifest, model::ReadManifest(found.document().payload()));
  for (const std::string& key : found.version().key_ids()) {
    PrintFields(session.out(), {{"signed by", HexOf(key)}});
  }
  Table table({{"file"}, {"size", Table::Align::kRight}, {"sha-256"}});
  for (const auto& file : manifest.files()) {
    table.Add({file.path(), HumanBytes(static_cast<double>(file.size())), HexOf(file.sha256())});
  }
  table.Print(session.out());
  return absl::OkStatus();
}

absl::Status DeleteModel(Session& session, const NamedVersion& named) {
  SELVAGE_ASSIGN_OR_RETURN(const Client client, session.Connect());
  v1::DeleteModelRequest request;
  request.set_model(named.model);
  request.set_version(named.version);
  SELVAGE_RETURN_IF_ERROR(client.Call(&Models::DeleteModel, request, kReadsAll).status());
  if (!session.json()) session.out() << fmt::format("version {} of {} deleted\n", named.version, named.model);
  return absl::OkStatus();
}

absl::Status ExportModel(Session& session, const NamedVersion& named) {
  SELVAGE_ASSIGN_OR_RETURN(const Client client, session.Connect());
  SELVAGE_ASSIGN_OR_RETURN(const v1::GetModelResponse found, GetModel(client, named));
  SELVAGE_ASSIGN_OR_RETURN(model::BundleWriter writer,
                           model::BundleWriter::Create(named.out, found.document()));
  v1::GetModelChunksRequest request;
  request.set_manifest(found.version().manifest());
  while (request.first() < found.version().chunks()) {
    SELVAGE_ASSIGN_OR_RETURN(const v1::GetModelChunksResponse piece,
                             client.Call(&Models::GetModelChunks, request));
    if (piece.chunks().empty()) {
      return MakeError(
          absl::StatusCode::kDataLoss, "corrupt_model",
          fmt::format("the core ends after {} of {} chunks", request.first(), found.version().chunks()));
    }
    for (const std::string& chunk : piece.chunks()) SELVAGE_RETURN_IF_ERROR(writer.Add(chunk));
    request.set_first(request.first() + static_cast<uint32_t>(piece.chunks_size()));
  }
  SELVAGE_RETURN_IF_ERROR(writer.Finish());
  PrintVersion(session, found.version());
  return absl::OkStatus();
}

// --- Roots

absl::Status AddRootAtCore(Session& session, const v1::ModelSigned& root) {
  v1::AddModelRootRequest request;
  *request.mutable_root() = root;
  SELVAGE_ASSIGN_OR_RETURN(const v1::AddModelRootResponse added, session.Ask(&Models::AddModelRoot, request));
  if (session.json()) {
    PrintJson(session.out(), {{"version", added.version()}, {"digest", HexOf(added.digest())}});
  } else {
    session.out() << fmt::format("the core has root {}, {}\n", added.version(), HexOf(added.digest()));
  }
  return absl::OkStatus();
}

absl::Status ListRoots(Session& session) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::ListModelRootsResponse all,
                           session.Ask(&Models::ListModelRoots, v1::ListModelRootsRequest()));
  Table table({{"version", Table::Align::kRight},
               {"trust domain"},
               {"root keys", Table::Align::kRight},
               {"model keys", Table::Align::kRight},
               {"rollout keys", Table::Align::kRight},
               {"digest"}});
  boost::json::array rows;
  for (const v1::ModelSigned& document : all.roots()) {
    SELVAGE_ASSIGN_OR_RETURN(const v1::ModelRoot root, model::ReadRoot(document.payload()));
    const std::string digest = model::Digest::Of(document.payload()).Hex();
    table.Add({std::to_string(root.version()), root.trust_domain(), std::to_string(root.root().keys_size()),
               std::to_string(root.model().keys_size()), std::to_string(root.rollout().keys_size()), digest});
    boost::json::value value = ToJson(root);
    value.as_object()["digest"] = digest;
    rows.push_back(std::move(value));
  }
  if (session.json()) {
    PrintJson(session.out(), rows);
  } else {
    table.Print(session.out());
  }
  return absl::OkStatus();
}

/// Options that name one version of a model.
CLI::App* AddVersionVerb(CLI::App& noun, const std::string& name, const std::string& what,
                         NamedVersion& named, bool needs_version) {
  CLI::App* verb = noun.add_subcommand(name, what);
  verb->add_option("MODEL", named.model, "Its name")->required();
  CLI::Option* version = verb->add_option("--version", named.version,
                                          needs_version ? "Which one" : "Which one; left out, the newest");
  if (needs_version) version->required();
  return verb;
}

}  // namespace

void AddPublishedModels(CLI::App& noun, CLI::App& root, Session& session,
                        absl::StatusOr<v1::ModelSigned> (*read_root)(const std::string& file)) {
  auto file = std::make_shared<std::string>();
  CLI::App* publish = noun.add_subcommand("publish", "Bring a signed bundle to the core");
  publish->add_option("BUNDLE", *file, "File that model sign or model export made")->required();
  publish->callback([&session, file] { session.Finish(PublishModel(session, *file)); });

  auto named = std::make_shared<NamedVersion>();
  CLI::App* list = noun.add_subcommand("list", "Print the versions that the core has");
  list->add_option("MODEL", named->model, "Only of this model");
  list->callback([&session, named] { session.Finish(ListModels(session, named->model)); });
  CLI::App* show = AddVersionVerb(noun, "show", "Print a version and its files", *named, false);
  show->callback([&session, named] { session.Finish(ShowModel(session, *named)); });
  CLI::App* remove = AddVersionVerb(noun, "delete", "Take a version out of the core", *named, true);
  remove->callback([&session, named] { session.Finish(DeleteModel(session, *named)); });
  CLI::App* save = AddVersionVerb(noun, "export", "Write a version as a signed bundle", *named, false);
  save->add_option("--out", named->out, "File of the bundle")->required();
  save->callback([&session, named] { session.Finish(ExportModel(session, *named)); });

  CLI::App* add =
      root.add_subcommand("add", "Give a root to the core, which refuses what no root vouches for");
  add->add_option("FILE", *file, "The root")->required();
  add->callback([&session, file, read_root] {
    auto document = read_root(*file);
    session.Finish(document.ok() ? AddRootAtCore(session, *document) : document.status());
  });
  CLI::App* roots = root.add_subcommand("list", "Print the roots that the core has");
  roots->callback([&session] { session.Finish(ListRoots(session)); });
}

}  // namespace selvage::ctl
