#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edge/edge_state.h"
#include "tests/simulation/sim_link.h"
#include "tests/simulation/sim_node.h"

namespace selvage::sim {

/// An edge: dials, produces, is operated.
class SimEdge : public SimNode {
 public:
  /// Asks the world for a connection; null when the core cannot be reached.
  using Dial = std::function<std::shared_ptr<SimLink>(SimEdge&)>;

  SimEdge(Surroundings world, std::string name, Dial dial);

  /// Only while up.
  EdgeState& edge() { return *edge_; }
  const std::shared_ptr<SimLink>& link() const { return link_; }

  /// When this machine was copied, or came into being as a copy: both machines have the same.
  struct Copying {
    size_t number = 0;
    uint64_t mark = 0;  ///< Ledger::mark
    bool operator==(const Copying&) const = default;
  };
  const std::optional<Copying>& copying() const { return copying_; }
  void set_copying(std::optional<Copying> copying) { copying_ = copying; }

  /// Writes to a partition of an own stream, if there is one. Half of it comes from idempotent producers, as
  /// Kafka's clients are: they outlive the node, have several batches under way, of which any may be refused,
  /// and send again what was and what they did not hear of, and also what they did.
  void Produce();
  /// Creates an up stream here; provisional until the core knows it.
  void CreateStream(const v1::StreamDefinition& definition);

  std::shared_ptr<replication::LinkHandler> MakeUplink(std::function<void()> wake);
  void LinkEnded(const absl::Status& reason, absl::Duration retry_after);

 protected:
  absl::Status OpenLogic() override;
  void CloseLogic() override;
  void Vanished() override;
  void MissTable(const std::string& table) override;

 private:
  /// An idempotent producer of one log.
  struct Producer {
    struct Sent {
      uint64_t payload = 0;
      std::string batch;
      std::optional<Offset> base = std::nullopt;  ///< where it was acknowledged
      int under_way = 0;  ///< the boot that has yet to answer it; 0 when it was refused
    };
    int64_t id = 0;
    LogId log;
    absl::Duration last;
    int32_t next_sequence = 0;
    std::vector<Sent> sent;  ///< the last five, oldest first

    /// The first that was not acknowledged.
    std::vector<Sent>::iterator Head();
  };

  using ProducerKey = std::pair<int, LogNumber>;  // the disk's number and its log's

  void DialAfter(absl::Duration wait);
  void ProduceOnce(EmbeddedLog& log);
  void ProduceNumbered(EmbeddedLog& log);
  /// The producer of this log: another one where the former's batches may be gone, or elsewhere.
  Producer& ProducerOf(EmbeddedLog& log);
  /// Sends again, in their order, what was refused or not heard of. False when there is nothing of it.
  bool SendMissing(EmbeddedLog& log, Producer& producer);
  void SendNew(EmbeddedLog& log, Producer& producer);
  void Send(EmbeddedLog& log, int64_t producer, Producer::Sent& sent);
  void Answered(EmbeddedLog& log, const ProducerKey& key, int64_t producer, uint64_t payload,
                const absl::StatusOr<Appended>& appended);
  void Refused(Producer& producer, Producer::Sent& sent, const absl::Status& why);

  const Dial dial_;
  std::map<ProducerKey, Producer> producers_;
  std::unique_ptr<EdgeState> edge_;
  std::shared_ptr<SimLink> link_;
  uint64_t dials_ = 0;
  std::optional<Copying> copying_;
};

/// A batch of random size with a key that names it; see Ledger.
std::string MakeBatch(Surroundings world, uint64_t payload);

}  // namespace selvage::sim
