package failover_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// TestAFullJournalIsNotReady: once an outage has filled the journal no login is taken,
// and that shows; with some logouts it does not change, and it ends with the outage.
func TestAFullJournalIsNotReady(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "file": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, newShared(t), failover.Options{Dir: dir, MaxJournalBytes: 256 << 10})
			n.cut.Store(true)
			var ids []string
			var err error
			for err == nil {
				var s perdure.Session
				if s, err = n.Create(t.Context(), perdure.Data{UserID: fmt.Sprint("u", len(ids)), Metadata: map[string]any{"pad": strings.Repeat("x", 2000)}}); err == nil {
					ids = append(ids, s.ID)
				}
			}
			if !errors.Is(err, perdure.ErrFull) {
				t.Fatal(err)
			}
			full := func(when string) {
				t.Helper()
				if err := n.Ping(t.Context()); !errors.Is(err, perdure.ErrFull) {
					t.Errorf("%s: whether it is ready: %v", when, err)
				}
				if h := n.failover.Health(t.Context()); h.State != failover.Degraded || !strings.Contains(h.JournalError, "in use") {
					t.Errorf("%s: health is %s, journal %q", when, h.State, h.JournalError)
				}
			}
			full("full")
			for _, id := range ids[:3] {
				if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
			full("after some logouts")
			n.cut.Store(false)
			n.await(t, failover.Healthy)
			if h := n.failover.Health(t.Context()); h.JournalError != "" || n.Ping(t.Context()) != nil {
				t.Errorf("the outage is over: %+v", h)
			}
		})
	}
}

// TestAnOldJournalIsNotReady: it takes no logins any more either.
func TestAnOldJournalIsNotReady(t *testing.T) {
	n := newNode(t, newShared(t), failover.Options{MaxJournalAge: time.Millisecond})
	n.cut.Store(true)
	n.create(t, "u")
	n.awaitHealth(t, func(h failover.Health) bool { return strings.Contains(h.JournalError, "oldest entry") })
	if err := n.Ping(t.Context()); !errors.Is(err, perdure.ErrUnavailable) {
		t.Error(err)
	}
}
