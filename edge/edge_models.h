#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"
#include "fabric/model/chunk_fetch.h"
#include "fabric/model/chunk_store.h"
#include "fabric/model/edge_model.h"
#include "fabric/model/model_folder.h"
#include "fabric/model/model_trust.h"
#include "fabric/node/alarm_book.h"
#include "fabric/storage/committer.h"
#include "fabric/stream/disk_budget.h"
#include "selvage/v1/control.pb.h"
#include "selvage/v1/model.pb.h"

namespace selvage {

/// How an edge finds out whether a version works, and whom it tells. Empty texts: nobody is asked or told.
struct ModelGate {
  std::string command;
  std::string http;
  absl::Duration timeout = absl::Seconds(60);  ///< of the gate, and of the hook
  std::string hook;
};

/// The models of an edge: takes what the core decides, believes what the pinned root makes believable, and
/// brings versions from their download over the trial to being committed, or back. Each decision and each
/// state is synced before it is acted on; what a crash left is finished or undone by Open.
///
/// Folders below `folder`: `.chunks`, `.manifests`, and one for each model (ModelFolder).
///
/// Take, Wake, Import, Statuses and Find may be called from any thread. The work is done by Work, in a thread
/// of its own between Start and Stop, or by whoever calls it.
class EdgeModels {
 public:
  struct Options {
    std::string edge;
    std::filesystem::path folder;
    std::optional<model::Digest> root;  ///< pinned; nothing: models are refused
    uint64_t quota = 0;                 ///< bytes of chunks and assembled versions; 0: no limit of its own
    ModelGate gate;
  };
  /// All of it must outlive it.
  struct Parts {
    KvStore& store;
    Committer& committer;
    Clock& clock;
    AlarmBook& alarms;
    DiskBudget& budget;
    model::ChunkFetcher& fetcher;
  };
  /// Models of one edge; more assignments are refused ("too_many_models").
  static constexpr size_t kModelsMax = 64;

  /// Reads what is stored, ends what a crash left under way, and points `current` where it belongs. Errors:
  /// "corrupt_meta", "io_error", those of a write.
  static absl::StatusOr<std::unique_ptr<EdgeModels>> Open(const Parts& parts, Options options);
  ~EdgeModels();

  void Start();
  /// Waits for the step that is under way; a gate or a hook is ended.
  void Stop();

  /// The spec that is there, at the start, and each one that is applied.
  void Take(const v1::EdgeSpec& spec);
  /// There may be something to do: the link is up.
  void Wake();
  /// Does what can be done now. When it is to be called again at the latest; infinite: when Take or Wake
  /// were.
  absl::Duration Work();

  /// Takes a bundle's manifest and chunks from a file, so that an assignment of it, there or to come, needs
  /// no link. It stays until another one of the model is imported. Errors: those of BundleReader and of
  /// ModelTrust::CheckManifest; "no_root_pinned", "no_root_yet", "version_below_floor", "quota_exceeded",
  /// "disk_full", "io_error".
  absl::StatusOr<v1::ModelManifest> Import(const std::filesystem::path& bundle);

  std::vector<v1::ModelStatus> Statuses() const;
  /// The same and the root's version.
  void AddTo(v1::EdgeStatus& status) const;
  /// Error: "unknown_model".
  absl::StatusOr<v1::ModelStatus> Find(const std::string& model) const;
  /// What `current` of a model is found by.
  std::filesystem::path CurrentPath(const std::string& model) const {
    return options_.folder / model / "current";
  }
  /// The version of the trusted root; 0: none is.
  uint64_t root_version() const;
  /// Another number with every change of a status, and each time that the age of what was committed since the
  /// start has doubled: who rolls a version out waits to hear that it still runs.
  uint64_t changes() const;
  /// Runs, on any thread, after a status changed; it must not block. To be set before Start.
  void OnChange(std::function<void()> changed) { changed_ = std::move(changed); }
  /// Of chunks and assembled versions.
  uint64_t bytes() const;

