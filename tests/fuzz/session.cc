/// A session whose peer sends anything, and whose owner's disk fails now and then. The input is a list of
/// steps, so that deep states are reached: arbitrary frames alone would end most links at once.
#include "fabric/replication/session.h"

#include <zstd.h>

#include <map>
#include <string>

#include "fabric/base/check.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/session_world.h"

namespace selvage::fuzz {
namespace {

using replication::Message;
using replication::test::MemoryLog;

class Peer {
 public:
  Peer(Input& input, SessionWorld& world) : input_(input), world_(world) {}

  void Introduce(bool to_edge) {
    Message message;
    const uint64_t window = input_.OneOf<uint64_t>({0, 50, 700, 1 << 20});
    if (to_edge) {
      message.frame.mutable_welcome()->set_receive_window(window);
    } else {
      message.frame.mutable_hello()->set_receive_window(window);
    }
    world_.Step(message);
  }

  void Act() {
    const uint8_t action = input_.Byte();
    switch (action % 16) {
      case 0:
        return Arbitrary();
      case 1:
        return OpenFlow();
      case 2:
        return BeginEntry();
      case 3:
      case 4:
        return GoOn();
      case 5:
        return Credit();
      case 6:
        return AcceptFlow();
      case 7:
        return Acknowledge();
      case 8:
        return ReplyToProbe();
      case 9:
        return Small();
      case 10:
        return world_.Persist(!input_.Bit());
      case 11:
        return world_.Offer(input_.Below(SessionWorld::kSources));
      case 12:
        return world_.Withdraw(input_.Below(SessionWorld::kSources));
      case 13:
        return world_.Pass(absl::Milliseconds(input_.Number<uint16_t>()));
      case 14:
        return input_.Bit() ? world_.Refuse(Flow()) : world_.Accept(Flow());
      default:
        return world_.Take(input_.Number<uint16_t>() + 1);
    }
  }

 private:
  /// One of the few flows that there are.
  uint32_t Flow() { return input_.Below(8); }

  /// A position that one of the owner's logs has, or nearly.
  replication::FlowPosition Position() {
    const MemoryLog& log = world_.log(input_.Below(SessionWorld::kSources));
    replication::FlowPosition position = log.BoundaryAtOrBefore(Offset(input_.Below(16)));
    switch (input_.Below(4)) {
      case 1:
        position.offset = Offset(input_.Number<int64_t>());
        break;
      case 2:
        position.hash = ChainHash(input_.Byte());
        break;
      case 3:
        position.offset = position.offset + input_.Below(4);
        break;
      default:
        break;
    }
    return position;
  }

