#include "fabric/kafka/protocol/api_versions.h"

#include "fabric/kafka/handlers/api_table.h"

namespace selvage::kafka {
namespace {

Awaitable<ApiVersionsResponse> Handle(Context&, Call&, ApiVersionsRequest) {
  ApiVersionsResponse response;
  for (const ServedApi* served : ServedApis()) {
    response.api_keys.push_back({static_cast<int16_t>(served->key), served->min, served->max});
  }
  co_return response;
}

}  // namespace

// A version above these is answered by the connection, which knows no more of the request than that.
const ServedApi kServeApiVersions = {ApiKey::kApiVersions, 0, 4,
                                     &ServeWith<ApiVersionsRequest, ApiVersionsResponse, &Handle>};

}  // namespace selvage::kafka
