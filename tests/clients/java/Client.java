import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The commands of ../README.md with the Java client. */
public final class Client {
  private static final Duration DEADLINE = Duration.ofSeconds(60);
  private static final Duration POLL = Duration.ofMillis(100);
  private static final int UNACKED_MAX = 100;
  private static final HexFormat HEX = HexFormat.of();

  private final Map<String, String> options = new HashMap<>();
  private volatile boolean told = false;

  public static void main(String[] args) throws Exception {
    Client client = new Client();
    for (int i = 1; i + 1 < args.length; i += 2) client.options.put(args[i].substring(2), args[i + 1]);
    try {
      client.run(args[0]);
    } catch (Exception failure) {
      failure.printStackTrace();
      emit("{\"event\":\"failed\",\"error\":\"" + failure.toString().replaceAll("[^ -!#-\\[\\]-~]", " ") + "\"}");
      System.out.flush();
      Runtime.getRuntime().halt(1);
    }
  }

  private void run(String command) throws Exception {
    switch (command) {
      case "produce" -> produce();
      case "flood" -> untilTold(this::flood);
      case "consume" -> consume();
      case "seek" -> seek();
      case "member" -> untilTold(this::member);
      case "admin" -> admin();
      default -> throw new IllegalArgumentException("no such command");
    }
  }

  private interface Command {
    void run() throws Exception;
  }

  /** SIGTERM begins the exit of the virtual machine; it waits until the command has seen that and ended. */
  private void untilTold(Command command) throws Exception {
    Thread main = Thread.currentThread();
    Thread wait =
        new Thread(
            () -> {
              told = true;
              try {
                main.join();
              } catch (InterruptedException ignored) {
                Thread.currentThread().interrupt();
              }
            });
    Runtime.getRuntime().addShutdownHook(wait);
    command.run();
    emit("{\"event\":\"closed\"}");
    System.out.flush();
    if (!told) Runtime.getRuntime().removeShutdownHook(wait);
  }

  private String topic() {
    return options.get("topic");
  }

  private int number(String option) {
    return Integer.parseInt(options.get(option));
  }

  private TopicPartition partition() {
    return new TopicPartition(topic(), number("partition"));
  }

  private Map<String, Object> settings(Object... more) {
    Map<String, Object> settings = new HashMap<>();
    settings.put("bootstrap.servers", options.get("bootstrap"));
    settings.put("reconnect.backoff.max.ms", 500);
    for (int i = 0; i < more.length; i += 2) settings.put((String) more[i], more[i + 1]);
    return settings;
  }

  private static synchronized void emit(String json) {
    System.out.println(json);
  }

  private static String hex(byte[] bytes) {
    return bytes == null ? "null" : "\"" + HEX.formatHex(bytes) + "\"";
  }

  private static byte[] field(String text) {
    return text.equals("-") ? null : HEX.parseHex(text);
  }

  // ---- producing

  private KafkaProducer<byte[], byte[]> producer(Object... more) {
    return new KafkaProducer<>(settings(more), new ByteArraySerializer(), new ByteArraySerializer());
  }

  private static void acked(int id, int partition, long offset) {
    emit("{\"event\":\"acked\",\"id\":" + id + ",\"partition\":" + partition + ",\"offset\":" + offset + "}");
  }

  private static void fail(String failed) {
    emit("{\"event\":\"failed\",\"error\":\"" + failed.replaceAll("[^ -!#-\\[\\]-~]", " ") + "\"}");
    System.out.flush();
    Runtime.getRuntime().halt(1);
  }

  private ProducerRecord<byte[], byte[]> parse(String line) {
    String[] fields = line.split("\t", -1);
    List<Header> headers = new ArrayList<>();
    for (String header : fields[3].isEmpty() ? new String[0] : fields[3].split(",")) {
      int equals = header.indexOf('=');
      headers.add(new RecordHeader(header.substring(0, equals), field(header.substring(equals + 1))));
    }
    return new ProducerRecord<>(
        topic(), number("partition"), Long.parseLong(fields[0]), field(fields[1]), field(fields[2]), headers);
  }

  private void produce() throws Exception {
    int id = 0;
    try (var producer = producer("compression.type", options.get("codec"), "linger.ms", 20)) {
      for (String line : Files.readAllLines(Path.of(options.get("input")), StandardCharsets.US_ASCII)) {
        int number = id++;
        producer.send(
            parse(line),
            (where, failure) -> {
              if (failure != null) fail(failure.toString());
              acked(number, where.partition(), where.offset());
            });
      }
    }
  }

  private void flood() throws Exception {
    int partitions = number("partitions");
    int first = number("first");
    AtomicInteger unacked = new AtomicInteger();
    try (var producer = producer("enable.idempotence", true, "linger.ms", 5)) {
      for (int id = 0; !told; ++id) {
        int number = id;
        String text = Integer.toString(id);
        if (id < partitions) text = "0".repeat(Math.max(0, first - text.length())) + text;
        byte[] value = text.getBytes(StandardCharsets.US_ASCII);
        unacked.incrementAndGet();
        producer.send(
            new ProducerRecord<>(topic(), id % partitions, null, value),
            (where, failure) -> {
              if (failure != null) fail(failure.toString());
              acked(number, where.partition(), where.offset());
              unacked.decrementAndGet();
            });
        do {
          Thread.sleep(1);
        } while (unacked.get() >= UNACKED_MAX);
      }
    }
  }

  // ---- consuming

