package chaos

import "time"

// term is an end that a session was given, by its creation or by a change of its
// expiry, or an access that it ends so long after.
type term struct {
	op *Op
	// early and late bound when it is.
	early, late time.Time
}

// expiry is the end that op gave a session; ok is false where it gave none.
func (op *Op) expiry() (t term, ok bool) {
	switch {
	case op.begins():
		return term{op, op.Reply.Expiry, op.Reply.Expiry}, true
	case op.Kind == Expire && op.Reply.Live:
		return term{op, op.Reply.Expiry, op.Reply.Expiry}, true
	case op.Kind == Expire && op.mayHaveHappened():
		return term{op, op.Start.Add(op.TTL), op.End.Add(op.TTL)}, true
	}
	return term{}, false
}

// access is when op was an access to a session, for what ends when it is idle.
func (op *Op) access(idle time.Duration) (t term, ok bool) {
	used := op.begins() || op.Kind == Touch && (op.Reply.Live || op.mayHaveHappened())
	return term{op, op.Start.Add(idle), op.End.Add(idle)}, used && idle > 0
}

// mayHaveHappened reports whether the outcome is open.
func (op *Op) mayHaveHappened() bool {
	return op.Reply.Outcome == Unknown || op.Reply.Outcome == Unavailable
}

// certain reports whether it is certain that op was carried out.
func (op *Op) certain() bool { return op.begins() || op.Reply.Live }

// earliest is before when the session cannot have ended, as far as whoever answered
// op at t may say.
func (c *checker) earliest(l *life, op *Op, t time.Time) time.Time {
	first := func(terms []term) (end time.Time) {
		for i := range terms {
			if x := &terms[i]; x.op.Start.After(t) || c.replaced(x, terms, op) {
				continue
			} else if end.IsZero() || x.early.Before(end) {
				end = x.early
			}
		}
		return end
	}
	return sooner(first(l.expiries), first(l.accesses))
}

// replaced reports whether a later term stands in the place of x, and everybody who
// ends sessions knew of it in time.
func (c *checker) replaced(x *term, terms []term, op *Op) bool {
	for i := range terms {
		y := &terms[i]
		if y == x || !y.op.certain() || !y.op.Start.After(x.op.End.Add(clockGrain)) || !y.op.End.Before(op.Start) {
			continue
		}
		during := y.op.End.After(c.struck) && y.op.Start.Before(c.settled)
		if !during || !c.islands(y.op.Node) || x.early.After(c.settled) {
			return true
		}
	}
	return false
}

// latest is after when the session must have ended, for whoever answered op.
func (c *checker) latest(l *life, op *Op) time.Time {
	last := func(terms []term) (end time.Time) {
		for i := range terms {
			if x := &terms[i]; !c.outdone(x, terms, op) && x.late.After(end) {
				end = x.late
			}
		}
		return end
	}
	return sooner(last(l.expiries), last(l.accesses))
}

// outdone reports whether whoever answered op had to know a term later than x.
func (c *checker) outdone(x *term, terms []term, op *Op) bool {
	for i := range terms {
		y := &terms[i]
		if y != x && y.op.certain() && y.op.Start.After(x.op.End.Add(clockGrain)) && y.op.End.Before(op.Start) && c.binds(y.op, op) {
			return true
		}
	}
	return false
}

// islands reports whether a process may be on its own while the fault lasts: what it
// takes then others hear of later.
func (c *checker) islands(node int) bool {
	if c.apart != nil {
		return c.apart(node)
	}
	return true
}

// sooner is the earlier of two times; zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
