package redis

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// Backend implements perdure.Backend and perdure.Inspector. It is safe for
// concurrent use. Make one with Open.
type Backend struct {
	options   Options // with its defaults filled in
	keys      *keyspace
	link      *link
	near      *near
	cached    bool // the server tells of changes to what is read
	listed    bool // and to which sessions a user has
	encrypted bool // TLS
	scripts   scripts
	gate      *gate
	clocks    *clocks
	time      *timekeeper
	encoder   encoder

	// What concurrent callers share, but in a Cluster.
	reads, writes, pages *convoy

	// short is set when a call could not be sent, or got no answer: connections may
	// be missing, and spare finds out whether there would be one more.
	short atomic.Bool
	spare func(ctx context.Context) error

	feeds  feeds
	bell   *bell
	sweeps atomic.Uint32
}

var (
	_ perdure.Backend    = (*Backend)(nil)
	_ perdure.Inspector  = (*Backend)(nil)
	_ perdure.Timekeeper = (*Backend)(nil)
)

type scripts struct {
	apply, alone, fill, index, page, names, revoke, due, sweep, probe, time *script
}

// Open connects to the server. A wrong option is a perdure.ErrInvalid, and so is one
// that does not fit the server which answers: a wrong password, TLS or not, Sentinel,
// Cluster or neither. A server that cannot be reached is a perdure.ErrUnavailable that
// says what to do.
func Open(ctx context.Context, options Options) (*Backend, error) {
	o, a, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Backend{
		options: o,
		keys:    newKeyspace(o.Prefix),
		clocks:  &clocks{},
		time:    newTimekeeper(),
		gate:    newGate(a.master != ""),
		scripts: scripts{
			apply: newScript(luaApply), alone: newScript(luaAlone), fill: newScript(luaFill), index: newScript(luaIndex), page: newScript(luaPage), names: newScript(luaNames),
			revoke: newScript(luaRevoke), due: newScript(luaDue), sweep: newScript(luaSweep), probe: newScript(luaProbe), time: newScript(luaTime),
		},
	}
	cache := newNear(o.NearCacheBytes, o.NearCacheAge)
	b.gate.refused = cache.refused
	client, cached, err := connect(ctx, &o, &a, b.gate, func(keys []rueidis.RedisMessage) { b.keys.changed(cache, keys) })
	if err != nil {
		return nil, err
	}
	if b.cached = cached; cached {
		b.near = cache
	}
	b.encrypted = o.secure(&a)
	b.spare = func(ctx context.Context) error { return connectOnce(ctx, &o, &a) }
	b.link = newLink(client, o.Timeout, o.TimeoutAll)
	b.listed = cached && !b.link.cluster
	b.feeds = newFeeds(b.keys, b.link.cluster, o.FeedLength)
	b.clocks.cluster = b.link.cluster
	b.encoder = encoder{keys: b.keys, cluster: b.link.cluster, skew: perdure.Millis(o.MaxClockSkew.Milliseconds()), clocks: b.clocks}
	if err := errors.Join(b.startTime(ctx), b.refuseEviction(ctx)); err != nil {
		b.link.close()
		return nil, err
	}
	go b.keepTime()
	if !b.link.cluster {
		b.reads, b.writes, b.pages = newConvoy(b.link, b.carryReads), newConvoy(b.link, b.carryWrites), newConvoy(b.link, b.carryPages)
	}
	b.bell = &bell{link: b.link, feeds: b.feeds}
	return b, nil
}

// changed has the near cache forget the keys that the server says have changed;
// nil stands for all, and for a connection that has ended.
func (k *keyspace) changed(cache *near, keys []rueidis.RedisMessage) {
	if keys == nil {
		cache.clear()
		return
	}
	for _, m := range keys {
		if key, err := m.ToString(); err == nil {
			cache.drop(k.name(key))
		}
	}
}

// Close ends the connections. It waits no longer than Options.Timeout for what is
// under way.
func (b *Backend) Close() error {
	b.link.close()
	b.near.clear()
	return nil
}
