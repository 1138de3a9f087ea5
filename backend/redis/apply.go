package redis

import (
	"context"
	"slices"
	"strconv"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// Apply carries out batches: a single one together with those of other callers,
// many in as few commands as they fit into, of which a Cluster takes one or more
// for each partition.
func (b *Backend) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	if err := b.link.ready(ctx); err != nil {
		return nil, err
	}
	results := make([]perdure.Result, len(batches))
	if len(batches) == 1 && !b.link.cluster {
		err := b.applyOne(ctx, batches[0], &results[0])
		return results, err
	}
	return results, b.applyMany(ctx, batches, results)
}

func (b *Backend) applyOne(ctx context.Context, batch perdure.Batch, result *perdure.Result) error {
	if result.Err = batch.Check(); result.Err != nil {
		return nil
	}
	p := b.writes.parcel()
	b.encoder.batch(p, batch, b.now())
	reply, err := b.writes.send(ctx, p)
	if err != nil && ctx.Err() != nil {
		return err
	}
	b.settle(batch, reply, err, result)
	b.unindex(ctx, []perdure.Batch{batch}, []perdure.Result{*result}, nil)
	return nil
}

// carryWrites carries out the batches of all parcels with one script. Those that
// make the store larger go first: a script that has freed memory is not held to
// the server's bound any more.
func (b *Backend) carryWrites(ctx context.Context, load []*parcel) {
	slices.SortStableFunc(load, func(p, q *parcel) int {
		switch {
		case p.grows == q.grows:
			return 0
		case p.grows:
			return -1
		}
		return 1
	})
	b.carryScript(ctx, b.applyCall(0), load)
}

// carryScript adds the keys and arguments of all parcels to a call, which has a
// reply for each. Each load goes over a connection of its own: on one that they
// shared the server would hold back the replies to a load until the next was done.
// What is watched goes over the one on which the server tells of changes.
func (b *Backend) carryScript(ctx context.Context, c call, load []*parcel) {
	for _, p := range load {
		c.keys = append(c.keys, p.keys...)
		c.args = append(c.args, p.args...)
	}
	c.apart = !c.watch
	result := b.link.exchange(ctx, []call{c})[0]
	if c.script == b.scripts.apply { // what a list lacks is the trouble of its callers
		b.unanswered(result)
	}
	replies, err := b.link.replies(result, len(load))
	for i, p := range load {
		if p.err = err; err == nil {
			p.reply = replies[i]
		}
	}
}

// applyCall is a call of luaApply without batches, which in a Cluster will be of
// the partition.
func (b *Backend) applyCall(partition int) call {
	return call{script: b.scripts.apply, keys: []string{b.feeds.of(partition)}, args: []string{
		b.feeds.length, decimal(b.encoder.skew), decimal(b.now()), strconv.Itoa(len(b.keys.partitions[partition].records)),
	}}
}

// applyMany carries out batches in as few calls as they fit into.
func (b *Backend) applyMany(ctx context.Context, batches []perdure.Batch, results []perdure.Result) error {
	for i, batch := range batches {
		results[i].Err = batch.Check()
	}
	var errands []errand
	if b.link.cluster {
		var err error
		if errands, err = b.prepare(ctx, batches, results); err != nil {
			return err
		}
	}
	var t transport
	for partition, group := range b.groups(batches, results) {
		for len(group) > 0 {
			c, n := b.pack(partition, batches, group)
			t.calls, t.carried, t.n = append(t.calls, c), append(t.carried, group[:n]), t.n+n
			group = group[n:]
			if t.n < maxTransport {
				continue
			}
			if err := b.carry(ctx, &t, batches, results); err != nil {
				return err
			}
		}
	}
	if err := b.carry(ctx, &t, batches, results); err != nil {
		return err
	}
	b.unindex(ctx, batches, results, errands)
	return nil
}

// transport is calls that are sent together, with the batches that each carries.
type transport struct {
	calls   []call
	carried [][]int
	n       int
}

// maxTransport bounds the batches on the way at a time. The client takes a
// connection for dead that answers no part of a pipeline for two seconds.
const maxTransport = 1024

