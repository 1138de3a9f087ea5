package failover_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
)

// line is a cable to a server that can be restarted without its data.
type line struct {
	cable
	server server
}

func (l line) Incarnation(ctx context.Context) (string, error) {
	if err := l.err(); err != nil {
		return "", err
	}
	return l.server.Incarnation(ctx)
}

// Changes waits for as long as it is asked to.
func (l line) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	if err := l.err(); err != nil {
		return perdure.ChangeBatch{}, err
	}
	return l.server.Changes(ctx, after, limit, wait)
}

func (l line) Connections() uint64 { return l.server.Connections() }

// connect is a process on the server that can be cut off.
func (s server) connect(t *testing.T, options failover.Options) *node {
	t.Helper()
	n := &node{cut: &atomic.Bool{}}
	options.OutageIDAge = young
	options.Open = func(context.Context) (perdure.Backend, error) {
		l := line{cable{s, n.cut}, s}
		return l, l.err()
	}
	n.open(t, options)
	return n
}

// young is how long sessions live in these tests, so that stores age soon.
const young = 20 * time.Minute

// TestALogoutOfWhatTheStoreHasLost: a logout of a session that the store has lost holds
// when a process that was cut off brings the session back, however long after the loss
// either is: nobody else knows of it.
func TestALogoutOfWhatTheStoreHasLost(t *testing.T) {
	empty := func(t *testing.T, s server, _ []string) { s.restartEmpty(t) }
	losses := map[string]func(t *testing.T, s server, ids []string){
		"empty": empty,
		"older": func(t *testing.T, s server, ids []string) {
			forget(t, s.Backend, ids...)
			s.starts.Add(1)
		},
		"flushed": func(t *testing.T, s server, ids []string) {
			s.restartEmpty(t)
			s.starts.Add(-1)
		},
	}
	for name, lose := range losses {
		for _, known := range []bool{false, true} {
			t.Run(map[bool]string{false: "new ", true: "seen "}[known]+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer(t)
					a := s.connect(t, failover.Options{})
					var other *node
					if known {
						other = s.connect(t, failover.Options{Mirror: failover.MirrorSeen})
					}
					a.awaitWhole(t)
					time.Sleep(2 * young)
					out, kept := a.create(t, "u"), a.create(t, "u")
					a.cut.Store(true)
					a.want(t, true, out)
					lose(t, s, []string{out, kept})
					if !known {
						other = s.connect(t, failover.Options{})
					}
					time.Sleep(young / 2)
					if _, err := other.Delete(t.Context(), out); err != nil {
						t.Fatal(err)
					}
					a.cut.Store(false)
					time.Sleep(time.Minute)
					for _, n := range []*node{a, other} {
						n.want(t, false, out)
						n.want(t, true, kept)
					}
				})
			})
		}
	}
}

// TestALogoutOfWhatADiskStillHolds: the process that holds it is killed in the outage and
// comes back after longer than what it may serve.
func TestALogoutOfWhatADiskStillHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dir := newServer(t), t.TempDir()
		a := s.connect(t, failover.Options{Dir: dir})
		out, kept := a.create(t, "u"), a.create(t, "u")
		a.awaitWhole(t)
		a.cut.Store(true)
		a.create(t, "u")
		time.Sleep(10 * time.Second)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		s.restartEmpty(t)
		other := s.connect(t, failover.Options{})
		time.Sleep(young / 2)
		if _, err := other.Delete(t.Context(), out); err != nil {
			t.Fatal(err)
		}
		a = s.connect(t, failover.Options{Dir: dir})
		time.Sleep(time.Minute)
		for _, n := range []*node{a, other} {
			n.want(t, false, out)
			n.want(t, true, kept)
		}
	})
}

// TestLogoutsOfUnknownIDs: while somebody may still bring what the store has lost, each
// leaves a tombstone, all of which are gone when that time is over; then none does.
func TestLogoutsOfUnknownIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		n := s.connect(t, failover.Options{})
		n.await(t, failover.Healthy)
		dead := func() int {
			page, err := s.Scan(t.Context(), perdure.ScanQuery{Dead: true, Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			return len(page.Records)
		}
		storm := func() {
			for range 20 {
				if ok, err := n.Delete(t.Context(), perdure.NewID(3)); ok || err != nil {
					t.Fatal(ok, err)
				}
			}
		}
		none := dead()
		storm()
		if got := dead() - none; got != 20 {
			t.Errorf("20 logouts in a young store left %d tombstones", got)
		}
		for range 3 {
			time.Sleep(young / 2)
			if _, err := n.DeleteExpired(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		storm()
		if got := dead() - none; got != 0 {
			t.Errorf("after its youth %d tombstones are left", got)
		}
		page, err := n.List(t.Context(), perdure.ListQuery{})
		stats, failed := n.Stats(t.Context())
		if err = errors.Join(err, failed); err != nil || len(page.Sessions) > 0 || stats.Sessions+stats.Tombstones != 0 {
			t.Errorf("of an empty store: %d listed, %+v, %v", len(page.Sessions), stats, err)
		}
	})
}

// TestALogoutOfWhatRedisHasLost is that of TestALogoutOfWhatTheStoreHasLost with a real
// server, which is killed and keeps nothing.
func TestALogoutOfWhatRedisHasLost(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	connect := func() *node {
		n := &node{cut: &atomic.Bool{}}
		n.open(t, failover.Options{RetryDelay: 10 * time.Millisecond, ProbeTimeout: time.Minute, Open: func(ctx context.Context) (perdure.Backend, error) {
			front, err := redis.Open(ctx, redis.Options{URL: server.URL()})
			if err != nil {
				return nil, err
			}
			return severed{cable{front, n.cut}, front}, nil
		}})
		n.await(t, failover.Healthy)
		return n
	}
	a := connect()
	out, kept := a.create(t, "u"), a.create(t, "u")
	a.awaitWhole(t)
	a.cut.Store(true)
	a.await(t, failover.Degraded)
	if err := errors.Join(server.Kill(), server.Restart(t.Context())); err != nil {
		t.Fatal(err)
	}
	other := connect()
	if _, err := other.Delete(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	a.cut.Store(false)
	a.await(t, failover.Healthy)
	for _, n := range []*node{a, other} {
		n.want(t, false, out)
		n.want(t, true, kept)
	}
}

// severed is Redis behind a cable, which says which history it has.
type severed struct {
	cable
	failover.Incarnated
}

func (s severed) Close() error { return s.Backend.Close() }
