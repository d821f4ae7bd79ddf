#include "fabric/table/row_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "fabric/base/endian.h"
#include "fabric/base/error.h"

namespace selvage::table {
namespace {

constexpr uint8_t kRowFormat = 1;
constexpr uint8_t kHasClear = 1;
constexpr uint8_t kHasExpiry = 2;
constexpr uint8_t kShared = 4;
constexpr uint8_t kHasRegister = 1;
constexpr uint8_t kHasValue = 2;
constexpr uint8_t kHasContributions = 4;
constexpr size_t kIdSize = 16;

void AppendVarint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

/// The stores and stamps that a row names, each once: rows name few stores, and the fields that one operation
/// wrote have one stamp.
class Names {
 public:
  explicit Names(const Row& row) {
    if (row.clear) Add(row.clear->write);
    if (row.expiry) Add(row.expiry->write);
    for (const auto& [name, field] : row.fields) {
      if (field.set) Add(field.set->write);
      for (const auto& [key, contribution] : field.contributions) {
        Add(key.by.store);
        Add(key.base);
        Add(contribution.write);
      }
    }
    SortUnique(stamps_);
    for (const Stamp& stamp : stamps_) Add(stamp.node);
    SortUnique(stores_);
  }

  void AppendTo(std::string& out) const {
    AppendVarint(out, stores_.size());
    for (const StoreId& store : stores_) out += store.view();
    AppendVarint(out, stamps_.size());
    for (const Stamp& stamp : stamps_) {
      AppendBig<uint64_t>(out, stamp.hlc.packed());
      AppendVarint(out, NumberOf(stamp.node));
    }
  }
  /// From 1 on; 0 stands for none.
  uint64_t NumberOf(const StoreId& store) const { return store.none() ? 0 : Find(stores_, store); }
  uint64_t NumberOf(const Stamp& stamp) const { return stamp.none() ? 0 : Find(stamps_, stamp); }

 private:
  template <class T>
  static void SortUnique(std::vector<T>& list) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
  template <class T>
  static uint64_t Find(const std::vector<T>& list, const T& item) {
    return static_cast<uint64_t>(std::lower_bound(list.begin(), list.end(), item) - list.begin()) + 1;
  }
  void Add(const StoreId& store) {
    if (!store.none()) stores_.push_back(store);
  }
  void Add(const Stamp& stamp) {
    if (!stamp.none()) stamps_.push_back(stamp);
  }
  void Add(const Write& write) {
    Add(write.stamp);
    Add(write.via);
    for (const Stamp& stamp : write.replaced) Add(stamp);
  }

  std::vector<StoreId> stores_;
  std::vector<Stamp> stamps_;
};

class RowEncoder {
 public:
  explicit RowEncoder(const Row& row) : names_(row) {}

  std::string Encode(const Row& row) {
    out_.push_back(static_cast<char>(kRowFormat));
    names_.AppendTo(out_);
    out_.push_back(static_cast<char>((row.clear ? kHasClear : 0) | (row.expiry ? kHasExpiry : 0) |
                                     (row.shared ? kShared : 0)));
    if (row.clear) {
      out_.push_back(static_cast<char>(row.clear->kind));
      AppendWrite(row.clear->write);
    }
    if (row.expiry) {
      out_.push_back(row.expiry->at_ms ? 1 : 0);
      if (row.expiry->at_ms) AppendBig<int64_t>(out_, *row.expiry->at_ms);
      AppendWrite(row.expiry->write);
    }
    AppendVarint(out_, row.fields.size());
    for (const auto& [name, field] : row.fields) {
      AppendText(name);
      AppendField(field);
    }
    return std::move(out_);
  }

 private:
  void AppendField(const Field& field) {
    const bool value = field.set && field.set->value;
    out_.push_back(static_cast<char>((field.set ? kHasRegister : 0) | (value ? kHasValue : 0) |
                                     (field.contributions.empty() ? 0 : kHasContributions)));
    if (field.set) AppendWrite(field.set->write);
    if (value) AppendText(field.set->value->text());
    if (field.contributions.empty()) return;
    AppendVarint(out_, field.contributions.size());
    for (const auto& [key, contribution] : field.contributions) {
      AppendContributor(key.by);
      AppendVarint(out_, names_.NumberOf(key.base));
      AppendText(CanonicalNumber(contribution.amount));
      AppendWrite(contribution.write);
    }
  }
  void AppendContributor(const Contributor& by) {
    AppendVarint(out_, names_.NumberOf(by.store));
    out_ += by.epoch.view();
  }
  void AppendWrite(const Write& write) {
    AppendVarint(out_, names_.NumberOf(write.stamp));
    AppendVarint(out_, write.sequence);
    AppendVarint(out_, names_.NumberOf(write.via));
    AppendVarint(out_, write.replaced.size());
    for (const Stamp& stamp : write.replaced) AppendVarint(out_, names_.NumberOf(stamp));
  }
  void AppendText(std::string_view text) {
    AppendVarint(out_, text.size());
    out_ += text;
  }

