package failover_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// TestARevocationIsNoLoss: a revocation ends, in the mirror, what the front store has
// no session under any more: it ran out and was swept, or was rotated. Nothing is lost
// then, and whoever lists all need not wait.
func TestARevocationIsNoLoss(t *testing.T) {
	scenes := map[string]func(t *testing.T, n *node, front toll, other *perdure.Store, id string){
		"swept in an outage": func(t *testing.T, n *node, _ toll, other *perdure.Store, _ string) {
			n.cutOff(t)
			time.Sleep(2 * time.Minute)
			sweep(t, other)
			revokeAll(t, n)
			n.cut.Store(false)
			n.await(t, failover.Healthy)
		},
		"swept while all is well": func(t *testing.T, n *node, _ toll, other *perdure.Store, _ string) {
			time.Sleep(2 * time.Minute)
			sweep(t, other)
			revokeAll(t, n)
		},
		"rotated elsewhere": func(t *testing.T, n *node, front toll, other *perdure.Store, id string) {
			front.keep(unfollowed)
			if _, err := other.Rotate(t.Context(), id, 0); err != nil {
				t.Fatal(err)
			}
			revokeAll(t, n)
			front.keep(nil)
		},
	}
	for name, play := range scenes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				front := newToll(newShared(t))
				n := startProcess(t, front, failover.Options{Mirror: failover.MirrorFull}, perdure.Options{SweepInterval: -1})
				other, err := perdure.New(front.Backend, perdure.Options{SweepInterval: -1})
				if err != nil {
					t.Fatal(err)
				}
				s, err := n.Create(t.Context(), perdure.Data{UserID: "u", TTL: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				play(t, n, front, other, s.ID)
				n.want(t, false, s.ID)
				if h := n.failover.Health(t.Context()); h.Lost > 0 || h.State != failover.Healthy {
					t.Errorf("%s, lost %d", h.State, h.Lost)
				}
				if _, err := n.List(t.Context(), perdure.ListQuery{}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func sweep(t *testing.T, s *perdure.Store) {
	t.Helper()
	if n, err := s.DeleteExpired(t.Context()); n == 0 || err != nil {
		t.Fatal(n, err)
	}
}

func revokeAll(t *testing.T, n *node) {
	t.Helper()
	if _, err := n.RevokeUser(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
}
