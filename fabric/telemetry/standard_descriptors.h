#pragma once

namespace selvage {

/// Makes sure that descriptors 0, 1 and 2 are open, so that no file or socket of this process is opened under
/// one of these numbers and then taken for standard input or output. What stands in for a closed one fails:
/// reading standard input, or writing standard output and error, is the error EBADF as it would be without
/// this. A program that calls it first of all in main has it done at its load already.
void SecureStandardDescriptors();

}  // namespace selvage
