package failover

import (
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

// TestWhatDidNotFitIsNotHeldAsItWas: a read that is late, of a session of which
// something newer did not fit, is not taken for how it is.
func TestWhatDidNotFitIsNotHeldAsItWas(t *testing.T) {
	options := Options{MaxMirrorBytes: 64 << 10, Now: time.Now, Mirror: MirrorSeen}
	clock := perdure.NewClock(nil)
	m, err := openMirror(&options, clock)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	now := clock.Now()
	older := perdure.Record{ID: perdure.NewID(0), Header: perdure.Header{
		Kind: perdure.KindSession, Version: clock.Tick(), Born: clock.Tick(), Expiry: now + 60_000, Horizon: now + 60_000, LastAccess: now,
	}}
	newer := older
	newer.Version, newer.Body = clock.Tick(older.Version), strings.Repeat("x", 100<<10)
	held := func() bool {
		r, err := m.Get(t.Context(), older.ID)
		return err == nil && r.Exists()
	}
	m.learn(&older, perdure.Version{})
	if !held() {
		t.Fatal("it is not held at all")
	}
	m.learn(&newer, older.Version)
	if m.learn(&older, perdure.Version{}); held() {
		t.Error("it is held as it was before")
	}
	smaller := newer
	smaller.Version, smaller.Body = clock.Tick(newer.Version), ""
	if m.learn(&smaller, perdure.Version{}); !held() {
		t.Error("what fits again is not held")
	}
}
