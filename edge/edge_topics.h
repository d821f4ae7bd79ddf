#pragma once

#include <string>
#include <vector>

#include "edge/edge_admin.h"
#include "fabric/kafka/handlers/topics.h"

namespace selvage {

/// An edge's streams as Kafka topics: every stream is one, with the partitions that it has here.
class EdgeTopics : public kafka::Topics {
 public:
  /// `direction` is that of topics which clients make without saying one. The others must outlive it.
  EdgeTopics(const StreamCatalog& catalog, const LogStore& logs, EdgeAdmin& admin, v1::Direction direction)
      : catalog_(catalog), logs_(logs), admin_(admin), direction_(direction) {}

  std::vector<kafka::Topic> List() override;
  absl::StatusOr<kafka::Topic> Find(const std::string& name) override;
  absl::StatusOr<std::shared_ptr<Log>> FindForReading(const std::string& topic, int32_t partition) override;
  uint64_t changes() const override;
  absl::StatusOr<std::shared_ptr<Log>> FindForWriting(const std::string& topic, int32_t partition) override;
  absl::StatusOr<kafka::Topic> Create(v1::StreamDefinition definition, bool validate_only) override;
  absl::StatusOr<kafka::Topic> Set(const v1::SetStreamRequest& request) override;
  absl::Status AddPartitions(const std::string& name, int32_t partitions, bool validate_only) override;
  absl::Status Delete(const std::string& name) override;

 private:
  const StreamCatalog& catalog_;
  const LogStore& logs_;
  EdgeAdmin& admin_;
  const v1::Direction direction_;
};

}  // namespace selvage
