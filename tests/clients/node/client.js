// The commands of ../README.md with kafkajs.
const fs = require('fs');
const { createRequire } = require('module');

// The packages lie outside of the source tree.
const load = createRequire(`${process.env.SELVAGE_CLIENTS_NODE}/`);
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = load('kafkajs');

const DEADLINE_MS = 60000;
const ROUND = 10;
const OLD_RETENTION = '3600000';
const NEW_RETENTION = '7200000';
const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

const options = {};
for (let i = 3; i + 1 < process.argv.length; i += 2) options[process.argv[i].slice(2)] = process.argv[i + 1];
const { topic, group } = options;

let told = false;
let tell;
const toldPromise = new Promise((resolve) => (tell = resolve));
process.on('SIGTERM', () => {
  told = true;
  tell();
});

const kafka = new Kafka({
  brokers: [options.bootstrap],
  logLevel: logLevel[process.env.SELVAGE_CLIENTS_DEBUG ? 'DEBUG' : 'ERROR'],
  // The codecs in JavaScript need a second for the largest records; answers that pass keep their connection.
  requestTimeout: 30000,
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 200 },
});

function installCodecs() {
  CompressionCodecs[CompressionTypes.Snappy] = load('kafkajs-snappy');
  const lz4 = load('lz4-napi');
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: async (encoder) => lz4.compressFrame(encoder.buffer),
    decompress: async (buffer) => lz4.decompressFrame(buffer),
  });
  const zstd = new Promise((resolve) => load('zstd-codec').ZstdCodec.run((codec) => resolve(new codec.Streaming())));
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async (encoder) => Buffer.from((await zstd).compress(encoder.buffer)),
    decompress: async (buffer) => Buffer.from((await zstd).decompress(buffer)),
  });
}

function emit(event, fields) {
  fs.writeSync(1, JSON.stringify({ event, ...fields }) + '\n');
}

function emitStep(step, result) {
  emit('step', { step, result });
}

function hex(data) {
  return data === null || data === undefined ? null : Buffer.from(data).toString('hex');
}

function emitRecord(partition, message) {
  const headers = Object.entries(message.headers || {}).flatMap(([name, data]) =>
    (Array.isArray(data) ? data : [data]).map((each) => [name, hex(each)]));
  emit('record', {
    partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: hex(message.key),
    value: hex(message.value),
    headers,
  });
}

function field(text) {
  return text === '-' ? null : Buffer.from(text, 'hex');
}

function parse(line) {
  const [timestamp, key, value, headers] = line.split('\t');
  const message = { timestamp, key: field(key), value: field(value), headers: {}, partition: +options.partition };
  for (const header of headers.split(',').filter((each) => each)) {
    const [name, data] = header.split('=');
    message.headers[name] = (message.headers[name] || []).concat([field(data)]);
  }
  return message;
}

function acked(id, partition, offset) {
  emit('acked', { id, partition, offset });
}

async function produce() {
  const producer = kafka.producer();
  await producer.connect();
  const lines = fs.readFileSync(options.input, 'ascii').split('\n').filter((line) => line);
  const messages = lines.map(parse);
  const [where] = await producer.send({ topic, compression: CODECS[options.codec], acks: -1, messages });
  messages.forEach((_, id) => acked(id, where.partition, Number(where.baseOffset) + id));
  await producer.disconnect();
}

// kafkajs answers with the first offset of each partition; one request is under way at a time.
async function flood() {
  const partitions = +options.partitions;
  const value = (id) => String(id).padStart(id < partitions ? +options.first : 0, '0');
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  for (let first = 0; !told; first += ROUND * partitions) {
    const ids = Array.from({ length: ROUND * partitions }, (_, i) => first + i);
    const messages = ids.map((id) => ({ value: value(id), partition: id % partitions }));
    const answers = await producer.send({ topic, acks: -1, messages });
    const next = new Map(answers.map((each) => [each.partition, Number(each.baseOffset)]));
    for (const id of ids) {
      const partition = id % partitions;
      acked(id, partition, next.get(partition));
      next.set(partition, next.get(partition) + 1);
    }
    await new Promise((resolve) => setTimeout(resolve, ROUND));
  }
  await producer.disconnect();
  emit('closed');
}

