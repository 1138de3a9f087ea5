package redis

import (
	"context"
	"errors"
	"time"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// Get returns what is stored under the id. A record in the near cache costs no
// round trip.
func (b *Backend) Get(ctx context.Context, id string) (perdure.Record, error) {
	if err := b.link.ready(ctx); err != nil {
		return perdure.Record{}, err
	}
	r, found, s := b.near.get(id)
	if found {
		return r, nil
	}
	reply, err := b.fetch(ctx, b.keys.record(id))
	if err != nil {
		return perdure.Record{}, err
	}
	if r, err = record(id, reply); err == nil {
		b.near.put(s, r)
	}
	return r, err
}

// Cached returns a record that is in the near cache: what Get would return without
// a round trip.
func (b *Backend) Cached(id string) (perdure.Record, bool) {
	r, found, _ := b.near.get(id)
	return r, found && r.Exists()
}

// fetch gets one key.
func (b *Backend) fetch(ctx context.Context, key string) (rueidis.RedisMessage, error) {
	if b.link.cluster {
		return b.link.get(ctx, b.cached, key)
	}
	p := b.reads.parcel()
	p.keys = append(p.keys, key)
	return b.reads.send(ctx, p)
}

// record is the record in a reply, or the zero Record for a null.
func record(id string, reply rueidis.RedisMessage) (perdure.Record, error) {
	if reply.IsNil() {
		return perdure.Record{}, nil
	}
	value, err := reply.ToString()
	if err != nil {
		return perdure.Record{}, failure(err)
	}
	return perdure.DecodeRecord(id, value)
}

// Load is Get of many: one round trip for those that the near cache does not
// hold, or in a Cluster one to each node at the same time.
func (b *Backend) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	if err := b.link.ready(ctx); err != nil {
		return nil, err
	}
	records := make([]perdure.Record, len(ids))
	var keys []string
	var missing []int
	var stamps []stamp
	for i, id := range ids {
		r, found, s := b.near.get(id)
		if found {
			records[i] = r
			continue
		}
		missing, stamps, keys = append(missing, i), append(stamps, s), append(keys, b.keys.record(id))
	}
	replies, err := b.link.getMany(ctx, b.cached, keys)
	if err != nil {
		return nil, err
	}
	var bad perdure.UnreadableError
	for n, i := range missing {
		records[i], err = record(ids[i], replies[n])
		switch {
		case errors.Is(err, perdure.ErrFormat):
			bad.Add(ids[i], err)
		case err != nil:
			return nil, err
		default:
			b.near.put(stamps[n], records[i])
		}
	}
	return records, bad.OrNil()
}

// carryReads gets the keys of all parcels with one MGET.
func (b *Backend) carryReads(ctx context.Context, load []*parcel) {
	keys := make([]string, len(load))
	for i, p := range load {
		keys[i] = p.keys[0]
	}
	replies, err := b.link.mget(ctx, b.cached, keys)
	for i, p := range load {
		if p.err = err; err == nil {
			p.reply = replies[i]
		}
	}
}

// tracked asks the server to tell of changes to the keys of the next command on
// the connection, and of no others.
func tracked(b rueidis.Builder) rueidis.Completed {
	return b.Arbitrary("CLIENT", "CACHING", "YES").Build()
}

// mget gets keys from a server that has them all. With watch it tells of changes
// to them.
func (l *link) mget(ctx context.Context, watch bool, keys []string) ([]rueidis.RedisMessage, error) {
	mget := l.client.B().Arbitrary("MGET").Keys(keys...).Build()
	do := l.client.Do
	if watch {
		do = l.watched
	}
	return l.replies(do(ctx, mget), len(keys))
}

// watched sends a command, and has the server tell of changes to what it reads.
func (l *link) watched(ctx context.Context, command rueidis.Completed) rueidis.RedisResult {
	results := l.client.DoMulti(ctx, tracked(l.client.B()), command)
	if results[0].Error() != nil {
		return results[0]
	}
	return results[1]
}

// get gets a key from a Cluster.
func (l *link) get(ctx context.Context, watch bool, key string) (rueidis.RedisMessage, error) {
	replies, err := l.getMany(ctx, watch, []string{key})
	if err != nil {
		return rueidis.RedisMessage{}, err
	}
	return replies[0], nil
}

// getMany gets keys, wherever they are, in as many round trips as keep each reply
// within perdure.MaxPageBytes.
func (l *link) getMany(ctx context.Context, watch bool, keys []string) ([]rueidis.RedisMessage, error) {
	portions, err := l.portions(ctx, keys)
	if err != nil {
		return nil, err
	}
	all := make([]rueidis.RedisMessage, 0, len(keys))
	for _, portion := range portions {
		some, err := inTime(ctx, l, func(ctx context.Context) ([]rueidis.RedisMessage, error) {
			switch {
			case !l.cluster:
				return l.mget(ctx, watch, portion)
			case watch:
				return l.messages(l.client.DoMultiCache(ctx, l.watchedGets(portion)...))
			default:
				return l.messages(l.client.DoMulti(ctx, l.gets(portion)...))
			}
		})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// unmeasured is how many keys are got without asking how long what they hold is: of
// the default bound on metadata, they are a page.
const unmeasured = 64

// portions are keys, divided so that what each part holds is a page at most.
func (l *link) portions(ctx context.Context, keys []string) (portions [][]string, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	if len(keys) <= unmeasured {
		return [][]string{keys}, nil
	}
	calls := make([]call, len(keys))
	for i, key := range keys {
		calls[i] = command([]string{"STRLEN"}, key)
	}
	results, err := l.do(ctx, calls...)
	if err != nil {
		return nil, err
	}
	var size int64
	first := 0
	for i, result := range results {
		n, err := l.number(result)
		if err != nil {
			return nil, err
		}
		if size += n; size > perdure.MaxPageBytes && i > first {
			portions, first, size = append(portions, keys[first:i]), i, n
		}
	}
	return append(portions, keys[first:]), nil
}

func (l *link) gets(keys []string) []rueidis.Completed {
	gets := make([]rueidis.Completed, len(keys))
	for i, key := range keys {
		gets[i] = l.client.B().Get().Key(key).Build()
	}
	return gets
}

// watchedGets are gets of keys whose changes the server is to tell of. The client
// sees to it that each is asked for where the key is, also while it moves; what
// it is told to keep goes to discard.
func (l *link) watchedGets(keys []string) []rueidis.CacheableTTL {
	gets := make([]rueidis.CacheableTTL, len(keys))
	for i, key := range keys {
		gets[i] = rueidis.CT(l.client.B().Get().Key(key).Cache().ToStaticTTL(), time.Hour)
	}
	return gets
}

func (l *link) messages(results []rueidis.RedisResult) ([]rueidis.RedisMessage, error) {
	messages := make([]rueidis.RedisMessage, len(results))
	for i, result := range results {
		var err error
		if messages[i], err = l.message(result); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// discard is the client's cache, which is not used: near is.
type discard struct{}

func (discard) Flight(string, string, time.Duration, time.Time) (m rueidis.RedisMessage, e rueidis.CacheEntry) {
	return m, nil
}
func (discard) Update(string, string, rueidis.RedisMessage) int64 { return 0 }
func (discard) Cancel(string, string, error)                      {}
func (discard) Delete([]rueidis.RedisMessage)                     {}
func (discard) Close(error)                                       {}
