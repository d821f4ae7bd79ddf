#pragma once

#include <cstddef>

namespace selvage::kafka::test {

/// Bytes that this program has allocated since its start, also those it freed again.
size_t AllocatedBytes();

}  // namespace selvage::kafka::test
