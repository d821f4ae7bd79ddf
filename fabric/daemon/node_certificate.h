#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"
#include "fabric/config/daemon_config.h"
#include "fabric/node/alarm_book.h"
#include "fabric/security/tls_files.h"

namespace selvage {

TlsFiles TlsFilesOf(const TlsConfig& config);

/// For --check-config: whether the files would carry a connection now. Errors: those of CheckNodeFiles.
absl::Status CheckCertificate(const DaemonConfig& config, Role role);

/// The certificate files of a running node. What is wrong with them is a problem of the link and of the
/// operators' connections, not of the node: it is an alarm and a metric, it is looked for again and again,
/// and it ends by itself when the files or the clock are mended. Safe to use from several threads.
class NodeCertificate {
 public:
  struct Options {
    TlsFiles files;
    Role role = Role::kEdge;
    std::string node;  ///< the id that the certificate must be of
  };
  /// `alarms` and `clock` must outlive it.
  NodeCertificate(Options options, AlarmBook& alarms, Clock& clock);

  /// Reads the files and brings the alarms up to date. Waits for the disk. Call it once at the start.
  void Look();
  /// The same, when the last look is some seconds ago or an edge was noted. For a thread that comes by each
  /// second.
  void LookIfDue();

  /// OK when the files would carry a connection at the last look; else an error of CheckNodeFiles.
  absl::Status problem() const;
  /// The trust domain to dial in. A certificate that is out of date is dialled with: the clock here may be
  /// the wrong one, and the peer says who it was that it refused. One that cannot be read or is another
  /// node's is not.
  absl::StatusOr<std::string> TrustDomainToDial() const;
  /// The last one known, also of a certificate that has gone since; empty when there was none yet.
  std::string trust_domain() const;

  /// When the certificate ends, as of the last look; nothing when the file could not be read.
  std::optional<absl::Time> not_after() const;

  /// An edge was refused since its own certificate is not valid today: the alarm "edge_certificate" about it
  /// at the next look; whoever takes its link clears it. Does not wait.
  void NoteRefusedEdge(const std::string& edge, const absl::Status& why);

 private:
  void ReportOwn(const absl::StatusOr<UsableFiles>& files, absl::Time now);
  void ReportRefusedEdges();

  const Options options_;
  AlarmBook& alarms_;
  Clock& clock_;
  mutable absl::Mutex mutex_;
  absl::Status problem_ ABSL_GUARDED_BY(mutex_);
  absl::StatusOr<std::string> to_dial_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Time> not_after_ ABSL_GUARDED_BY(mutex_);
  std::string trust_domain_ ABSL_GUARDED_BY(mutex_);
  absl::Duration next_look_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  std::map<std::string, absl::Status> refused_edges_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage
