#include "fabric/table/restamp.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace selvage::table {
namespace {

/// Who was in sight never has a stamp after that of the write, unless that stamp was withdrawn.
bool IsWithdrawn(const Stamp& replaced, const Write& by) {
  return replaced.hlc > by.stamp.hlc;
}

void Name(Write& write, const Stamp& withdrawn) {
  auto& replaced = write.replaced;
  const auto at = std::lower_bound(replaced.begin(), replaced.end(), withdrawn,
                                   [](const Stamp& a, const Stamp& b) { return a.node < b.node; });
  if (at == replaced.end() || at->node != withdrawn.node) {
    replaced.insert(at, withdrawn);
  } else {
    *at = std::max(*at, withdrawn);
  }
}

/// Up to which time stamps were withdrawn, by store.
class WithdrawnTo {
 public:
  void Add(const Write& write) {
    for (const Stamp& stamp : write.replaced) {
      if (IsWithdrawn(stamp, write)) to_[stamp.node] = std::max(to_[stamp.node], stamp.hlc);
    }
  }
  bool Covers(const Write& write) const {
    const auto known = to_.find(write.stamp.node);
    return known != to_.end() && write.stamp.hlc <= known->second;
  }

 private:
  std::map<StoreId, Hlc> to_;
};

WithdrawnTo OfField(const Field& field) {
  WithdrawnTo to;
  if (field.set) to.Add(field.set->write);
  for (const auto& [key, contribution] : field.contributions) to.Add(contribution.write);
  return to;
}

}  // namespace

PartsAhead FindAhead(const Row& row, const StoreId& own, Hlc limit) {
  PartsAhead ahead;
  const auto look = [&](const Stamp& stamp) {
    if (stamp.hlc <= limit) return;
    if (stamp.node == own) {
      ++ahead.own;
    } else {
      ahead.other = stamp.node;
    }
  };
  ForEachWrite(row, [&](const Write& write) { look(write.stamp); });
  for (const auto& [name, field] : row.fields) {
    for (const auto& [key, contribution] : field.contributions) {
      if (key.base.node != own) look(key.base);
    }
  }
  return ahead;
}

Hlc NewestOf(const Row& row) {
  return NewestUpTo(row, Hlc(UINT64_MAX));
}

Hlc NewestUpTo(const Row& row, Hlc limit) {
  Hlc newest;
  ForEachWrite(row, [&](const Write& write) {
    if (write.stamp.hlc <= limit) newest = std::max(newest, write.stamp.hlc);
  });
  return newest;
}

Row Restamp(const Row& row, const StoreId& own, Hlc limit, const std::function<Hlc()>& tick,
            uint64_t sequence) {
  std::map<Stamp, Stamp> given;  // new stamps by old ones
  const auto add = [&](const Stamp& stamp) {
    if (stamp.node == own && stamp.hlc > limit) given[stamp];
  };
  Row restamped = row;
  ForEachWrite(restamped, [&](const Write& write) { add(write.stamp); });
  for (auto& [old, now] : given) now = {tick(), own};
  const auto place = [&](Write& write) {
    write.sequence = sequence;
    write.via = StoreId();
  };
  ForEachWrite(restamped, [&](Write& write) {
    const auto now = given.find(write.stamp);
    if (now == given.end()) return;
    write.stamp = now->second;
    Name(write, now->first);
    place(write);
  });
  for (auto& [name, field] : restamped.fields) {
    std::map<ContributionKey, Contribution> contributions;
    for (auto& [key, contribution] : field.contributions) {
      ContributionKey on = key;
      if (const auto base = given.find(key.base); base != given.end()) {
        on.base = base->second;
        place(contribution.write);
      }
      contributions.emplace(on, std::move(contribution));
    }
    field.contributions = std::move(contributions);
  }
  return restamped;
}

bool Withdraws(const Change& change) {
  bool found = false;
  ForEachWrite(change, [&](const Write& write) {
    for (const Stamp& stamp : write.replaced) found |= IsWithdrawn(stamp, write);
  });
  return found;
}

bool DropWithdrawn(Change& waiting, const Change& change) {
  // A put or delete took all that its writer had written to the row before.
  WithdrawnTo of_row;
  if (change.clear) of_row.Add(change.clear->write);
  bool dropped = false;
  const auto drop = [&](auto& part, const WithdrawnTo& of_part) {
    if (!part || (!of_row.Covers(part->write) && !of_part.Covers(part->write))) return;
    part.reset();
    dropped = true;
  };
  WithdrawnTo of_expiry;
  if (change.expiry) of_expiry.Add(change.expiry->write);
  drop(waiting.clear, of_row);
  drop(waiting.expiry, of_expiry);
  for (auto at = waiting.fields.begin(); at != waiting.fields.end();) {
    auto& [name, field] = *at;
    const auto came = change.fields.find(name);
    const WithdrawnTo of_field = came == change.fields.end() ? WithdrawnTo() : OfField(came->second);
    drop(field.set, of_field);
    dropped |= std::erase_if(field.contributions, [&](const auto& entry) {
                 return of_row.Covers(entry.second.write) || of_field.Covers(entry.second.write);
               }) > 0;
    at = !field.set && field.contributions.empty() ? waiting.fields.erase(at) : std::next(at);
  }
  return dropped;
}

}  // namespace selvage::table
