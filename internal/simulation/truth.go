package simulation

import (
	"slices"
	"time"

	"github.com/perdure/perdure"
)

const (
	// tolerance is for what is rounded: milliseconds, and a last access that is not
	// worth a fetch.
	tolerance = 2 * time.Second
	// outageIDs is how long an id that was minted in an outage says so.
	outageIDs = 24 * time.Hour
	// longGone is how long a process was away that must not serve what it kept.
	longGone = 45 * time.Minute
)

// alive reports whether the session was there for sure for whoever made the call.
func (j *judge) alive(x *session, e *Event) bool {
	m := x.made
	switch {
	case !m.acked() || !m.before(e):
		return false
	case !j.sees(m, e) && !j.marked(x, e):
		return false
	}
	for y := x; y != nil; y = y.parent {
		if y != x && !y.made.before(e) {
			return false
		}
		if slices.ContainsFunc(y.ends, func(d *Event) bool { return d != e && d.may(e) }) {
			return false
		}
	}
	if slices.ContainsFunc(x.rotations, func(r *Event) bool { return r != e && r.may(e) }) {
		return false
	}
	for _, r := range j.revokes {
		if r.may(e) && j.sameUser(r, x) && !j.named(r, x) && !j.bornAfter(x, r) {
			return false
		}
	}
	late := e.ended + max(0, e.off, e.offAt) + tolerance
	return late < j.earliest(x, e)
}

// marked reports whether the id says that the session was minted in an outage, so
// that nobody may take it for unknown.
func (j *judge) marked(x *session, e *Event) bool {
	minted, ok := perdure.OutageTime(x.id)
	listed := e.Step.Op == ListUser || e.Step.Op == ListAll // by nobody who asks for the id
	return ok && !listed && x.made.before(e) && !e.final && j.w.profile.Clocks == nil && !j.lossy(e) && j.known(x.made) != never && j.w.born.Add(e.ended).Sub(minted) < outageIDs
}

func (j *judge) sameUser(r *Event, x *session) bool {
	return user(r.Step.User) == x.user && r.life.p.service == x.service
}

func (x *session) root() *session {
	for x.parent != nil {
		x = x.parent
	}
	return x
}

// named reports whether a revocation spares the session for sure: it names it, or what
// it was rotated from. What both sides of a partition rotated one session into are two.
func (j *judge) named(r *Event, x *session) bool {
	for ; x != nil; x = x.parent {
		if slices.Contains(r.ids, x.id) {
			return true
		}
	}
	return false
}

// spared reports whether a revocation may spare the session.
func (j *judge) spared(r *Event, x *session) bool {
	return slices.ContainsFunc(r.ids, func(id string) bool {
		y := j.byID[id]
		return y != nil && y.root() == x.root()
	})
}

// bornAfter reports whether the session was created after a revocation for sure.
func (j *judge) bornAfter(x *session, r *Event) bool {
	m := x.root().made
	if !r.before(m) {
		return false
	}
	return m.life == r.life || r.acked() && r.online() && m.online() && j.sees(r, m)
}

// bornBefore reports whether a revocation ends the session for sure.
func (j *judge) bornBefore(x *session, r *Event) bool {
	m := x.root().made
	switch {
	case !r.acked() || !m.before(r):
		return false
	case m.life == r.life, r.online() && j.knownBy(m, r) && !j.lossy(r):
		return true
	}
	return m.life.vouched() && m.session.Version.Millis()+1 < perdure.MillisOf(j.w.born.Add(r.began+r.off))
}

// dead returns what ended the session for sure for whoever made the call.
func (j *judge) dead(x *session, e *Event) *Event {
	for y := x; y != nil; y = y.parent {
		for _, d := range y.ends {
			if d.acked() && (d.ok || j.knownBy(y.made, d)) && j.binds(d, e) { // for ever, found or not
				return d
			}
		}
	}
	for _, r := range x.rotations {
		if r != e && r.acked() && j.binds(r, e) {
			return r
		}
	}
	for _, r := range j.revokes {
		if j.sameUser(r, x) && !j.spared(r, x) && j.bornBefore(x, r) && j.binds(r, e) {
			return r
		}
	}
	return nil
}

// binds reports whether an end must be known to whoever made the call.
func (j *judge) binds(end, e *Event) bool {
	switch {
	case !end.before(e):
		return false
	case end.life == e.life:
		return true
	case e.final:
		return j.guaranteed(end)
	case j.lossy(e):
		return false
	}
	known := j.known(end)
	switch {
	case known == never:
		return false
	case e.connected() && j.knownBy(end, e), known < j.inStep(e.life, e.began):
		return true
	case end.life.p == e.life.p && j.w.profile.Files && !j.w.profile.Shared && j.repaired[e.life.p.n] == nil:
		return true
	}
	return j.slept(end, e, known)
}

// slept reports whether the process was away so long that it may not serve what it
// knew before.
func (j *judge) slept(end, e *Event, known time.Duration) bool {
	l := e.life
	if l.n == 0 || known > l.began {
		return false
	}
	before := l.p.lives[l.n-1]
	return l.began-before.ended > longGone && known > before.ended
}

