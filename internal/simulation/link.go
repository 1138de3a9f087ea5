package simulation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/perdure/perdure"
)

// Mode is how a process reaches the front store.
type Mode string

const (
	Well     Mode = "well"
	Cut      Mode = "cut"            // refused at once
	Hang     Mode = "hanging"        // nothing arrives, and nothing comes back
	Deaf     Mode = "one way"        // what is asked arrives, and nothing comes back
	ReadOnly Mode = "refuses writes" // as a replica does
	Full     Mode = "full"
	Slow     Mode = "slow"
)

const (
	callTimeout = time.Second            // of the client to the front store
	slowness    = 150 * time.Millisecond // each way
	longPoll    = 10 * time.Minute       // of an idle feed, for its client's second
)

var (
	errCut      = fmt.Errorf("%w: connection refused", perdure.ErrUnavailable)
	errReadOnly = fmt.Errorf("%w: READONLY", perdure.ErrUnavailable)
	errDead     = fmt.Errorf("%w: the process is dead", perdure.ErrUnavailable)
)

// link is the front store as one process reaches it. What is done to it by a step
// holds for the calls that are under way, too.
type link struct {
	perdure.Backend
	site  *site
	exact bool // feed waits are as long as they say

	mu      sync.Mutex
	mode    Mode
	lose    bool          // the next reply
	crash   int           // calls until the process dies; 0 is never
	halted  chan struct{} // while the process does not run; closed when it does again
	dead    bool          // it will never run again
	made    uint64        // connections
	changed chan struct{} // closed when anything of this changes
	onCrash func()
}

func newLink(s *site, exact bool) *link {
	return &link{Backend: s.open(), site: s, exact: exact, mode: Well, changed: make(chan struct{}), made: 1}
}

// set changes how the link is, and wakes who waits for that.
func (l *link) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *link) setMode(m Mode) {
	l.set(func() {
		if l.mode != Well && l.mode != Slow && m != l.mode {
			l.made++
		}
		l.mode = m
	})
}

// halt stops the process in whatever call it makes.
func (l *link) halt() {
	l.set(func() {
		if l.halted == nil {
			l.halted = make(chan struct{})
		}
	})
}

// run lets it go on.
func (l *link) run() {
	l.set(func() {
		if l.halted != nil {
			close(l.halted)
			l.halted = nil
		}
	})
}

// bury ends all calls of a process that was killed.
func (l *link) bury() {
	l.set(func() { l.dead = true })
	l.run()
}

// runs returns once the process runs.
func (l *link) runs() error {
	for {
		l.mu.Lock()
		halted, dead := l.halted, l.dead
		l.mu.Unlock()
		switch {
		case dead:
			return errDead
		case halted == nil:
			return nil
		}
		<-halted
	}
}

// step counts a call towards the one at which the process dies.
func (l *link) step() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.crash == 0 {
		return
	}
	if l.crash--; l.crash == 0 && l.halted == nil {
		l.halted = make(chan struct{})
		l.onCrash()
	}
}

// silent waits for an answer that does not come.
func (l *link) silent(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	<-ctx.Done()
	if err := l.runs(); err != nil {
		return err
	}
	return expired(ctx)
}

func expired(ctx context.Context) error {
	if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", perdure.ErrUnavailable, context.DeadlineExceeded)
}

func (l *link) state() (m Mode, changed chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mode, l.changed
}

// replyLost reports whether the reply to the present call is to be lost.
func (l *link) replyLost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := l.lose
	l.lose = false
	return lost || l.mode == Deaf || l.mode == Hang
}

