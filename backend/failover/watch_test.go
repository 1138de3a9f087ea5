package failover_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
)

// told is what a store's feed tells from a cursor on, each change with its version.
func told(t *testing.T, b perdure.Backend, cursor string) map[string]int {
	t.Helper()
	n := map[string]int{}
	for {
		batch, err := b.Changes(t.Context(), cursor, 1000, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range batch.Changes {
			if c.Kind != perdure.Touched {
				n[fmt.Sprintf("%s %s %s %s", c.ID, c.Kind, c.Reason, c.Version)]++
			}
		}
		if cursor = batch.Next; len(batch.Changes) == 0 {
			return n
		}
	}
}

// TestEachEndIsToldOnce: a session is minted in an outage by one process and logged
// out there, or through another that does not know it, in whichever order they
// recover; a follower of the feed hears of one end of each, once.
func TestEachEndIsToldOnce(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	front, err := redis.Open(t.Context(), redis.Options{URL: server.URL(), NearCacheBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close() })
	for _, first := range []string{"minted", "ended"} {
		t.Run(first, func(t *testing.T) {
			n, other := newNode(t, front, failover.Options{}), newNode(t, front, failover.Options{})
			from, err := front.Changes(t.Context(), perdure.FromNow, 1, 0)
			if err != nil {
				t.Fatal(err)
			}
			both := []*node{n, other}
			for _, node := range both {
				node.cut.Store(true)
				node.await(t, failover.Degraded)
			}
			var ids []string
			for i := range 20 {
				id := n.create(t, "u")
				ids = append(ids, id)
				if ok, err := n.Touch(t.Context(), id); !ok || err != nil {
					t.Fatal(ok, err)
				}
				ends := both[:1+i%2] // by the one, or by both
				if i%3 == 0 {
					ends = both[1:]
				}
				for _, node := range ends {
					if ok, err := node.Delete(t.Context(), id); !ok || err != nil {
						t.Fatal(ok, err)
					}
				}
			}
			if first == "ended" {
				both = []*node{other, n}
			}
			for _, node := range both {
				node.cut.Store(false)
				node.await(t, failover.Healthy)
			}
			ends := map[string]int{}
			for change, times := range told(t, front, from.Next) {
				if times > 1 {
					t.Errorf("%d times: %s", times, change)
				}
				var id, kind string
				if fmt.Sscan(change, &id, &kind); kind == "deleted" {
					ends[id]++
				}
			}
			for _, id := range ids {
				if ends[id] != 1 {
					t.Errorf("%s: %d ends are told", id, ends[id])
				}
				n.want(t, false, id)
			}
		})
	}
}

// ender ends all sessions of a user right after they were created, and has the
// answer to who created them be lost.
type ender struct {
	cable
	end  func(ctx context.Context)
	lose *atomic.Bool
}

func (e ender) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	results, err := e.cable.Apply(ctx, batches)
	if w := &batches[0][0]; err == nil && w.Op == perdure.OpPut && w.Record.Kind == perdure.KindSession && w.Base.IsZero() && e.lose.CompareAndSwap(true, false) {
		e.end(ctx)
		return nil, errCut
	}
	return results, err
}

// TestALoginRacesARevocation: the answer to a login is lost, and all sessions of its
// user were ended before it is sent again. It is a login, and so was the first: there
// is no session that it could be said to meet.
func TestALoginRacesARevocation(t *testing.T) {
	shared := newShared(t)
	other := newNode(t, shared, failover.Options{})
	lose := &atomic.Bool{}
	front := ender{cable{shared, &atomic.Bool{}}, func(ctx context.Context) {
		if _, err := other.RevokeUser(ctx, "u"); err != nil {
			t.Error(err)
		}
	}, lose}
	n := &node{cut: &atomic.Bool{}}
	n.open(t, failover.Options{
		Open:       func(context.Context) (perdure.Backend, error) { return front, nil },
		RetryDelay: 10 * time.Millisecond, HealthCheckInterval: 20 * time.Millisecond,
	})
	n.await(t, failover.Healthy)
	for range 5 {
		lose.Store(true)
		s, err := n.Create(t.Context(), perdure.Data{UserID: "u"})
		if err != nil {
			t.Fatalf("a login: %v", err)
		}
		other.want(t, true, s.ID)
		lose.Store(true)
		if s, err = n.Rotate(t.Context(), s.ID, 0); err == nil {
			t.Errorf("%s was rotated, and had been ended", s.ID)
		} else if err != perdure.ErrNotFound {
			t.Errorf("a rotation: %v", err)
		}
		lose.Store(false)
	}
}