  private KafkaConsumer<byte[], byte[]> consumer(Object... more) {
    return new KafkaConsumer<>(settings(more), new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  private static void emit(ConsumerRecord<byte[], byte[]> record) {
    StringBuilder headers = new StringBuilder();
    for (Header header : record.headers()) {
      if (headers.length() > 0) headers.append(',');
      headers.append("[\"").append(header.key()).append("\",").append(hex(header.value())).append(']');
    }
    emit(
        "{\"event\":\"record\",\"partition\":" + record.partition() + ",\"offset\":" + record.offset()
            + ",\"timestamp\":" + record.timestamp() + ",\"key\":" + hex(record.key())
            + ",\"value\":" + hex(record.value()) + ",\"headers\":[" + headers + "]}");
  }

  private void consume() {
    int left = number("count");
    long deadline = System.nanoTime() + DEADLINE.toNanos();
    try (var consumer = consumer("auto.offset.reset", "none", "enable.auto.commit", false)) {
      consumer.assign(List.of(partition()));
      consumer.seek(partition(), number("offset"));
      while (left > 0) {
        if (System.nanoTime() > deadline) throw new IllegalStateException(left + " records are missing");
        for (var record : consumer.poll(POLL)) {
          if (left-- > 0) emit(record);
        }
      }
    }
  }

  private void seek() {
    try (var consumer = consumer()) {
      for (String time : options.get("times").split(",")) {
        var at = consumer.offsetsForTimes(Map.of(partition(), Long.parseLong(time))).get(partition());
        emit("{\"event\":\"offset\",\"offset\":" + (at == null ? -1 : at.offset()) + "}");
      }
    }
  }

  private static final class Rebalances implements ConsumerRebalanceListener {
    private final TreeSet<Integer> assigned = new TreeSet<>();

    @Override
    public void onPartitionsAssigned(java.util.Collection<TopicPartition> partitions) {
      for (var partition : partitions) assigned.add(partition.partition());
      emit("{\"event\":\"assigned\",\"partitions\":" + assigned + "}");
    }

    @Override
    public void onPartitionsRevoked(java.util.Collection<TopicPartition> partitions) {
      for (var partition : partitions) assigned.remove(partition.partition());
      emit("{\"event\":\"assigned\",\"partitions\":" + assigned + "}");
    }
  }

  private void member() {
    int left = options.containsKey("count") ? number("count") : Integer.MAX_VALUE;
    Object instance = options.get("instance");
    Map<String, Object> settings =
        settings(
            "group.id", options.get("group"), "auto.offset.reset", "earliest", "enable.auto.commit", false,
            "session.timeout.ms", number("session-timeout"), "heartbeat.interval.ms", 300,
            "max.poll.records", Math.min(left, 50));
    if (instance != null) settings.put("group.instance.id", instance);
    try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      consumer.subscribe(List.of(topic()), new Rebalances());
      while (left > 0 && !told) {
        Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
        for (var record : consumer.poll(POLL)) {
          if (left-- <= 0) break;
          emit(record);
          next.put(
              new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
        }
        try {
          if (!next.isEmpty()) consumer.commitSync(next);
        } catch (CommitFailedException | RebalanceInProgressException lost) {
          // Who has the partitions now reads these records again.
        }
      }
    }
  }

  // ---- administration

  private static void step(String name, Object result) {
    String json = result instanceof String ? "\"" + result + "\"" : String.valueOf(result);
    emit("{\"event\":\"step\",\"step\":\"" + name + "\",\"result\":" + json + "}");
  }

  private boolean exists(KafkaFuture<Void> created) throws Exception {
    try {
      created.get();
      return false;
    } catch (ExecutionException failure) {
      if (failure.getCause() instanceof TopicExistsException) return true;
      throw failure;
    }
  }

  private int partitions(Admin admin) throws Exception {
    return admin.describeTopics(List.of(topic())).allTopicNames().get().get(topic()).partitions().size();
  }

  private String retention(Admin admin) throws Exception {
    var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic());
    return admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value();
  }

  private boolean listed(Admin admin, String group) throws Exception {
    return admin.listGroups().all().get().stream().anyMatch(each -> each.groupId().equals(group));
  }

  private void admin() throws Exception {
    String group = options.get("group");
    var first = new TopicPartition(topic(), 0);
    try (Admin admin = Admin.create(settings())) {
      var topic = new NewTopic(topic(), 3, (short) 1).configs(Map.of("retention.ms", "3600000"));
      admin.createTopics(List.of(topic)).all().get();
      step("create", true);
      step("create_again", exists(admin.createTopics(List.of(topic)).all()));
      step("listed", admin.listTopics().names().get().contains(topic()));
      step("partitions", partitions(admin));
      step("retention", retention(admin));
      var change = new AlterConfigOp(new ConfigEntry("retention.ms", "7200000"), AlterConfigOp.OpType.SET);
      var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic());
      admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
      step("new_retention", retention(admin));
      admin.createPartitions(Map.of(topic(), NewPartitions.increaseTo(5))).all().get();
      step("grown", partitions(admin));
      try (var producer = producer()) {
        for (int i = 0; i < 10; ++i) producer.send(new ProducerRecord<>(topic(), 0, null, new byte[] {'x'})).get();
      }
      admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(4))).all().get();
      step("low", admin.listOffsets(Map.of(first, OffsetSpec.earliest())).partitionResult(first).get().offset());
      admin.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(7))).all().get();
      step("committed",
          admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(first).offset());
      step("group_listed", listed(admin, group));
      step("group_state",
          admin.describeConsumerGroups(List.of(group)).all().get().get(group).groupState().toString());
      admin.deleteConsumerGroups(List.of(group)).all().get();
      step("group_left", listed(admin, group));
      admin.deleteTopics(List.of(topic())).all().get();
      step("topic_left", admin.listTopics().names().get().contains(topic()));
    }
  }
}
