package failover_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/local"
)

// TestTheSecondOutage: what was ended between two outages stays ended although
// the process is restarted in the second, from the copy made in the first.
func TestTheSecondOutage(t *testing.T) {
	shared, dir := newToll(newShared(t)), t.TempDir()
	n := newNode(t, shared, failover.Options{Dir: dir})
	id := n.create(t, "u")
	n.cut.Store(true)
	n.create(t, "u")
	for deadline := time.Now().Add(time.Minute); !copied(t, filepath.Join(dir, "1", "mirror"), id); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no copy is made")
		}
	}
	merging, release := make(chan struct{}, 1), make(chan struct{})
	shared.keep(func(_ context.Context, call string, _ ...string) error {
		if call == "merge" {
			merging <- struct{}{}
			<-release
			return errCut
		}
		return nil
	})
	n.cut.Store(false)
	<-merging
	if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
		t.Fatal(ok, err)
	}
	n.cut.Store(true)
	close(release)
	n.await(t, failover.Degraded)
	n.want(t, false, id)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	again := reopenCut(t, dir)
	if r, err := again.Get(t.Context(), id); r.Kind == perdure.KindSession {
		t.Errorf("after the restart: kind %d, %v", r.Kind, err)
	}
}

// TestARestartInARecovery: the copy of before it gives back what the front store
// has lost, and brings back nobody who was logged out since.
func TestARestartInARecovery(t *testing.T) {
	shared, dir := newToll(newShared(t)), t.TempDir()
	n := newNode(t, shared, failover.Options{Dir: dir})
	kept, out := n.create(t, "u"), n.create(t, "u")
	n.cut.Store(true)
	n.create(t, "u")
	for deadline := time.Now().Add(time.Minute); !copied(t, filepath.Join(dir, "1", "mirror"), out); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no copy is made")
		}
	}
	merging := make(chan struct{}, 1)
	shared.keep(func(ctx context.Context, call string, _ ...string) error {
		if call == "merge" {
			merging <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	forget(t, shared.Backend, kept)
	n.cut.Store(false)
	<-merging
	if ok, err := n.Delete(t.Context(), out); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	shared.keep(nil)
	blind, err := failover.Open(t.Context(), failover.Options{
		Dir: dir, Open: func(context.Context) (perdure.Backend, error) { return nil, errCut },
	})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := blind.Get(t.Context(), out); r.Kind == perdure.KindSession {
		t.Errorf("who was logged out in the recovery is served: %v", err)
	}
	if err := blind.Close(); err != nil {
		t.Fatal(err)
	}
	again := newNode(t, shared, failover.Options{Dir: dir})
	again.want(t, true, kept)
	again.want(t, false, out)
}

// copied reports whether a copy of the mirror is complete and has the session.
func copied(t *testing.T, dir, id string) bool {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "perdure.db")); err != nil {
		return false
	}
	store, err := local.Open(local.Options{Dir: dir, LockWait: -1})
	if err != nil {
		return false
	}
	defer store.Close()
	r, err := store.Get(t.Context(), id)
	return err == nil && r.Exists()
}

// TestAKillWhileEndsAreMerged: who was logged out in the outage, and is known to be
// by the front store alone since, is not brought back by the copy.
func TestAKillWhileEndsAreMerged(t *testing.T) {
	shared, dir := newShared(t), t.TempDir()
	n := newNode(t, shared, failover.Options{Dir: dir, RecoveryRate: 1})
	var ids []string
	for range 60 { // for a minute of recovery
		ids = append(ids, n.create(t, "u"))
	}
	n.cut.Store(true)
	n.create(t, "u")
	for deadline := time.Now().Add(time.Minute); !copied(t, filepath.Join(dir, "1", "mirror"), ids[0]); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no copy is made")
		}
	}
	for _, id := range ids {
		if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	n.cut.Store(false)
	n.awaitHealth(t, func(h failover.Health) bool { return h.JournalDepth == 1 })
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	again := reopenCut(t, dir)
	for _, id := range ids {
		if r, err := again.Get(t.Context(), id); r.Kind == perdure.KindSession {
			t.Fatalf("%s is back: %v", id, err)
		}
	}
}

// reopenCut is a process's next life in its directory, without the front store.
func reopenCut(t *testing.T, dir string) *failover.Backend {
	t.Helper()
	b, err := failover.Open(t.Context(), failover.Options{
		Dir: dir, Open: func(context.Context) (perdure.Backend, error) { return nil, errCut },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}
