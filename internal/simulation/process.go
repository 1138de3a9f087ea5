package simulation

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// process is one that runs a Store, through all its lives.
type process struct {
	n       int
	service int
	site    *site
	profile *Profile
	disk    *disk
	born    time.Time // of the world

	offset atomic.Int64 // of its clock
	drift  atomic.Int64 // of its clock, a minute
	since  atomic.Int64 // when the drift began, after the beginning

	life    *life // nil while it does not run
	lives   []*life
	stopped bool
}

// life is what a process does between a start and its end.
type life struct {
	p       *process
	n       int
	link    *link
	store   *perdure.Store
	began   time.Duration
	ended   time.Duration // when it died; 0 is never
	crashed atomic.Bool

	mu    sync.Mutex
	state failover.State
	moves []move
}

// move is a transition.
type move struct {
	at time.Duration
	to failover.State
}

// now is the process's clock: the true time, and what it is off.
func (p *process) now() time.Time { return time.Now().Add(p.off()).Round(0) }

// off is how far its clock is ahead.
func (p *process) off() time.Duration {
	if p.drift.Load() == 0 {
		return time.Duration(p.offset.Load())
	}
	ran := time.Since(p.born) - time.Duration(p.since.Load())
	return time.Duration(p.offset.Load()) + time.Duration(float64(p.drift.Load())*ran.Minutes())
}

func (p *process) setClock(offset, drift time.Duration) {
	p.since.Store(int64(time.Since(p.born)))
	p.offset.Store(int64(offset))
	p.drift.Store(int64(drift))
}

func (p *process) start(ctx context.Context) error {
	l := &life{p: p, n: len(p.lives), link: newLink(p.site, p.profile.Exact), began: time.Since(p.born), state: failover.Degraded}
	l.link.onCrash = func() { l.crashed.Store(true) }
	l.link.mode = p.site.modes[p.n]
	options := p.profile.Failover
	options.Open = func(ctx context.Context) (perdure.Backend, error) {
		if err := l.link.Ping(ctx); err != nil {
			return nil, err
		}
		return l.link, nil
	}
	options.Now, options.Uptime, options.Dir, options.Notify = p.now, uptime, p.disk.path(), l.note
	options.Store = fmt.Sprint("service ", p.service)
	before := p.disk.held()
	b, err := failover.Open(ctx, options)
	if err != nil {
		return err
	}
	p.disk.hold(before)
	o := p.profile.Store
	o.Now = p.now
	if l.store, err = perdure.New(b, o); err != nil {
		return err
	}
	p.life, p.lives, p.stopped = l, append(p.lives, l), false
	return nil
}

// kill ends the process as SIGKILL does: what it had on disk stays as it was.
func (p *process) kill() error {
	l := p.life
	p.life, p.stopped = nil, false
	l.ended = time.Since(p.born)
	l.link.halt()
	restore, err := p.disk.freeze()
	if err != nil {
		return err
	}
	l.link.bury()
	_ = l.store.Close() // what it says, nobody hears
	return restore()
}

func (p *process) close() {
	if p.life != nil {
		p.life.link.bury()
		_ = p.life.store.Close()
		p.life = nil
	}
}

// note keeps the transitions.
func (l *life) note(t failover.Transition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = t.To
	l.moves = append(l.moves, move{time.Since(l.p.born), t.To})
}

// now is its state, and how many transitions came before.
func (l *life) now() (failover.State, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, len(l.moves)
}

// healthyFrom is when it was first healthy after so many transitions, at or after t.
func (l *life) healthyFrom(moves int, t time.Duration) (time.Duration, bool) {
	if moves > 0 && l.moves[moves-1].to == failover.Healthy {
		return t, true
	}
	for _, m := range l.moves[moves:] {
		if m.to == failover.Healthy {
			return m.at, true
		}
	}
	return 0, false
}

// vouched reports whether it was ever known by how much the clock was off. What was
// stamped in a life that began and ended in one outage counts as made right before the
// next.
func (l *life) vouched() bool {
	_, ok := l.healthyFrom(0, l.began)
	return ok
}

// uptime is that of the machine that all processes are on, which is up since before
// virtual time begins.
func uptime() (boot string, up time.Duration) {
	return "simulation", time.Since(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC))
}
