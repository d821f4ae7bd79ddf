"""The commands of ../README.md with confluent-kafka."""

import time

from confluent_kafka import OFFSET_END, Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions,
                                   NewTopic, OffsetSpec, ResourceType)

from frame import (DEADLINE_S, NEW_RETENTION, OLD_RETENTION, UNACKED_MAX, Told, emit, emit_record, emit_step,
                   flood_value, main, read_records)

PASSING = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)
LOST = (KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError._NO_OFFSET)


def shared(options, **more):
    settings = {"bootstrap.servers": options.bootstrap, "reconnect.backoff.max.ms": 500}
    return {**settings, **{name.replace("_", "."): value for name, value in more.items()}}


class Acks:
    """Counts and writes out what was acknowledged."""

    def __init__(self):
        self.count = 0

    def of(self, number):
        def report(error, message):
            if error is not None:
                raise KafkaException(error)
            self.count += 1
            emit("acked", id=number, partition=message.partition(), offset=message.offset())

        return report


def flush(producer):
    left = producer.flush(DEADLINE_S)
    if left:
        raise TimeoutError(f"{left} records are not acknowledged")


def produce(options):
    producer = Producer(shared(options, compression_type=options.codec, linger_ms=20))
    acks = Acks()
    for number, (timestamp, key, value, headers) in enumerate(read_records(options.input)):
        producer.produce(options.topic, partition=int(options.partition), key=key, value=value, timestamp=timestamp,
                         headers=headers, on_delivery=acks.of(number))
    flush(producer)


def flood(options):
    told, acks, number = Told(), Acks(), 0
    producer = Producer(shared(options, enable_idempotence=True, linger_ms=5, retry_backoff_ms=50))
    while not told:
        while number - acks.count >= UNACKED_MAX:
            producer.poll(0.1)
        producer.produce(options.topic, partition=number % int(options.partitions), value=flood_value(options, number),
                         on_delivery=acks.of(number))
        producer.poll(0.001)
        number += 1
    flush(producer)
    emit("closed")


def poll(consumer):
    """One record written out; None when there was none."""
    message = consumer.poll(0.1)
    if message is None:
        return None
    if message.error() is not None:
        if message.error().code() in PASSING:
            return None
        raise KafkaException(message.error())
    emit_record(message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value(),
                message.headers())
    return message


def consume(options):
    consumer = Consumer(shared(options, group_id="none", auto_offset_reset="error", enable_auto_commit=False))
    consumer.assign([TopicPartition(options.topic, int(options.partition), int(options.offset))])
    left = int(options.count)
    deadline = time.monotonic() + DEADLINE_S
    while left > 0:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{left} records are missing")
        left -= poll(consumer) is not None
    consumer.close()


def seek(options):
    consumer = Consumer(shared(options, group_id="none"))
    for at in options.times.split(","):
        partition = TopicPartition(options.topic, int(options.partition), int(at))
        found = consumer.offsets_for_times([partition], DEADLINE_S)[0]
        if found.error is not None:
            raise KafkaException(found.error)
        emit("offset", offset=-1 if found.offset == OFFSET_END else found.offset)
    consumer.close()


def member(options):
    told = Told()
    settings = shared(options, group_id=options.group, auto_offset_reset="earliest", enable_auto_commit=False,
                      session_timeout_ms=int(options.session_timeout), heartbeat_interval_ms=300)
    if options.instance is not None:
        settings["group.instance.id"] = options.instance
    consumer = Consumer(settings)

    def assigned(_, partitions):
        emit("assigned", partitions=sorted(each.partition for each in partitions))

    def revoked(*_):
        emit("assigned", partitions=[])

    def commit():
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as failure:
            if failure.args[0].code() not in LOST:
                raise
            # who has the partitions now reads these records again

    consumer.subscribe([options.topic], on_assign=assigned, on_revoke=revoked)
    left, uncommitted = int(options.count or 1 << 60), 0
    while left > 0 and not told:
        got = poll(consumer) is not None
        left -= got
        uncommitted += got
        if uncommitted and (not got or uncommitted == 50 or left == 0):
            commit()
            uncommitted = 0
    if uncommitted:
        commit()
    consumer.close()
    emit("closed")


def done(futures):
    """The one result of a call that answers for several things."""
    return next(iter(futures.values())).result(DEADLINE_S)


def exists(admin, topic):
    try:
        done(admin.create_topics([NewTopic(topic, 3, 1)]))
        return False
    except KafkaException as failure:
        if failure.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        return True


def partitions(admin, topic):
    return len(admin.list_topics(timeout=DEADLINE_S).topics[topic].partitions)


def retention(admin, topic):
    return done(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))["retention.ms"].value


def listed(admin, group):
    found = admin.list_consumer_groups().result(DEADLINE_S)
    if found.errors:
        raise found.errors[0]
    return any(each.group_id == group for each in found.valid)


def administer(options):
    topic, group = options.topic, options.group
    admin = AdminClient(shared(options))
    done(admin.create_topics([NewTopic(topic, 3, 1, config={"retention.ms": OLD_RETENTION})]))
    emit_step("create", True)
    emit_step("create_again", exists(admin, topic))
    emit_step("listed", topic in admin.list_topics(timeout=DEADLINE_S).topics)
    emit_step("partitions", partitions(admin, topic))
    emit_step("retention", retention(admin, topic))
    change = ConfigEntry("retention.ms", NEW_RETENTION, incremental_operation=AlterConfigOpType.SET)
    done(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic,
                                                         incremental_configs=[change])]))
    emit_step("new_retention", retention(admin, topic))
    done(admin.create_partitions([NewPartitions(topic, 5)]))
    emit_step("grown", partitions(admin, topic))
    producer = Producer(shared(options))
    for _ in range(10):
        producer.produce(topic, partition=0, value=b"x")
    flush(producer)
    done(admin.delete_records([TopicPartition(topic, 0, 4)]))
    emit_step("low", done(admin.list_offsets({TopicPartition(topic, 0): OffsetSpec.earliest()})).offset)
    done(admin.alter_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 7)])]))
    found = done(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
    emit_step("committed", found.topic_partitions[0].offset)
    emit_step("group_listed", listed(admin, group))
    emit_step("group_state", done(admin.describe_consumer_groups([group])).state.name.capitalize())
    done(admin.delete_consumer_groups([group]))
    emit_step("group_left", listed(admin, group))
    done(admin.delete_topics([topic]))
    emit_step("topic_left", topic in admin.list_topics(timeout=DEADLINE_S).topics)


main({"produce": produce, "flood": flood, "consume": consume, "seek": seek, "member": member, "admin": administer})
