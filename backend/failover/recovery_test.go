//go:build unix

package failover_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// alone runs the test in a process of its own, and returns true in that.
func alone(t *testing.T) bool {
	t.Helper()
	const child = "FAILOVER_TEST_ALONE"
	if os.Getenv(child) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), child+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// fillDisk has no file of this process take a write, until the function that it
// returns is called.
func fillDisk(t *testing.T) (clear func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	clear = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(clear)
	return clear
}

// TestARecoveryOnAFullDisk serves what is merged, once, and ends when the journal
// has taken note of that.
func TestARecoveryOnAFullDisk(t *testing.T) {
	if !alone(t) {
		return
	}
	shared := newToll(newShared(t))
	var states atomic.Int64
	n := newNode(t, shared, failover.Options{Dir: t.TempDir(), Notify: func(failover.Transition) { states.Add(1) }})
	n.cut.Store(true)
	read, written, out := n.create(t, "u"), n.create(t, "u"), n.create(t, "u")
	clear := fillDisk(t)
	probes := make(chan struct{}, 1000)
	shared.keep(func(_ context.Context, call string, _ ...string) error {
		if call == "ping" {
			probes <- struct{}{}
		}
		return nil
	})
	states.Store(0)
	n.cut.Store(false)
	n.awaitHealth(t, func(h failover.Health) bool { return h.State == failover.Recovering && h.JournalDepth == 0 })
	n.want(t, true, read, written, out)
	if err := writes(n, written); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a write that a crash would undo: %v", err)
	}
	if err := ends(n, out); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a logout that a crash would undo: %v", err)
	}
	other := n.create(t, "v")
	if err := ends(n, other); err != nil {
		t.Errorf("a logout of who is not in the journal: %v", err)
	}
	for range 10 {
		<-probes // it is tried again and again
	}
	if h := n.failover.Health(t.Context()); h.State != failover.Recovering || h.Replayed != 4 || states.Load() != 1 {
		t.Errorf("after %d changes of state: %+v", states.Load(), h)
	}
	shared.keep(nil)
	clear()
	n.await(t, failover.Healthy)
	if err := ends(n, out); err != nil {
		t.Error(err)
	}
	n.want(t, true, read, written)
	n.want(t, false, out)
}

// TestTheDiskHasRoomAgain: writes are known to be taken again before there is one.
func TestTheDiskHasRoomAgain(t *testing.T) {
	if !alone(t) {
		return
	}
	n := newNode(t, newShared(t), failover.Options{Dir: t.TempDir()})
	n.cut.Store(true)
	n.create(t, "u")
	clear := fillDisk(t)
	if _, err := n.Create(t.Context(), perdure.Data{UserID: "u"}); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a write to a full disk: %v", err)
	}
	n.await(t, failover.ReadOnly)
	clear()
	n.await(t, failover.Degraded)
	n.create(t, "u")
}

// TestWhatIsMergedIsNotComparedToo: a front store that may have lost data has what
// it has just been given.
func TestWhatIsMergedIsNotComparedToo(t *testing.T) {
	shared := newToll(newShared(t))
	shared.keep(func(_ context.Context, call string, _ ...string) error {
		if call == "ping" || call == "changes" {
			return errCut
		}
		return nil
	})
	n := startNode(t, shared, failover.Options{})
	journalled := n.create(t, "u")
	var compared atomic.Bool
	shared.keep(func(ctx context.Context, call string, ids ...string) error {
		if call == "load" && slices.Contains(ids, journalled) {
			compared.Store(true)
		}
		return unfollowed(ctx, call)
	})
	n.await(t, failover.Healthy)
	if compared.Load() {
		t.Error("it was read again")
	}
	n.want(t, true, journalled)
}

// TestALogoutInARecoveryOutlivesACrash: what was merged, and then ended through the
// front store, is not served from the journal after a restart without it.
func TestALogoutInARecoveryOutlivesACrash(t *testing.T) {
	shared, dir := newShared(t), t.TempDir()
	options := failover.Options{Dir: dir, RecoveryRate: 1} // it rests once all is merged
	n := newNode(t, shared, options)
	n.cut.Store(true)
	out, kept := n.create(t, "u"), n.create(t, "u")
	n.cut.Store(false)
	n.awaitHealth(t, func(h failover.Health) bool { return h.Replayed == 3 }) // with the end of the first one's other id
	if err := ends(n, out); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "1", "perdure.db"))
	if err != nil {
		t.Fatal(err)
	}
	crashed := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(crashed, "1"), 0o700), os.WriteFile(filepath.Join(crashed, "1", "perdure.db"), data, 0o600)); err != nil {
		t.Fatal(err)
	}
	away, err := failover.Open(t.Context(), failover.Options{
		Open: func(context.Context) (perdure.Backend, error) { return nil, errCut }, Dir: crashed, RetryDelay: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { away.Close() })
	if r, err := away.Get(t.Context(), out); err == nil && r.Kind == perdure.KindSession {
		t.Error("who was logged out is back")
	}
	n.want(t, true, kept)
}
