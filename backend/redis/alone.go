package redis

import (
	"context"

	"github.com/perdure/perdure"
)

// luaAlone overwrites a session that is as it was read.
//
//	KEYS session
//	ARGV record, base
const luaAlone = luaCommon + `
local cur, rec = call('GET', KEYS[1]), ARGV[1]
if not cur or byte(known(cur), 2) ~= 1 or sub(cur, 4, 15) ~= ARGV[2] or sub(cur, 40, 45) ~= sub(rec, 40, 45) then return 0 end
call('SET', KEYS[1], rec, 'KEEPTTL')
return 1
`

// CutShort overwrites sessions with what they are to be, which ends them for all who
// read them, if they are still of the versions that this is based on; it returns which
// were. It does each by commands of a single key. A Cluster carries those out while it
// moves the slot, when it refuses what needs several: the session may be at its new
// owner already, and an index not. The indexes are left as they are: they may name for
// longer what has ended.
func (b *Backend) CutShort(ctx context.Context, ends []perdure.Record, bases []perdure.Version) (done []bool, err error) {
	if err := b.link.ready(ctx); err != nil {
		return nil, err
	}
	calls := make([]call, len(ends))
	for i := range ends {
		calls[i] = call{script: b.scripts.alone, keys: []string{b.keys.record(ends[i].ID)}, args: []string{string(ends[i].Append(nil)), based(bases[i])}}
	}
	results, err := b.link.do(ctx, calls...)
	if err != nil {
		return nil, err
	}
	done = make([]bool, len(ends))
	var news []call
	for i, result := range results {
		b.near.drop(ends[i].ID)
		n, err := b.link.number(result)
		if err != nil {
			return nil, err
		}
		if done[i] = n == 1; done[i] {
			news = append(news, b.newsCall(&ends[i]))
		}
	}
	results, err = b.link.do(ctx, news...)
	for _, result := range results {
		if _, failed := b.link.message(result); failed != nil {
			return nil, failed
		}
	}
	return done, err
}

// newsCall adds to the feed that the record was updated.
func (b *Backend) newsCall(r *perdure.Record) call {
	change := perdure.Change{Kind: perdure.Updated, Reason: r.Reason, ID: r.ID, User: r.User, Version: r.Version}
	packed := change.Append([]byte{0})
	packed[0] = byte(len(packed) - 1)
	return call{
		words: []string{"XADD"}, keys: []string{b.feeds.of(perdure.PartitionOf(r.ID))},
		args: []string{"MAXLEN", "~", b.feeds.length, "*", "e", string(packed)},
	}
}
