/// Lets ThreadSanitizer see that what a thread did before it began an operation of gRPC comes before what
/// another thread does when the operation is complete. Debian's gRPC is built without it and hands
/// completions over with atomics. The functions here take the place of the library's in a test program, tell
/// ThreadSanitizer, and call the library's. Linked by tests of the tsan preset only.
#include <grpc/grpc.h>
#include <sanitizer/tsan_interface.h>

#include "tests/support/real_function.h"

using selvage::test::RealFunction;

extern "C" {

grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t nops, void* tag,
                                      void* reserved) {
  static const auto real = RealFunction<decltype(grpc_call_start_batch)>("grpc_call_start_batch");
  __tsan_release(tag);
  return real(call, ops, nops, tag, reserved);
}

grpc_event grpc_completion_queue_next(grpc_completion_queue* cq, gpr_timespec deadline, void* reserved) {
  static const auto real = RealFunction<decltype(grpc_completion_queue_next)>("grpc_completion_queue_next");
  const grpc_event event = real(cq, deadline, reserved);
  if (event.type == GRPC_OP_COMPLETE) __tsan_acquire(event.tag);
  return event;
}

grpc_event grpc_completion_queue_pluck(grpc_completion_queue* cq, void* tag, gpr_timespec deadline,
                                       void* reserved) {
  static const auto real = RealFunction<decltype(grpc_completion_queue_pluck)>("grpc_completion_queue_pluck");
  const grpc_event event = real(cq, tag, deadline, reserved);
  if (event.type == GRPC_OP_COMPLETE) __tsan_acquire(event.tag);
  return event;
}

}  // extern "C"
