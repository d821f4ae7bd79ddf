// Where the damage of a table begins and ends, in tables of all kinds of keys.
#include "fabric/storage/table_mending.h"

#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <rocksdb/iterator.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/sst_file_writer.h>

#include <fstream>
#include <set>

#include "tests/support/seeded_random.h"
#include "tests/support/test_dir.h"

namespace selvage::internal {
namespace {

class TableMendingTest : public ::testing::Test {
 protected:
  /// A byte now and then, so that keys have prefixes of one another, and zeros and 0xff at their ends.
  std::string RandomKey() {
    static constexpr char kBytes[] = {'\0', '\1', 'a', 'b', '\x7f', '\xfe', '\xff'};
    std::string key(1 + random_.Below(9), '\0');
    for (char& byte : key) byte = kBytes[random_.Below(sizeof kBytes)];
    return key;
  }
  void MakeTable() {
    keys_.clear();
    for (uint64_t count = random_.Between(50, 600); count > 0; --count) keys_.insert(RandomKey());
    rocksdb::Options options;
    options.compression = rocksdb::kNoCompression;
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options);
    ASSERT_TRUE(writer.Open(path_).ok());
    for (const std::string& key : keys_) ASSERT_TRUE(writer.Put(key, std::string(200, 'v')).ok());
    ASSERT_TRUE(writer.Finish().ok());
  }
  void DamageSomewhere() {
    const size_t data_bytes = keys_.size() * 200;
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(random_.Below(data_bytes)));
    file.write("damage", 6);
  }
  /// By a seek of its own.
  bool CanBeRead(const std::string& key) {
    rocksdb::SstFileReader reader{rocksdb::Options()};
    if (!reader.Open(path_).ok()) return false;
    const std::unique_ptr<rocksdb::Iterator> it(reader.NewIterator(rocksdb::ReadOptions()));
    it->Seek(key);
    return it->Valid() && it->key() == key;
  }

  test::TestDir dir_;
  const std::string path_ = dir_.File("table.sst");
  test::SeededRandom random_{7};
  std::set<std::string> keys_;
};

TEST_F(TableMendingTest, AHoleIsWhatCannotBeReadAndNothingElse) {
  int found = 0, first_blocks = 0;
  for (int round = 0; round < 60; ++round) {
    MakeTable();
    for (uint64_t damages = random_.Below(5); damages > 0; --damages) DamageSomewhere();
    const auto holes = FindHoles(*rocksdb::Env::Default(), path_, *keys_.rbegin());
    if (!holes.ok()) {
      ASSERT_FALSE(CanBeRead(*keys_.begin())) << holes.status();
      ++first_blocks;
      continue;
    }
    std::set<std::string> unreadable;
    for (const TableHole& hole : *holes) {
      EXPECT_TRUE(keys_.contains(hole.before));
      EXPECT_TRUE(keys_.contains(hole.behind) || hole.behind > *keys_.rbegin());
      for (auto key = keys_.upper_bound(hole.before); key != keys_.end() && *key < hole.behind; ++key) {
        unreadable.insert(*key);
      }
      ++found;
    }
    for (const std::string& key : keys_) ASSERT_NE(CanBeRead(key), unreadable.contains(key)) << round;
  }
  EXPECT_GT(found, 20);
  EXPECT_GT(first_blocks, 0);
  EXPECT_LT(first_blocks, 30);
}

TEST_F(TableMendingTest, AFileThatIsNoTableIsAnError) {
  std::ofstream(path_) << "no table";
  EXPECT_FALSE(FindHoles(*rocksdb::Env::Default(), path_, "z").ok());
  EXPECT_FALSE(FindHoles(*rocksdb::Env::Default(), dir_.File("none"), "z").ok());
}

}  // namespace
}  // namespace selvage::internal
