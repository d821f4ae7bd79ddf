// The commands of ../README.md with franz-go.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	deadline   = 60 * time.Second
	unackedMax = 100
	polledMax  = 50
)

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

type options map[string]string

func (o options) number(name string) (int, error) {
	n, err := strconv.Atoi(o[name])
	if err != nil {
		return 0, fmt.Errorf("--%s: %w", name, err)
	}
	return n, nil
}

// client connects with what all commands have in common.
func (o options) client(more ...kgo.Opt) (*kgo.Client, error) {
	all := []kgo.Opt{
		kgo.SeedBrokers(o["bootstrap"]),
		// A broker that is killed is back soon.
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
	}
	if os.Getenv("SELVAGE_CLIENTS_DEBUG") != "" {
		all = append(all, kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelDebug, nil)))
	}
	return kgo.NewClient(append(all, more...)...)
}

// Fields of results.
type fields map[string]any

var output sync.Mutex

// emit prints one result as one line, from any goroutine.
func emit(event string, more fields) {
	line := fields{"event": event}
	for name, value := range more {
		line[name] = value
	}
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func toHex(data []byte) any {
	if data == nil {
		return nil
	}
	return hex.EncodeToString(data)
}

func fromHex(text string) ([]byte, error) {
	if text == "-" {
		return nil, nil
	}
	return hex.DecodeString(text) // not nil for ""
}

// ---- producing

func parse(line string, o options) (*kgo.Record, error) {
	parts := strings.Split(line, "\t")
	if len(parts) != 4 {
		return nil, fmt.Errorf("%d fields", len(parts))
	}
	partition, err := o.number("partition")
	if err != nil {
		return nil, err
	}
	ms, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return nil, err
	}
	record := &kgo.Record{Topic: o["topic"], Partition: int32(partition), Timestamp: time.UnixMilli(ms)}
	if record.Key, err = fromHex(parts[1]); err != nil {
		return nil, err
	}
	if record.Value, err = fromHex(parts[2]); err != nil {
		return nil, err
	}
	for _, header := range strings.FieldsFunc(parts[3], func(c rune) bool { return c == ',' }) {
		name, text, _ := strings.Cut(header, "=")
		value, err := fromHex(text)
		if err != nil {
			return nil, err
		}
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: value})
	}
	return record, nil
}

// acked tells where a record is, or ends the program.
func acked(id int, record *kgo.Record, err error) {
	if err != nil {
		fail(err)
	}
	emit("acked", fields{"id": id, "partition": record.Partition, "offset": record.Offset})
}

func produce(_ context.Context, o options) error {
	codec, known := codecs[o["codec"]]
	if !known {
		return errors.New("no such codec")
	}
	client, err := o.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec),
		kgo.ProducerLinger(20*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	input, err := os.ReadFile(o["input"])
	if err != nil {
		return err
	}
	for id, line := range strings.Split(strings.TrimSuffix(string(input), "\n"), "\n") {
		id := id
		record, err := parse(line, o)
		if err != nil {
			return fmt.Errorf("record %d: %w", id, err)
		}
		client.Produce(context.Background(), record, func(record *kgo.Record, err error) { acked(id, record, err) })
	}
	return client.Flush(context.Background())
}

func flood(told context.Context, o options) error {
	partitions, err := o.number("partitions")
	if err != nil {
		return err
	}
	first, err := o.number("first")
	if err != nil {
		return err
	}
	// Uncompressed, as the other clients' are: the first value must be as large to the broker as it is here.
	client, err := o.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer client.Close()
	var unacked atomic.Int32
	for id := 0; told.Err() == nil; id++ {
		id := id
		value := strconv.Itoa(id)
		if id < partitions {
			value = fmt.Sprintf("%0*d", first, id)
		}
		record := &kgo.Record{Topic: o["topic"], Partition: int32(id % partitions), Value: []byte(value)}
		unacked.Add(1)
		client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
			acked(id, record, err)
			unacked.Add(-1)
		})
		for time.Sleep(time.Millisecond); unacked.Load() >= unackedMax; time.Sleep(time.Millisecond) {
		}
	}
	return client.Flush(context.Background())
}

// ---- consuming

