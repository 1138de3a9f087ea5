package redis

import (
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// TestACallerWhoseClockIsAheadSweepsNobody: what is due says the server's clock.
func TestACallerWhoseClockIsAheadSweepsNobody(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	const sessions = 50
	var ids []string
	for range sessions {
		s := session("u")
		s.Idle = 30_000
		if err := put(t.Context(), b, s); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.ID)
	}
	for _, ahead := range []perdure.Millis{40_000, 2 * 3600_000, 40 * 86_400_000} {
		for more := true; more; {
			var err error
			if _, more, err = b.Sweep(t.Context(), now()+ahead, 20); err != nil {
				t.Fatal(err)
			}
		}
		records, err := b.Load(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		gone := 0
		for _, r := range records {
			if r.Kind != perdure.KindSession {
				gone++
			}
		}
		if gone > 0 {
			t.Fatalf("%d ms ahead: %d of %d sessions in use are swept", ahead, gone, sessions)
		}
	}
}
