package failover_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/local"
)

// turnBack has the shared store hold what it held before, as a replica does that
// takes over without the last writes.
func turnBack(t *testing.T, shared perdure.Backend, before perdure.Record) {
	t.Helper()
	now, err := shared.Get(t.Context(), before.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.(*local.Backend).Forget(t.Context(), []perdure.Record{now}); err != nil {
		t.Fatal(err)
	}
	result, err := shared.Apply(t.Context(), []perdure.Batch{{{Op: perdure.OpPut, Record: before}}})
	if err != nil || result[0].Outcome != perdure.Applied {
		t.Fatal(result, err)
	}
}

// forget has the shared store lose records.
func forget(t *testing.T, shared perdure.Backend, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := shared.(*local.Backend).Forget(t.Context(), []perdure.Record{stored(t, shared, id)}); err != nil {
			t.Fatal(err)
		}
	}
}

// stored is what the shared store holds.
func stored(t *testing.T, shared perdure.Backend, id string) perdure.Record {
	t.Helper()
	r, err := shared.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestWhatTheFrontForgets: whatever a call meets that this process knows to be
// older than what was acknowledged, it puts right first.
func TestWhatTheFrontForgets(t *testing.T) {
	calls := map[string]func(n *node, id string) error{
		"get": func(n *node, id string) error { _, err := n.Get(context.Background(), id); return err },
		"update": func(n *node, id string) error {
			_, err := n.Update(context.Background(), id, perdure.Patch{Roles: []string{"r"}})
			return err
		},
		"rotate": func(n *node, id string) error { _, err := n.Rotate(context.Background(), id, 0); return err },
		"list": func(n *node, id string) error {
			sessions, err := n.GetByUserID(context.Background(), "u")
			if err == nil && len(sessions) == 0 {
				err = perdure.ErrNotFound
			}
			return err
		},
		"touch": func(n *node, id string) error {
			touched, err := n.Touch(context.Background(), id)
			if err == nil && !touched {
				err = perdure.ErrNotFound
			}
			return err
		},
	}
	for name, call := range calls {
		t.Run("logout, then "+name, func(t *testing.T) {
			shared := newShared(t)
			n, other := newNode(t, shared, failover.Options{}), newNode(t, shared, failover.Options{})
			id := n.create(t, "u")
			before := stored(t, shared, id)
			if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
				t.Fatal(ok, err)
			}
			turnBack(t, shared, before)
			if err := call(n, id); !errors.Is(err, perdure.ErrNotFound) {
				t.Errorf("got %v", err)
			}
			other.want(t, false, id)
		})
	}
	t.Run("update", func(t *testing.T) {
		shared := newShared(t)
		n, other := newNode(t, shared, failover.Options{}), newNode(t, shared, failover.Options{})
		id := n.create(t, "u")
		before := stored(t, shared, id)
		if _, err := n.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"a": 1}}); err != nil {
			t.Fatal(err)
		}
		turnBack(t, shared, before)
		if _, err := n.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"b": 1}}); err != nil {
			t.Fatal(err)
		}
		for _, n := range []*node{n, other} {
			s, err := n.Get(t.Context(), id)
			if m, _ := s.Metadata.MarshalJSON(); err != nil || string(m) != `{"a":1,"b":1}` {
				t.Errorf("got %s, %v", m, err)
			}
		}
	})
	t.Run("all of it", func(t *testing.T) {
		shared := newShared(t)
		n, other := newNode(t, shared, failover.Options{}), newNode(t, shared, failover.Options{})
		kept, out := n.create(t, "u"), n.create(t, "u")
		if ok, err := n.Delete(t.Context(), out); !ok || err != nil {
			t.Fatal(ok, err)
		}
		for _, id := range []string{kept, out} {
			if err := shared.(*local.Backend).Forget(t.Context(), []perdure.Record{stored(t, shared, id)}); err != nil {
				t.Fatal(err)
			}
		}
		n.want(t, true, kept)
		n.want(t, false, out)
		other.want(t, true, kept)
		if h := n.failover.Health(t.Context()); h.Lost == 0 {
			t.Errorf("%+v", h)
		}
	})
}

// deaf answers a write only after it was carried out, by an error.
type deaf struct {
	perdure.Backend
	times *atomic.Int32
}

func (d deaf) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	results, err := d.Backend.Apply(ctx, batches)
	if d.times.Add(-1) >= 0 {
		return nil, errCut
	}
	return results, err
}

// TestTheAnswerIsLost: a write that is sent again is recognised as done.
func TestTheAnswerIsLost(t *testing.T) {
	shared := deaf{newShared(t), &atomic.Int32{}}
	n := newNode(t, shared, failover.Options{})
	shared.times.Store(1)
	id := n.create(t, "u")
	shared.times.Store(1)
	if _, err := n.Update(t.Context(), id, perdure.Patch{Roles: []string{"r"}}); err != nil {
		t.Error(err)
	}
	shared.times.Store(1)
	if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
		t.Error(ok, err)
	}
	n.want(t, false, id)
}

// gapped has a feed that was dropped.
type gapped struct {
	perdure.Backend
	gap *atomic.Bool
}

func (g gapped) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	batch, err := g.Backend.Changes(ctx, after, limit, wait)
	if err == nil && g.gap.Load() && after != perdure.FromNow {
		err = perdure.ErrFeedGap
	}
	return batch, err
}

// TestWhoMayBeOnTheWayBack: where the front store may have lost data, a session
// that nobody here knows is unavailable for some time, not "not found".
func TestWhoMayBeOnTheWayBack(t *testing.T) {
	var ahead atomic.Int64
	shared := gapped{newShared(t), &atomic.Bool{}}
	n := newNode(t, shared, failover.Options{
		Mirror: failover.MirrorFull, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	})
	other := newNode(t, shared, failover.Options{})
	for range 2 { // the second is followed from where the first was
		before := n.failover.Health(t.Context()).MirrorRecords
		other.create(t, "u")
		for n.failover.Health(t.Context()).MirrorRecords == before {
			time.Sleep(time.Millisecond)
		}
	}
	stranger := perdure.NewID(7)
	n.want(t, false, stranger)
	shared.gap.Store(true)
	if _, err := n.Get(t.Context(), stranger); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("right after the gap: %v", err)
	}
	shared.gap.Store(false)
	n.await(t, failover.Healthy)
	if _, err := n.Get(t.Context(), stranger); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("while another process may bring it back: %v", err)
	}
	for deadline := time.Now().Add(time.Minute); ; ahead.Add(int64(time.Second)) { // the follower may meet the gap later
		err := reads(n, stranger)
		if errors.Is(err, perdure.ErrNotFound) {
			break
		}
		if !errors.Is(err, perdure.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
