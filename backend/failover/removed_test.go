package failover_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/local"
)

// TestTheJournalIsRemoved while the process runs: what is acknowledged in an outage
// is in a file that the next start finds.
func TestTheJournalIsRemoved(t *testing.T) {
	for name, during := range map[string]bool{"before the outage": false, "in the outage": true} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "failover")
			n := newNode(t, newShared(t), failover.Options{Dir: dir})
			if during {
				n.cut.Store(true)
				n.create(t, "u")
			}
			repeatedly(t, func() error { return os.RemoveAll(dir) })
			n.cut.Store(true)
			id := n.create(t, "u")
			if h := n.failover.Health(t.Context()); !h.JournalDurable {
				t.Errorf("%+v", h)
			}
			shared := newShared(t)
			next := newNode(t, shared, failover.Options{Dir: crashed(t, dir)}) // as after a crash
			next.want(t, true, id)
		})
	}
}

// TestTheDirectoryIsRemovedInAnOutage: a process that is killed some time after that, and
// started again in the outage, serves what it did before.
func TestTheDirectoryIsRemovedInAnOutage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "failover")
	n := newNode(t, newShared(t), failover.Options{Dir: dir, Mirror: failover.MirrorFull, Store: "a store"})
	before, ended := n.create(t, "u"), n.create(t, "u")
	n.awaitHealth(t, func(h failover.Health) bool { return h.MirrorWhole && h.MirrorRecords >= 2 })
	n.cut.Store(true)
	n.await(t, failover.Degraded)
	during := n.create(t, "u")
	if ok, err := n.Delete(t.Context(), ended); !ok || err != nil {
		t.Fatal(ok, err)
	}
	repeatedly(t, func() error { return os.RemoveAll(dir) })
	for _, name := range []string{"perdure.db", "alive", "store", "mirror/perdure.db"} { // nobody writes
		awaitFile(t, filepath.Join(dir, "1", name))
	}
	for !settled(t, dir) {
		time.Sleep(time.Millisecond)
	}
	next := &node{}
	next.open(t, failover.Options{Dir: crashed(t, dir), Store: "a store", Open: func(context.Context) (perdure.Backend, error) { return nil, errCut }})
	next.want(t, true, before, during)
	next.want(t, false, ended)
}

// settled reports whether the copy of the mirror is complete and the sign of life says
// that what is on disk can be served.
func settled(t *testing.T, dir string) bool {
	t.Helper()
	sign, err := os.ReadFile(filepath.Join(dir, "1", "alive"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat(filepath.Join(dir, "1", "mirror", "outdated"))
	copies, failed := local.Open(local.Options{Dir: filepath.Join(dir, "1", "mirror")})
	if failed != nil {
		return false // it is being written
	}
	defer copies.Close()
	stats, failed := copies.Stats(t.Context())
	return failed == nil && stats.Sessions > 0 && errors.Is(err, os.ErrNotExist) && strings.Contains(string(sign), `"cut":true`)
}

func awaitFile(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("there is no %s", path)
		}
	}
}

// crashed is a copy of a directory, as it is now.
func crashed(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestTheJournalCannotBeMadeAnew: nothing is acknowledged, and health says so, while
// all is well too.
func TestTheJournalCannotBeMadeAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "failover")
	n := newNode(t, newShared(t), failover.Options{Dir: dir})
	known := n.create(t, "u")
	repeatedly(t, func() error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) })
	n.awaitHealth(t, func(h failover.Health) bool { return h.State == failover.Healthy && !h.JournalDurable })
	n.cut.Store(true)
	if _, err := n.Create(t.Context(), perdure.Data{UserID: "u"}); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a login: %v", err)
	}
	n.await(t, failover.ReadOnly)
	if reason := n.failover.Health(t.Context()).Reason; !strings.Contains(reason, "the journal takes no writes: ") {
		t.Errorf("read-only is explained by %q", reason)
	}
	n.want(t, true, known)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	n.await(t, failover.Degraded)
	n.create(t, "u")
	n.cut.Store(false)
	n.awaitHealth(t, func(h failover.Health) bool { return h.State == failover.Healthy && h.JournalDurable })
}

// repeatedly does what may fail while the process makes files in the same place.
func repeatedly(t *testing.T, do func() error) {
	t.Helper()
	err := do()
	for range 10_000 {
		if err == nil {
			return
		}
		err = do()
	}
	t.Fatal(err)
}
