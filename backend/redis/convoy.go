package redis

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// convoy carries the calls of concurrent callers to the server together, as one
// command for as many as are waiting when it leaves. What the client, the network
// and the server do for each command they then do once for all. A caller waits no
// longer than it asked to: only the few goroutines that carry are held up by a
// server that hangs.
type convoy struct {
	link  *link
	carry func(ctx context.Context, load []*parcel)
	queue chan *parcel
	wait  *patience
	spare sync.Pool // of *parcel

	linger time.Duration // how long a load waits for more calls, about
	last   atomic.Int32  // how many calls the last load had
	haste  atomic.Int32  // how many loads to come do not wait
}

// parcel is the call of one caller.
type parcel struct {
	keys, args []string
	grows      bool // it makes the store larger
	cutter     cutter

	reply rueidis.RedisMessage
	err   error

	gone atomic.Bool   // the caller has left
	done chan struct{} // holds one element when the reply is there
}

const (
	carriers    = 2       // a load is made ready while another is under way
	maxParcels  = 64      // of a load
	maxLoad     = 1 << 18 // its bytes, about
	queueLength = 1 << 10 // parcels that wait in line; more callers wait at its end

	linger = 100 * time.Microsecond
	hasty  = 100 // loads that do not wait after one that waited ten times as long
)

func newConvoy(l *link, carry func(context.Context, []*parcel)) *convoy {
	c := &convoy{link: l, carry: carry, queue: make(chan *parcel, queueLength), wait: &patience{timeout: l.timeout}, linger: linger}
	c.spare.New = func() any { return &parcel{done: make(chan struct{}, 1)} }
	for range carriers {
		go c.run()
	}
	return c
}

// parcel returns an empty one.
func (c *convoy) parcel() *parcel {
	p := c.spare.Get().(*parcel)
	p.keys, p.args = p.keys[:0], p.args[:0]
	p.grows, p.reply, p.err = false, rueidis.RedisMessage{}, nil
	return p
}

// send hands a parcel over and waits for its reply. The parcel is not to be used
// afterwards.
func (c *convoy) send(ctx context.Context, p *parcel) (rueidis.RedisMessage, error) {
	var late <-chan struct{}
	if !c.link.patient(ctx) {
		late = c.wait.end()
	}
	queue, done := c.queue, (chan struct{})(nil)
	for {
		select {
		case queue <- p:
			queue, done = nil, p.done
			continue
		case <-done:
			reply, err := p.reply, p.err
			c.spare.Put(p)
			return reply, err
		case <-ctx.Done():
			p.gone.Store(true)
			return rueidis.RedisMessage{}, ended(ctx)
		case <-late:
			p.gone.Store(true)
			return rueidis.RedisMessage{}, failure(context.DeadlineExceeded)
		case <-c.link.closing:
			p.gone.Store(true)
			return rueidis.RedisMessage{}, perdure.ErrClosed
		}
	}
}

func (c *convoy) run() {
	var load []*parcel
	for {
		select {
		case p := <-c.queue:
			load = c.gather(load[:0], p)
		case <-c.link.closing:
			return
		}
		if len(load) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(c.link.life, c.link.timeout)
		c.carry(ctx, load)
		cancel()
		for i, p := range load {
			p.done <- struct{}{}
			load[i] = nil
		}
	}
}

// gather makes a load of the first parcel and what is waiting behind it, without
// those whose caller has left. One that is smaller than the last waits a moment for
// more: the callers whom that has released are about to come again, one after the
// other, and a load costs the server as much as some calls do.
func (c *convoy) gather(load []*parcel, p *parcel) []*parcel {
	size, began := 0, time.Now()
	for more := true; ; {
		if p != nil && !p.gone.Load() {
			load = append(load, p)
			size += p.size()
		}
		if len(load) == maxParcels || size >= maxLoad {
			break
		}
		select {
		case p = <-c.queue:
			continue
		default:
			p = nil
		}
		if !more || len(load) == 0 || len(load) >= int(c.last.Load()) {
			break
		}
		more = c.yield(began)
	}
	c.last.Store(int32(len(load)))
	return load
}

// yield lets others run, and reports whether it is worth while to do so again. Where
// they run long, in a process that is busy with other things, loads do without.
func (c *convoy) yield(began time.Time) bool {
	if c.haste.Load() > 0 {
		c.haste.Add(-1)
		return false
	}
	runtime.Gosched()
	waited := time.Since(began)
	if waited > 10*c.linger {
		c.haste.Store(hasty)
	}
	return waited < c.linger
}

func (p *parcel) size() (bytes int) {
	for _, arg := range p.args {
		bytes += len(arg)
	}
	return bytes
}

// patience ends the waits of callers that set no deadline: its channel closes
// when the timeout has passed, or up to a sixteenth of it earlier. Callers that
// come about the same time share one.
type patience struct {
	timeout time.Duration
	mu      sync.Mutex
	now     atomic.Pointer[term]
}

type term struct {
	fresh time.Time // until when it may be handed out
	over  chan struct{}
}

func (p *patience) end() <-chan struct{} {
	now := time.Now()
	if t := p.now.Load(); t != nil && now.Before(t.fresh) {
		return t.over
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.now.Load(); t != nil && now.Before(t.fresh) {
		return t.over
	}
	t := &term{fresh: now.Add(p.timeout / 16), over: make(chan struct{})}
	time.AfterFunc(p.timeout, func() { close(t.over) })
	p.now.Store(t)
	return t.over
}
