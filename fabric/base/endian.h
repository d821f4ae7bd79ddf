#pragma once

#include <boost/endian/conversion.hpp>
#include <cstdint>
#include <string>

namespace selvage {

/// Big-endian integers in stored and wire formats.
template <class T>
T LoadBig(const char* at) {
  return boost::endian::endian_load<T, sizeof(T), boost::endian::order::big>(
      reinterpret_cast<const unsigned char*>(at));
}
template <class T>
void StoreBig(char* at, T value) {
  boost::endian::endian_store<T, sizeof(T), boost::endian::order::big>(reinterpret_cast<unsigned char*>(at),
                                                                       value);
}
template <class T>
void AppendBig(std::string& out, T value) {
  char buffer[sizeof(T)];
  StoreBig<T>(buffer, value);
  out.append(buffer, sizeof buffer);
}

}  // namespace selvage
