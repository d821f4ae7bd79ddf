#pragma once

/// What calls of the admin service carry in their metadata besides the request.
namespace selvage {

/// In a call to the core: the edge that is meant, which answers over its link.
inline constexpr char kEdgeMetadata[] = "selvage-edge";
/// In a call that LocalCalls makes: the operator for whom the other end of the link asks.
inline constexpr char kCallerMetadata[] = "selvage-caller";
/// In a call that LocalCalls makes: shows that it comes from within the process.
inline constexpr char kSecretMetadata[] = "selvage-local-secret-bin";

}  // namespace selvage
