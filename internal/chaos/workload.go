package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Workload is what clients do.
type Workload struct {
	Name string
	// mix says how often each kind of request is made.
	mix map[Kind]int
	// hot is how many of the latest sessions requests are about: the fewer, the
	// more they race.
	hot int
	// users is among how many users the sessions are spread.
	users int
	// shortest and longest bound the lives of sessions; zero is the default life.
	shortest, longest time.Duration
	// soon is about when sessions end whose expiry is brought forward.
	soon time.Duration
}

// kinds are what a workload mixes.
var kinds = [...]Kind{Create, Read, Validate, List, Touch, Update, Expire, Delete, Revoke, Rotate, Sweep}

// draw draws a kind of request.
func (w *Workload) draw(rng *rand.Rand) Kind {
	total := 0
	for _, kind := range kinds {
		total += w.mix[kind]
	}
	n := rng.IntN(total)
	for _, kind := range kinds {
		if n -= w.mix[kind]; n < 0 {
			return kind
		}
	}
	return Read
}

// ttl draws the life of a session.
func (w *Workload) ttl(rng *rand.Rand) time.Duration {
	if w.longest == 0 {
		return 0
	}
	return w.shortest + time.Duration(rng.Int64N(int64(w.longest-w.shortest)))
}

// newEnd draws how far from now on an expiry is brought forward, or put off.
func (w *Workload) newEnd(rng *rand.Rand) time.Duration {
	if rng.IntN(2) == 0 {
		return 12*time.Hour + time.Duration(rng.Int64N(int64(12*time.Hour)))
	}
	return w.soon + time.Duration(rng.Int64N(int64(w.soon)))
}

// pool holds the ids of acknowledged sessions, for all clients to work on.
type pool struct {
	mu      sync.Mutex
	ids     []string
	old     []string
	rotated map[string]bool
}

// rotate reports whether nobody has asked for a rotation of the session before:
// each has one successor at most.
func (p *pool) rotate(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rotated == nil {
		p.rotated = map[string]bool{}
	}
	first := !p.rotated[id]
	p.rotated[id] = true
	return first
}

func (p *pool) add(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids = append(p.ids, id)
}

// addOld adds one that is not among the latest.
func (p *pool) addOld(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.old = append(p.old, id)
}

// draw draws one of the latest ids, or now and then of the old ones.
func (p *pool) draw(rng *rand.Rand, latest int) (id string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.old); n > 0 && rng.IntN(4) == 0 {
		return p.old[rng.IntN(n)], true
	}
	if len(p.ids) == 0 {
		return "", false
	}
	latest = min(latest, len(p.ids))
	return p.ids[len(p.ids)-1-rng.IntN(latest)], true
}

// client makes requests of one member, one after the other, and notes them.
type client struct {
	stage   *stage
	number  int
	member  *member
	rng     *rand.Rand
	updates int
	history []Op
}

// work makes requests until ctx ends.
func (c *client) work(ctx context.Context, pace time.Duration) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.step(context.WithoutCancel(ctx))
		}
	}
}

// step makes a request.
func (c *client) step(ctx context.Context) {
	w := &c.stage.cell.Workload
	q := Request{Kind: w.draw(c.rng)}
	user := fmt.Sprint("user", c.rng.IntN(w.users))
	id, ok := c.stage.pool.draw(c.rng, w.hot)
	if !ok {
		q.Kind = Create
	}
	if q.Kind == Rotate && !c.stage.pool.rotate(id) {
		q.Kind = Read
	}
	switch q.Kind {
	case Create:
		q.User, q.TTL = user, w.ttl(c.rng)
	case Revoke, List:
		q.User = user
	case Sweep:
	case Expire:
		q.ID, q.TTL = id, w.newEnd(c.rng)
	case Update:
		c.updates++
		q.ID, q.Key, q.Value = id, fmt.Sprint("client", c.number), c.updates
	default:
		q.ID = id
	}
	op := c.member.do(ctx, q)
	if op.begins() {
		c.stage.pool.add(op.Reply.ID)
	}
	c.history = append(c.history, op)
}

// all returns the ids so far.
func (p *pool) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Concat(p.ids, p.old)
}
