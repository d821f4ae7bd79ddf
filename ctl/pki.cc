#include "fabric/security/pki.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <memory>

#include "ctl/options.h"
#include "ctl/session.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

constexpr int kAuthorityDays = 3650;
constexpr int kIssueDays = 365;
constexpr int kDaysMax = 36500;

struct InitOptions {
  std::string dir;
  std::string trust_domain;
  int days = kAuthorityDays;
};

absl::Status Init(Session& session, const InitOptions& options) {
  SELVAGE_RETURN_IF_ERROR(
      InitAuthority(options.dir, options.trust_domain, absl::Hours(24) * options.days, SystemClock().Wall()));
  if (session.json()) {
    PrintJson(session.out(), {{"dir", options.dir}, {"trust_domain", options.trust_domain}});
  } else {
    session.out() << fmt::format("authority of {} made in {}: keep {}/ca.key secret\n", options.trust_domain,
                                 options.dir, options.dir);
  }
  return absl::OkStatus();
}

struct IssueOptions {
  std::string dir;
  std::string out;
  Role role = Role::kEdge;
  std::string id;
  int days = kIssueDays;
  std::vector<std::string> san;
};

bool IsIpAddress(const std::string& text) {
  in6_addr address;
  return inet_pton(AF_INET, text.c_str(), &address) == 1 || inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

absl::Status IssueOne(Session& session, const IssueOptions& options) {
  IssueRequest request;
  request.role = options.role;
  request.id = options.id;
  request.validity = absl::Hours(24) * options.days;
  for (const std::string& name : options.san) {
    (IsIpAddress(name) ? request.ip_addresses : request.dns_names).push_back(name);
  }
  const std::string& out = options.out.empty() ? options.dir : options.out;
  SELVAGE_ASSIGN_OR_RETURN(TlsFiles files, Issue(options.dir, request, out, SystemClock().Wall()));
  std::string identity = files.cert.substr(0, files.cert.rfind(".crt"));
  if (session.json()) {
    PrintJson(session.out(),
              {{"identity", identity}, {"cert", files.cert}, {"key", files.key}, {"ca", files.ca}});
  } else {
    session.out() << fmt::format("{} {}: {}, {}, {}\n", RoleName(options.role), options.id, files.cert,
                                 files.key, files.ca);
    if (options.role == Role::kOperator)
      session.out() << fmt::format("use it with --identity {}\n", identity);
  }
  return absl::OkStatus();
}

void AddInit(CLI::App& noun, Session& session) {
  auto options = std::make_shared<InitOptions>();
  CLI::App* verb = noun.add_subcommand("init", "Make an authority in a folder");
  verb->add_option("--dir", options->dir, "Folder for ca.crt and ca.key")->required();
  verb->add_option("--trust-domain", options->trust_domain, "For example factory.example")->required();
  verb->add_option("--days", options->days, "Validity")
      ->check(CLI::Range(1, kDaysMax))
      ->capture_default_str();
  verb->callback([&session, options] { session.Finish(Init(session, *options)); });
}

void AddIssue(CLI::App& noun, Session& session) {
  auto options = std::make_shared<IssueOptions>();
  CLI::App* verb =
      noun.add_subcommand("issue", "Make a key and a certificate for one edge, core or operator");
  verb->add_option("--dir", options->dir, "Folder of the authority")->required();
  AddChoice<Role>(*verb, "--role", options->role,
                  {{"edge", Role::kEdge}, {"core", Role::kCore}, {"operator", Role::kOperator}},
                  "What it is for")
      ->required();
  verb->add_option("--id", options->id, "Name of the edge, core or operator: a DNS label")->required();
  verb->add_option("--days", options->days, "Validity; must outlast the longest time without a renewal")
      ->check(CLI::Range(1, kDaysMax))
      ->capture_default_str();
  verb->add_option("--out", options->out, "Folder for the files (default: the authority's)");
  verb->add_option("--san", options->san,
                   "Host name or IP address for clients that check it; may be repeated");
  verb->callback([&session, options] { session.Finish(IssueOne(session, *options)); });
}

}  // namespace

void AddPki(CLI::App& app, Session& session) {
  CLI::App* noun = app.add_subcommand("pki", "Identities from a small local authority");
  noun->require_subcommand(1);
  AddInit(*noun, session);
  AddIssue(*noun, session);
}

}  // namespace selvage::ctl
