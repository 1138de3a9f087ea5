package failover_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// TestAChosenID of the length of a minted one can be taken in an outage.
func TestAChosenID(t *testing.T) {
	n := newNode(t, newShared(t), failover.Options{})
	n.cut.Store(true)
	const id = "507f1f77bcf86cd799439011"
	if _, err := n.Create(t.Context(), perdure.Data{ID: id, UserID: "u"}); err != nil {
		t.Fatal(err)
	}
	n.want(t, true, id)
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	n.want(t, true, id)
}

// TestARevocationAcrossAnOutage begins again on the other side.
func TestARevocationAcrossAnOutage(t *testing.T) {
	shared := newToll(newShared(t))
	n := newNode(t, placed{shared}, failover.Options{})
	var ids []string
	for range 1200 { // more than two pages
		ids = append(ids, n.create(t, "u"))
	}
	var calls atomic.Int32
	shared.keep(func(_ context.Context, call string, _ ...string) error {
		if call == "removeUser" && calls.Add(1) == 2 {
			n.cut.Store(true)
			return errCut
		}
		return nil
	})
	if _, err := n.RevokeUser(t.Context(), "u"); err != nil {
		t.Error(err)
	}
	n.want(t, false, ids...)
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	n.want(t, false, ids...)
}

// placed has cursors of its own.
type placed struct{ toll }

func (p placed) RemoveUser(ctx context.Context, r perdure.UserRemoval) (perdure.UserRemoved, error) {
	r.After = strings.TrimPrefix(r.After, "placed ")
	removed, err := p.toll.RemoveUser(ctx, r)
	if removed.Next != "" {
		removed.Next = "placed " + removed.Next
	}
	return removed, err
}

// TestATouchedSession is one that this process has used: it can be read in an
// outage.
func TestATouchedSession(t *testing.T) {
	shared := newShared(t)
	n, other := newNode(t, shared, failover.Options{}), newNode(t, shared, failover.Options{})
	id := other.create(t, "u")
	if touched, err := n.Touch(t.Context(), id); !touched || err != nil {
		t.Fatal(touched, err)
	}
	n.cut.Store(true)
	n.want(t, true, id)
}

// TestAllWritesOfACallFail: where the front store fails all writes of a call one by
// one in a recovery, they go to the journal.
func TestAllWritesOfACallFail(t *testing.T) {
	shared := newToll(newShared(t))
	n := newNode(t, failing{shared}, failover.Options{})
	n.cut.Store(true)
	n.create(t, "u")
	merging, release := make(chan struct{}, 1), make(chan struct{})
	var ill atomic.Bool
	shared.keep(func(_ context.Context, call string, _ ...string) error {
		if call == "merge" {
			merging <- struct{}{}
			<-release
			return errCut
		}
		if ill.Load() {
			return errCut
		}
		return nil
	})
	n.cut.Store(false)
	<-merging
	ill.Store(true)
	touches := make([]perdure.Batch, 2)
	for i := range touches {
		r := perdure.Record{ID: perdure.NewID(i), Header: perdure.Header{Kind: perdure.KindTombstone, Version: perdure.NewClock(nil).Tick()}}
		touches[i] = perdure.Batch{{Op: perdure.OpRemove, Record: r}}
	}
	results, err := n.failover.Apply(t.Context(), touches)
	if err != nil {
		t.Error(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	close(release)
}

// failing answers what was refused batch by batch.
type failing struct{ toll }

func (f failing) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	results, err := f.toll.Apply(ctx, batches)
	if err != nil {
		results = make([]perdure.Result, len(batches))
		for i := range results {
			results[i].Err = err
		}
	}
	return results, nil
}

// TestARotationWhoseAnswerIsLost, by a front store that answers reads from then
// on, has been made all the same.
func TestARotationWhoseAnswerIsLost(t *testing.T) {
	shared := newToll(newShared(t))
	lossy := deaf{shared, &atomic.Int32{}}
	n := newNode(t, lossy, failover.Options{})
	id := n.create(t, "u")
	shared.keep(func(ctx context.Context, call string, ids ...string) error {
		if call != "apply" {
			return nil
		}
		lossy.times.Store(1)
		shared.keep(readsOnly)
		return nil
	})
	successor, err := n.Rotate(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	n.want(t, true, successor.ID)
	n.want(t, false, id)
	shared.keep(nil)
	n.await(t, failover.Healthy)
	n.want(t, true, successor.ID)
}
