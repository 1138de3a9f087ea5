package redis

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/perdure/perdure"
)

// bell tells those who wait for changes that there are some. While anybody waits
// one goroutine looks at the feeds for all of them: it has a single server wait
// for an entry, and asks a Cluster again and again.
type bell struct {
	link  *link
	feeds feeds

	mu      sync.Mutex
	ring    chan struct{} // closed by the next change; nil while nobody looks
	waiting int
	waited  time.Time // when somebody last ended to wait
}

const (
	ringPace   = 10 * time.Millisecond  // between rings, so that changes gather
	askPace    = 50 * time.Millisecond  // between looks at a Cluster
	blockTime  = 500 * time.Millisecond // how long a server is to wait for an entry
	retryPace  = 200 * time.Millisecond // after a failure
	lingerTime = time.Second            // how long to look on after the last wait
)

// listen returns what the next change closes. No change that is made after listen
// has returned is missed.
func (b *bell) listen(ctx context.Context) (<-chan struct{}, error) {
	if ring := b.current(); ring != nil {
		return ring, nil
	}
	ends, err := b.feeds.newest(ctx, b.link, make(positions, len(b.feeds.keys)))
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ring == nil {
		b.ring = make(chan struct{})
		b.waited = time.Now()
		go b.look(ends)
	}
	return b.ring, nil
}

func (b *bell) current() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ring
}

// await waits for a ring or for the end, and reports whether it was the end.
func (b *bell) await(ctx context.Context, ring <-chan struct{}, end <-chan time.Time) (over bool, err error) {
	b.count(1)
	defer b.count(-1)
	select {
	case <-ring:
		return false, nil
	case <-end:
		return true, nil
	case <-ctx.Done():
		return false, ended(ctx)
	case <-b.link.closing:
		return false, perdure.ErrClosed
	}
}

func (b *bell) count(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting += n
	b.waited = time.Now()
}

// look rings after every change, and every failure: those who wait then look for
// themselves, and meet it.
func (b *bell) look(ends positions) {
	for {
		next, err := b.change(ends)
		switch {
		case err != nil:
			b.strike()
			pause(b.link.life, retryPace)
		case !slices.Equal(next, ends):
			ends = next
			b.strike()
			pause(b.link.life, ringPace)
		}
		if b.rest() {
			return
		}
	}
}

// change returns the last entries of the feeds, after some time or when there are
// new ones.
func (b *bell) change(ends positions) (positions, error) {
	if b.link.cluster {
		pause(b.link.life, askPace)
	} else if changed, err := b.block(ends); err != nil || !changed {
		return ends, err
	}
	next, err := b.feeds.newest(b.link.life, b.link, ends)
	if err != nil {
		return ends, err
	}
	return next, nil
}

// block has the server wait until there is an entry after the positions.
func (b *bell) block(ends positions) (changed bool, err error) {
	c := call{words: []string{"XREAD", "COUNT", "1", "BLOCK", strconv.FormatInt(blockTime.Milliseconds(), 10), "STREAMS"}, apart: true}
	for i, feed := range b.feeds.keys {
		c.keys, c.args = append(c.keys, feed), append(c.args, ends[i].id())
	}
	ctx, cancel := context.WithTimeout(b.link.life, blockTime+b.link.timeout)
	defer cancel()
	reply, err := b.link.message(b.link.exchange(ctx, []call{c})[0])
	return err == nil && !reply.IsNil(), err
}

// strike wakes those who wait.
func (b *bell) strike() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ring)
	b.ring = make(chan struct{})
}

// rest ends the look if nobody has waited for some time. Whoever has listened and
// does not wait yet is woken, to listen again.
func (b *bell) rest() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.link.life.Err() == nil && (b.waiting > 0 || time.Since(b.waited) < lingerTime) {
		return false
	}
	close(b.ring)
	b.ring = nil
	return true
}
