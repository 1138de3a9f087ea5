package failover

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"
)

// steady is how many probes in a row must succeed before an outage is over.
const steady = 2

// monitor watches over the front store until ctx ends. What it has counted, and
// how long it waits, is of one state: another begins anew.
func (b *Backend) monitor(ctx context.Context) {
	seen, failures, last := tally{}, int64(0), &status{}
	for {
		st := b.status.Load()
		if st.state != last.state || !st.away.within(last.away) {
			seen = tally{}
		}
		last = st
		select {
		case <-ctx.Done():
			return
		case <-b.suspect:
		case <-st.left:
			continue
		case <-time.After(b.patience(st, seen)):
		}
		failures = b.checkJournal(ctx, failures)
		if err := b.connect(ctx); err != nil {
			b.opts.Logger.Debug("the session store cannot be reached", "error", err)
			seen = tally{}
			continue
		}
		seen = b.look(ctx, seen)
	}
}

// tally is what a probe has found.
type tally struct{ well, away partitions }

// look acts on a probe, and on what the one before has found: two in a row count. One
// suffices for what is away while all was well; but in an outage of a part the probes
// come often, and who calls finds out anyway.
func (b *Backend) look(ctx context.Context, before tally) (found tally) {
	st := b.status.Load()
	out := b.examine(ctx, st.front)
	found = tally{well: out.here(), away: out.away}
	if out.err != nil {
		if st.partly() {
			out.away = out.away.and(before.away.with(st.away))
		}
		b.degrade(st, out)
		b.setReadable(out.readable)
		b.setReason(out)
	}
	switch steady := found.well.and(before.well); {
	case st.state == Healthy && out.err == nil:
		b.checkUp(ctx, st)
	case st.away.empty() && out.err != nil: // it was well until now
	case out.err == nil && steady.all():
		b.recover(ctx, st)
		return tally{}
	case out.err != nil:
		b.regain(ctx, b.status.Load(), steady, out)
		b.mergeBack(ctx)
	}
	return found
}

// patience is how long to wait for the next probe.
func (b *Backend) patience(st *status, seen tally) time.Duration {
	switch {
	case st.state == Healthy:
		return b.opts.HealthCheckInterval
	case seen.well.meets(st.away) || st.away.empty() && !seen.well.empty():
		return jitter(b.opts.RetryDelay) / 4
	}
	return jitter(b.opts.RetryDelay)
}

// checkJournal changes between degraded and read-only. A journal that took no writes
// is asked again, unless more of them have failed than were known of. While all is
// well it is asked as often as the front store: an outage is no time to find out
// that its disk is full or its directory is gone. It returns how many have failed.
func (b *Backend) checkJournal(ctx context.Context, known int64) (failures int64) {
	failures = b.journalFailures.Load()
	st := b.status.Load()
	failed := b.journalFails.Load()
	switch {
	case failed && failures == known, !failed && st.state == Healthy:
		err := b.journal.PingFile(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			b.opts.Logger.Error("the journal takes no writes: an outage now would be read-only", "error", err)
		}
		b.journalTook(err)
	case !failed: // its directory may have been removed, and nobody writes
		if err := b.journal.Check(ctx); err != nil {
			b.journalTook(err)
		}
	}
	next := *st
	switch fails := b.journalFails.Load(); {
	case fails && st.state == Degraded:
		next.state = ReadOnly
		if why := b.journalWhy.Load(); why != nil {
			next.reason += noWrites + *why
		}
	case !fails && st.state == ReadOnly:
		next.state = Degraded
		next.reason, _, _ = strings.Cut(next.reason, noWrites)
	default:
		return failures
	}
	b.move(st, &next)
	return failures
}

// noWrites comes before why the journal fails, in the reason of an outage.
const noWrites = "; and the journal takes no writes: "

// journalTook notes whether the journal takes writes.
func (b *Backend) journalTook(err error) {
	if err != nil {
		why := plain(err)
		b.journalWhy.Store(&why)
	}
	b.journalFails.Store(err != nil)
}

// jitter spreads many processes that wait for one server.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(rand.Int64N(int64(d/2)+1))
}

// connect opens the front store where that has not succeeded yet.
func (b *Backend) connect(ctx context.Context) error {
	if b.status.Load().front != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.OpenTimeout)
	defer cancel()
	front, err := b.opts.Open(ctx)
	if err != nil {
		return err
	}
	b.gate.Lock()
	defer b.gate.Unlock()
	b.reached(front)
	next := *b.status.Load()
	next.front = front
	b.status.Store(&next)
	return nil
}