  Names names_;
  std::string out_;
};

/// Reads from the front. After the first thing that is wrong everything reads as 0, empty or none, and ok()
/// is false.
class RowDecoder {
 public:
  explicit RowDecoder(std::string_view bytes) : rest_(bytes) {}

  absl::StatusOr<Row> Decode() {
    Row row;
    if (Byte() != kRowFormat) Fail("unknown row format");
    ReadNames();
    const uint8_t flags = Byte();
    if (flags > (kHasClear | kHasExpiry | kShared)) Fail("unknown parts");
    row.shared = (flags & kShared) != 0;
    if ((flags & kHasClear) != 0) row.clear = ReadClear();
    if ((flags & kHasExpiry) != 0) row.expiry = ReadExpiry(row);
    const size_t count = Count(1);
    for (size_t i = 0; i < count && ok(); ++i) {
      std::string name(Text());
      if (!IsValidUtf8(name)) Fail("a name is not valid UTF-8");
      if (!row.fields.empty() && row.fields.rbegin()->first >= name) Fail("fields out of order");
      Field field = ReadField(row);
      row.fields.emplace_hint(row.fields.end(), std::move(name), std::move(field));
    }
    if (!rest_.empty()) Fail("bytes behind the row");
    if (!AllUsed(stores_used_) || !AllUsed(stamps_used_)) Fail("a store or stamp that nothing names");
    if (!ok()) {
      return MakeError(absl::StatusCode::kDataLoss, "corrupt_row",
                       fmt::format("the stored row is damaged: {}", wrong_));
    }
    return row;
  }

 private:
  bool ok() const { return wrong_.empty(); }
  void Fail(std::string_view why) {
    if (ok()) wrong_ = why;
    rest_ = {};
  }

