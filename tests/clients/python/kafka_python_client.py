"""The commands of ../README.md with kafka-python."""

import threading
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import CommitFailedError, RebalanceInProgressError, TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata

from frame import (DEADLINE_S, NEW_RETENTION, OLD_RETENTION, UNACKED_MAX, Told, emit, emit_record, emit_step,
                   flood_value, main, read_records)


def shared(options):
    return {"bootstrap_servers": options.bootstrap, "reconnect_backoff_max_ms": 500}


def produce(options):
    producer = KafkaProducer(**shared(options), linger_ms=20, enable_idempotence=False,
                             max_request_size=2 << 20,
                             compression_type=None if options.codec == "none" else options.codec)
    sent = [producer.send(options.topic, partition=int(options.partition), timestamp_ms=timestamp, key=key,
                          value=value, headers=headers)
            for timestamp, key, value, headers in read_records(options.input)]
    for number, future in enumerate(sent):
        where = future.get(DEADLINE_S)
        emit("acked", id=number, partition=where.partition, offset=where.offset)
    producer.close()


def flood(options):
    told = Told()
    producer = KafkaProducer(**shared(options), linger_ms=5, enable_idempotence=True)
    free = threading.Semaphore(UNACKED_MAX)
    failures = []

    def acked(number, where):
        emit("acked", id=number, partition=where.partition, offset=where.offset)
        free.release()

    def failed(error):
        failures.append(error)
        free.release()

    number = 0
    while not told and not failures:
        free.acquire()
        future = producer.send(options.topic, partition=number % int(options.partitions),
                               value=flood_value(options, number))
        future.add_callback(lambda where, id=number: acked(id, where))
        future.add_errback(failed)
        number += 1
        time.sleep(0.001)
    producer.flush(DEADLINE_S)
    producer.close()
    if failures:
        raise failures[0]
    emit("closed")


def emit_all(polled):
    """Writes out what a poll returned; how many records, and where to go on."""
    count, after = 0, {}
    for partition, records in polled.items():
        for each in records:
            emit_record(each.partition, each.offset, each.timestamp, each.key, each.value, each.headers)
            count += 1
            after[partition] = OffsetAndMetadata(each.offset + 1, "", -1)
    return count, after


def consume(options):
    consumer = KafkaConsumer(**shared(options), auto_offset_reset="none", enable_auto_commit=False,
                             max_partition_fetch_bytes=2 << 20)
    partition = TopicPartition(options.topic, int(options.partition))
    consumer.assign([partition])
    consumer.seek(partition, int(options.offset))
    left = int(options.count)
    deadline = time.monotonic() + DEADLINE_S
    while left > 0:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{left} records are missing")
        left -= emit_all(consumer.poll(100, max_records=left))[0]
    consumer.close()


def seek(options):
    consumer = KafkaConsumer(**shared(options))
    partition = TopicPartition(options.topic, int(options.partition))
    for at in options.times.split(","):
        found = consumer.offsets_for_times({partition: int(at)})[partition]
        emit("offset", offset=-1 if found is None else found.offset)
    consumer.close()


class Rebalances(ConsumerRebalanceListener):
    def __init__(self):
        self._assigned = set()

    def on_partitions_assigned(self, assigned):
        self._assigned |= {each.partition for each in assigned}
        emit("assigned", partitions=sorted(self._assigned))

    def on_partitions_revoked(self, revoked):
        self._assigned -= {each.partition for each in revoked}
        emit("assigned", partitions=sorted(self._assigned))


def member(options):
    told = Told()
    consumer = KafkaConsumer(**shared(options), group_id=options.group, group_instance_id=options.instance,
                             auto_offset_reset="earliest", enable_auto_commit=False,
                             session_timeout_ms=int(options.session_timeout), heartbeat_interval_ms=300)
    consumer.subscribe([options.topic], listener=Rebalances())
    left = int(options.count or 1 << 60)
    while left > 0 and not told:
        count, after = emit_all(consumer.poll(100, max_records=min(left, 50)))
        left -= count
        try:
            if after:
                consumer.commit(after)
        except (CommitFailedError, RebalanceInProgressError):
            pass  # who has the partitions now reads these records again
    consumer.close(autocommit=False)
    emit("closed")


def exists(admin, topic):
    try:
        admin.create_topics({topic: {"num_partitions": 3, "replication_factor": 1}})
        return False
    except TopicAlreadyExistsError:
        return True


def topic_listed(admin, topic):
    return any(topic == (each if isinstance(each, str) else each["name"]) for each in admin.list_topics())


def partitions(admin, topic):
    return len(admin.describe_topics([topic])[0]["partitions"])


def retention(admin, topic):
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    return described["topic"][topic]["retention.ms"]["value"]


def listed(admin, group):
    return any(each["group_id"] == group for each in admin.list_groups())


def administer(options):
    topic, group = options.topic, options.group
    first = TopicPartition(topic, 0)
    admin = KafkaAdminClient(**shared(options))
    admin.create_topics({topic: {"num_partitions": 3, "replication_factor": 1,
                                 "configs": {"retention.ms": OLD_RETENTION}}})
    emit_step("create", True)
    emit_step("create_again", exists(admin, topic))
    emit_step("listed", topic_listed(admin, topic))
    emit_step("partitions", partitions(admin, topic))
    emit_step("retention", retention(admin, topic))
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": NEW_RETENTION})])
    emit_step("new_retention", retention(admin, topic))
    admin.create_partitions({topic: 5})
    emit_step("grown", partitions(admin, topic))
    producer = KafkaProducer(**shared(options))
    for _ in range(10):
        producer.send(topic, partition=0, value=b"x").get(DEADLINE_S)
    producer.close()
    admin.delete_records({first: 4})
    emit_step("low", admin.list_partition_offsets({first: OffsetSpec.EARLIEST})[first].offset)
    admin.alter_group_offsets(group, {first: OffsetAndMetadata(7, "", -1)})
    emit_step("committed", admin.list_group_offsets({group: None})[group][first].offset)
    emit_step("group_listed", listed(admin, group))
    emit_step("group_state", admin.describe_groups([group])[group]["group_state"])
    admin.delete_groups([group])
    emit_step("group_left", listed(admin, group))
    admin.delete_topics([topic])
    emit_step("topic_left", topic_listed(admin, topic))
    admin.close()


main({"produce": produce, "flood": flood, "consume": consume, "seek": seek, "member": member, "admin": administer})
