#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "tests/unit/replication/scenario_parts.h"

namespace selvage::replication::test {
namespace {

/// "2x100a": a batch of two records in a hundred bytes of the letter; "gap3".
absl::Status AppendWord(MemoryLog& log, std::string_view word) {
  if (word.starts_with("gap")) {
    const auto records = ParseNumber<int64_t>(word.substr(3));
    if (!records || *records < 1) return WrongScenario(fmt::format("{} is no entry", word));
    log.AppendGap(*records);
    return absl::OkStatus();
  }
  const char letter = !word.empty() && word.back() >= 'a' && word.back() <= 'z' ? word.back() : 'a';
  const std::string_view sizes = word.ends_with(letter) ? word.substr(0, word.size() - 1) : word;
  const size_t cross = std::min(sizes.find('x'), sizes.size());
  const auto records = ParseNumber<int64_t>(sizes.substr(0, cross));
  const auto bytes = ParseNumber<size_t>(sizes.substr(std::min(cross + 1, sizes.size())));
  if (!records || *records < 1 || !bytes) return WrongScenario(fmt::format("{} is no entry", word));
  log.AppendBatch(*records, std::string(*bytes, letter));
  return absl::OkStatus();
}

}  // namespace

const std::map<std::string_view, ScenarioWorld::Handler>& ScenarioWorld::Commands() {
  static const std::map<std::string_view, Handler> commands = {
      {"window", &ScenarioWorld::Window},
      {"source", &ScenarioWorld::MakeSource},
      {"replica", &ScenarioWorld::MakeReplica},
      {"append", &ScenarioWorld::Append},
      {"drop", &ScenarioWorld::Drop},
      {"damage", &ScenarioWorld::Damage},
      {"request", &ScenarioWorld::Request},
      {"refuse", &ScenarioWorld::Refuse},
      {"accept", &ScenarioWorld::Accept},
      {"distrust", &ScenarioWorld::Distrust},
      {"trust", &ScenarioWorld::Trust},
      {"withdraw", &ScenarioWorld::Withdraw},
      {"hold-disk", &ScenarioWorld::HoldDisk},
      {"release-disk", &ScenarioWorld::ReleaseDisk},
      {"connect", &ScenarioWorld::Connect},
      {"deliver", &ScenarioWorld::Deliver},
      {"hold", &ScenarioWorld::Hold},
      {"release", &ScenarioWorld::Release},
      {"cut", &ScenarioWorld::Cut},
      {"run", &ScenarioWorld::Run},
      {"state", &ScenarioWorld::State},
      {"show", &ScenarioWorld::Show},
  };
  return commands;
}

absl::Status ScenarioWorld::Do(std::string_view line) {
  ScenarioWords words(line);
  const auto command = Commands().find(words.command());
  if (command == Commands().end()) return WrongScenario(fmt::format("unknown command {}", words.command()));
  SELVAGE_RETURN_IF_ERROR((this->*command->second)(words));
  PumpAll();
  return words.Done();
}

absl::StatusOr<ScenarioWorld::Side> ScenarioWorld::NextSide(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const std::string name, words.Next("an end"));
  if (name == "edge") return kEdge;
  if (name == "core") return kCore;
  return WrongScenario(fmt::format("{} is no end: edge or core", name));
}

absl::StatusOr<std::pair<ScenarioWorld::Side, ScenarioWorld::HeldLog*>> ScenarioWorld::NextLog(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const Side side, NextSide(words));
  SELVAGE_ASSIGN_OR_RETURN(const std::string name, words.Next("a log"));
  const auto log = nodes_[side]->logs.find(name);
  if (log == nodes_[side]->logs.end())
    return WrongScenario(fmt::format("{} has no log {}", NameOf(side), name));
  return std::pair(side, &log->second);
}

absl::StatusOr<std::pair<size_t, size_t>> ScenarioWorld::NextRange(Words& words, const MemoryLog& log) {
  SELVAGE_ASSIGN_OR_RETURN(const int64_t from, words.NextNumber("where it begins"));
  SELVAGE_ASSIGN_OR_RETURN(const int64_t to, words.NextNumber("where it ends"));
  const size_t first = log.IndexOf(Offset(from)), last = log.IndexOf(Offset(to - 1));
  if (from < to && last < log.entries().size() && log.entries()[first].from == Offset(from) &&
      log.entries()[last].to == Offset(to)) {
    return std::pair(first, last);
  }
  return WrongScenario(fmt::format("{} are no whole entries", fmt::format("[{},{})", from, to)));
}

