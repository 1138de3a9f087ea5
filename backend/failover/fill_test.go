package failover_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/local"
)

// server is a front store that can be restarted without its data.
type server struct {
	*local.Backend
	starts *atomic.Int64
}

func newServer(t *testing.T) server {
	t.Helper()
	return server{newShared(t).(*local.Backend), &atomic.Int64{}}
}

func (s server) Incarnation(context.Context) (string, error) {
	return fmt.Sprint(s.starts.Load()), nil
}

func (s server) Connections() uint64 { return uint64(s.starts.Load()) + 1 }

func (server) Close() error { return nil }

// restartEmpty is a restart that loses everything.
func (s server) restartEmpty(t *testing.T) {
	t.Helper()
	for {
		page, err := s.Scan(t.Context(), perdure.ScanQuery{Dead: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Records) == 0 {
			break
		}
		if err := s.Forget(t.Context(), page.Records); err != nil {
			t.Fatal(err)
		}
	}
	s.starts.Add(1)
}

// open is a process on the server, at default settings but for those given.
func (s server) open(t *testing.T, options failover.Options) *node {
	t.Helper()
	n := &node{}
	options.Open = func(context.Context) (perdure.Backend, error) { return s, nil }
	n.open(t, options)
	return n
}

// TestAnEmptyServerThatTakesAMinuteToFill: for as long as one process fills it, no
// other takes a session for unknown that is still to come, whether it started before or
// meanwhile, and nobody who is logged out comes.
func TestAnEmptyServerThatTakesAMinuteToFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions = 400
		s := newServer(t)
		ids := fill(t, s, "ada", sessions)
		full := s.open(t, failover.Options{Mirror: failover.MirrorFull, RecoveryRate: sessions / 60})
		other := s.open(t, failover.Options{Mirror: failover.MirrorSeen})
		full.awaitWhole(t)
		s.restartEmpty(t)
		wrong, ended, refused := 0, map[string]bool{}, 0
		ask := func(n *node, id string) {
			if _, err := n.Get(t.Context(), id); errors.Is(err, perdure.ErrNotFound) && !ended[id] {
				wrong++
			}
		}
		nodes := []*node{other}
		began := time.Now()
		for second := range 58 {
			time.Sleep(time.Until(began.Add(time.Duration(second+1) * time.Second)))
			if second == 12 {
				nodes = append(nodes, s.open(t, failover.Options{}))
			}
			for i, n := range nodes {
				for j := range 5 {
					ask(n, ids[(second*7+i*3+j*61)%sessions])
				}
				out := ids[(second*13+i*200)%sessions]
				if ok, err := n.Delete(t.Context(), out); err != nil || !ok && !ended[out] {
					refused++
				}
				ended[out] = true
			}
		}
		if wrong > 0 || refused > 0 {
			t.Errorf("%d times a session that was to come was not found, and %d of %d logouts did nothing", wrong, refused, len(ended))
		}
		full.await(t, failover.Healthy)
		time.Sleep(time.Minute)
		back := 0
		for _, n := range append(nodes, full) {
			for _, id := range ids {
				_, err := n.Get(t.Context(), id)
				if err == nil && ended[id] {
					back++
				}
				if err != nil && !ended[id] {
					t.Fatalf("%s is lost: %v", id, err)
				}
			}
			if _, err := n.Get(t.Context(), perdure.NewID(3)); !errors.Is(err, perdure.ErrNotFound) {
				t.Errorf("a minute after all is back, of an id that nobody has: %v", err)
			}
		}
		if back > 0 {
			t.Errorf("%d answers were of somebody who was logged out", back)
		}
	})
}

// TestARestartThatHasLostNothing: whoever gave back all that there was to give back says
// so, and a few seconds later lists are whole and unknown ids are not found again, also
// at a process that holds little.
func TestARestartThatHasLostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		ids := fill(t, s, "ada", 50)
		full := s.open(t, failover.Options{Mirror: failover.MirrorFull})
		seen := s.open(t, failover.Options{Mirror: failover.MirrorSeen})
		full.awaitWhole(t)
		seen.want(t, true, ids[:5]...)
		s.starts.Add(1)
		seen.want(t, true, ids[0])
		time.Sleep(7 * time.Second) // to be noticed, to ask all, and to be sure that all others have
		for _, n := range []*node{full, seen} {
			if page, err := n.List(t.Context(), perdure.ListQuery{UserID: "ada"}); err != nil || len(page.Sessions) != 50 {
				t.Errorf("a list has %d sessions, %v", len(page.Sessions), err)
			}
			if _, err := n.Get(t.Context(), perdure.NewID(3)); !errors.Is(err, perdure.ErrNotFound) {
				t.Errorf("an id that nobody has: %v", err)
			}
		}
	})
}

// TestAGapInTheFeedIsNoLoss: a process that reads the feed too slowly for a storm of
// writes makes up for it, and doubts nothing meanwhile.
func TestAGapInTheFeedIsNoLoss(t *testing.T) {
	shared, err := local.Open(local.Options{FeedLength: 50})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shared.Close() })
	front := newToll(shared)
	n := newNode(t, front, failover.Options{})
	n.awaitWhole(t)
	before := n.failover.Health(t.Context())
	front.keep(unfollowed)
	ids := fill(t, shared, "ada", 500)
	front.keep(nil)
	n.awaitHealth(t, func(h failover.Health) bool { return h.FeedGaps > 0 })
	n.want(t, false, perdure.NewID(3))
	n.awaitHealth(t, func(h failover.Health) bool { return h.MirrorWhole && h.MirrorRecords == 500 })
	if h := n.failover.Health(t.Context()); h.Transitions != before.Transitions || h.Lost > 0 {
		t.Errorf("the gap was taken for a loss: %+v", h)
	}
	n.cut.Store(true)
	n.want(t, true, ids...)
}

// TestAListOfAllInARecovery has what still waits in the journal, and none that was
// ended.
func TestAListOfAllInARecovery(t *testing.T) {
	front := newToll(newShared(t))
	ids := fill(t, front.Backend, "ada", 30)
	n := newNode(t, front, failover.Options{})
	n.awaitWhole(t)
	n.cut.Store(true)
	for range 40 {
		ids = append(ids, n.create(t, "bob"))
	}
	n.set(t, ids[0], "a")
	for _, id := range []string{ids[1], ids[31]} {
		if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	want := append([]string{ids[0]}, append(ids[2:31:31], ids[32:]...)...)
	release := make(chan struct{})
	front.keep(func(ctx context.Context, call string, _ ...string) error {
		if call != "merge" {
			return nil
		}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	n.cut.Store(false)
	n.await(t, failover.Recovering)
	for _, size := range []int{9, 1000} {
		got, err := listed(t, n, perdure.ListQuery{PageSize: size})
		if err != nil {
			t.Fatal(err)
		}
		wantSameIDs(t, "while the journal is merged", got, want)
	}
	page, err := n.List(t.Context(), perdure.ListQuery{PageSize: 9})
	if err != nil {
		t.Fatal(err)
	}
	close(release)
	n.await(t, failover.Healthy)
	got := map[string]bool{}
	for {
		for _, s := range page.Sessions {
			got[s.ID] = true
		}
		if page.NextPageToken == "" {
			break
		}
		if page, err = n.List(t.Context(), perdure.ListQuery{PageSize: 9, PageToken: page.NextPageToken}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range want {
		if !got[id] {
			t.Errorf("a list that was begun in the recovery lacks %s", id)
		}
	}
}