// carry carries out the batches of a transport and empties it.
func (b *Backend) carry(ctx context.Context, t *transport, batches []perdure.Batch, results []perdure.Result) error {
	replies, err := b.link.do(ctx, t.calls...)
	if err != nil {
		return err
	}
	for i, group := range t.carried {
		messages, err := b.link.replies(replies[i], len(group))
		for n, at := range group {
			var reply rueidis.RedisMessage
			if err == nil {
				reply = messages[n]
			}
			b.settle(batches[at], reply, err, &results[at])
		}
	}
	*t = transport{}
	return nil
}

// groups are the undecided batches, in their order, that one call can carry out:
// in a Cluster those of each partition, else all as if of partition 0.
func (b *Backend) groups(batches []perdure.Batch, results []perdure.Result) map[int][]int {
	groups := map[int][]int{}
	for i, batch := range batches {
		if results[i].Err != nil || results[i].Outcome != 0 {
			continue
		}
		at := 0
		if b.link.cluster {
			at = perdure.PartitionOf(batch[0].Record.ID)
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// pack makes a call of as many batches of a partition's group as fit into one.
func (b *Backend) pack(partition int, batches []perdure.Batch, group []int) (c call, n int) {
	if n = b.fillable(batches, group); n >= leastFill {
		return b.fill(batches, group[:n]), n
	}
	n = 0
	var p parcel
	today := b.now()
	for n < len(group) && n < maxParcels && (n == 0 || p.size() < maxLoad) {
		b.encoder.batch(&p, batches[group[n]], today)
		n++
	}
	c = b.applyCall(partition)
	c.keys, c.args = append(c.keys, p.keys...), append(c.args, p.args...)
	return c, n
}

// settle fills in what became of a batch. The near cache forgets what it wrote,
// and what it met: that may be news.
func (b *Backend) settle(batch perdure.Batch, reply rueidis.RedisMessage, err error, result *perdure.Result) {
	for i := range batch {
		b.wrote(&batch[i].Record)
	}
	if err == nil {
		err = b.read(batch, reply, result)
	}
	if err != nil {
		*result = perdure.Result{Err: err}
	}
}

// wrote has the near cache forget what a write of the record makes wrong: the record,
// and which sessions its user has. So does the write of an epoch, for the list that
// follows it is to lack nobody.
func (b *Backend) wrote(r *perdure.Record) {
	b.near.drop(r.ID)
	if b.listed && r.User != "" {
		b.near.drop(b.keys.index(r.User))
	}
}

// read reads the reply of luaApply to a batch.
func (b *Backend) read(batch perdure.Batch, reply rueidis.RedisMessage, result *perdure.Result) error {
	if reply.IsInt64() {
		n, _ := reply.ToInt64()
		result.Outcome = perdure.Outcome(n)
		return nil
	}
	parts, err := reply.ToArray()
	if err != nil {
		return b.link.failure(err)
	}
	var numbers [3]int64
	for i := range numbers {
		if len(parts) <= i {
			return failure(errGarbage)
		}
		if numbers[i], err = parts[i].ToInt64(); err != nil {
			return failure(err)
		}
	}
	result.Outcome, result.Write = perdure.Outcome(numbers[0]), int(numbers[1])
	if result.Write >= len(batch) {
		return failure(errGarbage)
	}
	if len(parts) > 4 {
		clock, err := parts[4].ToInt64()
		if err != nil {
			return failure(err)
		}
		b.clocks.saw(perdure.PartitionOf(batch[0].Record.ID), perdure.Millis(clock))
	}
	if len(parts) > 3 {
		result.Stored, err = record(met(&batch[result.Write].Record, numbers[2]), parts[3])
	}
	return err
}

// met is the id of the record that a put met: its own, that of the user's epoch
// or that of its parent.
func met(r *perdure.Record, whose int64) string {
	switch whose {
	case 1:
		return perdure.EpochID(r.User)
	case 2:
		return r.Parent
	}
	return r.ID
}
