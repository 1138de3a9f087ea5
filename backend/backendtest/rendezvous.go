package backendtest

import (
	"context"
	"sync"

	"github.com/perdure/perdure"
)

// rendezvous is a Backend on which n readers wait for one another: all have read
// before any of them goes on to write, so that each but one is late.
type rendezvous struct {
	perdure.Backend
	*barrier
}

func (m rendezvous) Get(ctx context.Context, id string) (perdure.Record, error) {
	r, err := m.Backend.Get(ctx, id)
	m.wait(ctx)
	return r, err
}

// barrier lets n callers through at a time.
type barrier struct {
	n       int
	mu      sync.Mutex
	waiting int
	through chan struct{}
}

func newBarrier(n int) *barrier { return &barrier{n: n, through: make(chan struct{})} }

func (b *barrier) wait(ctx context.Context) {
	b.mu.Lock()
	through := b.through
	if b.waiting++; b.waiting == b.n {
		b.waiting, b.through = 0, make(chan struct{})
		close(through)
	}
	b.mu.Unlock()
	select {
	case <-through:
	case <-ctx.Done():
	}
}

// rivals is two Stores whose n callers read before any of them writes.
func (r *rig) rivals(n int) *bench {
	r.t.Helper()
	meet := newBarrier(n)
	apart := *r
	apart.a, apart.b = rendezvous{r.a, meet}, rendezvous{r.b, meet}
	s := apart.stores(perdure.Options{})
	s.rig = r
	return s
}
