#pragma once

#include <rocksdb/env.h>

#include <cstdarg>

namespace selvage::internal {

/// Takes RocksDB's own messages: errors go to the log of the process, the rest is dropped. Without it RocksDB
/// writes a file LOG beside the store and, in Debian's build, dies by an assertion when there is no room for
/// a line of it: that is, while it reports that the disk is full. Safe from any thread.
class EngineLog : public rocksdb::Logger {
 public:
  EngineLog() : rocksdb::Logger(rocksdb::InfoLogLevel::ERROR_LEVEL) {}

  using rocksdb::Logger::Logv;
  void Logv(const char* format, std::va_list arguments) override;
  void Logv(rocksdb::InfoLogLevel level, const char* format, std::va_list arguments) override;
  /// Settings and versions, at every start.
  void LogHeader(const char*, std::va_list) override {}
};

}  // namespace selvage::internal