// expiriesOf are the expiries that the session may have for whoever made the call.
// Past ones, which a later write has replaced, are among them on demand.
func (j *judge) expiriesOf(x *session, e *Event, past, own bool) (all []time.Duration) {
	writes := append([]*Event{x.made}, x.expiries...)
	for y := x.parent; y != nil; y = y.parent {
		for _, w := range y.expiries {
			if !w.before(x.made) || !w.online() || !x.made.online() {
				writes = append(writes, w)
			}
		}
	}
	var last *Event
	for _, w := range writes {
		if w.acked() && w != e && j.sees(w, e) && (last == nil || last.session.Version.Before(w.session.Version)) {
			last = w
		}
	}
	for _, w := range writes {
		switch {
		case !w.may(e), w.done && refused(w), w == e && !own:
		case w == last, past, last == nil, x.parent != nil,
			w == e, !w.acked(), !j.sees(w, e), last.session.Version.Before(w.session.Version), together(w, last), j.lapsed(w, last) && x.mergedTo(last), j.forgotten(w, last, writes), restamped(w), restamped(last):
			all = append(all, j.expiry(w))
		}
	}
	return all
}

// together reports whether two writes came in the same millisecond, so that of what a
// sweep has left of one it cannot be told whether the other came later.
func together(a, b *Event) bool {
	return a.session.Version.Millis() == b.session.Version.Millis()
}

// mergedTo reports whether something else may have been merged into the session: then what
// a sweep leaves of it may look as if it had been written after the last change of its end.
func (x *session) mergedTo(last *Event) bool {
	return slices.ContainsFunc(slices.Concat(x.updates, x.expiries), func(u *Event) bool { return u != last && !u.online() && !refused(u) })
}

// lapsed reports whether the session was over, for the front store, before that
// knew of the write that put its end off. What was changed before may be gone then.
func (j *judge) lapsed(w, last *Event) bool { return j.expiry(w) <= j.known(last)+tolerance }

// forgotten reports whether the front store may have swept, without a trace, what the
// last write had made of the session, before it heard of an earlier write that had put
// its end off: it keeps a trace of what it had itself promised for longer.
func (j *judge) forgotten(w, last *Event, writes []*Event) bool {
	if w.online() || !last.online() || j.known(w) == never || j.expiry(last) > j.known(w)+tolerance {
		return false
	}
	return !slices.ContainsFunc(writes, func(u *Event) bool {
		return u.online() && u.acked() && u.before(last) && j.expiry(u) > j.expiry(last)
	})
}

// refused reports whether a write has changed nothing for sure.
func refused(w *Event) bool {
	return w.err != nil && !isUnavailable(w.err)
}

// restamped reports whether the version of a write may be another by now: it was
// given by a clock that was wrong, or that nobody can vouch for.
func restamped(w *Event) bool {
	return !w.online() && (max(w.off.Abs(), w.offAt.Abs()) > 30*time.Second || !w.life.vouched())
}

func (j *judge) expiry(w *Event) time.Duration {
	if w.acked() {
		return w.session.ExpiresAt.Sub(j.w.born)
	}
	return w.wanted.Sub(j.w.born)
}

// earliest is when the session may be over for whoever made the call.
func (j *judge) earliest(x *session, e *Event) time.Duration {
	at := slices.Min(append(j.expiriesOf(x, e, false, true), never))
	idle := j.w.profile.Store.IdleTimeout
	if idle == 0 {
		return at
	}
	last := x.made.began + min(0, x.made.off)
	for _, t := range x.touches {
		if t.acked() && t.ok && j.sees(t, e) {
			last = max(last, t.began+min(0, t.off, t.offAt))
		}
	}
	return min(at, last+idle)
}

// over is when the session is over for sure for whoever made the call.
func (j *judge) over(x *session, e *Event) time.Duration {
	at := slices.Max(append(j.expiriesOf(x, e, !e.connected(), false), 0))
	if at == 0 {
		return never
	}
	if idle := j.w.profile.Store.IdleTimeout; idle > 0 {
		last := max(x.made.ended+max(0, x.made.off, x.made.offAt), x.made.session.LastAccessedAt.Sub(j.w.born))
		for _, t := range x.anyTouches() {
			if t == e || !t.may(e) {
				continue
			}
			if ended := t.ended; !t.done {
				last = max(last, t.began+callPatience)
			} else if t.err != nil || t.ok {
				last = max(last, ended+max(0, t.off, t.offAt))
			}
		}
		at = min(at, last+idle)
	}
	return at + tolerance + max(0, -e.off, -e.offAt)
}

// anyTouches are those of the session under all its ids: what is touched under an old
// one while it is rotated elsewhere is touched under the new one, too.
func (x *session) anyTouches() (all []*Event) {
	for ; x != nil; x = x.parent {
		all = append(all, x.touches...)
	}
	return all
}
