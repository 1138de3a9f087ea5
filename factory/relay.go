package factory

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
)

// relay is a backend that hands every call to another one, which can be exchanged
// while calls are under way. Writers hold the gate, so that a cut-over can wait
// for them; a read that meets the end of the old backend is asked of the new one.
type relay struct {
	gate    sync.RWMutex
	current atomic.Pointer[target]
}

// target is a backend, and the mark that its cursors get.
type target struct {
	perdure.Backend
	mark string
	now  func() time.Time // by its clock
}

// errSwitched is that of a cursor from before a switch.
var errSwitched = fmt.Errorf("the sessions have moved to another store: %w", perdure.ErrListExpired)

var (
	_ perdure.Backend    = (*relay)(nil)
	_ perdure.Inspector  = (*relay)(nil)
	_ perdure.Minter     = (*relay)(nil)
	_ perdure.Timekeeper = (*relay)(nil)

	_ perdure.PartialLister = (*relay)(nil)
)

func newRelay(backend perdure.Backend, address string) *relay {
	r := &relay{}
	r.turn(backend, address)
	return r
}

// turn has all calls go to a backend from now on, and returns the one before. The
// mark of the cursors is that of the address, so that they outlive a restart.
func (r *relay) turn(backend perdure.Backend, address string) *target {
	hash := fnv.New32a()
	hash.Write([]byte(address))
	return r.current.Swap(&target{Backend: backend, mark: fmt.Sprintf("%08x.", hash.Sum32()), now: perdure.TimeOf(backend, nil)})
}

// Now is the time by the clock of the backend that calls go to now.
func (r *relay) Now() time.Time { return r.current.Load().now() }

// Unwrap is the backend that calls go to now.
func (r *relay) Unwrap() perdure.Backend { return r.current.Load().Backend }

// read asks the present backend, and the next where that is closed meanwhile.
func read[T any](r *relay, ask func(t *target) (T, error)) (T, error) {
	for {
		t := r.current.Load()
		v, err := ask(t)
		if !errors.Is(err, perdure.ErrClosed) || r.current.Load() == t {
			return v, err
		}
	}
}

// write is read for a call that a cut-over has to wait for.
func write[T any](r *relay, ask func(t *target) (T, error)) (T, error) {
	r.gate.RLock()
	defer r.gate.RUnlock()
	return ask(r.current.Load())
}

// inner is a cursor as the backend made it.
func (t *target) inner(cursor string) (string, error) {
	rest, ok := strings.CutPrefix(cursor, t.mark)
	switch {
	case ok || cursor == "":
		return rest, nil
	case len(cursor) > len(t.mark) && cursor[len(t.mark)-1] == '.':
		return "", errSwitched
	}
	return "", &perdure.InvalidError{Field: "cursor", Problem: "is not one of this store"}
}

func (t *target) outer(cursor string) string {
	if cursor == "" {
		return ""
	}
	return t.mark + cursor
}

func (t *target) page(p perdure.Page, err error) (perdure.Page, error) {
	p.Next = t.outer(p.Next)
	return p, err
}

// Get is read without a closure: it is the call that costs next to nothing.
func (r *relay) Get(ctx context.Context, id string) (perdure.Record, error) {
	for {
		t := r.current.Load()
		record, err := t.Get(ctx, id)
		if !errors.Is(err, perdure.ErrClosed) || r.current.Load() == t {
			return record, err
		}
	}
}

func (r *relay) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	return read(r, func(t *target) ([]perdure.Record, error) { return t.Load(ctx, ids) })
}

func (r *relay) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	return write(r, func(t *target) ([]perdure.Result, error) { return t.Apply(ctx, batches) })
}

func (r *relay) ListUser(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	return read(r, func(t *target) (perdure.Page, error) {
		after, err := t.inner(after)
		if err != nil {
			return perdure.Page{}, err
		}
		return t.page(t.ListUser(ctx, user, after, limit))
	})
}

// ListPartial asks the present backend for what it holds.
func (r *relay) ListPartial(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	return read(r, func(t *target) (perdure.Page, error) {
		after, err := t.inner(after)
		if err != nil {
			return perdure.Page{}, err
		}
		return t.page(perdure.ListPartial(ctx, t.Backend, user, after, limit))
	})
}

func (r *relay) RemoveUser(ctx context.Context, removal perdure.UserRemoval) (perdure.UserRemoved, error) {
	return write(r, func(t *target) (removed perdure.UserRemoved, err error) {
		switch removal.After, err = t.inner(removal.After); {
		case errors.Is(err, errSwitched):
			removal.After = "" // its epoch has moved along
		case err != nil:
			return removed, err
		}
		removed, err = t.RemoveUser(ctx, removal)
		removed.Next = t.outer(removed.Next)
		return removed, err
	})
}

func (r *relay) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	return read(r, func(t *target) (_ perdure.Page, err error) {
		if q.After, err = t.inner(q.After); err != nil {
			return perdure.Page{}, err
		}
		return t.page(t.Scan(ctx, q))
	})
}

func (r *relay) Sweep(ctx context.Context, now perdure.Millis, limit int) (expired int, more bool, err error) {
	type swept struct {
		expired int
		more    bool
	}
	s, err := write(r, func(t *target) (s swept, err error) {
		s.expired, s.more, err = t.Sweep(ctx, now, limit)
		return s, err
	})
	return s.expired, s.more, err
}

// Changes goes on in the feed of the present backend. A cursor in that of another
// is a gap: what changed between the two cannot be told.
func (r *relay) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	return read(r, func(t *target) (perdure.ChangeBatch, error) {
		cursor, gap := after, false
		if after != perdure.FromNow && after != perdure.FromOldest {
			var err error
			if cursor, err = t.inner(after); errors.Is(err, errSwitched) {
				cursor, wait, gap = perdure.FromNow, 0, true
			} else if err != nil {
				return perdure.ChangeBatch{}, err
			}
		}
		batch, err := t.Changes(ctx, cursor, limit, wait)
		batch.Next = t.outer(batch.Next)
		if gap && err == nil {
			batch.Changes, err = nil, perdure.ErrFeedGap
		}
		return batch, err
	})
}

func (r *relay) Stats(ctx context.Context) (perdure.Stats, error) {
	return read(r, func(t *target) (perdure.Stats, error) { return t.Stats(ctx) })
}

func (r *relay) Ping(ctx context.Context) error {
	_, err := read(r, func(t *target) (struct{}, error) { return struct{}{}, t.Ping(ctx) })
	return err
}

// Inspect is the report of the present backend, if it has one.
func (r *relay) Inspect(ctx context.Context) ([]perdure.Finding, error) {
	return read(r, func(t *target) ([]perdure.Finding, error) { return perdure.Inspect(ctx, t.Backend) })
}

// MintID returns an id as the present backend wants it.
func (r *relay) MintID(partition int) string {
	if minter, ok := perdure.As[perdure.Minter](r.Unwrap()); ok {
		return minter.MintID(partition)
	}
	return perdure.NewID(partition)
}

func (r *relay) Close() error { return r.current.Load().Close() }