  void Arbitrary() {
    const std::string_view bytes = input_.Bytes();
    Message message;
    if (!message.frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
    message.payload = Bytes(std::move(*message.frame.mutable_payload()));
    message.frame.clear_payload();
    world_.Step(message);
  }

  void OpenFlow() {
    Message message;
    const uint32_t next = world_.highest_flow() + 1;
    message.frame.mutable_flow_open()->set_flow(input_.Below(8) == 7 ? Flow() : next);
    world_.Step(message);
    world_.Take(1);
  }

  /// Most begin where they should.
  void BeginEntry() {
    const uint32_t flow = Flow();
    const uint32_t odd = input_.Below(8);
    Entry& entry = entries_[flow];
    entry.position = 0;
    const size_t size = input_.Number<uint16_t>() % (8 << 10);
    entry.wire = std::string(size, static_cast<char>(input_.Byte()));
    v1::Data& data = entry.data;
    data.set_flow(flow);
    data.set_from(world_.EndOf(flow).value() + (odd == 1 ? input_.Number<int8_t>() : 0));
    data.set_to(odd == 2 ? input_.Number<int64_t>() : data.from() + 1 + input_.Below(4));
    data.set_kind(odd == 3 ? 0 : 1);
    data.set_entry_size(odd == 4 ? input_.Number<uint32_t>() : static_cast<uint32_t>(entry.wire.size()));
    data.set_encoding(odd == 5 ? v1::ENCODING_ZSTD : v1::RAW);
    if (input_.Bit()) Compress(entry);
    data.set_wire_size(odd == 6 ? input_.Number<uint32_t>() : static_cast<uint32_t>(entry.wire.size()));
    if (odd == 7) {
      const uint32_t claimed = input_.Number<uint16_t>();
      data.set_entry_size(claimed);
      data.set_wire_size(claimed);
    }
    Send(entry);
  }

  /// The next fragment of an entry.
  void GoOn() {
    const auto it = entries_.find(Flow());
    if (it != entries_.end()) Send(it->second);
  }

  void Credit() {
    Message message;
    const uint64_t more = input_.Number<uint16_t>();
    message.frame.mutable_credit()->set_limit(world_.peer_limit() + more);
    message.frame.mutable_credit()->set_received(input_.Number<uint16_t>());
    world_.Step(message);
  }

  void AcceptFlow() {
    Message message;
    message.frame.mutable_flow_accept()->set_flow(Flow());
    *message.frame.mutable_flow_accept()->mutable_position() = replication::ToProto(Position());
    world_.Step(message);
  }

  void Acknowledge() {
    Message message;
    message.frame.mutable_ack()->set_flow(Flow());
    *message.frame.mutable_ack()->mutable_durable() = replication::ToProto(Position());
    world_.Step(message);
  }

  void ReplyToProbe() {
    Message message;
    v1::ProbeReply& reply = *message.frame.mutable_probe_reply();
    const replication::FlowPosition position = Position();
    reply.set_flow(Flow());
    reply.set_offset(position.offset.value());
    reply.set_known(!input_.Bit());
    reply.set_hash(position.hash.value_or(ChainHash()).value());
    reply.set_next(input_.Number<int8_t>());
    world_.Step(message);
  }

  /// Messages that hold a flow number at most.
  void Small() {
    Message message;
    switch (input_.Below(8)) {
      case 0:
        message.frame.mutable_flow_refuse()->set_flow(Flow());
        message.frame.mutable_flow_refuse()->set_retry_after_ms(input_.Number<int16_t>());
        break;
      case 1:
        message.frame.mutable_flow_close()->set_flow(Flow());
        break;
      case 2:
        message.frame.mutable_probe()->set_flow(Flow());
        message.frame.mutable_probe()->set_offset(input_.Number<int64_t>());
        break;
      case 3:
        message.frame.mutable_flow_request()->set_request(input_.Number<uint32_t>());
        break;
      case 4:
        message.frame.mutable_request_refuse()->set_request(input_.Number<uint32_t>());
        break;
      case 5:
        message.frame.mutable_close()->set_retry_after_ms(input_.Number<int64_t>());
        break;
      case 6:
        message.frame.mutable_heartbeat();
        break;
      default:
        break;  // a frame of a newer version
    }
    world_.Step(message);
  }

  struct Entry {
    v1::Data data;
    std::string wire;
    size_t position = 0;
  };

  static void Compress(Entry& entry) {
    std::string compressed(ZSTD_compressBound(entry.wire.size()), '\0');
    const size_t size =
        ZSTD_compress(compressed.data(), compressed.size(), entry.wire.data(), entry.wire.size(), 1);
    SELVAGE_CHECK(!ZSTD_isError(size));
    entry.wire = compressed.substr(0, size);
    entry.data.set_encoding(v1::ENCODING_ZSTD);
  }

  void Send(Entry& entry) {
    Message message;
    *message.frame.mutable_data() = entry.data;
    message.frame.mutable_data()->set_position(static_cast<uint32_t>(entry.position));
    const size_t from = std::min(entry.position, entry.wire.size());
    message.payload = Bytes(entry.wire.substr(from, input_.Number<uint16_t>()));
    entry.position += message.payload.size();
    world_.Step(message);
  }

  Input& input_;
  SessionWorld& world_;
  std::map<uint32_t, Entry> entries_;
};

}  // namespace
}  // namespace selvage::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace selvage::fuzz;
  Input input(data, size);
  const uint8_t mode = input.Byte();
  SessionWorld::Limits limits;
  limits.is_edge = (mode & 1) != 0;
  limits.entry_max = 4096;
  limits.receive_window = input.OneOf<uint64_t>({128, 200, 1000, 4096});
  SessionWorld world(limits);
  Peer peer(input, world);
  if ((mode & 2) == 0) {
    peer.Introduce(limits.is_edge);
    world.Take(1 << 20);
    for (size_t source = 0; source < SessionWorld::kSources; ++source) world.Offer(source);
  }
  while (!input.empty() && !world.closed()) {
    peer.Act();
    if (input.Bit()) world.Take(1 << 20);
  }
  world.Settle();
  return 0;
}
