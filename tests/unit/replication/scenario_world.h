#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "fabric/replication/session.h"
#include "tests/unit/replication/memory_log.h"
#include "tests/unit/replication/scenario_words.h"

namespace selvage::replication::test {

/// Two ends with logs in memory, and the links between them, driven command by command. Says
/// what is delivered, stored and decided.
class ScenarioWorld {
 public:
  ScenarioWorld();
  ~ScenarioWorld();

  /// Does what one line says. Errors: the line is not understood, or makes no sense now.
  absl::Status Do(std::string_view line);
  /// What came of the commands since the last call, in lines.
  std::string TakeOutput() { return std::exchange(output_, {}); }

 private:
  enum Side { kEdge = 0, kCore = 1 };
  struct HeldLog;
  struct Node;
  struct Link;
  class Source;
  class Piece;
  class PieceSink;
  class FencedSink;
  struct Persisting;

  using Words = ScenarioWords;
  using Handler = absl::Status (ScenarioWorld::*)(Words&);
  static const std::map<std::string_view, Handler>& Commands();

  // Commands.
  absl::Status Window(Words& words);
  absl::Status MakeSource(Words& words);
  absl::Status MakeReplica(Words& words);
  absl::Status Append(Words& words);
  absl::Status Drop(Words& words);
  absl::Status Damage(Words& words);
  absl::Status Request(Words& words);
  absl::Status Refuse(Words& words);
  absl::Status Accept(Words& words);
  absl::Status Distrust(Words& words);
  absl::Status Trust(Words& words);
  absl::Status Withdraw(Words& words);
  absl::Status HoldDisk(Words& words);
  absl::Status ReleaseDisk(Words& words);
  absl::Status Connect(Words& words);
  absl::Status Deliver(Words& words);
  absl::Status Hold(Words& words);
  absl::Status Release(Words& words);
  absl::Status Cut(Words& words);
  absl::Status Run(Words& words);
  absl::Status State(Words& words);
  absl::Status Show(Words& words);

  static Side Other(Side side) { return side == kEdge ? kCore : kEdge; }
  static std::string_view NameOf(Side side) { return side == kEdge ? "edge" : "core"; }
  absl::StatusOr<Side> NextSide(Words& words);
  /// The log that the next two words name: an end and a log that it holds.
  absl::StatusOr<std::pair<Side, HeldLog*>> NextLog(Words& words);
  /// Indices of the first and the last entry of the range that the next two words name.
  absl::StatusOr<std::pair<size_t, size_t>> NextRange(Words& words, const MemoryLog& log);

  void Say(std::string line) { output_ += line + "\n"; }
  /// Lines of a link say which one it is when there is more than one.
  std::string On(const Link& link) const;
  void PumpAll();
  bool Pump(Link& link, Side side);
  void Handle(Link& link, Side side, const Session::Event& event);
  void OnOffered(Link& link, Side side, const Session::FlowOffered& offered);
  void OnRequested(Link& link, Side side, const v1::FlowRequest& request);
  bool Persist(Side side);
  void End(Link& link, Side side);
  bool Shown(const Message& message) const;
  bool DeliverOne(Link& link, Side to);
  void DeliverAll();
  std::string Describe(const Link& link, Side from, const Message& message) const;
  std::string DescribeReply(const Link& link, Side from, const v1::ProbeReply& reply) const;
  std::string DescribeLog(Side side, const std::string& name, const HeldLog& log) const;

  absl::Duration now_ = absl::Seconds(1000);
  std::string output_;
  bool show_credit_ = false;
  bool show_heartbeat_ = false;
  std::array<std::unique_ptr<Node>, 2> nodes_;
  std::vector<std::unique_ptr<Link>> links_;
};

}  // namespace selvage::replication::test