  std::string_view Take(uint64_t size) {
    if (size > rest_.size()) {
      Fail("cut short");
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  uint8_t Byte() {
    const std::string_view byte = Take(1);
    return byte.empty() ? 0 : static_cast<uint8_t>(byte[0]);
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint64_t byte = Byte();
      value |= (byte & 0x7F) << shift;
      if ((byte & 0x80) != 0) continue;
      // One form of each number: the last group is not empty, and nothing is shifted out.
      if ((shift > 0 && byte == 0) || (shift == 63 && byte > 1)) break;
      return value;
    }
    Fail("not a number");
    return 0;
  }
  /// How many items follow, each of at least `item_size` bytes: never more than the bytes can hold.
  size_t Count(size_t item_size) {
    const uint64_t count = Varint();
    if (count > rest_.size() / item_size) {
      Fail("cut short");
      return 0;
    }
    return count;
  }
  std::string_view Text() { return Take(Varint()); }
  template <class Int>
  Int Big() {
    const std::string_view bytes = Take(sizeof(Int));
    return bytes.empty() ? Int{0} : LoadBig<Int>(bytes.data());
  }
  template <class Id>
  Id ReadId() {
    return Id::FromBytes(Take(kIdSize)).value_or(Id());
  }

  void ReadNames() {
    const size_t stores = Count(kIdSize);
    stores_.reserve(stores);
    for (size_t i = 0; i < stores && ok(); ++i) {
      const auto store = ReadId<StoreId>();
      // Above none, too.
      if (store <= (stores_.empty() ? StoreId() : stores_.back())) Fail("stores out of order");
      stores_.push_back(store);
    }
    stores_used_.resize(stores_.size());
    const size_t stamps = Count(sizeof(uint64_t) + 1);
    stamps_.reserve(stamps);
    for (size_t i = 0; i < stamps && ok(); ++i) {
      const Hlc hlc(Big<uint64_t>());
      const Stamp stamp{hlc, ReadStore()};
      if (stamp <= (stamps_.empty() ? Stamp() : stamps_.back())) Fail("stamps out of order");
      stamps_.push_back(stamp);
    }
    stamps_used_.resize(stamps_.size());
  }
  template <class T>
  T Named(const std::vector<T>& list, std::vector<bool>& used) {
    const uint64_t number = Varint();
    if (number == 0) return T();
    if (number > list.size()) {
      Fail("a store or stamp that is not listed");
      return T();
    }
    used[number - 1] = true;
    return list[number - 1];
  }
  StoreId ReadStore() { return Named(stores_, stores_used_); }
  Stamp ReadStamp() { return Named(stamps_, stamps_used_); }
  static bool AllUsed(const std::vector<bool>& used) {
    return std::find(used.begin(), used.end(), false) == used.end();
  }

  Write ReadWrite() {
    Write write;
    write.stamp = ReadStamp();
    if (write.stamp.none()) Fail("a write without a stamp");
    write.sequence = Varint();
    write.via = ReadStore();
    const size_t count = Count(1);
    for (size_t i = 0; i < count && ok(); ++i) {
      const Stamp stamp = ReadStamp();
      if (stamp.none()) Fail("a replaced write without a stamp");
      if (!write.replaced.empty() && write.replaced.back().node >= stamp.node) Fail("nodes out of order");
      write.replaced.push_back(stamp);
    }
    return write;
  }
  Clear ReadClear() {
    Clear clear;
    const uint8_t kind = Byte();
    if (kind > static_cast<uint8_t>(ClearKind::kPut)) Fail("unknown kind of clear");
    clear.kind = static_cast<ClearKind>(kind);
    clear.write = ReadWrite();
    return clear;
  }
  Expiry ReadExpiry(const Row& row) {
    Expiry expiry;
    const uint8_t has_time = Byte();
    if (has_time > 1) Fail("unknown kind of expiry");
    if (has_time == 1) expiry.at_ms = Big<int64_t>();
    expiry.write = ReadWrite();
    if (row.clear && expiry.write.stamp < row.clear->write.stamp) Fail("an expiry that was cleared");
    return expiry;
  }
  std::optional<CanonicalJson> ReadValue() {
    auto value = CanonicalJson::FromBytes(Text());
    if (!value.ok()) {
      Fail("a value that is not canonical");
      return std::nullopt;
    }
    return *std::move(value);
  }
  Field ReadField(const Row& row) {
    Field field;
    const uint8_t flags = Byte();
    const bool has_register = (flags & kHasRegister) != 0;
    const bool has_value = (flags & kHasValue) != 0;
    const bool has_contributions = (flags & kHasContributions) != 0;
    if (flags == 0 || flags >= 8 || (has_value && !has_register)) Fail("unknown parts of a field");
    if (has_register) {
      field.set.emplace();
      field.set->write = ReadWrite();
      if (row.clear && field.set->write.stamp < row.clear->write.stamp) Fail("a field that was cleared");
    }
    if (has_value) field.set->value = ReadValue();
    if (has_contributions) ReadContributions(field);
    return field;
  }
  void ReadContributions(Field& field) {
    const size_t count = Count(1);
    if (count == 0) Fail("no contributions");
    const Stamp base = field.set ? field.set->write.stamp : Stamp();
    for (size_t i = 0; i < count && ok(); ++i) {
      ContributionKey key{ReadContributor(), ReadStamp()};
      if (!key.base.none() && key.base < base) Fail("a contribution on an older base");
      auto& all = field.contributions;
      if (!all.empty() && all.rbegin()->first >= key) Fail("contributions out of order");
      all.emplace_hint(all.end(), key, ReadContribution());
    }
  }
  Contribution ReadContribution() {
    Contribution contribution;
    const auto amount = ReadValue();
    const auto number = amount ? amount->number() : std::nullopt;
    if (number) {
      contribution.amount = *number;
    } else {
      Fail("an amount that is not a number");
    }
    contribution.write = ReadWrite();
    return contribution;
  }
  Contributor ReadContributor() {
    const StoreId store = ReadStore();
    if (store.none()) Fail("a contributor without a store");
    return {store, ReadId<FeedEpoch>()};
  }

  std::string_view rest_;
  std::string_view wrong_;  ///< of a literal
  std::vector<StoreId> stores_;
  std::vector<Stamp> stamps_;
  std::vector<bool> stores_used_;
  std::vector<bool> stamps_used_;
};

}  // namespace

std::string EncodeRow(const Row& row) {
  return RowEncoder(row).Encode(row);
}

absl::StatusOr<Row> DecodeRow(std::string_view bytes) {
  return RowDecoder(bytes).Decode();
}

}  // namespace selvage::table
