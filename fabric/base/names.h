#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace selvage {

/// Longest stream name: Kafka's limit for topics. `<edge>.<stream>` at the core may be longer; clients take
/// that.
inline constexpr size_t kMaxStreamName = 249;

/// True for a DNS label as edge, core and operator ids are: 1 to 63 of a-z, 0-9 and '-', with no '-' at
/// either end. It has no dot, so that `<edge>.<stream>` can be split again.
bool IsDnsLabel(std::string_view name);

/// True for DNS labels joined by single dots, at most 253 characters: a trust domain or a host.
bool IsDnsName(std::string_view name);

/// True for a stream name, by Kafka's rule for topics: 1 to kMaxStreamName of a-z, A-Z, 0-9, '.', '_' and
/// '-', but not "." and "..".
bool IsStreamName(std::string_view name);

/// The stream that captured changes of a table go to: "table.<table>.changes".
std::string CaptureStreamOf(std::string_view table);
/// True for a name that CaptureStreamOf gives to some table.
bool IsCaptureStream(std::string_view name);

}  // namespace selvage
