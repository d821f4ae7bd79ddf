#pragma once

#include <cstdint>
#include <string_view>

namespace selvage {

/// CRC-32C (Castagnoli) of what has the CRC `crc` followed by `bytes`; `crc` is 0 when nothing comes before
/// them. Computed by ISA-L with the processor's instructions for it where it has them. Safe from any thread.
uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes);

inline uint32_t Crc32c(std::string_view bytes) {
  return ExtendCrc32c(0, bytes);
}

/// False when ISA-L's choice for this processor gave a wrong answer in this process; its portable table is
/// used then.
bool Crc32cIsTrusted();

namespace internal {

/// The shape of ISA-L's functions: the CRC so far is passed and returned without the customary inversion.
using Crc32cFunction = unsigned int (*)(unsigned char* bytes, int size, unsigned int crc);

/// True when `function` gives the published answers, and those of the portable table for sizes and alignments
/// that reach every path of an implementation in wide steps.
bool AnswersAreRight(Crc32cFunction function);

}  // namespace internal
}  // namespace selvage
