package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// Changes reads the feeds of all partitions. It merges them by the server's time:
// changes of one partition come in the order in which they were made, and those
// of different ones about so.
func (b *Backend) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	if err := b.link.ready(ctx); err != nil {
		return perdure.ChangeBatch{}, err
	}
	limit = pageLimit(limit)
	ps, err := b.start(ctx, after)
	if err != nil {
		return perdure.ChangeBatch{}, err
	}
	end := time.NewTimer(wait)
	defer end.Stop()
	for {
		var ring <-chan struct{}
		if wait > 0 {
			if ring, err = b.bell.listen(ctx); err != nil {
				return perdure.ChangeBatch{}, err
			}
		}
		batch, err := b.poll(ctx, ps, limit)
		if err != nil || len(batch.Changes) > 0 || wait <= 0 {
			return batch, err
		}
		over, err := b.bell.await(ctx, ring, end.C)
		if err != nil || over {
			return batch, err
		}
	}
}

// start is the positions that a cursor stands for.
func (b *Backend) start(ctx context.Context, after string) (*positions, error) {
	switch after {
	case perdure.FromNow:
		return b.ends(ctx, "XREVRANGE", "+", "-")
	case perdure.FromOldest:
		ps, err := b.ends(ctx, "XRANGE", "-", "+")
		if err != nil {
			return nil, err
		}
		for i := range ps {
			ps[i].pending = !ps[i].isZero()
		}
		return ps, nil
	}
	return parsePositions(after)
}

// ends is the position of the first entry of each feed in a direction.
func (b *Backend) ends(ctx context.Context, name, from, to string) (*positions, error) {
	return b.link.ends(ctx, b.keys.feeds(), name, from, to)
}

func (l *link) ends(ctx context.Context, feeds []string, name, from, to string) (*positions, error) {
	calls := make([]call, len(feeds))
	for i, feed := range feeds {
		calls[i] = call{words: []string{name}, keys: []string{feed}, args: []string{from, to, "COUNT", "1"}}
	}
	results, err := l.do(ctx, calls...)
	if err != nil {
		return nil, err
	}
	var ps positions
	for i, result := range results {
		entries, err := result.AsXRangeSlices()
		if err != nil {
			return nil, l.failure(err)
		}
		for _, entry := range entries {
			ps[i], _ = parsePosition(entry.ID)
		}
	}
	return &ps, nil
}

// poll reads up to limit changes after the positions, which it moves. Where some
// are gone it returns an ErrFeedGap with a batch that goes on from now.
func (b *Backend) poll(ctx context.Context, ps *positions, limit int) (perdure.ChangeBatch, error) {
	r := reading{backend: b, ps: ps, limit: limit}
	if err := r.read(ctx); err != nil {
		return perdure.ChangeBatch{}, err
	}
	gap, err := r.hasGap(ctx)
	if err != nil {
		return perdure.ChangeBatch{}, err
	}
	if gap {
		now, err := b.start(ctx, perdure.FromNow)
		if err != nil {
			return perdure.ChangeBatch{}, err
		}
		*ps = *now
		return perdure.ChangeBatch{Next: ps.String()}, fmt.Errorf("%w: it holds about %d changes, or the server has lost its data", perdure.ErrFeedGap, b.options.FeedLength)
	}
	changes, err := r.take()
	return perdure.ChangeBatch{Changes: changes, Next: ps.String()}, err
}

// reading is one look at all feeds.
type reading struct {
	backend *Backend
	ps      *positions
	limit   int
	found   []entry
	gap     bool
	unsure  []int // partitions that were empty and have entries now
}

// entry is one of a feed.
type entry struct {
	partition int
	at        position
	change    string
}

// leastCount is how many entries of each feed are asked for at first: the one at
// the position, and a few new ones.
const leastCount = 4