absl::Status ScenarioWorld::Window(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const Side side, NextSide(words));
  SELVAGE_ASSIGN_OR_RETURN(const int64_t bytes, words.NextNumber("bytes"));
  nodes_[side]->options.receive_window = static_cast<uint64_t>(bytes);
  return absl::OkStatus();
}

absl::Status ScenarioWorld::MakeSource(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const Side side, NextSide(words));
  SELVAGE_ASSIGN_OR_RETURN(const std::string name, words.Next("a log"));
  SELVAGE_ASSIGN_OR_RETURN(const int64_t history, words.NumberOption("history", 1));
  SELVAGE_ASSIGN_OR_RETURN(const int64_t priority, words.NumberOption("priority", 0));
  SELVAGE_ASSIGN_OR_RETURN(const int64_t start, words.NumberOption("start", 0));
  SELVAGE_ASSIGN_OR_RETURN(const int64_t remembered, words.NumberOption("remembered", 0));
  SELVAGE_ASSIGN_OR_RETURN(const int64_t kind, words.NumberOption("kind", v1::STREAM));
  const auto [log, is_new] = nodes_[side]->logs.try_emplace(name, TestLogId(static_cast<uint8_t>(history)));
  if (!is_new) return WrongScenario(fmt::format("{} has a log {} already", NameOf(side), name));
  const FlowSettings settings{.priority = static_cast<uint32_t>(priority)};
  log->second.source = std::make_unique<Source>(log->second.log, settings, static_cast<uint32_t>(kind));
  log->second.source->name = name;
  log->second.source->start = Offset(start);
  log->second.source->remembered = Offset(remembered);
  return absl::OkStatus();
}

absl::Status ScenarioWorld::MakeReplica(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const Side side, NextSide(words));
  SELVAGE_ASSIGN_OR_RETURN(const std::string name, words.Next("a log"));
  SELVAGE_ASSIGN_OR_RETURN(const int64_t history, words.NumberOption("history", 1));
  SELVAGE_ASSIGN_OR_RETURN(const int64_t start, words.NumberOption("start", 0));
  const auto [log, is_new] = nodes_[side]->logs.try_emplace(name, TestLogId(static_cast<uint8_t>(history)));
  if (!is_new) return WrongScenario(fmt::format("{} has a log {} already", NameOf(side), name));
  log->second.start = Offset(start);
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Append(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const auto named, NextLog(words));
  if (!words.more()) return WrongScenario("append: an entry is missing");
  while (words.more()) {
    SELVAGE_ASSIGN_OR_RETURN(const std::string entry, words.Next("an entry"));
    SELVAGE_RETURN_IF_ERROR(AppendWord(named.second->log, entry));
  }
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Drop(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const auto named, NextLog(words));
  SELVAGE_ASSIGN_OR_RETURN(const auto range, NextRange(words, named.second->log));
  named.second->log.ReplaceByGap(range.first, range.second);
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Damage(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const auto named, NextLog(words));
  MemoryLog& log = named.second->log;
  SELVAGE_ASSIGN_OR_RETURN(const auto range, NextRange(words, log));
  named.second->damage = {log.entries()[range.first].from, log.entries()[range.second].to};
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Request(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const Side side, NextSide(words));
  SELVAGE_ASSIGN_OR_RETURN(const std::string name, words.Next("a log"));
  const auto log = nodes_[side]->logs.find(name);
  if (log == nodes_[side]->logs.end() || !log->second.damage)
    return WrongScenario("there is nothing to ask for");
  if (links_.empty() || links_.back()->halves[side].session == nullptr)
    return WrongScenario("there is no link");
  Link::Half& half = links_.back()->halves[side];
  const auto number = static_cast<uint32_t>(half.requests.size() + 1);
  half.requests[number] = name;
  v1::FlowRequest request;
  request.set_request(number);
  request.mutable_repair()->set_name(name);
  request.mutable_repair()->set_from(log->second.damage->first.value());
  request.mutable_repair()->set_to(log->second.damage->second.value());
  half.session->SendRequest(request);
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Refuse(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const Side side, NextSide(words));
  SELVAGE_ASSIGN_OR_RETURN(const std::string name, words.Next("a log"));
  SELVAGE_ASSIGN_OR_RETURN(const std::string kind, words.Next("a kind of error"));
  HeldLog& log = nodes_[side]->logs.try_emplace(name, TestLogId(1)).first->second;
  log.refusal = MakeError(absl::StatusCode::kUnavailable, kind, "the script refuses it");
  log.refused_for = absl::InfiniteDuration();
  if (const auto retry = words.Option("retry")) {
    SELVAGE_ASSIGN_OR_RETURN(log.refused_for, ParseTime(*retry));
  }
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Accept(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const auto named, NextLog(words));
  named.second->refusal = absl::OkStatus();
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Distrust(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const auto named, NextLog(words));
  named.second->distrust =
      MakeError(absl::StatusCode::kDataLoss, "corrupt_batch", "wrong CRC", "", Retry::kYes);
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Trust(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const auto named, NextLog(words));
  named.second->distrust = absl::OkStatus();
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Withdraw(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const auto named, NextLog(words));
  const auto& [side, log] = named;
  if (log->source == nullptr || links_.empty() || links_.back()->halves[side].session == nullptr) {
    return WrongScenario("the log is not offered");
  }
  Session& session = *links_.back()->halves[side].session;
  for (const auto& [flow, sender] : session.senders()) {
    if (&sender->source() != log->source.get()) continue;
    session.Withdraw(flow);
    break;
  }
  return absl::OkStatus();
}

