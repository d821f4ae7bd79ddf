#pragma once

#include <cstdint>

/// What clients may do with a resource, as the bits of AclOperation (KIP-430). There is no authorizer on the
/// Kafka listener, so it is all that a resource of its type supports, as Kafka answers without one.
namespace selvage::kafka {

inline constexpr int32_t kAclRead = 1 << 3;
inline constexpr int32_t kAclWrite = 1 << 4;
inline constexpr int32_t kAclCreate = 1 << 5;
inline constexpr int32_t kAclDelete = 1 << 6;
inline constexpr int32_t kAclAlter = 1 << 7;
inline constexpr int32_t kAclDescribe = 1 << 8;
inline constexpr int32_t kAclClusterAction = 1 << 9;
inline constexpr int32_t kAclDescribeConfigs = 1 << 10;
inline constexpr int32_t kAclAlterConfigs = 1 << 11;
inline constexpr int32_t kAclIdempotentWrite = 1 << 12;

inline constexpr int32_t kTopicOperations = kAclRead | kAclWrite | kAclCreate | kAclDelete | kAclAlter |
                                            kAclDescribe | kAclDescribeConfigs | kAclAlterConfigs;
inline constexpr int32_t kGroupOperations = kAclRead | kAclDelete | kAclDescribe;
inline constexpr int32_t kClusterOperations = kAclCreate | kAclAlter | kAclDescribe | kAclClusterAction |
                                              kAclDescribeConfigs | kAclAlterConfigs | kAclIdempotentWrite;

}  // namespace selvage::kafka
