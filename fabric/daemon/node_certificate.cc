#include "fabric/daemon/node_certificate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

constexpr absl::Duration kLookEvery = absl::Seconds(10);
/// A certificate that nobody renews is an alarm when less than this part of its life is left, and at most so
/// long before its end: time enough to renew one that lives for years, and no alarm for one that lives for a
/// day.
constexpr int kLastPart = 5;
constexpr absl::Duration kEndingMax = absl::Hours(24 * 30);
/// Names that wait for the next look.
constexpr size_t kRefusedMax = 1000;

constexpr std::string_view kEnds = "certificate_ends";
constexpr std::string_view kExpired = "certificate_expired";
constexpr std::string_view kNotYetValid = "certificate_not_yet_valid";
/// All that can be wrong with this node's own files. One of them is open at most.
constexpr std::array<std::string_view, 9> kKinds = {"certificate_missing",
                                                    "certificate_unreadable",
                                                    "certificate_invalid",
                                                    "certificate_mismatch",
                                                    kNotYetValid,
                                                    kExpired,
                                                    "certificate_foreign",
                                                    "certificate_identity",
                                                    kEnds};

std::string Shown(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

absl::Time EndsSoonFrom(const UsableFiles& files) {
  return files.chain_until - std::min(kEndingMax, (files.until - files.from) / kLastPart);
}

}  // namespace

TlsFiles TlsFilesOf(const TlsConfig& config) {
  return {config.cert, config.key, config.ca};
}

absl::Status CheckCertificate(const DaemonConfig& config, Role role) {
  return CheckNodeFiles(TlsFilesOf(config.tls), role, config.node_id, SystemClock().Wall()).status();
}

NodeCertificate::NodeCertificate(Options options, AlarmBook& alarms, Clock& clock)
    : options_(std::move(options)), alarms_(alarms), clock_(clock), to_dial_("") {}

void NodeCertificate::Look() {
  const absl::Time now = clock_.Wall();
  const absl::StatusOr<UsableFiles> files = CheckNodeFiles(options_.files, options_.role, options_.node, now);
  absl::StatusOr<Identity> identity = CertificateIdentity(options_.files.cert);
  const absl::StatusOr<absl::Time> end = CertificateNotAfter(options_.files.cert);
  const bool mine = identity.ok() && identity->role == options_.role && identity->id == options_.node;
  bool news;
  {
    absl::MutexLock lock(&mutex_);
    news = ErrorKind(problem_) != ErrorKind(files.status());
    problem_ = files.status();
    not_after_ = end.ok() ? std::optional(*end) : std::nullopt;
    if (mine) {
      to_dial_ = identity->trust_domain;
      trust_domain_ = identity->trust_domain;
    } else if (!files.ok()) {  // else the file was replaced between the two readings
      to_dial_ = files.status();
    }
    next_look_ = clock_.Monotonic() + kLookEvery;
  }
  if (news && files.ok()) LogInfo("the certificate can be used", {{"file", options_.files.cert}});
  if (news && !files.ok()) LogWarning("the certificate cannot be used", {{"error", files.status()}});
  ReportOwn(files, now);
  ReportRefusedEdges();
}

void NodeCertificate::LookIfDue() {
  {
    absl::MutexLock lock(&mutex_);
    if (clock_.Monotonic() < next_look_ && refused_edges_.empty()) return;
  }
  Look();
}

void NodeCertificate::ReportOwn(const absl::StatusOr<UsableFiles>& files, absl::Time now) {
  std::string open;
  if (!files.ok()) {
    open = ErrorKind(files.status());
    alarms_.Report(
        {open, options_.node, std::string(files.status().message()), ErrorHint(files.status()), false});
  } else if (now >= EndsSoonFrom(*files)) {
    open = std::string(kEnds);
    alarms_.Report({kEnds, options_.node,
                    fmt::format("the certificate {}, or an authority above it, ends at {}",
                                options_.files.cert, Shown(files->chain_until)),
                    "put a new one in its place; this process takes it up by itself", false});
  }
  for (std::string_view kind : kKinds) {
    if (kind != open) alarms_.Clear(kind, options_.node);
  }
}

void NodeCertificate::ReportRefusedEdges() {
  std::map<std::string, absl::Status> refused;
  {
    absl::MutexLock lock(&mutex_);
    refused.swap(refused_edges_);
  }
  for (const auto& [edge, why] : refused) {
    alarms_.Report({"edge_certificate", edge, std::string(why.message()), ErrorHint(why), false, edge});
  }
}

absl::Status NodeCertificate::problem() const {
  absl::MutexLock lock(&mutex_);
  return problem_;
}

absl::StatusOr<std::string> NodeCertificate::TrustDomainToDial() const {
  absl::MutexLock lock(&mutex_);
  return to_dial_;
}

std::string NodeCertificate::trust_domain() const {
  absl::MutexLock lock(&mutex_);
  return trust_domain_;
}

std::optional<absl::Time> NodeCertificate::not_after() const {
  absl::MutexLock lock(&mutex_);
  return not_after_;
}

void NodeCertificate::NoteRefusedEdge(const std::string& edge, const absl::Status& why) {
  absl::MutexLock lock(&mutex_);
  if (refused_edges_.size() < kRefusedMax) refused_edges_[edge] = why;
}

}  // namespace selvage