async function consume() {
  let left = +options.count;
  const consumer = kafka.consumer({ groupId: `none-${process.pid}`, maxBytesPerPartition: 2 << 20, maxWaitTimeInMs: 500 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic] });
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${left} records are missing`)), DEADLINE_MS).unref();
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        if (left <= 0 || partition !== +options.partition || Number(message.offset) < +options.offset) return;
        emitRecord(partition, message);
        if (--left === 0) resolve();
      },
    }).catch(reject);
    consumer.seek({ topic, partition: +options.partition, offset: options.offset });
  });
  await consumer.disconnect();
}

async function seek() {
  const admin = kafka.admin();
  await admin.connect();
  const at = (offsets) => Number(offsets.find((each) => each.partition === +options.partition).offset);
  const end = at(await admin.fetchTopicOffsets(topic));
  for (const time of options.times.split(',')) {
    const found = at(await admin.fetchTopicOffsetsByTimestamp(topic, +time));
    emit('offset', { offset: found === end ? -1 : found });  // it gives the end where no record is as new
  }
  await admin.disconnect();
}

async function commit(commitOffsets, partition, offset) {
  try {
    await commitOffsets({ topics: [{ topic, partitions: [{ partition, offset }] }] });
  } catch (failure) {
    // Who has the partition now reads these records again.
    if (!['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID'].includes(failure.type)) throw failure;
  }
}

async function member() {
  let left = options.count ? +options.count : Infinity;
  const consumer = kafka.consumer({
    groupId: group,
    sessionTimeout: +options['session-timeout'],
    rebalanceTimeout: 10000,
    heartbeatInterval: 300,
    maxWaitTimeInMs: 200,
  });
  await consumer.connect();
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) =>
    emit('assigned', { partitions: [...(payload.memberAssignment[topic] || [])].sort() }));
  consumer.on(consumer.events.REBALANCING, () => emit('assigned', { partitions: [] }));
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let enough;
  const read = new Promise((resolve) => (enough = resolve));
  const crashed = new Promise((_, reject) => consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) reject(payload.error);
  }));
  await consumer.run({
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, isRunning, isStale }) => {
      let next = null;
      for (const message of batch.messages) {
        if (left <= 0 || !isRunning() || isStale()) break;
        emitRecord(batch.partition, message);
        resolveOffset(message.offset);
        next = String(Number(message.offset) + 1);
        --left;
      }
      if (next !== null) await commit(commitOffsetsIfNecessary, batch.partition, next);
      await heartbeat();
      if (left <= 0) enough();
    },
  });
  await Promise.race([read, toldPromise, crashed]);
  await consumer.disconnect();
  emit('closed');
}

async function partitions(admin) {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  return topics[0].partitions.length;
}

async function retention(admin) {
  const described = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
  });
  return described.resources[0].configEntries.find((each) => each.configName === 'retention.ms').configValue;
}

async function listed(admin) {
  return (await admin.listGroups()).groups.some((each) => each.groupId === group);
}

async function administer() {
  const admin = kafka.admin();
  await admin.connect();
  const config = { topic, numPartitions: 3, configEntries: [{ name: 'retention.ms', value: OLD_RETENTION }] };
  emitStep('create', await admin.createTopics({ topics: [config] }));
  emitStep('create_again', !(await admin.createTopics({ topics: [config] })));  // false when it exists
  emitStep('listed', (await admin.listTopics()).includes(topic));
  emitStep('partitions', await partitions(admin));
  emitStep('retention', await retention(admin));
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{
      type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'retention.ms', value: NEW_RETENTION }],
    }],
  });
  emitStep('new_retention', await retention(admin));
  await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
  emitStep('grown', await partitions(admin));
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic, messages: Array.from({ length: 10 }, () => ({ value: 'x', partition: 0 })) });
  await producer.disconnect();
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] });
  const low = (await admin.fetchTopicOffsets(topic)).find((each) => each.partition === 0).low;
  emitStep('low', Number(low));
  await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '7' }] });
  const [{ partitions: offsets }] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
  emitStep('committed', Number(offsets.find((each) => each.partition === 0).offset));
  emitStep('group_listed', await listed(admin));
  emitStep('group_state', (await admin.describeGroups([group])).groups[0].state);
  await admin.deleteGroups([group]);
  emitStep('group_left', await listed(admin));
  await admin.deleteTopics({ topics: [topic] });
  emitStep('topic_left', (await admin.listTopics()).includes(topic));
  await admin.disconnect();
}

const commands = { produce, flood, consume, seek, member, admin: administer };
installCodecs();
commands[process.argv[2]]().then(() => process.exit(0), (failure) => {
  console.error(failure);
  emit('failed', { error: String(failure) });
  process.exit(1);
});
