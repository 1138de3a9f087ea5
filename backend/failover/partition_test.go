package failover_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// TestAPartitionOfHours: of a session that one side has minted the other says, however
// long it lasts, that it does not know; and a logout there holds.
func TestAPartitionOfHours(t *testing.T) {
	for away, starts := range map[time.Duration]bool{90 * time.Minute: false, 20 * time.Hour: true, 3 * 24 * time.Hour: true} {
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared, store := newShared(t), perdure.Options{TTL: 6 * 24 * time.Hour}
				a := startProcess(t, shared, failover.Options{RetryDelay: 10 * time.Second}, store)
				other := func() *node { return startProcess(t, shared, failover.Options{}, store) }
				var b *node
				if !starts {
					b = other()
				}
				a.cutOff(t)
				var ids []string
				for range 10 {
					ids = append(ids, a.create(t, "u"))
				}
				kept := a.create(t, "u")
				time.Sleep(away)
				if starts { // all that time it would look at the feed every second
					b = other()
				}
				b.wantUnknown(t, kept)
				for _, id := range ids {
					b.wantUnknown(t, id)
					if ok, err := b.Delete(t.Context(), id); !ok || err != nil {
						t.Errorf("a logout: %v, %v", ok, err)
					}
				}
				b.want(t, false, ids...)
				a.cut.Store(false)
				a.await(t, failover.Healthy)
				for _, n := range []*node{a, b} {
					n.want(t, false, ids...)
					n.want(t, true, kept)
				}
			})
		})
	}
}

// TestALogoutBesideAPartition: who works on the shared store itself knows as little, and
// what is ended there stays so.
func TestALogoutBesideAPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newShared(t)
		n := newProcess(t, shared, failover.Options{})
		tool, err := perdure.New(shared, perdure.Options{SweepInterval: -1})
		if err != nil {
			t.Fatal(err)
		}
		n.cutOff(t)
		id := n.create(t, "u")
		time.Sleep(2 * time.Hour)
		if _, err := tool.Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		n.cut.Store(false)
		n.await(t, failover.Healthy)
		n.want(t, false, id)
	})
}

// TestAnIDThatNeverCame is not found in the end: no journal is older than any session.
func TestAnIDThatNeverCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newProcess(t, newShared(t), failover.Options{})
		id := perdure.NewOutageID(3, time.Now().Add(-8*24*time.Hour))
		if _, err := n.Get(t.Context(), id); !errors.Is(err, perdure.ErrNotFound) {
			t.Error(err)
		}
	})
}
