package failover

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestPace: it follows the server, up to the rate, and makes up for nothing.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(1000)
		step := func(took time.Duration, n int) (whole time.Duration) {
			began := time.Now()
			time.Sleep(took)
			if err := p.rest(t.Context(), began, time.Now(), n); err != nil {
				t.Fatal(err)
			}
			return time.Since(began)
		}
		for _, c := range []struct {
			took time.Duration
			n    int
			want time.Duration
		}{
			{took: 40 * time.Millisecond, n: 5, want: 60 * time.Millisecond},                       // a slow server, it seems
			{took: 10 * time.Millisecond, n: 5, want: 15 * time.Millisecond},                       // it was busy,
			{took: 40 * time.Millisecond, n: 5, want: 45 * time.Millisecond},                       // as it is again
			{took: time.Millisecond, n: 50, want: 50 * time.Millisecond},                           // a fast one
			{took: 600 * time.Millisecond, n: 5, want: 600*time.Millisecond + 50*time.Microsecond}, // one that hangs,
			{took: time.Millisecond, n: 50, want: 50 * time.Millisecond},                           // and is back
		} {
			if whole := step(c.took, c.n); whole != c.want {
				t.Errorf("a step of %d that took %v: the next was allowed after %v, not %v", c.n, c.took, whole, c.want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.rest(ctx, time.Now(), time.Now(), 1000); !errors.Is(err, context.Canceled) {
			t.Errorf("a rest that is over: %v", err)
		}
	})
}
