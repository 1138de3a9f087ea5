package failover

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/perdure/perdure"
)

// Incarnated is implemented by a front store that can say which history it has:
// the text changes when it is another server, or the same after a restart.
type Incarnated interface {
	Incarnation(ctx context.Context) (string, error)
}

// steady is how many probes in a row must succeed before an outage is over.
const steady = 2

// monitor watches over the front store until ctx ends.
func (b *Backend) monitor(ctx context.Context) {
	well := 0
	for {
		st := b.status.Load()
		wait := b.opts.HealthCheckInterval
		if st.state != Healthy {
			wait = jitter(b.opts.RetryDelay)
			if well > 0 {
				wait /= 4
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-b.suspect:
		case <-time.After(wait):
		}
		b.checkJournal()
		if !b.connect(ctx) {
			well = 0
			continue
		}
		st = b.status.Load()
		if err := b.probe(ctx, st); err != nil {
			well = 0
			b.degrade(ctx, st, err)
			continue
		}
		if well++; st.state == Healthy {
			b.checkHistory(ctx, st)
		} else if well >= steady {
			well = 0
			b.recover(ctx, st)
		}
	}
}

// checkJournal changes between degraded and read-only.
func (b *Backend) checkJournal() {
	st := b.status.Load()
	next := *st
	switch fails := b.journalFails.Load(); {
	case fails && st.state == Degraded:
		next.state = ReadOnly
	case !fails && st.state == ReadOnly:
		next.state = Degraded
	default:
		return
	}
	b.move(st, &next)
}

// jitter spreads many processes that wait for one server.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(rand.Int64N(int64(d/2)+1))
}

// connect opens the front store where that has not succeeded yet.
func (b *Backend) connect(ctx context.Context) bool {
	if b.status.Load().front != nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.CallTimeout)
	defer cancel()
	front, err := b.opts.Open(ctx)
	if err != nil {
		b.opts.Logger.Warn("the session store cannot be reached", "error", err)
		return false
	}
	b.gate.Lock()
	defer b.gate.Unlock()
	next := *b.status.Load()
	next.front = front
	b.status.Store(&next)
	return true
}

// probe asks the front store to take a write.
func (b *Backend) probe(ctx context.Context, st *status) error {
	ctx, cancel := context.WithTimeout(ctx, b.opts.ProbeTimeout)
	defer cancel()
	started := time.Now()
	err := st.front.Ping(ctx)
	b.metrics.probed(time.Since(started), err)
	return err
}

// confirm follows up a failed call: where a probe fails too the backend is
// degraded, and it returns false. One probe serves all calls that failed in the
// same state.
func (b *Backend) confirm(ctx context.Context, seen *status, cause error) (well bool) {
	b.probing.Lock()
	defer b.probing.Unlock()
	if b.status.Load() != seen {
		return false // somebody else has found out
	}
	if err := b.probe(ctx, seen); err != nil {
		b.degrade(ctx, seen, errors.Join(cause, err))
		return false
	}
	b.wake() // it may be another server
	return true
}

// degrade begins an outage.
func (b *Backend) degrade(ctx context.Context, seen *status, cause error) {
	if seen.state == Degraded || seen.state == ReadOnly {
		return
	}
	next := *seen
	next.state, next.reason = Degraded, cause.Error()
	next.readable = b.canRead(ctx, seen.front)
	if b.move(seen, &next) {
		b.persistMirror()
	}
}

// canRead reports whether the front store still answers reads.
func (b *Backend) canRead(ctx context.Context, front perdure.Backend) bool {
	ctx, cancel := context.WithTimeout(ctx, b.opts.ProbeTimeout)
	defer cancel()
	_, err := front.Load(ctx, []string{perdure.NewID(0)})
	return err == nil
}

// recover ends an outage: the journal is merged, the mirror is made to agree,
// and calls go to the front store again from the first moment on.
func (b *Backend) recover(ctx context.Context, seen *status) {
	next := *seen
	next.state, next.reason = Recovering, "the session store is back"
	incarnation, lost := b.history(ctx, seen)
	if lost {
		next.state, next.reason = Reseeding, "the session store came back with another history"
		next.graceUntil = b.opts.Now().Add(lossGrace)
	}
	if !b.move(seen, &next) {
		return
	}
	err := b.drain(ctx, next.front)
	if err == nil && lost {
		err = b.reseed(ctx, next.front)
	}
	if err != nil {
		b.degrade(ctx, &next, err)
		return
	}
	done := next
	done.state, done.reason, done.incarnation = Healthy, "all that was written in the outage is merged", incarnation
	b.finish(&next, &done)
}

// lossGrace is how long after a loss of data a session that nobody here holds is
// taken for one that another process is about to bring back.
const lossGrace = 10 * time.Second

// history says which history the front store has, and whether that is not the
// one that this process knew.
func (b *Backend) history(ctx context.Context, st *status) (incarnation string, changed bool) {
	front, ok := st.front.(Incarnated)
	if !ok {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.ProbeTimeout)
	defer cancel()
	incarnation, err := front.Incarnation(ctx)
	if err != nil {
		return st.incarnation, false
	}
	return incarnation, st.incarnation != "" && incarnation != st.incarnation
}

// checkHistory begins a recovery where the front store was replaced without an
// outage that anyone noticed.
func (b *Backend) checkHistory(ctx context.Context, st *status) {
	if _, changed := b.history(ctx, st); changed {
		b.recover(ctx, st)
	}
}

func (b *Backend) reseed(ctx context.Context, front perdure.Backend) error {
	missing, err := b.reconcile(ctx, front)
	b.metrics.lost.Add(int64(missing))
	if missing > 0 {
		b.opts.Logger.Error("the session store had lost records", "missing", missing, "policy", b.opts.DataLoss)
	}
	return err
}

// finish ends a recovery if the journal is empty. It holds the gate, so that
// nobody writes to the journal in between.
func (b *Backend) finish(seen, next *status) {
	b.gate.Lock()
	n, _ := b.journal.depth()
	b.gate.Unlock()
	if n == b.refused.len() && b.move(seen, next) {
		b.dropMirrorCopy()
	}
}

// move changes the state, if nobody else has.
func (b *Backend) move(from, to *status) bool {
	b.gate.Lock()
	defer b.gate.Unlock()
	if from.state != to.state {
		to.since = b.opts.Now()
	}
	if !b.status.CompareAndSwap(from, to) {
		return false
	}
	if from.state == to.state {
		return true
	}
	b.metrics.transitions.Add(1)
	b.opts.Logger.Warn("session store failover", "from", from.state, "to", to.state, "reason", to.reason)
	if b.opts.Notify != nil {
		b.opts.Notify(Transition{From: from.state, To: to.state, At: to.since, Reason: to.reason})
	}
	return true
}
