package chaos

import (
	"slices"
	"time"
)

// life is what the history says of one session.
type life struct {
	id, user string
	born     *Op            // its acknowledged creation, or the rotation to it
	first    *Op            // the creation of the first of its chain of rotations
	removals []*Op          // whatever may have ended it, acknowledged or not
	updates  map[string]*Op // the last acknowledged change of each key
	expiries []term         // ends that it was given
	accesses []term         // ends by being idle, where sessions end so
	reads    []*Op          // whatever was told of it: a read, list, touch, update, delete or rotation
	finals   []*Op          // reads when all was well again
}

// clockGrain is how close a login and a revocation of all may be without it being
// certain which came first: a revocation counts for the whole millisecond.
const clockGrain = 2 * time.Millisecond

// lives sorts a history by session.
func lives(history, finals []Op, bound Bound, idle time.Duration) map[string]*life {
	all := map[string]*life{}
	for i := range history {
		if op := &history[i]; op.begins() {
			l := &life{id: op.Reply.ID, user: op.User, born: op, updates: map[string]*Op{}}
			l.given(op, idle)
			all[op.Reply.ID] = l
		}
	}
	for _, l := range all {
		for up := l; up != nil; up = all[up.born.ID] {
			l.user, l.first = up.user, up.born
		}
	}
	byUser := map[string][]*life{}
	for _, l := range all {
		byUser[l.user] = append(byUser[l.user], l)
	}
	revocations := map[string][]*Op{}
	for i := range history {
		op := &history[i]
		if op.Kind == Revoke && op.Reply.Outcome != Refused {
			revocations[op.User] = append(revocations[op.User], op)
		}
		if l := all[op.ID]; l != nil {
			l.note(op, bound.NotFound, idle)
		}
		for _, l := range listed(op, byUser) {
			l.reads = append(l.reads, op.of(l))
		}
	}
	for i := range finals {
		if l := all[finals[i].ID]; l != nil {
			l.finals = append(l.finals, &finals[i])
		}
		for _, l := range listed(&finals[i], byUser) {
			l.finals = append(l.finals, finals[i].of(l))
		}
	}
	for _, l := range all {
		for up := all[l.born.ID]; up != nil; up = all[up.born.ID] {
			l.inherit(up)
		}
	}
	for _, l := range all {
		for _, r := range revocations[l.user] {
			if !l.first.Start.After(r.End.Add(clockGrain + bound.Skew)) {
				l.removals = append(l.removals, r)
			}
		}
	}
	return all
}

// listed are the lives that a list which was answered is about.
func listed(op *Op, byUser map[string][]*life) []*life {
	if op.Kind != List || op.Reply.Outcome != Acknowledged {
		return nil
	}
	return byUser[op.User]
}

// of is what a list says of one session.
func (op *Op) of(l *life) *Op {
	one := *op
	one.ID, one.Reply.IDs = l.id, nil
	one.Reply.Live = slices.Contains(op.Reply.IDs, l.id)
	return &one
}

// given notes an end that op gave it.
func (l *life) given(op *Op, idle time.Duration) {
	if t, ok := op.expiry(); ok {
		l.expiries = append(l.expiries, t)
	}
	if t, ok := op.access(idle); ok {
		l.accesses = append(l.accesses, t)
	}
}

// inherit adds what was told of a session that it comes from by rotations: what was
// changed under that id is to be there, and a logout of it ends this one too.
func (l *life) inherit(from *life) {
	for _, r := range from.removals {
		if r.Kind == Delete && r.ID == from.id {
			l.removals = append(l.removals, r)
		}
	}
	for key, update := range from.updates {
		if last := l.updates[key]; last == nil || last.Value < update.Value {
			l.updates[key] = update
		}
	}
}

// note adds what was told of it. Where a wrong answer of "not found" is within
// bounds, a deletion that was answered so has promised nothing, and may have ended it.
func (l *life) note(op *Op, notFound bool, idle time.Duration) {
	if op.Kind == Expire || op.Kind == Touch {
		l.given(op, idle)
	}
	if op.Kind == Delete && op.Reply.Outcome != Refused {
		removal := op
		if notFound && !op.Reply.Live {
			open := *op
			open.Reply.Outcome = Unknown
			removal = &open
		}
		l.removals = append(l.removals, removal)
	}
	if op.Kind == Rotate && (op.Reply.Live || op.mayHaveHappened()) {
		l.removals = append(l.removals, op) // of this id
	}
	if op.Reply.Outcome != Acknowledged {
		return
	}
	l.reads = append(l.reads, op)
	if last := l.updates[op.Key]; op.Kind == Update && op.Reply.Live && (last == nil || last.Value < op.Value) {
		l.updates[op.Key] = op
	}
}

// removedBefore returns a removal that was acknowledged before t and that l was
// certainly there for.
func (l *life) removedBefore(t time.Time, skew time.Duration, by func(*Op) bool) *Op {
	for _, r := range l.removals {
		certain := r.Kind != Revoke || l.first.End.Add(clockGrain+skew).Before(r.Start)
		if certain && r.Reply.Outcome == Acknowledged && r.End.Before(t) && by(r) {
			return r
		}
	}
	return nil
}

// touchedByRemoval reports whether a removal other than op itself may have ended
// it before t.
func (l *life) touchedByRemoval(t time.Time, op *Op) bool {
	for _, r := range l.removals {
		if r != op && !r.Start.After(t) {
			return true
		}
	}
	return false
}
