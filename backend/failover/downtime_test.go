package failover_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// twoOutages is a process that is killed in one outage and starts in the next, in the
// same directory.
type twoOutages struct {
	shared  perdure.Backend
	dir     string
	known   []string // logged out while the process was down
	touched []string // in the first outage; logged out then too
	minted  []string // in the first outage
}

// begin plays the first outage, to the end of the process. Killed, it leaves its
// directory as it is in the middle of it.
func begin(t *testing.T, killed bool) *twoOutages {
	t.Helper()
	s := &twoOutages{shared: newShared(t), dir: filepath.Join(t.TempDir(), "a")}
	first := newProcess(t, s.shared, failover.Options{Dir: s.dir})
	for range 20 {
		s.known, s.touched = append(s.known, first.create(t, "u")), append(s.touched, first.create(t, "u"))
	}
	first.cutOff(t)
	for _, id := range s.touched {
		if ok, err := first.Touch(t.Context(), id); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	for range 10 {
		s.minted = append(s.minted, first.create(t, "u"))
	}
	for !copied(t, filepath.Join(s.dir, "1", "mirror"), s.known[19]) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Hour + time.Second)
	synctest.Wait()
	if killed {
		life := filepath.Join(t.TempDir(), "b")
		if err := os.CopyFS(life, os.DirFS(s.dir)); err != nil {
			t.Fatal(err)
		}
		s.dir = life
	}
	if err := first.Store.Close(); err != nil {
		t.Fatal(err)
	}
	other := newProcess(t, s.shared, failover.Options{})
	for _, id := range append(s.known, s.touched...) {
		if ok, err := other.Delete(t.Context(), id); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	return s
}

// next is a life of the process that begins in an outage.
func (s *twoOutages) next(t *testing.T, options failover.Options) *node {
	t.Helper()
	n := &node{}
	options.Dir = s.dir
	options.Open = func(context.Context) (perdure.Backend, error) { return nil, errCut }
	n.openWith(t, options, perdure.Options{Now: options.Now})
	return n
}

// TestKilledInOneOutageAndStartedInTheNext: what a process kept on disk says nothing of
// what was done while it was not there.
func TestKilledInOneOutageAndStartedInTheNext(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %v", killed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := begin(t, killed)
				time.Sleep(2 * time.Hour)
				n := s.next(t, failover.Options{})
				if h := n.failover.Health(t.Context()); h.HeldBack < 30 {
					t.Errorf("%d are said to be held back", h.HeldBack)
				}
				for _, id := range [...]string{s.known[0], s.touched[0], s.minted[0]} {
					n.wantUnknown(t, id)
				}
				if ok, err := n.Delete(t.Context(), s.minted[9]); !ok || err != nil {
					t.Errorf("a logout: %v, %v", ok, err)
				}
				n.want(t, false, s.minted[9])
				fresh := n.create(t, "v")
				n.want(t, true, fresh)
				if err := n.Store.Close(); err != nil {
					t.Fatal(err)
				}

				// What was too old is so still after a restart that took no time, and
				// what was made meanwhile is not.
				again := s.next(t, failover.Options{})
				for _, id := range []string{s.known[1], s.touched[1], s.minted[1]} {
					again.wantUnknown(t, id)
				}
				again.want(t, true, fresh)
				again.want(t, false, s.minted[9])
				if err := again.Store.Close(); err != nil {
					t.Fatal(err)
				}

				last := newProcess(t, s.shared, failover.Options{Dir: s.dir})
				last.want(t, false, append(append(s.known, s.touched...), s.minted[9])...)
				last.want(t, true, append(s.minted[:9], fresh)...)
				for _, name := range []string{"alive", "stale", "mirror"} {
					if _, err := os.Stat(filepath.Join(s.dir, "1", name)); !errors.Is(err, os.ErrNotExist) {
						t.Errorf("%s is there when all is well: %v", name, err)
					}
				}
			})
		})
	}
}

// TestARestartThatTakesAMoment serves what there was: as far as is known Redis was away
// all the time.
func TestARestartThatTakesAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, true)
		time.Sleep(2 * time.Minute)
		n := s.next(t, failover.Options{})
		n.want(t, true, s.minted...)
		n.want(t, true, s.touched...)
	})
}

// TestAClockThatWentBack tells nothing of how long a process was down.
func TestAClockThatWentBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, true)
		n := s.next(t, failover.Options{Now: func() time.Time { return time.Now().Add(-3 * time.Hour) }})
		for _, id := range [...]string{s.known[0], s.touched[0], s.minted[0]} {
			n.wantUnknown(t, id)
		}
	})
}

// TestTakingOverWhatIsOld: another process's journal is as old as that is gone.
func TestTakingOverWhatIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, true)
		time.Sleep(2 * time.Hour)
		if err := os.Rename(filepath.Join(s.dir, "1"), filepath.Join(s.dir, "7")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			n := s.next(t, failover.Options{})
			for _, id := range []string{s.known[0], s.touched[0], s.minted[0]} {
				n.wantUnknown(t, id)
			}
			if err := n.Store.Close(); err != nil {
				t.Fatal(err)
			}
		}
		last := newProcess(t, s.shared, failover.Options{Dir: s.dir})
		last.want(t, false, append(s.known, s.touched...)...)
		last.want(t, true, s.minted...)
	})
}

// TestTheSecondOutageOfALife: who was ended elsewhere between two outages, before the
// journal of the first was merged, stays so in the second, and after a restart in it.
func TestTheSecondOutageOfALife(t *testing.T) {
	shared, dir := newToll(newShared(t)), t.TempDir()
	n, other := newNode(t, shared, failover.Options{Dir: dir}), newNode(t, shared.Backend, failover.Options{})
	id := n.create(t, "u")
	n.cut.Store(true)
	if ok, err := n.Touch(t.Context(), id); !ok || err != nil {
		t.Fatal(ok, err)
	}
	merging, release := make(chan struct{}, 1), make(chan struct{})
	var reads atomic.Int64 // of the feed, each after what the one before has brought is learnt
	shared.keep(func(_ context.Context, call string, _ ...string) error {
		switch call {
		case "changes":
			reads.Add(1)
		case "merge":
			select {
			case merging <- struct{}{}:
			default:
			}
			<-release
			return errCut
		}
		return nil
	})
	n.cut.Store(false)
	<-merging
	if ok, err := other.Delete(t.Context(), id); !ok || err != nil {
		t.Fatal(ok, err)
	}
	seen := reads.Load()
	n.awaitHealth(t, func(failover.Health) bool { return reads.Load() > seen+2 })
	n.cut.Store(true)
	close(release)
	n.await(t, failover.Degraded)
	n.want(t, false, id)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	again := reopenCut(t, dir)
	if r, err := again.Get(t.Context(), id); r.Kind == perdure.KindSession {
		t.Errorf("after the restart: %v, %v", r.Kind, err)
	}
}

// TestTheJournalHasWaited over a restart, and the start says what it has found.
func TestTheJournalHasWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "a")
		first := newProcess(t, newShared(t), failover.Options{Dir: dir})
		first.cutOff(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := first.Store.Close(); err != nil {
			t.Fatal(err)
		}
		next := &node{cut: &atomic.Bool{}}
		next.cut.Store(true)
		next.open(t, failover.Options{Dir: dir, Open: func(context.Context) (perdure.Backend, error) { return nil, errCut }})
		if h := next.failover.Health(t.Context()); h.JournalDepth == 0 || h.JournalOldest < 60_000 {
			t.Errorf("%d records have waited for %d ms", h.JournalDepth, h.JournalOldest)
		}
	})
}
