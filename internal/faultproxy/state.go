package faultproxy

import (
	"sync"
	"time"
)

// faults are those in force, and those that wait for a reply.
type faults struct {
	mu      sync.Mutex
	state   state
	changed chan struct{} // closed, and replaced, when the state changes
	shots   []shot
}

// state is the faults that last.
type state struct {
	hole    Direction
	latency time.Duration
	rate    int // bytes a second; zero for no limit
}

// shot is a fault on one reply.
type shot struct {
	cut   bool
	after int    // bytes of the reply before the cut
	reply []byte // sent instead, where it is no cut
}

func newFaults() *faults {
	return &faults{changed: make(chan struct{})}
}

// now returns the faults in force and a channel that is closed when they
// change.
func (f *faults) now() (state, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state, f.changed
}

func (f *faults) set(change func(*state)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.state)
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *faults) arm(s shot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shots = append(f.shots, s)
}

func (f *faults) armed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.shots)
}

// claim takes the fault on the reply that begins now, if there is one.
func (f *faults) claim() (shot, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.shots) == 0 {
		return shot{}, false
	}
	s := f.shots[0]
	f.shots = f.shots[1:]
	return s, true
}

func (f *faults) clear() {
	f.mu.Lock()
	f.shots = nil
	f.mu.Unlock()
	f.set(func(s *state) { *s = state{} })
}