func emitRecord(record *kgo.Record) {
	headers := [][2]any{}
	for _, header := range record.Headers {
		headers = append(headers, [2]any{header.Key, toHex(header.Value)})
	}
	emit("record", fields{
		"partition": record.Partition, "offset": record.Offset, "timestamp": record.Timestamp.UnixMilli(),
		"key": toHex(record.Key), "value": toHex(record.Value), "headers": headers,
	})
}

func consume(_ context.Context, o options) error {
	partition, err := o.number("partition")
	if err != nil {
		return err
	}
	offset, err := o.number("offset")
	if err != nil {
		return err
	}
	left, err := o.number("count")
	if err != nil {
		return err
	}
	client, err := o.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		o["topic"]: {int32(partition): kgo.NewOffset().At(int64(offset))},
	}))
	if err != nil {
		return err
	}
	defer client.Close()
	late, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	for left > 0 {
		fetches := client.PollRecords(late, left)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%d records are missing: %w", left, err)
		}
		fetches.EachRecord(emitRecord)
		left -= fetches.NumRecords()
	}
	return nil
}

func seek(ctx context.Context, o options) error {
	partition, err := o.number("partition")
	if err != nil {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, o["topic"])
	if err != nil {
		return err
	}
	end, _ := ends.Lookup(o["topic"], int32(partition))
	for _, text := range strings.Split(o["times"], ",") {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		all, err := admin.ListOffsetsAfterMilli(ctx, ms, o["topic"])
		if err != nil {
			return err
		}
		found, _ := all.Lookup(o["topic"], int32(partition))
		if found.Err != nil {
			return found.Err
		}
		if found.Offset == end.Offset { // what it gives where no record is as new
			found.Offset = -1
		}
		emit("offset", fields{"offset": found.Offset})
	}
	return nil
}

// assignment is what a member holds; its client changes it from goroutines of its own.
type assignment struct {
	mutex sync.Mutex
	held  map[int32]bool
}

func (a *assignment) change(partitions []int32, held bool) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for _, partition := range partitions {
		if held {
			a.held[partition] = true
		} else {
			delete(a.held, partition)
		}
	}
	now := []int32{}
	for partition := range a.held {
		now = append(now, partition)
	}
	sort.Slice(now, func(i, j int) bool { return now[i] < now[j] })
	emit("assigned", fields{"partitions": now})
}

func commit(client *kgo.Client, records []*kgo.Record) error {
	err := client.CommitRecords(context.Background(), records...)
	if errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) ||
		errors.Is(err, kerr.UnknownMemberID) {
		return nil // who has the partitions now reads these records again
	}
	return err
}

func member(told context.Context, o options) error {
	session, err := o.number("session-timeout")
	if err != nil {
		return err
	}
	left := int(^uint(0) >> 1)
	if o["count"] != "" {
		if left, err = o.number("count"); err != nil {
			return err
		}
	}
	holds := assignment{held: map[int32]bool{}}
	changes := func(held bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			holds.change(topics[o["topic"]], held)
		}
	}
	settings := []kgo.Opt{
		kgo.ConsumerGroup(o["group"]), kgo.ConsumeTopics(o["topic"]), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200 * time.Millisecond),
		kgo.SessionTimeout(time.Duration(session) * time.Millisecond), kgo.RebalanceTimeout(10 * time.Second),
		kgo.HeartbeatInterval(300 * time.Millisecond),
		kgo.OnPartitionsAssigned(changes(true)), kgo.OnPartitionsRevoked(changes(false)),
		kgo.OnPartitionsLost(changes(false)),
	}
	if o["instance"] != "" {
		settings = append(settings, kgo.InstanceID(o["instance"]))
	}
	client, err := o.client(settings...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for left > 0 && told.Err() == nil {
		most := left
		if most > polledMax {
			most = polledMax
		}
		fetches := client.PollRecords(told, most)
		if err := fetches.Err0(); err != nil && told.Err() == nil {
			return err
		}
		records := fetches.Records()
		for _, record := range records {
			emitRecord(record)
		}
		left -= len(records)
		if err := commit(client, records); err != nil {
			return err
		}
		client.AllowRebalance()
	}
	return nil
}

// ---- administration

func stringPtr(text string) *string { return &text }

