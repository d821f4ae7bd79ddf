#pragma once

#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"

namespace selvage {

/// A bidirectional stream of frames under a LinkDriver, to which it reports with ReadDone, WriteDone and
/// Ended, from any thread but never from inside one of the calls below. One read and one write at a time.
/// Reads and writes may be started from any thread, also inside a report.
class FrameStream {
 public:
  virtual ~FrameStream() = default;

  /// `*into` belongs to the stream until ReadDone. A read that fails is the last one.
  virtual void StartRead(grpc::ByteBuffer* into) = 0;
  /// `*frame` belongs to the stream until WriteDone. With `more` another write follows at once, so that small
  /// frames may share a packet. Not after Finish.
  virtual void StartWrite(const grpc::ByteBuffer* frame, bool more) = 0;
  /// Nothing more is written; once, with no write under way. Ended follows when the peer agrees or Cancel is
  /// called.
  virtual void Finish(const absl::Status& reason) = 0;
  /// Breaks the stream off: whatever is under way fails soon. At any time, also after the end.
  virtual void Cancel() = 0;
};

}  // namespace selvage
