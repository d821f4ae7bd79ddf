// Records, offsets and topics.
#include "fabric/kafka/protocol/codec.h"
#include "fabric/kafka/protocol/delete_records.h"
#include "fabric/kafka/protocol/fetch.h"
#include "fabric/kafka/protocol/init_producer_id.h"
#include "fabric/kafka/protocol/list_offsets.h"
#include "fabric/kafka/protocol/metadata.h"
#include "fabric/kafka/protocol/offset_for_leader_epoch.h"
#include "fabric/kafka/protocol/produce.h"

namespace selvage::kafka {

SELVAGE_KAFKA_MESSAGE(ProduceRequest);
SELVAGE_KAFKA_MESSAGE(ProduceResponse);
SELVAGE_KAFKA_MESSAGE(FetchRequest);
SELVAGE_KAFKA_MESSAGE(FetchResponse);
SELVAGE_KAFKA_MESSAGE(ListOffsetsRequest);
SELVAGE_KAFKA_MESSAGE(ListOffsetsResponse);
SELVAGE_KAFKA_MESSAGE(MetadataRequest);
SELVAGE_KAFKA_MESSAGE(MetadataResponse);
SELVAGE_KAFKA_MESSAGE(OffsetForLeaderEpochRequest);
SELVAGE_KAFKA_MESSAGE(OffsetForLeaderEpochResponse);
SELVAGE_KAFKA_MESSAGE(InitProducerIdRequest);
SELVAGE_KAFKA_MESSAGE(InitProducerIdResponse);
SELVAGE_KAFKA_MESSAGE(DeleteRecordsRequest);
SELVAGE_KAFKA_MESSAGE(DeleteRecordsResponse);

}  // namespace selvage::kafka