// confirm follows up a failed call: where a probe fails too the backend is
// degraded, and it returns false. All who ask at one time share a probe, which
// outlives the caller who asked first: one who leaves does not decide for all.
func (b *Backend) confirm(ctx context.Context, seen *status, cause error) (well bool) {
	return b.probes.do(ctx, b.spawn, func() bool {
		if b.status.Load() != seen {
			return false // somebody else has found out
		}
		if out := b.examine(b.life, seen.front); !out.away.within(seen.away) {
			out.err = both(cause, out.err)
			b.degrade(seen, out)
			return false
		}
		b.wake() // it may be another server
		return true
	})
}

// degrade begins an outage, or has it reach further, unless it is this backend that
// ends.
func (b *Backend) degrade(seen *status, out absence) {
	if out.away.within(seen.away) || b.closed.Load() {
		return
	}
	next := *seen
	next.away, next.readable = seen.away.with(out.away), out.readable
	next.reason = b.opts.Explain(describe(next.away, out.err))
	if seen.away.empty() {
		next.state = Degraded
	}
	trust := b.distrusted() // before anybody can end this outage again
	if b.move(seen, &next) && next.away.all() {
		b.trustDisk(trust, seen.state == Healthy && b.refused.len() == 0)
	}
}

// setReadable notes whether the front store answers reads in the outage.
func (b *Backend) setReadable(readable bool) {
	st := b.status.Load()
	if st.readable == readable || st.away.empty() {
		return
	}
	next := *st
	next.readable = readable
	b.move(st, &next)
}

// setReason keeps the reason of an outage what a probe found last: it may have begun with
// a connection that failed, and be a wrong password by now. In an outage of a part it does
// so if it found just that away.
func (b *Backend) setReason(out absence) {
	st := b.status.Load()
	reason := b.opts.Explain(describe(st.away, out.err))
	why, journal, fails := strings.Cut(st.reason, noWrites)
	if why == reason || !st.state.outage() || st.partly() && out.away != st.away {
		return
	}
	if fails {
		reason += noWrites + journal
	}
	next := *st
	next.reason = reason
	b.move(st, &next)
}

// checkUp looks, while all is well, whether something has gone wrong unnoticed.
func (b *Backend) checkUp(ctx context.Context, st *status) {
	incarnation, err := b.history(ctx, st)
	if err == nil && b.doubts.Load() != nil {
		b.recover(ctx, st)
		return
	}
	if err == nil {
		err = b.date(ctx, st, incarnation, false)
	}
	if err != nil {
		b.opts.Logger.Debug("the history of the session store could not be looked at", "error", err)
	}
	if b.refused.len() > 0 {
		if err := errors.Join(b.drain(ctx, st.front, partitions{}), b.synced(ctx)); err != nil {
			b.opts.Logger.Warn("what the session store refuses could not be merged", "error", err)
		}
	}
}

// move changes the state, if nobody else has.
func (b *Backend) move(from, to *status) bool {
	b.gate.Lock()
	defer b.gate.Unlock()
	return b.change(from, to)
}

// change is move for who holds the gate.
func (b *Backend) change(from, to *status) bool {
	if from.state != to.state {
		to.left = make(chan struct{})
	}
	if from.state != to.state && !(from.state.outage() && to.state.outage()) { // else it goes on
		to.since = b.opts.Now()
	}
	to.first = from.first && to.state == Recovering
	if from.state == Healthy && to.state != Healthy {
		to.outage = baseline{b.opts.Now(), b.metrics.replayed.Load(), b.metrics.lost.Load()}
	}
	if !b.status.CompareAndSwap(from, to) {
		return false
	}
	if from.state == to.state {
		if from.away != to.away {
			b.opts.Logger.Warn("session store failover", "state", to.state, "reason", to.reason)
		}
		return true
	}
	close(from.left)
	b.metrics.transitions.Add(1)
	level := slog.LevelWarn
	switch {
	case from.first:
		level = slog.LevelDebug // a start at which nothing was amiss
	case to.state == Recovering || to.state == Healthy:
		level = slog.LevelInfo
	}
	attributes := []any{"from", from.state, "to", to.state, "reason", to.reason}
	if to.state == Healthy && !from.first {
		o := to.outage
		attributes = append(attributes, "lasted", b.opts.Now().Sub(o.began).Round(time.Millisecond).String(),
			"merged", b.metrics.replayed.Load()-o.merged, "givenBack", b.metrics.lost.Load()-o.lost, "refused", b.refused.len()+b.barred.len())
	}
	b.opts.Logger.Log(context.Background(), level, "session store failover", attributes...)
	if b.opts.Notify != nil {
		b.opts.Notify(Transition{From: from.state, To: to.state, At: to.since, Reason: to.reason})
	}
	return true
}