absl::Status ScenarioWorld::HoldDisk(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const Side side, NextSide(words));
  nodes_[side]->disk_held = true;
  return absl::OkStatus();
}

absl::Status ScenarioWorld::ReleaseDisk(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const Side side, NextSide(words));
  nodes_[side]->disk_held = false;
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Connect(Words&) {
  Link& link = *links_.emplace_back(std::make_unique<Link>());
  link.number = links_.size();
  for (Side side : {kEdge, kCore}) {
    link.halves[side].session = std::make_unique<Session>(nodes_[side]->options, now_);
  }
  link.halves[kEdge].session->SendHello({});
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Deliver(Words& words) {
  const std::optional<std::string> to = words.Option("to");
  if (to && to != "edge" && to != "core")
    return WrongScenario(fmt::format("{} is no end: edge or core", *to));
  SELVAGE_ASSIGN_OR_RETURN(const int64_t count, words.NumberOption("count", INT64_MAX));
  SELVAGE_ASSIGN_OR_RETURN(const int64_t number,
                           words.NumberOption("link", static_cast<int64_t>(links_.size())));
  if (number < 1 || number > static_cast<int64_t>(links_.size()))
    return WrongScenario("there is no such link");
  if (!to) {
    DeliverAll();
    return count == INT64_MAX ? absl::OkStatus() : WrongScenario("deliver: count needs to=END");
  }
  Link& link = *links_[static_cast<size_t>(number - 1)];
  const Side side = to == "edge" ? kEdge : kCore;
  for (int64_t i = 0; i < count && DeliverOne(link, side); ++i) PumpAll();
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Hold(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const Side side, NextSide(words));
  nodes_[side]->deaf = true;
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Release(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const Side side, NextSide(words));
  nodes_[side]->deaf = false;
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Cut(Words& words) {
  if (links_.empty()) return WrongScenario("there is no link");
  Link& link = *links_.back();
  std::vector<Side> notice = {kEdge, kCore};
  if (words.more()) {
    SELVAGE_ASSIGN_OR_RETURN(const Side only, NextSide(words));
    notice = {only};
  }
  for (Side side : notice) {
    const size_t lost = link.halves[side].arriving.size();
    Say(fmt::format("{}{}: the link is gone{}", On(link), NameOf(side),
                    lost > 0 ? fmt::format(", {} messages to it are lost", lost) : ""));
    End(link, side);
  }
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Run(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const absl::Duration time, words.NextTime("how long"));
  const absl::Duration until = now_ + time;
  for (;;) {
    PumpAll();
    DeliverAll();
    absl::Duration next = absl::InfiniteDuration();
    for (const auto& link : links_) {
      for (const Link::Half& half : link->halves) {
        if (half.session != nullptr) next = std::min(next, half.wake_at);
      }
    }
    if (next > until) break;
    now_ = std::max(now_ + absl::Nanoseconds(1), next);
  }
  now_ = until;
  return absl::OkStatus();
}

absl::Status ScenarioWorld::State(Words&) {
  for (Side side : {kEdge, kCore}) {
    for (const auto& [name, log] : nodes_[side]->logs) Say(DescribeLog(side, name, log));
  }
  return absl::OkStatus();
}

absl::Status ScenarioWorld::Show(Words& words) {
  SELVAGE_ASSIGN_OR_RETURN(const std::string what, words.Next("a kind of message"));
  if (what != "credit" && what != "heartbeat") return WrongScenario(fmt::format("{} is always shown", what));
  (what == "credit" ? show_credit_ : show_heartbeat_) = true;
  return absl::OkStatus();
}

}  // namespace selvage::replication::test
