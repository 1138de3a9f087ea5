package failover_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// unanswered is a front store that carries writes out, while it is, and whose answer is lost.
type unanswered struct {
	patient
	hears *atomic.Bool
}

func (d unanswered) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	if d.hears.Load() {
		return d.patient.Apply(ctx, batches)
	}
	d.cut.Store(true)
	if _, err := d.patient.Backend.Apply(ctx, batches); err != nil {
		return nil, err
	}
	return nil, errCut
}

// TestALoginWhoseAnswerIsLost makes one session: the id that the front store got in vain
// is nobody's.
func TestALoginWhoseAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, hears := newShared(t), &atomic.Bool{}
		hears.Store(true)
		n := &node{cut: &atomic.Bool{}}
		n.open(t, failover.Options{Open: func(context.Context) (perdure.Backend, error) {
			u := unanswered{patient{cable{shared, n.cut}}, hears}
			return u, u.err()
		}})
		n.await(t, failover.Healthy)
		hears.Store(false)
		id := n.create(t, "u")
		hears.Store(true)
		n.cut.Store(false)
		n.await(t, failover.Healthy)
		sessions, err := n.GetByUserID(t.Context(), "u")
		if err != nil || len(sessions) != 1 || sessions[0].ID != id {
			t.Errorf("got %v, %v, want %s alone", sessions, err, id)
		}
	})
}
