#include "fabric/table/table_flow.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/replication/message.h"
#include "fabric/stream/stream_catalog.h"
#include "selvage/v1/link.pb.h"

namespace selvage::table {

using replication::FlowPosition;

namespace {

/// A piece is merged as one task, and an acknowledgement follows each: neither long nor short.
constexpr size_t kEntryBytes = 128 << 10;
/// Openings that an offer names.
constexpr size_t kEpochsOffered = 64;
/// A reader whose rows do not change falls behind by no more. What it acknowledged holds back tombstones, and
/// it reads so much in vain after a restart.
constexpr uint64_t kBehindMax = 10'000;

absl::Status BrokenRules(std::string_view what) {
  return replication::ProtocolError(fmt::format("a table flow: {}", what));
}

template <class Options>
Options AsPlanted(Options options) {
  if (Planted(Canary::kSweepAtCore)) options.snapshots = true;
  return options;
}

}  // namespace

bool TableSource::Options::operator==(const Options& other) const {
  return table == other.table && store_id == other.store_id && prefix == other.prefix &&
         snapshots == other.snapshots && written_by == other.written_by && reader_life == other.reader_life &&
         reader == other.reader && peer == other.peer &&
         definition.SerializeAsString() == other.definition.SerializeAsString();
}

TableSource::TableSource(TableStore& tables, Options options, std::function<void()> told, int watch)
    : tables_(tables), options_(AsPlanted(std::move(options))), told_(std::move(told)), watch_(watch) {}

v1::FlowOpen TableSource::Describe() {
  begun_ = false;  // the sink says anew where it stands
  snapshot_.reset();
  const FeedEpochs known = tables_.epochs();
  const auto& epochs = known.epochs();
  v1::FlowOpen open;
  open.set_kind(v1::TABLE);
  open.set_history(options_.definition.incarnation() + known.current().bytes());
  CatchUp();
  open.set_end(FeedOffset(due_).value());
  v1::TableFlow& flow = *open.mutable_table();
  *flow.mutable_definition() = options_.definition;
  flow.set_store_id(options_.store_id.bytes());
  flow.set_prefix(options_.prefix);
  flow.set_reader_life(options_.reader_life.bytes());
  // Who has no snapshots to give has nobody begin anew.
  if (options_.snapshots && options_.written_by.empty())
    flow.set_horizon(tables_.Horizon(options_.table).value_or(0));
  if (!options_.reader.empty()) flow.set_sent(tables_.SentTo(options_.table, options_.reader));
  const size_t offered = std::min(epochs.size(), kEpochsOffered);
  for (size_t i = epochs.size() - offered; i < epochs.size(); ++i) {
    auto* epoch = flow.add_epochs();
    epoch->set_id(epochs[i].id.bytes());
    epoch->set_first(epochs[i].first);
  }
  return open;
}

Offset TableSource::end() {
  // Where a sink stands that has all that was lost, nothing follows.
  if (!options_.written_by.empty() && begun_ && !snapshot_) return FeedOffset(0);
  const uint64_t feed = tables_.End().sequence;
  if (!options_.snapshots || tables_.EndOf(watch_) > due_ || feed > due_ + kBehindMax) due_ = feed;
  return FeedOffset(due_);
}

replication::FlowSettings TableSource::settings() {
  const v1::TableSettings& settings = options_.definition.settings();
  return {.priority = settings.priority(), .weight = std::max(settings.weight(), 1u), .compress = true};
}

void TableSource::Acknowledged(const FlowPosition& durable) {
  if (!std::exchange(begun_, true)) {
    v1::TablePosition at;
    if (!at.ParseFromString(durable.detail)) at.Clear();
    reader_ = {StoreId::FromBytes(at.store_id()).value_or(StoreId()), at.full_to(), options_.prefix, watch_};
    if (!options_.peer.none()) reader_.peer = options_.peer;
    if (options_.snapshots && durable.offset == Offset(0)) {
      snapshot_ = Snapshot{0, "", tables_.End()};
    } else if (options_.snapshots && durable.offset < FeedOffset(0)) {
      const FeedPosition feed{FeedEpoch::FromBytes(at.feed_epoch()).value_or(FeedEpoch()),
                              at.feed_sequence()};
      snapshot_ = Snapshot{durable.offset.value(), at.upto(), feed};
    }
  }
  if (durable.offset >= FeedOffset(0)) acknowledged_ = durable.offset - FeedOffset(0);
  if (!reader_.peer.none() && !options_.reader.empty() && options_.written_by.empty()) {
    // What is deleted while the snapshot runs is read after it.
    const uint64_t has = snapshot_ ? snapshot_->feed.sequence : acknowledged_.value_or(0);
    tables_.NoteReader(options_.table, options_.reader, reader_.peer, has);
  }
  told_();
}

absl::StatusOr<std::vector<FlowEntry>> TableSource::Read(Offset from, size_t max_bytes) {
  if (!options_.written_by.empty() && from >= end()) return std::vector<FlowEntry>();
  const size_t bytes_max = std::min(max_bytes, kEntryBytes);
  if (options_.snapshots && from < FeedOffset(0)) {
    SELVAGE_ASSIGN_OR_RETURN(FlowEntry interval, ReadInterval(from, bytes_max));
    return std::vector<FlowEntry>{std::move(interval)};
  }
  const uint64_t sequence = from < FeedOffset(0) ? 0 : static_cast<uint64_t>(from - FeedOffset(0));
  SELVAGE_ASSIGN_OR_RETURN(FeedPiece piece, tables_.ReadFeed(options_.table, reader_, sequence, bytes_max));
  if (piece.to <= sequence) return std::vector<FlowEntry>();
  return std::vector<FlowEntry>{{.kind = EntryKind::kTableChanges,
                                 .from = from,
                                 .to = FeedOffset(piece.to),
                                 .body = Bytes(ChangesBody(piece.seen, piece.source_end, piece.rows)),
                                 .compressible = true}};
}

absl::StatusOr<FlowEntry> TableSource::ReadInterval(Offset from, size_t max_bytes) {
  if (!snapshot_ || from.value() != snapshot_->next) {
    return MakeError(
        absl::StatusCode::kInternal, "internal",
        fmt::format("interval {} of table {} is not the next one", from.value(), options_.table));
  }
  SELVAGE_ASSIGN_OR_RETURN(const SnapshotPiece piece,
                           tables_.ReadSnapshot(options_.table, {options_.prefix, options_.written_by},
                                                snapshot_->from, max_bytes));
  const std::string body = IntervalBody(piece.upto, snapshot_->feed, piece.source_end, piece.rows);
  FlowEntry entry{
      .kind = EntryKind::kTableInterval, .from = from, .to = from, .body = Bytes(body), .compressible = true};
  if (piece.upto) {
    snapshot_->from = *piece.upto;
    entry.to = Offset(++snapshot_->next);
  } else {
    const auto resume = tables_.epochs().Resume(snapshot_->feed.epoch, snapshot_->feed.sequence);
    entry.to = FeedOffset(resume.value_or(0));
    snapshot_.reset();
  }
  return entry;
}

TableCursor TableSink::Resume(const std::optional<TableCursor>& cursor, const v1::FlowOpen& open,
                              Random& random) {
  std::vector<FeedEpochs::Epoch> offered;
  for (const auto& epoch : open.table().epochs()) {
    offered.push_back({FeedEpoch::FromBytes(epoch.id()).value_or(FeedEpoch()), epoch.first()});
  }
  const FeedEpochs epochs(std::move(offered));
  const uint64_t end = open.end() > kFeedBase ? static_cast<uint64_t>(open.end() - kFeedBase) : 0;
  // Somebody who has nothing is sent also what came from here.
  TableCursor at{.feed = {epochs.current(), 0}, .full_to = end, .prefix = open.table().prefix()};
  at.source_life = Life::Mint(random);
  at.reader_life = Life::FromBytes(open.table().reader_life()).value_or(Life());
  // This store has read of the source, and does not know of it any more.
  const uint64_t sent = open.table().sent();
  const bool lost = cursor ? cursor->feed.sequence < cursor->lost_to : sent > 0;
  if (lost) at.lost_to = std::max(end, sent);
  at.sent_before = sent;
  if (!cursor) return at;
  const auto resume = epochs.Resume(cursor->feed.epoch, cursor->feed.sequence);
  const uint64_t known = std::max(cursor->feed.sequence, cursor->source_end);
  const bool set_back = !resume || epochs.Resume(cursor->feed.epoch, known) != known;
  at.source_set_back = cursor->source_set_back || set_back;
  const bool other_rows = cursor->prefix != at.prefix && !Planted(Canary::kKeepSubscription);
  if (other_rows || cursor->reader_life != at.reader_life) return at;
  if (!set_back || Planted(Canary::kKeepLife)) at.source_life = cursor->source_life;
  // Changes of a source that was set back have moved back with their rows, to before what was read perhaps,
  // though they were behind it then: everything is read again.
  if (set_back || *resume > end || *resume < open.table().horizon()) return at;
  at.full_to = cursor->full_to;
  at.source_end = cursor->source_end;
  at.lost_to = cursor->lost_to;
  at.sent_before = cursor->sent_before;
  const bool lost_more = sent > std::max(cursor->sent_before, *resume);
  if (lost_more) at.lost_to = std::max(at.lost_to, sent);
  if (!lost_more) at.seen = cursor->seen;
  if (cursor->intervals > 0) {
    at.feed = cursor->feed;
    at.intervals = cursor->intervals;
    at.upto = cursor->upto;
  } else {
    at.feed.sequence = *resume;
  }
  return at;
}

TableSink::TableSink(TableStore& tables, Options options, TableCursor at, std::string history,
                     std::function<void(std::function<void()>)> run)
    : tables_(tables),
      options_(AsPlanted(std::move(options))),
      history_(std::move(history)),
      run_(std::move(run)),
      at_(std::move(at)) {}

FlowPosition TableSink::position() {
  return PositionOf(at_);
}

FlowPosition TableSink::PositionOf(const TableCursor& cursor) const {
  v1::TablePosition detail;
  detail.set_store_id(options_.store_id.bytes());
  detail.set_full_to(cursor.full_to);
  Offset offset = cursor.feed.sequence == 0 ? Offset(0) : FeedOffset(cursor.feed.sequence);
  if (cursor.intervals > 0) {
    offset = Offset(static_cast<int64_t>(cursor.intervals));
    detail.set_feed_epoch(cursor.feed.epoch.bytes());
    detail.set_feed_sequence(cursor.feed.sequence);
    detail.set_upto(cursor.upto);
  }
  return {history_, offset, std::nullopt, detail.SerializeAsString()};
}

absl::Status TableSink::Check(const FlowEntry& entry) {
  return IncomingOf(entry).status();
}

absl::StatusOr<Incoming> TableSink::IncomingOf(const FlowEntry& entry) {
  Incoming incoming{.incarnation = options_.incarnation,
                    .peer = options_.peer,
                    .changes = {},
                    .bytes = entry.body.size(),
                    .cursor = at_,
                    .fence = options_.fence,
                    .allowed = options_.allowed};
  const bool ends_in_feed = entry.to >= FeedOffset(0);
  if (entry.kind == EntryKind::kTableChanges) {
    if (!ends_in_feed) return BrokenRules("changes within a snapshot");
    SELVAGE_ASSIGN_OR_RETURN(ChangesEntry changes, ReadChangesBody(entry.body.view()));
    incoming.changes = std::move(changes.rows);
    // What waits at the source for its time may be of what was lost, and comes late.
    const bool may_wait = at_.lost_to > 0 && at_.seen.epoch.none();
    incoming.lost = at_.feed.sequence < at_.lost_to || may_wait;
    if (!changes.seen.epoch.none()) incoming.cursor.seen = changes.seen;
    incoming.cursor.source_end = std::max(incoming.cursor.source_end, changes.source_end);
    incoming.cursor.feed.sequence = static_cast<uint64_t>(entry.to - FeedOffset(0));
    return incoming;
  }
  if (entry.kind != EntryKind::kTableInterval) {
    return MakeError(absl::StatusCode::kUnimplemented, "unknown_encoding",
                     fmt::format("an entry of kind {} is none of a table", static_cast<uint32_t>(entry.kind)),
                     "the peer runs a newer version: upgrade this end");
  }
  if (!options_.snapshots) return BrokenRules("a snapshot, which only the core sends");
  SELVAGE_ASSIGN_OR_RETURN(Interval interval, ReadIntervalBody(entry.body.view()));
  if (entry.from >= FeedOffset(0) || ends_in_feed == interval.upto.has_value()) {
    return BrokenRules("an interval out of place");
  }
  if (interval.upto && *interval.upto <= at_.upto) return BrokenRules("intervals that go back");
  for (const RowChange& row : interval.rows) {
    if (row.key < at_.upto || (interval.upto && row.key >= *interval.upto)) {
      return BrokenRules("a row outside of its interval");
    }
  }
  if (options_.sweeps) incoming.sweep = Incoming::Sweep{at_.upto, interval.upto, options_.unsent};
  incoming.changes = std::move(interval.rows);
  incoming.cursor.source_end = std::max(incoming.cursor.source_end, interval.source_end);
  if (interval.upto) {
    incoming.cursor.feed = interval.feed;
    incoming.cursor.intervals = static_cast<uint64_t>(entry.to.value());
    incoming.cursor.upto = *interval.upto;
  } else {
    incoming.cursor.feed = {*FeedEpoch::FromBytes(history_.substr(history_.size() / 2)),
                            static_cast<uint64_t>(entry.to - FeedOffset(0))};
    incoming.cursor.intervals = 0;
    incoming.cursor.upto.clear();
  }
  return incoming;
}

void TableSink::Remember() {
  auto incoming = std::make_shared<Incoming>();
  incoming->incarnation = options_.incarnation;
  incoming->peer = options_.peer;
  incoming->cursor = at_;
  incoming->fence = options_.fence;
  run_([&tables = tables_, table = options_.table, incoming] {
    // What was not stored is minted again.
    tables.Apply(table, std::move(*incoming), [](const absl::Status&) {});
  });
}

void TableSink::Persist(FlowEntry entry, Done done) {
  absl::StatusOr<Incoming> incoming = IncomingOf(entry);
  if (!incoming.ok()) return done(incoming.status());
  at_ = incoming->cursor;
  const FlowPosition after = PositionOf(at_);
  run_([&tables = tables_, table = options_.table,
        incoming = std::make_shared<Incoming>(*std::move(incoming)), after, done = std::move(done)] {
    tables.Apply(table, std::move(*incoming), [after, done](const absl::Status& applied) {
      done(applied.ok() ? absl::StatusOr<FlowPosition>(after) : applied);
    });
  });
}

}  // namespace selvage::table
