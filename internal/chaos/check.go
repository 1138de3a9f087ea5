package chaos

import (
	"cmp"
	"fmt"
	"time"

	"github.com/perdure/perdure"
)

// Verdict is what the checker found.
type Verdict struct {
	Operations, Acknowledged int
	// Unavailable: refused before anything was done. Unknown: it may have been done
	// or not.
	Unavailable, Unknown int
	Sessions             int
	// Calls is how calls were answered from the fault on, until all was well again.
	Calls Calls
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
	// Stale: answers from a copy that is older than is allowed.
	Stale int
	// EndsRefused: logouts and revocations refused because the journal was full.
	EndsRefused int
	// Unannounced: acknowledged changes that a watcher was not told of.
	Unannounced int
	// Strayed: sessions of another service that ended up here, or not there.
	Strayed int
	// Unverified: migrations that said they were done, and the stores differed.
	Unverified int
	// Bounded: what would be lost or not found, but falls under the cell's Bound.
	Bounded int
	// Examples explain the first violations.
	Examples []string
}

// Violations is the number of broken promises.
func (v *Verdict) Violations() int {
	return v.Lost + v.Resurrected + v.LostUpdates + v.NotFound + v.Expired + v.Others()
}

// Others are the violations of promises that few cells are about.
func (v *Verdict) Others() int {
	return v.Future + v.Stale + v.EndsRefused + v.Unannounced + v.Strayed + v.Unverified
}

const maxExamples = 12

// checker holds a history against the lives that it tells of.
type checker struct {
	bound          Bound
	idle           time.Duration            // that ends sessions
	maxAge         time.Duration            // of copies that are served
	noticed        func(node int) time.Time // when a process noticed the outage; zero: it did not
	settling       time.Duration            // how long others may take to hear of a change while all is well
	apart          func(node int) bool
	reachable      func(id string) bool // whether all processes reach the store of a session all the time
	struck, mended time.Time            // the fault
	settled        time.Time
	verdict        Verdict
	blamed         []string // the sessions of the violations
	refusals       []string // of a migration, to cut over
}

// blame counts a violation of what was promised of a session.
func (c *checker) blame(l *life, count *int, format string, args ...any) {
	*count++
	if c.example(format, args...) {
		c.blamed = append(c.blamed, l.id)
	}
}

// check judges a history, and the reads made when all was well again.
func (c *checker) check(history, finals []Op) Verdict {
	makers := map[string]int{}
	for i := range history {
		if op := &history[i]; op.begins() {
			makers[op.Reply.ID] = op.Node
		}
	}
	for i := range history {
		c.count(&history[i], makers)
	}
	for _, l := range lives(history, finals, c.bound, c.idle) {
		c.verdict.Sessions++
		for _, op := range l.reads {
			c.meanwhile(l, op)
		}
		c.finally(l)
	}
	return c.verdict
}

// count counts an operation, and how it was answered while the fault lasted.
func (c *checker) count(op *Op, makers map[string]int) {
	v := &c.verdict
	v.Operations++
	switch op.Reply.Outcome {
	case Acknowledged:
		v.Acknowledged++
	case Unavailable:
		v.Unavailable++
	case Unknown:
		v.Unknown++
	}
	during := op.End.After(c.struck) && op.Start.Before(c.settled)
	if during && op.Reply.Outcome != Refused {
		maker, known := makers[op.ID]
		v.Calls.add(op, known && maker != op.Node)
	}
	if end := op.Kind == Delete || op.Kind == Revoke; end && op.Reply.Why == JournalFull {
		v.EndsRefused++
		c.example("refused for a full journal: %s of %s through %d: %s", op.Kind, cmp.Or(op.ID, op.User), op.Node, op.Reply.Error)
	}
}

// example explains a violation.
func (c *checker) example(format string, args ...any) bool {
	v := &c.verdict
	if len(v.Examples) >= maxExamples {
		return false
	}
	v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
	return true
}

