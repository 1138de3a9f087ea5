package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// feeds are the streams that changes are added to: in a Cluster one for each
// partition, where a script reaches no other, else one for all.
type feeds struct {
	keys   []string
	length string // of each, in entries
}

// entryFill is how many changes an entry is taken to have: one where changes come
// alone, four where they come together. So a feed is never off its length by more
// than a factor of two.
const entryFill = 2

// newFeeds shares out a length, in changes.
func newFeeds(k *keyspace, cluster bool, length int) (f feeds) {
	for i := range k.partitions {
		f.keys = append(f.keys, k.partitions[i].feed)
	}
	if !cluster {
		f.keys = f.keys[:1]
	}
	f.length = strconv.Itoa(max(length/entryFill/len(f.keys), 1))
	return f
}

// of is the feed of a partition.
func (f *feeds) of(partition int) string { return f.keys[partition%len(f.keys)] }

// newest are the positions behind the last entries, oldest those before the first. Of a
// feed that is away it is that in stead, if there is one; else that is an error.
func (f *feeds) newest(ctx context.Context, l *link, stead positions) (positions, error) {
	return f.ends(ctx, l, stead, "XREVRANGE", "+", "-")
}

func (f *feeds) oldest(ctx context.Context, l *link, stead positions) (positions, error) {
	ps, err := f.ends(ctx, l, stead, "XRANGE", "-", "+")
	for i := range ps {
		ps[i].read = 0
	}
	return ps, err
}

// ends are the positions behind the first entries in a direction.
func (f *feeds) ends(ctx context.Context, l *link, stead positions, name, from, to string) (positions, error) {
	calls := make([]call, len(f.keys))
	for i, key := range f.keys {
		calls[i] = call{words: []string{name}, keys: []string{key}, args: []string{from, to, "COUNT", "1"}}
	}
	results, err := l.some(ctx, calls...)
	if err == nil {
		err = l.anyAnswer(results)
	}
	if err != nil {
		return nil, err
	}
	ps := make(positions, len(f.keys))
	for i, result := range results {
		if l.away(result) && len(stead) == len(ps) {
			ps[i] = stead[i]
			continue
		}
		entries, err := result.AsXRangeSlices()
		if err != nil {
			return nil, l.failure(err)
		}
		for _, entry := range entries {
			at, changes, err := parseEntry(entry)
			if err != nil {
				return nil, err
			}
			at.read = len(changes)
			ps[i] = at
		}
	}
	return ps, nil
}

// parseEntry reads an entry: where it is, and what its changes are.
func parseEntry(e rueidis.XRangeSlice) (at position, changes []string, err error) {
	at, ok := parsePosition(e.ID)
	if ok && len(e.FieldValues) == 1 {
		changes = unpackChanges(e.FieldValues[0].Value)
	}
	if len(changes) == 0 {
		return at, nil, fmt.Errorf("%w: the entry %q of the change feed", perdure.ErrFormat, e.ID)
	}
	return at, changes, nil
}

// unpackChanges are the changes that luaFeed packed into an entry, each preceded by
// its length; none where it is damaged. An entry that begins with the kind of a
// change, which is less than any length, holds that one: so it was before they were
// packed.
func unpackChanges(packed string) (changes []string) {
	if packed != "" && packed[0] <= byte(perdure.UserRevoked) {
		return []string{packed}
	}
	for packed != "" {
		end := 1 + int(packed[0])
		if end > len(packed) {
			return nil
		}
		changes, packed = append(changes, packed[1:end]), packed[end:]
	}
	return changes
}

// Changes reads all feeds. It merges them by the server's time: changes of one
// feed come in the order in which they were made, and those of different ones
// about so. While a master of a Cluster is away those of its feeds come later.
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
func (b *Backend) start(ctx context.Context, after string) (positions, error) {
	switch after {
	case perdure.FromNow:
		return b.feeds.newest(ctx, b.link, nil)
	case perdure.FromOldest:
		return b.feeds.oldest(ctx, b.link, nil)
	}
	return parsePositions(after)
}

// poll reads up to limit changes after the positions, which it moves. Where some
// are gone it returns an ErrFeedGap with a batch that goes on from now.
func (b *Backend) poll(ctx context.Context, ps positions, limit int) (perdure.ChangeBatch, error) {
	r := reading{backend: b, ps: ps, limit: limit}
	gap, err := r.look(ctx)
	if err != nil {
		return perdure.ChangeBatch{}, err
	}
	if gap {
		now, err := b.feeds.newest(ctx, b.link, ps)
		if err != nil {
			return perdure.ChangeBatch{}, err
		}
		trimmed, err := r.trimmed(ctx)
		if err != nil {
			return perdure.ChangeBatch{}, err
		}
		if trimmed {
			return perdure.ChangeBatch{Next: now.String()}, fmt.Errorf("%w: it holds about %d", perdure.ErrFeedTrimmed, b.options.FeedLength)
		}
		return perdure.ChangeBatch{Next: now.String()}, fmt.Errorf("%w: the server has lost its data, or the feed was made anew", perdure.ErrFeedGap)
	}
	changes, err := r.take()
	return perdure.ChangeBatch{Changes: changes, Next: ps.String()}, err
}