 private:
  struct Fetch;
  struct Arrived;
  struct Inbox;
  struct Model;

  EdgeModels(const Parts& parts, Options options);
  absl::Status Load();
  absl::Status LoadTrust();
  void Run();
  bool stopping() const;

  // By the thread that works.
  void StoreArrived();
  absl::Status TakeSpec(const v1::EdgeSpec& spec);
  absl::Status WalkRoots(const v1::EdgeSpec& spec);
  /// At each spec: a crash may have come after a root was stored.
  absl::Status EndOrdersOfFormerKeys();
  absl::Status TakeAssignment(const v1::ModelSigned& document);
  void Refuse(const v1::ModelSigned& document, const absl::Status& why);
  absl::StatusOr<Model*> ModelOf(const std::string& name);
  /// One step; false when there is none that can be done now.
  absl::StatusOr<bool> Step(Model& model);
  absl::StatusOr<bool> FetchStep(Model& model, const model::Digest& manifest);
  absl::StatusOr<bool> Install(Model& model, const model::Digest& digest,
                               const model::Verified<v1::ModelManifest>& manifest);
  absl::StatusOr<bool> GateStep(Model& model, const model::Digest& manifest);
  absl::StatusOr<bool> FailStep(Model& model, const model::Digest& manifest, const absl::Status& why);
  absl::Status AskGate(const Model& model);
  void RunHook(const Model& model);
  /// The manifest is there and good; nothing while it is on its way; an error when it is none.
  absl::StatusOr<std::optional<model::Verified<v1::ModelManifest>>> ManifestFor(Model& model,
                                                                                const model::Digest& digest);
  /// Whether all chunks are there; asks for those that are not.
  bool HasChunks(Model& model, const model::Digest& digest, const v1::ModelManifest& manifest);
  absl::Status CheckRoom(const v1::ModelManifest& manifest, uint64_t missing_bytes, bool assemble) const;
  void Hold(Model& model, const absl::Status& why, absl::Duration pause);
  absl::Status Point(Model& model);
  /// Stores trust and model, of which either may be nothing.
  absl::Status Store(const model::ModelTrust* trust, const Model* model, const v1::StoredEdgeModel* state);
  absl::Status Sweep();
  void ShowStatuses();
  v1::ModelStatus StatusOf(Model& model);
  absl::StatusOr<std::optional<v1::ModelSigned>> ReadManifestFile(const model::Digest& digest) const;
  absl::Status KeepManifest(const model::Digest& digest, const std::string& document);
  int64_t Time() const;

  const Parts parts_;
  const Options options_;
  std::function<void()> changed_;
  std::shared_ptr<model::ChunkStore> chunks_;
  const std::shared_ptr<Inbox> inbox_;
  std::thread thread_;

  /// Held while something works; Import takes turns with Work.
  absl::Mutex work_mutex_;
  absl::Status failed_ ABSL_GUARDED_BY(work_mutex_);  // the store's last word
  std::optional<model::ModelTrust> trust_;
  std::map<std::string, std::unique_ptr<Model>> models_;
  std::map<std::string, absl::Status> refused_;  // by model, why its newest assignment was not taken
  std::map<std::string, model::Digest> imported_;
  bool sweep_ = true;

  mutable absl::Mutex shown_mutex_;
  std::map<std::string, v1::ModelStatus> shown_ ABSL_GUARDED_BY(shown_mutex_);
  uint64_t shown_root_ ABSL_GUARDED_BY(shown_mutex_) = 0;
  uint64_t changes_ ABSL_GUARDED_BY(shown_mutex_) = 0;
  uint64_t bytes_ ABSL_GUARDED_BY(shown_mutex_) = 0;
  std::map<std::string, absl::Duration> committed_at_ ABSL_GUARDED_BY(shown_mutex_);  // monotonic
};

}  // namespace selvage
