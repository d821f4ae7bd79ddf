#pragma once

namespace selvage {

/// From here on a failure that nobody catches ends the process with a line in the log that says what it was
/// and, where the system refused memory or a thread, which limits are in force. Those end with status 1,
/// others abort as before. Nothing is lost by that: what was acknowledged is on the disk.
void ExplainTermination();

}  // namespace selvage
