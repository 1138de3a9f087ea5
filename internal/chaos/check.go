package chaos

import (
	"cmp"
	"fmt"
	"time"

	"github.com/perdure/perdure"
)

// Verdict is what the checker found.
type Verdict struct {
	Operations, Acknowledged, Unknown int
	Sessions                          int
	// Lost: acknowledged, never removed, and not readable through every process.
	Lost int
	// Resurrected: readable after an acknowledged removal.
	Resurrected int
	// LostUpdates: acknowledged changes that are not there.
	LostUpdates int
	// NotFound: answers that a session is not there, while it was.
	NotFound int
	// Expired: answers with a session whose end had come.
	Expired int
	// Future: sessions with a version further ahead than clocks may differ.
	Future int
	// Bounded: what would be lost or not found, but falls under the cell's Bound.
	Bounded int
	// Examples explain the first violations.
	Examples []string
}

// Violations is the number of broken promises.
func (v *Verdict) Violations() int {
	return v.Lost + v.Resurrected + v.LostUpdates + v.NotFound + v.Expired + v.Future
}

const maxExamples = 12

// checker holds a history against the lives that it tells of.
type checker struct {
	bound          Bound
	struck, mended time.Time // the fault
	settled        time.Time
	verdict        Verdict
	blamed         []string // the sessions of the violations
}

// blame counts a violation of what was promised of a session.
func (c *checker) blame(l *life, count *int, format string, args ...any) {
	*count++
	if v := &c.verdict; len(v.Examples) < maxExamples {
		v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
		c.blamed = append(c.blamed, l.id)
	}
}

// check judges a history, and the reads made when all was well again.
func (c *checker) check(history, finals []Op) Verdict {
	for i := range history {
		c.verdict.Operations++
		switch history[i].Reply.Outcome {
		case Acknowledged:
			c.verdict.Acknowledged++
		case Unknown:
			c.verdict.Unknown++
		}
	}
	for _, l := range lives(history, finals, c.bound) {
		c.verdict.Sessions++
		for _, op := range l.reads {
			c.meanwhile(l, op)
		}
		c.finally(l)
	}
	return c.verdict
}

// meanwhile judges one answer.
func (c *checker) meanwhile(l *life, op *Op) {
	v, skew := &c.verdict, c.bound.Skew
	if op.Reply.Live {
		if op.Kind == Read && l.expiresBefore(op.Start, skew+clockGrain) {
			c.blame(l, &v.Expired, "expired: %s", c.tell(l, op))
		}
		if r := l.removedBefore(op.Start, skew, func(r *Op) bool { return c.binds(r, op) }); r != nil && op.Kind != Delete {
			c.blame(l, &v.Resurrected, "resurrected: %s, removed: %s", c.tell(l, op), c.tell(l, r))
		}
		return
	}
	if op.Start.Before(l.born.End) || l.touchedByRemoval(op.End, op) || !l.expiresAfter(op.End, skew+clockGrain) {
		return
	}
	if c.bound.NotFound {
		v.Bounded++
		return
	}
	c.blame(l, &v.NotFound, "not found: %s", c.tell(l, op))
}

// settling is how long an invalidation may take to reach a near cache.
const settling = 500 * time.Millisecond

// binds reports whether whoever answered op had to know of the removal: the
// process that made it at once, others while all was well, or is again. That a
// logout under an earlier id ends a session too may be found out later.
func (c *checker) binds(removal, op *Op) bool {
	if removal.Node == op.Node && (removal.Kind == Revoke || removal.ID == op.ID) {
		return true
	}
	calm := op.End.Before(c.struck) || removal.Start.After(c.settled)
	return calm && op.Start.Sub(removal.End) > settling || op.Start.After(c.settled.Add(settling)) && removal.End.Before(c.settled)
}

// finally judges what is left of a session.
func (c *checker) finally(l *life) {
	v, skew := &c.verdict, c.bound.Skew
	always := func(*Op) bool { return true }
	for _, op := range l.finals {
		switch r := l.removedBefore(op.Start, skew, always); {
		case op.Reply.Live && r != nil:
			c.blame(l, &v.Resurrected, "resurrected: %s, removed: %s", c.tell(l, op), c.tell(l, r))
			return
		case op.Reply.Live && l.expiresBefore(op.Start, skew+clockGrain):
			c.blame(l, &v.Expired, "expired: %s", c.tell(l, op))
			return
		case op.Reply.Live:
			if limit := perdure.MillisOf(op.End.Add(perdure.DefaultMaxClockSkew)); op.Reply.Version > limit {
				c.blame(l, &v.Future, "from the future: %s", c.tell(l, op))
				return
			}
			c.changes(l, op)
		case len(l.removals) == 0 && l.expiresAfter(op.End, skew+clockGrain):
			if c.bound.Lost {
				v.Bounded++
				return
			}
			c.blame(l, &v.Lost, "lost: %s", c.tell(l, op))
			return
		}
	}
}

// changes judges what became of the changes to a session that is there.
func (c *checker) changes(l *life, op *Op) {
	for key, update := range l.updates {
		if op.Reply.Metadata[key] >= update.Value || update.Node != op.Node && op.Start.Sub(update.End) < settling {
			continue
		}
		if c.bound.Lost {
			c.verdict.Bounded++
			continue
		}
		c.blame(l, &c.verdict.LostUpdates, "lost update: %s has %s=%d, acknowledged: %s", c.tell(l, op), key, op.Reply.Metadata[key], c.tell(l, update))
	}
}

// tell describes what was said of a session, with times since the fault.
func (c *checker) tell(l *life, op *Op) string {
	at := func(t time.Time) string { return t.Sub(c.struck).Round(time.Millisecond).String() }
	return fmt.Sprintf("%s of %s through %d at %s..%s (live %v, %s %s; born through %d at %s..%s; mended %s, settled %s)",
		op.Kind, cmp.Or(op.ID, l.id), op.Node, at(op.Start), at(op.End), op.Reply.Live, op.Reply.Outcome, op.Reply.Error,
		l.born.Node, at(l.born.Start), at(l.born.End), at(c.mended), at(c.settled))
}
