#include "tests/contract/storage/store_factory.h"

#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/storage/memory_store.h"
#include "fabric/storage/rocksdb_store.h"
#include "tests/support/test_dir.h"

namespace selvage {
namespace {

class MemoryFixture : public StoreFixture {
 public:
  KvStore& store() override { return store_; }
  void Reopen() override { store_.Crash(); }

 private:
  class CrashingStore : public MemoryStore {
   public:
    void Crash() { LoseUnsynced(/*keep=*/0); }
  };
  CrashingStore store_;
};

class RocksDbFixture : public StoreFixture {
 public:
  RocksDbFixture() { Open(); }
  KvStore& store() override { return *store_; }
  void Reopen() override {
    store_.reset();
    Open();
  }

 private:
  void Open() {
    auto opened = RocksDbStore::Open({.path = dir_.File("store")});
    SELVAGE_CHECK(opened.ok());
    store_ = std::move(*opened);
  }

  test::TestDir dir_;
  std::unique_ptr<RocksDbStore> store_;
};

}  // namespace

std::vector<StoreKind> AllStoreKinds() {
  return {{"Memory", [] { return std::make_unique<MemoryFixture>(); }},
          {"RocksDb", [] { return std::make_unique<RocksDbFixture>(); }}};
}

std::vector<std::string> Dump(KvStore& store, Family family, std::string_view from, std::string_view to) {
  std::vector<std::string> entries;
  auto cursor = store.Scan(family, from, to);
  for (cursor->Seek(from); cursor->Valid(); cursor->Next()) {
    entries.push_back(std::string(cursor->key()) + "=" + std::string(cursor->value()));
  }
  if (!cursor->status().ok()) entries.push_back(Describe(cursor->status()));
  return entries;
}

}  // namespace selvage
