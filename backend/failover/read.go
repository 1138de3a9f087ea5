package failover

import (
	"cmp"
	"context"
	"errors"

	"github.com/perdure/perdure"
)

// Get returns what is stored under the id.
func (b *Backend) Get(ctx context.Context, id string) (perdure.Record, error) {
	if st := b.status.Load(); st.state == Healthy {
		// What is cached was read through here before, and agreed on then, unless
		// something is contested still.
		if r, ok := b.cached(st, id); ok {
			return r, nil
		}
		r, err := st.front.Get(ctx, id)
		if err == nil {
			r, err = b.agree(ctx, st, id, r)
		}
		if again, _ := b.again(ctx, st, err); !again {
			return r, err
		}
	}
	return serve(ctx, b, served[perdure.Record]{
		need:  reading,
		reach: at(perdure.PartitionOf(id)),
		claim: func(ctx context.Context) error { return b.claim(ctx, id) },
		online: func(ctx context.Context, st *status) (perdure.Record, error) {
			r, err := st.front.Get(ctx, id)
			if err != nil {
				return r, err
			}
			return b.agree(ctx, st, id, r)
		},
		offline: func(ctx context.Context, st *status) (perdure.Record, error) { return b.offlineGet(ctx, st, id) },
	})
}

// Cached is implemented by a front store that has a near cache.
type Cached interface {
	// Cached returns a record that is in it.
	Cached(id string) (perdure.Record, bool)
}

func (b *Backend) cached(st *status, id string) (perdure.Record, bool) {
	front, ok := st.front.(Cached)
	if !ok || b.closed.Load() || b.contested.len() > 0 {
		return perdure.Record{}, false
	}
	return front.Cached(id)
}

// Load is Get of many.
func (b *Backend) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	for {
		records, err := b.loadSome(ctx, ids, b.status.Load())
		if !errors.Is(err, errDivide) {
			return records, err
		}
	}
}

// loadSome is Load, in two where some of the ids are away. It fails with errDivide if
// that changes meanwhile.
func (b *Backend) loadSome(ctx context.Context, ids []string, st *status) ([]perdure.Record, error) {
	if cut, rest := divide(ids, st.away, func(id string) partitions { return at(perdure.PartitionOf(id)) }); len(cut) > 0 && len(rest) > 0 {
		return b.loadParts(ctx, ids, cut, rest)
	}
	return serve(ctx, b, served[[]perdure.Record]{
		reach: reachOfIDs(ids), divisible: true,
		claim: func(ctx context.Context) error { return b.claim(ctx, ids...) },
		online: func(ctx context.Context, st *status) ([]perdure.Record, error) {
			records, err := st.front.Load(ctx, ids)
			bad, err := perdure.AsUnreadable(err)
			if err != nil {
				return nil, err
			}
			unreadable := bad.Set()
			return loadEach(ctx, ids, errElsewhere, func(i int) (perdure.Record, error) {
				if unreadable[ids[i]] {
					return perdure.Record{}, cmp.Or(bad.Err, perdure.ErrFormat)
				}
				return b.agree(ctx, st, ids[i], records[i])
			})
		},
		offline: func(ctx context.Context, st *status) ([]perdure.Record, error) {
			return loadEach(ctx, ids, perdure.ErrUnavailable, func(i int) (perdure.Record, error) { return b.offlineGet(ctx, st, ids[i]) })
		},
	})
}

// loadEach is Load, one by one. Those that end with the error unanswered stand in
// nobody's way.
func loadEach(ctx context.Context, ids []string, unanswered error, load func(i int) (perdure.Record, error)) ([]perdure.Record, error) {
	records := make([]perdure.Record, len(ids))
	var open perdure.UnansweredError
	var bad perdure.UnreadableError
	for i, id := range ids {
		r, err := load(i)
		switch {
		case errors.Is(err, perdure.ErrFormat):
			bad.Add(id, err)
		case errors.Is(err, unanswered) && ctx.Err() == nil:
			open.Add(id, err)
		case err != nil:
			return nil, err
		default:
			records[i] = r
		}
	}
	return records, open.With(&bad, len(ids))
}
