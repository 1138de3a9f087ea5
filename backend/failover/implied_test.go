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

// TestWhatWasSweptAndPutOffElsewhereKeepsItsChanges: a session is over and swept while a
// process that is cut off has put its expiry off. It comes back with what another had
// changed meanwhile, and that the front store lacked it is no loss of data.
func TestWhatWasSweptAndPutOffElsewhereKeepsItsChanges(t *testing.T) {
	for name, kept := range map[string]keeper{"heard of": nil, "read before it is heard of": unfollowed} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := newShared(t)
				front, store := newToll(shared), perdure.Options{SweepInterval: -1}
				n, away := startProcess(t, front, failover.Options{}, store), startProcess(t, shared, failover.Options{}, store)
				s, err := away.Create(t.Context(), perdure.Data{UserID: "u", TTL: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				away.cutOff(t)
				if _, err := n.Update(t.Context(), s.ID, perdure.Patch{Username: ptr("ada")}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				if _, err := away.Update(t.Context(), s.ID, perdure.Patch{ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				sweep(t, n.Store)
				front.keep(kept)
				away.cut.Store(false)
				away.await(t, failover.Healthy)
				if kept == nil {
					time.Sleep(10 * time.Second) // of virtual time: the feed is followed
				} else {
					n.want(t, true, s.ID)
				}
				if got, err := away.Get(t.Context(), s.ID); err != nil || got.Username != "ada" {
					t.Errorf("%q, %v", got.Username, err)
				}
				n.want(t, true, s.ID)
				if h := n.failover.Health(t.Context()); h.Lost > 0 || h.State != failover.Healthy {
					t.Errorf("%s, lost %d", h.State, h.Lost)
				}
			})
		})
	}
}
