//go:build unix

package failover_test

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// keepFilesShort has no file of this process grow past a size, as a full disk does.
func keepFilesShort(t *testing.T, size int64) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(size), Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Error(err)
		}
	})
}

// TestTheDiskIsFullInAnOutage: logins are refused and logouts are taken; the state is
// read-only for as long as that is so, since the outage began.
func TestTheDiskIsFullInAnOutage(t *testing.T) {
	if !alone(t) {
		return
	}
	dir := t.TempDir()
	n := newNode(t, newShared(t), failover.Options{Dir: dir, RetryDelay: time.Hour}) // no ping of the journal
	var known []string
	for range 20 {
		known = append(known, n.create(t, "u"))
	}
	info, err := os.Stat(filepath.Join(dir, "1", "perdure.db"))
	if err != nil {
		t.Fatal(err)
	}
	keepFilesShort(t, info.Size())
	n.cut.Store(true)
	for err == nil {
		_, err = n.Create(t.Context(), perdure.Data{UserID: "v"})
	}
	if !errors.Is(err, perdure.ErrUnavailable) {
		t.Fatal(err)
	}
	n.await(t, failover.ReadOnly)
	before := n.failover.Health(t.Context())
	for _, id := range known {
		if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
			t.Fatalf("a logout: %v, %v", ok, err)
		}
		if h := n.failover.Health(t.Context()); h.State != failover.ReadOnly || h.Since != before.Since {
			t.Fatalf("after a logout: %+v", h)
		}
	}
	if err := n.Ping(t.Context()); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a ping: %v", err)
	}
}

// TestAStartOnAFullDisk serves the front store as ever. There is no journal until there
// is room for one: health says so, and an outage is read-only until then.
func TestAStartOnAFullDisk(t *testing.T) {
	if !alone(t) {
		return
	}
	dir := filepath.Join(t.TempDir(), "failover")
	clear := fillDisk(t)
	n := newNode(t, newShared(t), failover.Options{Dir: dir})
	known := n.create(t, "u")
	if h := n.failover.Health(t.Context()); h.State != failover.Healthy || h.JournalDurable || h.JournalError == "" {
		t.Errorf("%+v", h)
	}
	n.cut.Store(true)
	if _, err := n.Create(t.Context(), perdure.Data{UserID: "u"}); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a login: %v", err)
	}
	n.await(t, failover.ReadOnly)
	n.want(t, true, known)
	clear()
	n.await(t, failover.Degraded)
	id := n.create(t, "u")
	next := newNode(t, newShared(t), failover.Options{Dir: crashed(t, dir)})
	next.want(t, true, id)
	n.cut.Store(false)
	n.awaitHealth(t, func(h failover.Health) bool {
		return h.State == failover.Healthy && h.JournalDurable && h.JournalError == ""
	})
	n.want(t, true, known, id)
}