// administer runs the steps in order; the first error ends it.
func administer(ctx context.Context, o options) error {
	client, err := o.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topic, group := o["topic"], o["group"]
	first := kadm.Offsets{}
	at := func(offset int64) kadm.Offsets {
		first.AddOffset(topic, 0, offset, -1)
		return first
	}

	create := func() error {
		_, err := admin.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": stringPtr("3600000")}, topic)
		return err
	}
	partitions := func() (any, error) {
		topics, err := admin.ListTopics(ctx, topic)
		return len(topics[topic].Partitions), err
	}
	retention := func() (any, error) {
		resources, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return nil, err
		}
		for _, setting := range resources[0].Configs {
			if setting.Key == "retention.ms" {
				return setting.MaybeValue(), resources[0].Err
			}
		}
		return nil, resources[0].Err
	}
	topicListed := func() (any, error) {
		topics, err := admin.ListTopics(ctx)
		return topics.Has(topic), err
	}
	groupListed := func() (any, error) {
		groups, err := admin.ListGroups(ctx)
		_, listed := groups[group]
		return listed, err
	}

	steps := []struct {
		name string
		run  func() (any, error)
	}{
		{"create", func() (any, error) { return true, create() }},
		{"create_again", func() (any, error) {
			if err := create(); !errors.Is(err, kerr.TopicAlreadyExists) {
				return false, err
			}
			return true, nil
		}},
		{"listed", topicListed},
		{"partitions", partitions},
		{"retention", retention},
		{"new_retention", func() (any, error) {
			change := kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.ms", Value: stringPtr("7200000")}
			altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{change}, topic)
			if err == nil {
				err = altered[0].Err
			}
			if err != nil {
				return nil, err
			}
			return retention()
		}},
		{"grown", func() (any, error) {
			grown, err := admin.UpdatePartitions(ctx, 5, topic)
			if err == nil {
				err = grown.Error()
			}
			if err != nil {
				return nil, err
			}
			return partitions()
		}},
		{"low", func() (any, error) {
			for i := 0; i < 10; i++ {
				record := &kgo.Record{Topic: topic, Partition: 0, Value: []byte("x")}
				if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
					return nil, err
				}
			}
			deleted, err := admin.DeleteRecords(ctx, at(4))
			if err == nil {
				err = deleted.Error()
			}
			if err != nil {
				return nil, err
			}
			starts, err := admin.ListStartOffsets(ctx, topic)
			low, _ := starts.Lookup(topic, 0)
			return low.Offset, err
		}},
		{"committed", func() (any, error) {
			if err := admin.CommitAllOffsets(ctx, group, at(7)); err != nil {
				return nil, err
			}
			committed, err := admin.FetchOffsets(ctx, group)
			offset, _ := committed.Lookup(topic, 0)
			return offset.At, err
		}},
		{"group_listed", groupListed},
		{"group_state", func() (any, error) {
			groups, err := admin.DescribeGroups(ctx, group)
			return groups[group].State, err
		}},
		{"group_left", func() (any, error) {
			deleted, err := admin.DeleteGroups(ctx, group)
			if err == nil {
				err = deleted.Error()
			}
			if err != nil {
				return nil, err
			}
			return groupListed()
		}},
		{"topic_left", func() (any, error) {
			deleted, err := admin.DeleteTopics(ctx, topic)
			if err == nil {
				err = deleted.Error()
			}
			if err != nil {
				return nil, err
			}
			return topicListed()
		}},
	}
	for _, step := range steps {
		result, err := step.run()
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		emit("step", fields{"step": step.name, "result": result})
	}
	return nil
}

// ----

func fail(err error) {
	emit("failed", fields{"error": err.Error()})
	os.Exit(1)
}

func main() {
	commands := map[string]func(context.Context, options) error{
		"produce": produce, "flood": flood, "consume": consume, "seek": seek, "member": member, "admin": administer,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fail(errors.New("no such command"))
	}
	o := options{}
	for i := 2; i+1 < len(os.Args); i += 2 {
		o[strings.TrimPrefix(os.Args[i], "--")] = os.Args[i+1]
	}
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := commands[os.Args[1]](told, o); err != nil {
		fail(err)
	}
	emit("closed", nil)
}
