#include "fabric/base/bytes.h"

#include "fabric/base/check.h"

namespace selvage {

Bytes Bytes::Slice(size_t from, size_t size) const {
  SELVAGE_CHECK(from <= view_.size());
  return Bytes(owner_, view_.substr(from, size));
}

}  // namespace selvage
