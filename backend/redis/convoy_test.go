package redis

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// A load waits for callers who take turns, as many as the last one had, and for
// nobody else.
func TestALoadWaitsForThoseWhoCome(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // who yields lets the others run
	for _, test := range []struct{ last, coming, want int }{
		{last: 0, coming: 0, want: 1},
		{last: 5, coming: 4, want: 5},
		{last: 5, coming: 2, want: 3},
		{last: maxParcels, coming: 2 * maxParcels, want: maxParcels},
	} {
		c := &convoy{queue: make(chan *parcel, queueLength), linger: 200 * time.Millisecond}
		c.last.Store(int32(test.last))
		for range test.coming {
			go func() { c.queue <- &parcel{} }()
		}
		load := c.gather(nil, &parcel{})
		if len(load) != test.want || int(c.last.Load()) != test.want {
			t.Errorf("after a load of %d, with %d to come: a load of %d, want %d", test.last, test.coming, len(load), test.want)
		}
	}
}

// Who has left is not carried, and is not waited for.
func TestALoadLeavesOutWhoHasLeft(t *testing.T) {
	c := &convoy{queue: make(chan *parcel, queueLength)}
	gone, here := &parcel{}, &parcel{}
	gone.gone.Store(true)
	c.queue <- gone
	c.queue <- here
	if load := c.gather(nil, gone); len(load) != 1 || load[0] != here {
		t.Errorf("a load of %v", load)
	}
	done := make(chan []*parcel)
	go func() { done <- c.gather(nil, gone) }()
	select {
	case load := <-done:
		if len(load) != 0 {
			t.Errorf("a load of %v, of nobody", load)
		}
	case <-time.After(time.Minute):
		t.Error("a load of nobody waits")
	}
}

// Where others run long, a load waits for them once, and then no more for a while.
func TestALoadDoesNotWaitForABusyProcess(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	c := &convoy{queue: make(chan *parcel, queueLength), linger: linger}
	busy := func() (ran bool) {
		var done atomic.Bool
		c.last.Store(maxParcels)
		go func() {
			for began := time.Now(); time.Since(began) < 11*linger; {
			}
			done.Store(true)
		}()
		if load := c.gather(nil, &parcel{}); len(load) != 1 {
			t.Errorf("a load of %v", load)
		}
		return done.Load()
	}
	if !busy() {
		t.Error("the first load did not wait")
	}
	if got := c.haste.Load(); got != hasty {
		t.Fatalf("%d loads to come do without, not %d", got, hasty)
	}
	busy()
	if got := c.haste.Load(); got != hasty-1 {
		t.Errorf("the second load waited, too: %d loads to come do without", got)
	}
}
