package redis

import (
	"context"
	"math"
	"strconv"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// Sweep first asks all partitions how much is due, by the server's clock, then
// sweeps those in which something is: two round trips, or one where nothing is due.
// What lies on a master of a Cluster that is away is swept when it is back.
func (b *Backend) Sweep(ctx context.Context, now perdure.Millis, limit int) (expired int, more bool, err error) {
	if err := b.link.ready(ctx); err != nil {
		return 0, false, err
	}
	now = min(max(now, 0), perdure.MaxMillis)
	ctx, cancel := b.link.bound(ctx)
	defer cancel()
	due, err := b.due(ctx, now)
	if err != nil {
		return 0, false, err
	}
	left := pageLimit(limit)
	var calls []call
	first := int(b.sweeps.Add(1)) // begins elsewhere each time: a small limit starves no partition
	for i := range due {
		p := (first + i) % perdure.Partitions
		if due[p] == 0 {
			continue
		}
		if left <= 0 {
			more = true
			break
		}
		n := min(due[p], left, maxSwept)
		calls = append(calls, b.sweepCall(p, now, n))
		left -= n
	}
	results, err := b.link.some(ctx, calls...)
	if err == nil {
		err = b.link.anyAnswer(results)
	}
	if err != nil {
		return 0, false, err
	}
	var strays []call
	for _, result := range results {
		if b.link.away(result) {
			continue // it is swept when it is back
		}
		n, again, stray, err := b.readSwept(result)
		if err != nil {
			return expired, true, err
		}
		expired += n
		more = more || again
		strays = append(strays, stray...)
	}
	_, err = b.link.do(ctx, strays...)
	return expired, more, err
}

// maxSwept bounds what one script drops: it takes about a millisecond.
const maxSwept = 128

// due is how many sessions, tombstones and epochs are due in each partition.
func (b *Backend) due(ctx context.Context, now perdure.Millis) (due [perdure.Partitions]int, err error) {
	calls := make([]call, 0, perdure.Partitions)
	for i := range b.keys.partitions {
		own := &b.keys.partitions[i]
		calls = append(calls, call{script: b.scripts.due, keys: []string{own.expiry, own.tombs}, args: []string{decimal(now)}})
	}
	results, err := b.link.some(ctx, calls...)
	if err == nil {
		err = b.link.anyAnswer(results)
	}
	if err != nil {
		return due, err
	}
	for i, result := range results {
		if b.link.away(result) {
			continue
		}
		n, err := b.number(result)
		if err != nil {
			return due, err
		}
		due[i] = int(min(n, math.MaxInt32))
	}
	return due, nil
}

// number is the reply that is one.
func (b *Backend) number(result rueidis.RedisResult) (int64, error) { return b.link.number(result) }

func (l *link) number(result rueidis.RedisResult) (int64, error) {
	reply, err := l.message(result)
	if err != nil {
		return 0, err
	}
	n, err := reply.ToInt64()
	return n, failure(err)
}

func (b *Backend) sweepCall(partition int, now perdure.Millis, limit int) call {
	own := &b.keys.partitions[partition]
	return call{
		script: b.scripts.sweep,
		keys:   []string{own.expiry, own.tombs, b.feeds.of(partition)},
		args:   []string{b.feeds.length, decimal(b.encoder.skew), decimal(now), strconv.Itoa(limit), own.records, own.users},
	}
}

// readSwept reads the reply of luaSweep. What was dropped leaves the near cache;
// strays clear the indexes of users in other partitions.
func (b *Backend) readSwept(result rueidis.RedisResult) (expired int, more bool, strays []call, err error) {
	reply, err := b.link.message(result)
	if err != nil {
		return 0, false, nil, err
	}
	parts, err := reply.ToArray()
	if err != nil || len(parts) < 2 {
		return 0, false, nil, failure(errGarbage)
	}
	n, err := parts[0].ToInt64()
	if err != nil {
		return 0, false, nil, failure(err)
	}
	again, err := parts[1].ToInt64()
	if err != nil {
		return 0, false, nil, failure(err)
	}
	for i := 2; i+1 < len(parts); i += 2 {
		id, _ := parts[i].ToString()
		user, _ := parts[i+1].ToString()
		b.near.drop(id)
		if user != "" && user[0] != 0 && foreign(id, perdure.UserKey(user)) {
			strays = append(strays, b.unindexCall(id, perdure.UserKey(user)))
		}
	}
	return int(n), again != 0, strays, nil
}
