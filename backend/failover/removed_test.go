package failover_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
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
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
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
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
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
