package redis

import (
	"context"
	"slices"
	"strconv"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// reading is one look at all feeds.
type reading struct {
	backend *Backend
	ps      positions
	limit   int
	found   []news
	gap     bool
	gone    []int    // feeds that lack the entry at the position
	unsure  []string // feeds that were empty and have entries now
}

// news is a change in a feed, with the position behind it.
type news struct {
	feed   int
	at     position
	change string
}

// leastCount is how many entries of each feed are asked for at first: the one at
// the position, and a few new ones.
const leastCount = 4

// look gets what is new, and reports whether changes after the positions are gone:
// those of a cursor that was made on other feeds, by an earlier version or before
// a single server became a Cluster, always are.
func (r *reading) look(ctx context.Context) (gap bool, err error) {
	if len(r.ps) != len(r.backend.feeds.keys) {
		return true, nil
	}
	if err := r.read(ctx); err != nil {
		return false, err
	}
	return r.hasGap(ctx)
}

// read gets entries from all feeds, and more from those that had more until there
// are enough.
func (r *reading) read(ctx context.Context) error {
	from := slices.Clone(r.ps)
	all := make([]int, len(from))
	for i := range all {
		all[i] = i
	}
	for len(all) > 0 {
		count := max(leastCount, min(r.limit+1, 2*r.limit/len(all)))
		results, err := r.backend.link.some(ctx, r.calls(from, all, count)...)
		if err != nil {
			return err
		}
		if all, results, err = r.there(all, results); err != nil {
			return err
		}
		streams, err := r.streams(results)
		if err != nil {
			return err
		}
		var more []int
		for _, i := range all {
			entries := streams[r.backend.feeds.keys[i]]
			if from[i], err = r.add(i, from[i], entries); err != nil {
				return err
			}
			if len(entries) == count {
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
func (r *reading) calls(from positions, feeds []int, count int) (calls []call) {
	for _, i := range feeds {
		if len(calls) == 0 || r.backend.link.cluster {
			calls = append(calls, call{words: []string{"XREAD", "COUNT", strconv.Itoa(count), "STREAMS"}})
		}
		c := &calls[len(calls)-1]
		c.keys = append(c.keys, r.backend.feeds.keys[i])
		c.args = append(c.args, from[i].previous())
	}
	return calls
}

// there leaves out the feeds of a Cluster that are away, unless all are.
func (r *reading) there(feeds []int, results []rueidis.RedisResult) (left []int, answers []rueidis.RedisResult, err error) {
	l := r.backend.link
	if err := l.anyAnswer(results); err != nil && len(feeds) == len(r.ps) {
		return nil, nil, err
	}
	if !l.cluster {
		return feeds, results, nil
	}
	for i, result := range results {
		if !l.away(result) {
			left, answers = append(left, feeds[i]), append(answers, result)
		}
	}
	if len(left) < len(feeds) {
		l.apart.Store(true)
	}
	return left, answers, nil
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

// add takes in entries from a position on, and returns the one behind them.
func (r *reading) add(feed int, from position, entries []rueidis.XRangeSlice) (last position, err error) {
	if from.isZero() && len(entries) > 0 {
		r.unsure = append(r.unsure, r.backend.feeds.keys[feed])
	}
	last = from
	for n, e := range entries {
		at, changes, err := parseEntry(e)
		if err != nil {
			return last, err
		}
		if n == 0 && !from.isZero() {
			if !from.meets(at, len(changes)) {
				r.gap, r.gone = true, append(r.gone, feed)
				return last, nil
			}
			at.read = from.read
		}
		for at.read < len(changes) {
			change := changes[at.read]
			at.read++
			r.found = append(r.found, news{feed: feed, at: at, change: change})
		}
		last = at
	}
	if len(entries) == 0 && !from.isZero() {
		r.gap, r.gone = true, append(r.gone, feed)
	}
	return last, nil
}

// hasGap reports whether changes after the positions are gone. A feed that was
// empty has lost some if it is as long as it may get: it was trimmed then.
func (r *reading) hasGap(ctx context.Context) (bool, error) {
	if r.gap || len(r.unsure) == 0 {
		return r.gap, nil
	}
	calls := make([]call, len(r.unsure))
	for n, key := range r.unsure {
		calls[n] = command([]string{"XLEN"}, key)
	}
	results, err := r.backend.link.do(ctx, calls...)
	if err != nil {
		return false, err
	}
	bound, _ := strconv.ParseInt(r.backend.feeds.length, 10, 64)
	for _, result := range results {
		n, err := r.backend.number(result)
		if n >= bound || err != nil {
			return true, err
		}
	}
	return false, nil
}

// trimmed reports whether all that is gone has made room for newer entries: a feed
// that was trimmed is as long as it may get, and begins after the position. One whose
// server lost its data is shorter, or has entries from before the position and not the
// one at it.
func (r *reading) trimmed(ctx context.Context) (bool, error) {
	keys := r.backend.feeds.keys
	if len(r.ps) != len(keys) {
		return false, nil
	}
	oldest, err := r.backend.feeds.oldest(ctx, r.backend.link, r.ps)
	if err != nil || len(r.gone) == 0 {
		return err == nil, err
	}
	calls := make([]call, len(r.gone))
	for n, i := range r.gone {
		calls[n] = command([]string{"XLEN"}, keys[i])
	}
	results, err := r.backend.link.do(ctx, calls...)
	if err != nil {
		return false, err
	}
	bound, _ := strconv.ParseInt(r.backend.feeds.length, 10, 64)
	for n, i := range r.gone {
		length, err := r.backend.number(results[n])
		if err != nil || length < bound || oldest[i].compare(r.ps[i]) <= 0 {
			return false, err
		}
	}
	return true, nil
}

// take returns the changes in the order of the server's time, as many as the
// limit, and moves the positions behind them.
func (r *reading) take() ([]perdure.Change, error) {
	slices.SortStableFunc(r.found, func(a, b news) int { return a.at.compare(b.at) })
	changes := make([]perdure.Change, 0, min(len(r.found), r.limit))
	for _, n := range r.found[:cap(changes)] {
		c, err := perdure.DecodeChange(n.change)
		if err != nil {
			return nil, err
		}
		c.At = perdure.Millis(n.at.ms)
		r.backend.near.heard(&c)
		changes = append(changes, c)
		r.ps[n.feed] = n.at
	}
	return changes, nil
}
