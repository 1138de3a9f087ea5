package redis

import (
	"cmp"
	"context"
	"sync"

	"github.com/redis/rueidis"
)

// Ping returns nil if a create and a logout would be carried out now. It goes the
// way that they do: with the calls of others over their connections, in a Cluster to
// each master, and with every command that their scripts run. Since a call has failed
// for want of an answer, a new connection must also be had: those that calls need may
// be gone, and this one's not. It leaves nothing behind.
func (b *Backend) Ping(ctx context.Context) error {
	if err := b.link.ready(ctx); err != nil {
		return err
	}
	if b.link.cluster {
		_, err := b.PingPartitions(ctx)
		return err
	}
	ways := []func(context.Context) error{b.pingWrites, b.pingReads}
	if b.short.Load() {
		ways = append(ways, b.pingConnect)
	}
	errs := make([]error, len(ways))
	var all sync.WaitGroup
	for i, way := range ways {
		all.Go(func() { errs[i] = way(ctx) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// pingWrites goes with the calls of Apply.
func (b *Backend) pingWrites(ctx context.Context) error {
	p := b.writes.parcel()
	p.grows = true
	p.keys = append(p.keys, b.keys.partitions[0].probes()...)
	p.args = append(p.args, "h")
	reply, err := b.writes.send(ctx, p)
	if err == nil {
		err = b.link.failure(reply.Error())
	}
	return err
}

// pingReads goes with those of Get, over the connection that all others share.
func (b *Backend) pingReads(ctx context.Context) error {
	_, err := b.fetch(ctx, b.keys.partitions[0].health)
	return err
}

// pingConnect makes a connection, and ends it.
func (b *Backend) pingConnect(ctx context.Context) error {
	_, err := inTime(ctx, b.link, func(ctx context.Context) (struct{}, error) { return struct{}{}, b.spare(ctx) })
	if err == nil {
		b.short.Store(false)
	}
	return err
}

// Sharded reports whether partitions lie on several servers, as in a Cluster.
func (b *Backend) Sharded() bool { return b.link.cluster }

// Missing reports whether a node of the Cluster did not answer when all were last asked.
func (b *Backend) Missing() bool { return b.link.apart.Load() }

// PingPartitions is Ping of each partition of a Cluster, over the connections that all
// its calls share. It returns those that could not take a write now, and why the first
// could not. A node that hangs holds up the answer of no other.
func (b *Backend) PingPartitions(ctx context.Context) (down []int, err error) {
	if !b.link.cluster {
		return nil, b.Ping(ctx)
	}
	calls := make([]call, len(b.keys.partitions))
	for i := range calls {
		calls[i] = call{script: b.scripts.probe, keys: b.keys.partitions[i].probes()}
	}
	results, err := b.link.each(ctx, calls)
	if err != nil {
		return nil, err
	}
	for i, result := range results {
		if _, failed := b.link.message(result); failed != nil {
			down, err = append(down, i), cmp.Or(err, failed)
		}
	}
	return down, err
}

// unanswered notes that a call could not be sent, or got no answer.
func (b *Backend) unanswered(result rueidis.RedisResult) {
	err := result.Error()
	if reply, ok := rueidis.IsRedisErr(err); err != nil && (!ok || isMaxClients(reply.Error())) {
		b.short.Store(true)
	}
}