// read gets entries from all feeds, and more from those that had more until there
// are enough.
func (r *reading) read(ctx context.Context) error {
	from := *r.ps
	all := make([]int, len(from))
	for i := range all {
		all[i] = i
	}
	for len(all) > 0 {
		count := max(leastCount, 2*r.limit/len(all))
		results, err := r.backend.link.do(ctx, r.calls(&from, all, count)...)
		if err != nil {
			return err
		}
		streams, err := r.streams(results)
		if err != nil {
			return err
		}
		var more []int
		for _, i := range all {
			entries := streams[r.backend.keys.partitions[i].feed]
			last, err := r.add(i, from[i], entries)
			if err != nil {
				return err
			}
			if from[i] = last; len(entries) == count {
				more = append(more, i)
			}
		}
		if all = more; r.gap || len(r.found) >= r.limit {
			return nil
		}
	}
	return nil
}

// calls are the commands that read some feeds: one for all, or in a Cluster one
// for each.
func (r *reading) calls(from *positions, partitions []int, count int) (calls []call) {
	for _, i := range partitions {
		if len(calls) == 0 || r.backend.link.cluster {
			calls = append(calls, call{words: []string{"XREAD", "COUNT", strconv.Itoa(count), "STREAMS"}})
		}
		c := &calls[len(calls)-1]
		c.keys = append(c.keys, r.backend.keys.partitions[i].feed)
		c.args = append(c.args, from[i].previous())
	}
	return calls
}

func (r *reading) streams(results []rueidis.RedisResult) (map[string][]rueidis.XRangeSlice, error) {
	all := map[string][]rueidis.XRangeSlice{}
	for _, result := range results {
		streams, err := result.AsXReadSlices()
		if err != nil && !rueidis.IsRedisNil(err) {
			return nil, r.backend.link.failure(err)
		}
		for key, entries := range streams {
			all[key] = entries
		}
	}
	return all, nil
}

// add takes in entries from a position on, and returns the last one's.
func (r *reading) add(partition int, from position, entries []rueidis.XRangeSlice) (last position, err error) {
	if from.isZero() && len(entries) > 0 {
		r.unsure = append(r.unsure, partition)
	}
	last = from
	for n, e := range entries {
		at, ok := parsePosition(e.ID)
		if !ok || len(e.FieldValues) != 1 {
			return last, fmt.Errorf("%w: the entry %q of the change feed", perdure.ErrFormat, e.ID)
		}
		if n == 0 && !from.isZero() && from.id() != e.ID {
			r.gap = true
		}
		if n > 0 || from.isZero() || from.pending {
			r.found = append(r.found, entry{partition: partition, at: at, change: e.FieldValues[0].Value})
		}
		last = at
	}
	r.gap = r.gap || len(entries) == 0 && !from.isZero()
	return last, nil
}

// hasGap reports whether changes after the positions are gone. A feed that was
// empty has lost some if it is as long as it may get: it was trimmed then.
func (r *reading) hasGap(ctx context.Context) (bool, error) {
	if r.gap || len(r.unsure) == 0 {
		return r.gap, nil
	}
	calls := make([]call, len(r.unsure))
	for n, i := range r.unsure {
		calls[n] = command([]string{"XLEN"}, r.backend.keys.partitions[i].feed)
	}
	results, err := r.backend.link.do(ctx, calls...)
	if err != nil {
		return false, err
	}
	bound, _ := strconv.ParseInt(r.backend.feedLength, 10, 64)
	for _, result := range results {
		n, err := r.backend.number(result)
		if n >= bound || err != nil {
			return true, err
		}
	}
	return false, nil
}

// take returns the changes in the order of the server's time, as many as the
// limit, and moves the positions behind them.
func (r *reading) take() ([]perdure.Change, error) {
	slices.SortStableFunc(r.found, func(a, b entry) int {
		switch {
		case a.at.before(b.at):
			return -1
		case b.at.before(a.at):
			return 1
		}
		return 0
	})
	changes := make([]perdure.Change, 0, min(len(r.found), r.limit))
	for _, e := range r.found[:cap(changes)] {
		c, err := perdure.DecodeChange(e.change)
		if err != nil {
			return nil, err
		}
		c.At = perdure.Millis(e.at.ms)
		changes = append(changes, c)
		r.ps[e.partition] = e.at
	}
	return changes, nil
}
