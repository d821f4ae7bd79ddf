/// Writes the binary seeds of the fuzz targets: write_fuzz_seeds <tests/fuzz/seeds>. They are committed; a
/// format that changes needs new ones.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "fabric/base/endian.h"
#include "fabric/kafka/protocol/message.h"
#include "fabric/replication/message.h"
#include "fabric/stream/log_format.h"
#include "fabric/stream/record_batch.h"
#include "fabric/table/apply_task.h"
#include "fabric/table/change_format.h"
#include "fabric/table/row_format.h"
#include "fabric/transport/codec.h"
#include "fabric/view/aggregate.h"
#include "fabric/view/view_definition.h"
#include "tests/support/kafka_messages.h"
#include "tests/support/kafka_sample.h"
#include "tests/support/row_samples.h"
#include "tests/unit/model/model_samples.h"

namespace selvage {
namespace {

std::filesystem::path root;

void Write(const std::string& target, const std::string& name, std::string_view bytes) {
  const std::filesystem::path folder = root / target;
  std::filesystem::create_directories(folder);
  std::ofstream(folder / name, std::ios::binary) << bytes;
}

Record MakeRecord(int64_t timestamp, std::optional<std::string> key, std::optional<std::string> value) {
  Record record;
  record.timestamp = timestamp;
  record.key = std::move(key);
  record.value = std::move(value);
  return record;
}

std::string Batch(Codec codec) {
  BatchBuilder builder(codec);
  builder.Add(MakeRecord(1700000000000, "pump-1", "{\"bar\":2.5}"));
  builder.Add(MakeRecord(1700000000250, std::nullopt, std::string(200, 'v')));
  Record with_headers = MakeRecord(1699999999999, "pump-2", std::nullopt);
  with_headers.headers = {{"unit", "bar"}, {"empty", std::nullopt}};
  builder.Add(with_headers);
  return builder.Build();
}

void WriteBatches() {
  const std::string plain = Batch(Codec::kNone);
  Write("fuzz_record_batch", "plain", std::string(1, '\0') + plain);
  Write("fuzz_record_batch", "repaired", std::string(1, '\1') + plain);
  Write("fuzz_record_batch", "compressed-here", std::string(1, '\2') + plain);
  for (const Codec codec : {Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd}) {
    const std::string name(CodecName(codec));
    const char mode = static_cast<char>((4 - static_cast<int>(codec)) << 2);
    const std::string batch = Batch(codec);
    Write("fuzz_record_batch", name, mode + batch);
    Write("fuzz_record_batch", name + "-repaired", static_cast<char>(mode | 1) + batch);
    Write("fuzz_record_batch", name + "-data", mode + batch.substr(kBatchHeaderSize));
  }
  Write("fuzz_record_batch", "cut", std::string(1, '\0') + plain.substr(0, plain.size() / 2));
}

void WriteEntries() {
  const Gap gap{.from = Offset(5),
                .to = Offset(900),
                .reason = GapReason::kExpired,
                .leader_epoch = LeaderEpoch(2),
                .hash_after = ChainHash(77),
                .recorded_ms = 1700000000000};
  Write("fuzz_log_entry", "gap", std::string(1, '\0') + EncodeGap(gap));

  std::string batch = Batch(Codec::kNone);
  StampBatch(batch.data(), Offset(5), LeaderEpoch(2));
  Entry entry;
  entry.from = Offset(5);
  entry.append_ms = 1700000000300;
  entry.log_bytes = 4096;
  entry.hash_before = ChainHash(3);
  entry.hash_after = ChainBatch(entry.hash_before, batch);
  entry.body = Bytes(batch);
  const std::string offset("\5\0\0\0\0\0\0\0", 8);
  Write("fuzz_log_entry", "entry", "\1" + offset + EncodeEntryHeader(entry) + batch);

  const std::string fields(32, '\1');  // append time, largest timestamp, bytes of the log, hash before
  Write("fuzz_log_entry", "made-up-batch", std::string("\2\7\0\1", 4) + fields + batch);
  Write("fuzz_log_entry", "made-up-gap", std::string("\2\7\0\0", 4) + fields + EncodeGap(gap));
}

std::string Joined(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

void WriteFrame(const std::string& name, char slice_max, const replication::Message& message) {
  Write("fuzz_frame", name, slice_max + Joined(EncodeFrame(message)));
}

void WriteFrames() {
  replication::Message message;
  v1::Hello& hello = *message.frame.mutable_hello();
  hello.set_protocol(replication::kLinkProtocol);
  hello.set_edge("rig-7");
  hello.set_store_id(std::string(16, 's'));
  hello.set_receive_window(4 << 20);
  hello.add_capabilities("zstd");
  WriteFrame("hello", '\7', message);

  v1::Welcome& welcome = *message.frame.mutable_welcome();
  welcome.set_protocol(replication::kLinkProtocol);
  welcome.set_session_epoch(8);
  v1::Adoption& adoption = *welcome.add_adoptions();
  adoption.set_stream("sensors");
  adoption.mutable_position()->set_log_id(std::string(16, 'l'));
  adoption.mutable_position()->set_offset(1000);
  WriteFrame("welcome", '\37', message);

  v1::FlowOpen& open = *message.frame.mutable_flow_open();
  open.set_flow(1);
  open.set_kind(v1::STREAM);
  open.mutable_stream()->set_name("sensors");
  open.set_end(1000);
  open.mutable_stream()->add_leader_epochs()->set_epoch(1);
  WriteFrame("flow-open", '\377', message);

  v1::Data& data = *message.frame.mutable_data();
  data.set_flow(1);
  data.set_to(100);
  data.set_kind(static_cast<uint32_t>(EntryKind::kBatch));
  data.set_entry_size(2000);
  data.set_wire_size(2000);
  message.payload = Bytes(std::string(20, 'p'));
  WriteFrame("data", '\377', message);
  message.payload = Bytes(std::string(2000, 'p'));
  WriteFrame("data-shared", '\377', message);
}

/// Steps as tests/fuzz/session.cc reads them, each followed by whether the session is taken.
void WriteSessions() {
  const auto step = [](std::string action, bool take = true) {
    return action + (take ? "\1" : std::string(1, '\0'));
  };
  const std::string open = step(std::string("\1\0", 2));
  // Flow 1, no oddity, 100 bytes of 'e', one record, raw, 100 bytes sent.
  const std::string entry = step(std::string("\2\1\0\144\0e\0\0\144\0", 10));
  const std::string half = step(std::string("\2\1\0\144\0e\0\0\62\0", 10));
  const std::string rest = step(std::string("\3\1\377\377", 4));
  const std::string zstd = step(std::string("\2\1\0\144\0e\0\1\377\0", 10));
  const std::string durable = step(std::string("\12\0", 2));
  const std::string failed = step("\12\1");
  for (const char role : {'\0', '\1'}) {
    const std::string name = role == '\0' ? "core" : "edge";
    const std::string start{role, '\2', '\3'};  // window 1000 here, 1 MiB there
    Write("fuzz_session", name + "-receives",
          start + open + entry + durable + half + rest + durable + zstd + durable);
    Write("fuzz_session", name + "-disk-fails", start + open + entry + entry + failed + durable);
    // The flow 1 is accepted at its begin; the flow 2 in the middle; both are acknowledged to their end.
    const std::string accept = step(std::string("\6\1\0\0\0", 5)) + step(std::string("\6\2\1\10\0", 5));
    const std::string credit = step(std::string("\5\144\0\144\0", 5));
    const std::string ack = step(std::string("\7\1\0\17\0", 5)) + step(std::string("\7\2\1\17\0", 5));
    Write("fuzz_session", name + "-sends", start + accept + credit + ack);
    // The replica has another hash, and answers probes.
    const std::string fork = step(std::string("\6\1\0\17\2\5", 6));
    const std::string reply =
        step(std::string("\10\0\0\0\1\0\0", 7)) + step(std::string("\10\0\10\0\1\1\0", 7));
    Write("fuzz_session", name + "-forks", start + fork + reply);
    // The replica claims the least offset that there is, in the flow whose source begins later.
    const std::string least = step(std::string("\6\2\1\0\1\0\0\0\0\0\0\0\200", 13));
    Write("fuzz_session", name + "-least-offset", start + least + step(std::string("\10\1\3\0\2\0\0", 7)));
  }
}

void WriteRows() {
  const std::string all = table::EncodeRow(table::samples::RowOfAllParts());
  table::Row deleted;
  deleted.clear = table::Clear{table::ClearKind::kDelete,
                               {table::samples::At(2, 3), {table::samples::At(1, 0x0a)}, 4, {}}};
  const std::string tombstone = table::EncodeRow(deleted);
  Write("fuzz_row", "all-parts", std::string(1, '\0') + all);
  Write("fuzz_row", "tombstone", std::string(1, '\0') + tombstone);
  const std::string size{static_cast<char>(all.size()), static_cast<char>(all.size() >> 8)};
  Write("fuzz_row", "deleted-elsewhere", '\1' + size + all + tombstone);
  Write("fuzz_row", "json", "\2{\"b\":[1.50,-0,1e400,\"\\u00e9\"],\"a\":{\"\":null}}");
  Write("fuzz_row", "json-taken", "\2{\"b\":[1.50,-0,1e40,\"\\u00e9\\n\"],\"a\":{\"\":null,\"t\":true}}");
}

void WriteTableEntries() {
  table::ChangesWriter writer;
  table::Row deleted;
  deleted.clear = table::Clear{table::ClearKind::kDelete, {table::samples::At(2, 3), {}, 0, {}}};
  writer.Add({"pump-1", table::WholeRow(table::samples::RowOfAllParts())});
  writer.Add({"pump-2", deleted, true});
  const std::string rows = std::move(writer).Take();
  const table::FeedPosition feed{table::samples::Epoch(7), 300};
  Write("fuzz_table_entry", "changes", std::string(1, '\0') + table::ChangesBody(feed, feed.sequence, rows));
  Write("fuzz_table_entry", "interval", "\1" + table::IntervalBody("pump-3", feed, feed.sequence, rows));
  Write("fuzz_table_entry", "last-interval",
        "\1" + table::IntervalBody(std::nullopt, feed, feed.sequence, ""));
  const table::TableCursor cursor{
      .feed = feed, .full_to = 20, .prefix = "pump-", .intervals = 3, .upto = "pump-3"};
  Write("fuzz_table_entry", "cursor", "\2" + table::Stored(cursor).SerializeAsString());
}

void WriteViews() {
  Write("fuzz_view", "json",
        std::string(1, '\0') + R"({"a":{"b":1.50,"x":["\ud83d\ude00"]},"b":"\n","c":{"c":{"c":true}}})");
  Write("fuzz_view", "json-last-of-two", std::string(1, '\0') + R"({"a":{"b":1},"b":1e400,"a":{"c":[{}]}})");

  v1::ViewAggregate aggregate;
  for (const v1::ViewFunction function :
       {v1::VIEW_COUNT, v1::VIEW_SUM, v1::VIEW_MEAN, v1::VIEW_MIN, v1::VIEW_MAX, v1::VIEW_DISTINCT}) {
    aggregate.add_columns()->set_function(function);
  }
  view::AggregateState state(aggregate);
  for (const int64_t values : {0, 2, 300}) {
    for (int64_t value = -1; value < values; ++value) {
      view::FieldValue field{.kind = view::FieldKind::kNumber, .number = table::NumberOf(0.5 + 2.5 * value)};
      for (size_t column = 0; column < state.columns(); ++column) state.Feed(column, field);
    }
    Write("fuzz_view", "state-of-" + std::to_string(values), '\1' + state.Encode());
  }

  // Time, parts (1: a key, 2: a value, 4: the piece ends), key, value.
  const auto record = [](int16_t timestamp_ms, char parts, std::string_view key, std::string_view value) {
    const auto sized = [](std::string_view text) {
      return std::string{static_cast<char>(text.size()), '\0'}.append(text);
    };
    std::string bytes{static_cast<char>(timestamp_ms), static_cast<char>(timestamp_ms >> 8), parts};
    if ((parts & 1) != 0) bytes += sized(key);
    if ((parts & 2) != 0) bytes += sized(value);
    return bytes;
  };
  Write("fuzz_view", "fold",
        '\2' + record(100, 3, "k", R"({"a":1,"b":2.5})") + record(900, 7, "k", R"({"a":1.0,"b":"x"})") +
            record(3000, 3, "l", R"({"a":"1","b":[]})") + record(100, 3, "k", R"({"a":1})") +
            record(3001, 6, "", "{") + record(-1, 1, "k", ""));
}

void WriteModels() {
  namespace samples = model::samples;
  const v1::ModelManifest manifest = samples::ManifestOf(3, {"weights", "thresholds"});
  v1::ModelRoot root;
  root.set_trust_domain("acme.example");
  root.set_version(2);
  samples::AddRole(*root.mutable_root(), {samples::KeyNo(1), samples::KeyNo(2)}, 1);
  samples::AddRole(*root.mutable_model(), {samples::KeyNo(4)}, 1);
  samples::AddRole(*root.mutable_rollout(), {samples::KeyNo(5)}, 1);
  Write("fuzz_model", "manifest", std::string(1, '\0') + manifest.SerializeAsString());
  Write("fuzz_model", "root", '\1' + root.SerializeAsString());
  const auto write_signed = [](const std::string& name, std::string_view type, const auto& message,
                               uint64_t key) {
    Write("fuzz_model", name,
          '\2' + samples::Signed(type, message, {samples::KeyNo(key)}).SerializeAsString());
  };
  write_signed("signed-manifest", model::kManifestType, manifest, 4);
  write_signed("signed-assignment", model::kAssignmentType, samples::AssignmentOf(1, manifest), 5);
  write_signed("signed-root", model::kRootType, root, 1);
}

/// Of every message the newest version, and the newest of the older form where it has two.
template <class Messages>
void WriteKafka(const std::string& half) {
  kafka::test::ForEachMessage<Messages>([&]<class Message>(std::type_identity<Message>) {
    const kafka::Api& api = kafka::ApiOf(Message::kApi);
    const auto older = static_cast<int16_t>(std::min<int>(api.flexible_from - 1, api.max));
    for (const int16_t version : std::set<int16_t>{std::max(older, api.min), api.max}) {
      kafka::Writer out;
      kafka::EncodeRequestHeader({static_cast<int16_t>(api.key), version, 7, std::string("seed")}, out);
      Encode(kafka::test::Sample::Of<Message>(version, static_cast<uint32_t>(version)), version, out);
      std::string frame;
      for (const Bytes& segment : std::move(out).Finish().value()) frame += segment.view();
      Write("fuzz_kafka_request", std::string(api.name) + "-" + half + "-" + std::to_string(version),
            std::string_view(frame).substr(sizeof(int32_t)));
    }
  });
}

}  // namespace
}  // namespace selvage

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_fuzz_seeds <folder>\n");
    return 1;
  }
  selvage::root = argv[1];
  selvage::WriteBatches();
  selvage::WriteEntries();
  selvage::WriteFrames();
  selvage::WriteSessions();
  selvage::WriteRows();
  selvage::WriteTableEntries();
  selvage::WriteViews();
  selvage::WriteModels();
  selvage::WriteKafka<selvage::kafka::test::AllRequests>("request");
  selvage::WriteKafka<selvage::kafka::test::AllResponses>("response");
  return 0;
}
