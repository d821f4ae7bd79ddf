#include "fabric/admin/table_lists.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "fabric/table/change_format.h"

namespace selvage {
namespace {

using table::CanonicalJson;
using table::Stamp;

constexpr int kPartsMax = 100;
constexpr size_t kShownMax = 1024;

std::string NameOf(const StoreId& store, const StoreNames& names) {
  const auto known = names.find(store);
  return known == names.end() ? std::string() : known->second;
}

v1::WriteStamp StampMessage(const Stamp& stamp, const StoreNames& names) {
  v1::WriteStamp message;
  message.set_time_ms(stamp.hlc.ms());
  message.set_counter(stamp.hlc.counter());
  message.set_store(stamp.node.bytes());
  message.set_node(NameOf(stamp.node, names));
  return message;
}

/// What a row has, or a change brings, in one place.
struct Held {
  std::optional<Stamp> stamp = {};
  std::string value = {};
};

std::string ShownValue(const std::optional<CanonicalJson>& value) {
  return value ? std::string(table::CutUtf8(value->text(), kShownMax)) : std::string();
}

class PartsMessage {
 public:
  PartsMessage(const StoreNames& names, v1::QuarantinedChange& into) : names_(names), into_(into) {}

  void Add(std::string_view what, std::string_view field, const Held& waiting, const Held& now) {
    if (into_.parts_size() == kPartsMax) return into_.set_parts_left_out(into_.parts_left_out() + 1);
    v1::QuarantinedPart& part = *into_.add_parts();
    part.set_what(std::string(what));
    part.set_field(std::string(table::CutUtf8(field, kShownMax)));
    part.set_value(waiting.value);
    *part.mutable_stamp() = StampMessage(*waiting.stamp, names_);
    part.set_value_now(now.value);
    if (now.stamp) *part.mutable_stamp_now() = StampMessage(*now.stamp, names_);
  }

 private:
  const StoreNames& names_;
  v1::QuarantinedChange& into_;
};

std::string TimeText(const std::optional<int64_t>& at_ms) {
  return at_ms ? std::to_string(*at_ms) : std::string();
}

Held HeldOf(const table::Row& row, const std::string& name) {
  const auto found = row.fields.find(name);
  if (found == row.fields.end()) return row.clear ? Held{row.clear->write.stamp} : Held();
  Held held{.value = ShownValue(ValueOf(found->second))};
  const auto newest = [&](const Stamp& stamp) { held.stamp = std::max(held.stamp.value_or(stamp), stamp); };
  if (found->second.set) newest(found->second.set->write.stamp);
  for (const auto& [key, contribution] : found->second.contributions) newest(contribution.write.stamp);
  return held;
}

}  // namespace

v1::TableConflict ToMessage(const v1::StoredConflict& stored, const StoreNames& names) {
  v1::TableConflict message;
  message.set_key(stored.key());
  message.set_kind(stored.kind());
  message.set_field(stored.field());
  const auto stamp = [&](uint64_t time, const std::string& store) {
    return StampMessage({table::Hlc(time), StoreId::FromBytes(store).value_or(StoreId())}, names);
  };
  if (!stored.winner_store().empty()) {
    *message.mutable_winner() = stamp(stored.winner_time(), stored.winner_store());
  }
  message.set_winning_value(stored.winning_value());
  if (!stored.loser_store().empty()) {
    *message.mutable_loser() = stamp(stored.loser_time(), stored.loser_store());
  }
  message.set_losing_value(stored.losing_value());
  message.set_listed_ms(stored.listed_ms());
  return message;
}

v1::QuarantinedChange ToMessage(const table::QuarantinedChange& waiting, const StoreNames& names) {
  v1::QuarantinedChange message;
  message.set_key(waiting.change.key);
  message.set_due_ms(waiting.due_ms);
  message.set_peer(waiting.peer.bytes());
  message.set_peer_node(NameOf(waiting.peer, names));
  PartsMessage parts(names, message);
  const table::Change& change = waiting.change.change;
  const table::Row& now = waiting.now;
  if (change.clear) {
    const bool put = change.clear->kind == table::ClearKind::kPut;
    parts.Add(put ? "put" : "delete", "", {change.clear->write.stamp},
              now.clear ? Held{now.clear->write.stamp} : Held());
  }
  if (change.expiry) {
    parts.Add("expiry", "", {change.expiry->write.stamp, TimeText(change.expiry->at_ms)},
              now.expiry ? Held{now.expiry->write.stamp, TimeText(now.expiry->at_ms)} : Held());
  }
  for (const auto& [name, field] : change.fields) {
    const Held has = HeldOf(now, name);
    if (field.set) {
      parts.Add(field.set->value ? "set" : "unset", name,
                {field.set->write.stamp, ShownValue(field.set->value)}, has);
    }
    for (const auto& [key, contribution] : field.contributions) {
      parts.Add("increment", name, {contribution.write.stamp, table::CanonicalNumber(contribution.amount)},
                has);
    }
  }
  return message;
}

v1::TableReader ToMessage(const std::string& node, const table::TableReader& reader, uint64_t end) {
  v1::TableReader message;
  message.set_node(node);
  message.set_store(reader.store.bytes());
  message.set_acknowledged(reader.acknowledged.sequence);
  message.set_behind(end - std::min(end, reader.acknowledged.sequence));
  message.set_moved_ms(reader.moved_ms);
  return message;
}

v1::TableReadFrom ToMessage(const StoreId& peer, const table::TableCursor& cursor, const StoreNames& names) {
  v1::TableReadFrom message;
  message.set_store(peer.bytes());
  message.set_node(NameOf(peer, names));
  message.set_position(cursor.feed.Text());
  message.set_snapshot(cursor.intervals > 0);
  message.set_prefix(cursor.prefix);
  return message;
}

}  // namespace selvage