// pass carries a call to the front store and its answer back.
func pass[T any](ctx context.Context, l *link, writes bool, call func() (T, error)) (v T, err error) {
	var none T
	if err := l.runs(); err != nil {
		return none, err
	}
	l.step()
	if err := l.runs(); err != nil {
		return none, err
	}
	switch m, _ := l.state(); {
	case m == Cut:
		return none, errCut
	case m == Hang:
		return none, l.silent(ctx)
	case m == ReadOnly && writes:
		return none, errReadOnly
	case m == Full && writes:
		return none, perdure.ErrFull
	case m == Slow:
		time.Sleep(slowness)
	}
	v, err = call()
	l.step() // or between the store's answer and its arrival
	if err := l.runs(); err != nil {
		return none, err
	}
	if l.replyLost() {
		return none, l.silent(ctx)
	}
	if m, _ := l.state(); m == Slow {
		time.Sleep(slowness)
		if err := l.runs(); err != nil {
			return none, err
		}
	}
	if ctx.Err() != nil {
		return none, expired(ctx)
	}
	return v, err
}

func (l *link) Get(ctx context.Context, id string) (perdure.Record, error) {
	return pass(ctx, l, false, func() (perdure.Record, error) { return l.Backend.Get(ctx, id) })
}

func (l *link) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	return pass(ctx, l, false, func() ([]perdure.Record, error) { return l.Backend.Load(ctx, ids) })
}

func (l *link) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	return pass(ctx, l, true, func() ([]perdure.Result, error) { return l.Backend.Apply(ctx, batches) })
}

func (l *link) ListUser(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	return pass(ctx, l, false, func() (perdure.Page, error) { return l.Backend.ListUser(ctx, user, after, limit) })
}

func (l *link) RemoveUser(ctx context.Context, r perdure.UserRemoval) (perdure.UserRemoved, error) {
	return pass(ctx, l, true, func() (perdure.UserRemoved, error) { return l.Backend.RemoveUser(ctx, r) })
}

func (l *link) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	return pass(ctx, l, false, func() (perdure.Page, error) { return l.Backend.Scan(ctx, q) })
}

type swept struct {
	expired int
	more    bool
}

func (l *link) Sweep(ctx context.Context, now perdure.Millis, limit int) (int, bool, error) {
	s, err := pass(ctx, l, true, func() (s swept, err error) {
		s.expired, s.more, err = l.Backend.Sweep(ctx, now, limit)
		return s, err
	})
	return s.expired, s.more, err
}

func (l *link) Stats(ctx context.Context) (perdure.Stats, error) {
	return pass(ctx, l, false, func() (perdure.Stats, error) { return l.Backend.Stats(ctx) })
}

func (l *link) Ping(ctx context.Context) error {
	_, err := pass(ctx, l, true, func() (struct{}, error) { return struct{}{}, l.Backend.Ping(ctx) })
	return err
}

// Changes waits for a change, or for the link to change. An idle feed is asked
// less often than its client would: that is what makes days pass in seconds.
func (l *link) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	for {
		_, changed := l.state()
		news := l.site.news()
		batch, err := pass(ctx, l, false, func() (perdure.ChangeBatch, error) { return l.Backend.Changes(ctx, after, limit, 0) })
		if err != nil || len(batch.Changes) > 0 || wait == 0 {
			return batch, err
		}
		if !l.exact {
			wait = longPoll
		}
		after = batch.Next
		timeout := time.NewTimer(wait)
		select {
		case <-changed:
		case <-news:
		case <-ctx.Done():
			timeout.Stop()
			return perdure.ChangeBatch{}, expired(ctx)
		case <-timeout.C:
			return batch, l.runs()
		}
		timeout.Stop()
	}
}

// Incarnation is the history that the front store has.
func (l *link) Incarnation(ctx context.Context) (string, error) {
	return pass(ctx, l, false, func() (string, error) { return l.site.incarnation(), nil })
}

// Connections grows whenever the link was down or the store was restarted.
func (l *link) Connections() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.made + uint64(l.site.reboots())
}

// ClockOffset says that the front store's clock is right.
func (l *link) ClockOffset(ctx context.Context) (time.Duration, error) {
	return pass(ctx, l, false, func() (time.Duration, error) { return 0, nil })
}

// Now is the time by the front store's clock, which is right. A client of a real one
// measures it when it connects, and goes on by the monotonic clock.
func (l *link) Now() time.Time { return time.Now() }