// meanwhile judges one answer.
func (c *checker) meanwhile(l *life, op *Op) {
	v, skew := &c.verdict, c.bound.Skew
	if op.Reply.Live {
		if end := c.latest(l, op); op.Kind.reads() && end.Add(skew+clockGrain).Before(op.Start) {
			c.blame(l, &v.Expired, "expired at %s: %s", c.since(end), c.tell(l, op))
		}
		if c.tooOld(l, op) {
			c.blame(l, &v.Stale, "too old a copy: %s", c.tell(l, op))
		}
		if r := l.removedBefore(op.Start, skew, func(r *Op) bool { return c.binds(r, op) }); r != nil && op.Kind != Delete {
			c.blame(l, &v.Resurrected, "resurrected: %s, removed: %s", c.tell(l, op), c.tell(l, r))
		}
		return
	}
	if op.Start.Before(l.born.End) || l.touchedByRemoval(op.End, op) || !c.earliest(l, op, op.End).Add(-skew-clockGrain).After(op.End) {
		return
	}
	if op.Kind == List && !c.binds(l.born, op) {
		return // a login that only the process which took it can know of yet
	}
	if c.bound.NotFound {
		v.Bounded++
		return
	}
	c.blame(l, &v.NotFound, "not found: %s", c.tell(l, op))
}

// tooOld reports whether an answer came from a copy that is older than is allowed: it
// is from before the outage, and that was noticed longer ago.
func (c *checker) tooOld(l *life, op *Op) bool {
	if c.maxAge == 0 || !op.Kind.reads() || !l.first.End.Before(c.struck) || !op.End.Before(c.mended) {
		return false
	}
	noticed := c.noticed(op.Node)
	return !noticed.IsZero() && op.Start.After(noticed.Add(c.maxAge+clockGrain))
}

// binds reports whether whoever answered op had to know of the removal: the
// process that made it at once, others while all was well, or is again. That a
// logout under an earlier id ends a session too may be found out later.
func (c *checker) binds(removal, op *Op) bool {
	if removal.Node == op.Node && (removal.Kind == Revoke || removal.ID == op.ID || removal.Reply.ID == op.ID) {
		return true
	}
	calm := op.End.Before(c.struck) || removal.Start.After(c.settled)
	calm = calm || c.reachable != nil && c.reachable(op.ID) // what it is about was never cut off
	return calm && op.Start.Sub(removal.End) > c.settling || op.Start.After(c.settled.Add(c.settling)) && removal.End.Before(c.settled)
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
		case op.Reply.Live && c.latest(l, op).Add(skew+clockGrain).Before(op.Start):
			c.blame(l, &v.Expired, "expired at %s: %s", c.since(c.latest(l, op)), c.tell(l, op))
			return
		case op.Reply.Live && op.Kind != Read:
		case op.Reply.Live:
			if limit := perdure.MillisOf(op.End.Add(perdure.DefaultMaxClockSkew)); op.Reply.Version > limit {
				c.blame(l, &v.Future, "from the future: %s", c.tell(l, op))
				return
			}
			c.changes(l, op)
		case len(l.removals) == 0 && c.earliest(l, op, op.End).Add(-skew-clockGrain).After(op.End):
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
		if op.Reply.Metadata[key] >= update.Value || update.Node != op.Node && op.Start.Sub(update.End) < c.settling {
			continue
		}
		if c.bound.Lost {
			c.verdict.Bounded++
			continue
		}
		c.blame(l, &c.verdict.LostUpdates, "lost update: %s has %s=%d, acknowledged: %s", c.tell(l, op), key, op.Reply.Metadata[key], c.tell(l, update))
	}
}

// since is a time since the fault.
func (c *checker) since(t time.Time) string { return t.Sub(c.struck).Round(time.Millisecond).String() }

// tell describes what was said of a session, with times since the fault.
func (c *checker) tell(l *life, op *Op) string {
	at := c.since
	return fmt.Sprintf("%s of %s through %d at %s..%s (live %v, %s %s; born through %d at %s..%s; mended %s, settled %s)",
		op.Kind, cmp.Or(op.ID, l.id), op.Node, at(op.Start), at(op.End), op.Reply.Live, op.Reply.Outcome, op.Reply.Error,
		l.born.Node, at(l.born.Start), at(l.born.End), at(c.mended), at(c.settled))
}
