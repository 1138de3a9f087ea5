package backendtest

import (
	"sync"
	"time"
)

// wall is the clock on the wall: this machine's, or, for a backend that takes
// one, a clock that only moves when it is told to.
type wall struct {
	mu  sync.Mutex
	set time.Time // zero: time.Now
}

func newWall(own bool) *wall {
	if !own {
		return &wall{}
	}
	return &wall{set: time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)}
}

func (w *wall) read() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set.IsZero() {
		return time.Now()
	}
	return w.set
}

// step moves a clock of the kit's own, back too.
func (w *wall) step(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set = w.set.Add(d)
}
