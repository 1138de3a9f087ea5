package failover_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
)

// shorten brings the expiry of sessions forward through another process, and
// returns when they are over and swept.
func shorten(t *testing.T, other *perdure.Store, ids []string) {
	t.Helper()
	for _, id := range ids {
		if _, err := other.Update(t.Context(), id, perdure.Patch{ExpiresAt: time.Now().Add(200 * time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(time.Minute)
	for swept := 0; swept < len(ids); time.Sleep(time.Millisecond) {
		n, err := other.DeleteExpired(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if swept += n; time.Now().After(deadline) {
			t.Fatalf("%d of %d were swept", swept, len(ids))
		}
	}
}

// alive is how many of the sessions are live in the shared store.
func alive(t *testing.T, other *perdure.Store, ids []string) (n int) {
	t.Helper()
	for _, id := range ids {
		if _, err := other.Get(t.Context(), id); err == nil {
			n++
		} else if !errors.Is(err, perdure.ErrNotFound) {
			t.Fatal(err)
		}
	}
	return n
}

// TestAnExpiryBroughtForwardIsNotALoss: a session whose expiry was brought forward
// through another process, that is over and swept, comes back from no copy that
// was promised more.
func TestAnExpiryBroughtForwardIsNotALoss(t *testing.T) {
	const sessions = 20
	type scene struct {
		n      *node
		front  toll
		server *redistest.Server
		other  *perdure.Store
		ids    []string
	}
	read := func(t *testing.T, s *scene) {
		for _, id := range s.ids {
			if _, err := s.n.Get(t.Context(), id); err == nil {
				t.Log("served:", id)
			} else if !errors.Is(err, perdure.ErrNotFound) {
				t.Fatal(err)
			}
		}
	}
	scenes := map[string]func(t *testing.T, s *scene){
		"a process that was cut off reads it": func(t *testing.T, s *scene) {
			s.n.cut.Store(true)
			s.n.await(t, failover.Degraded)
			shorten(t, s.other, s.ids)
			s.n.cut.Store(false)
			s.n.await(t, failover.Healthy)
			read(t, s)
		},
		"a process that was stopped reads it": func(t *testing.T, s *scene) {
			s.front.keep(unfollowed)
			shorten(t, s.other, s.ids)
			read(t, s)
		},
		"a process that had it touched in the outage": func(t *testing.T, s *scene) {
			s.n.cut.Store(true)
			s.n.await(t, failover.Degraded)
			for _, id := range s.ids {
				if ok, err := s.n.Touch(t.Context(), id); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
			shorten(t, s.other, s.ids)
			s.n.cut.Store(false)
			s.n.await(t, failover.Healthy)
		},
		"a gap in the feed, and nobody reads": func(t *testing.T, s *scene) {
			s.front.keep(unfollowed)
			shorten(t, s.other, s.ids)
			for i := range 1000 { // more than the feed holds
				if _, err := s.other.Create(t.Context(), perdure.Data{UserID: fmt.Sprint("other", i)}); err != nil {
					t.Fatal(err)
				}
			}
			s.front.keep(nil)
			s.n.awaitHealth(t, func(h failover.Health) bool { return h.FeedGaps > 0 && h.MirrorWhole })
		},
	}
	for name, play := range scenes {
		t.Run(name, func(t *testing.T) {
			s := &scene{server: redistest.Start(t, redistest.Options{})}
			open := func() *redis.Backend {
				b, err := redis.Open(t.Context(), redis.Options{URL: s.server.URL(), NearCacheBytes: -1, FeedLength: 50})
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			own := open()
			t.Cleanup(func() { own.Close() })
			s.front = newToll(own)
			s.n = newNode(t, s.front, failover.Options{Mirror: failover.MirrorFull})
			other, err := perdure.New(open(), perdure.Options{SweepInterval: -1})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { other.Close() })
			s.other = other
			for range sessions {
				s.ids = append(s.ids, s.n.create(t, "u"))
			}
			play(t, s)
			if n := alive(t, s.other, s.ids); n > 0 {
				t.Errorf("%d of %d live again", n, sessions)
			}
		})
	}
}

// TestWhatLooksOverInAnOutage: a process has heard that a session was over and swept, and
// is cut off when another comes back that had put its expiry off. It does not know, and
// says so; a logout through it holds.
func TestWhatLooksOverInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, store := newShared(t), perdure.Options{SweepInterval: -1}
		n, away := startProcess(t, shared, failover.Options{}, store), startProcess(t, shared, failover.Options{}, store)
		id := n.create(t, "u")
		for _, p := range []*node{away, n} {
			p.want(t, true, id)
		}
		if _, err := n.Update(t.Context(), id, perdure.Patch{ExpiresAt: time.Now().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		away.cutOff(t)
		time.Sleep(time.Second)
		if _, err := away.Update(t.Context(), id, perdure.Patch{ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		sweep(t, n.Store)
		n.want(t, false, id) // as the front store says
		n.cutOff(t)
		away.cut.Store(false)
		away.await(t, failover.Healthy)
		away.want(t, true, id)
		n.wantUnknown(t, id)
		if _, err := n.Delete(t.Context(), id); err != nil {
			t.Error(err)
		}
		n.cut.Store(false)
		n.await(t, failover.Healthy)
		for _, p := range []*node{away, n} {
			p.want(t, false, id)
		}
	})
}
