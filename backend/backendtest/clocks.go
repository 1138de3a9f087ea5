package backendtest

import (
	"time"

	"github.com/perdure/perdure"
)

func clockLaws() []law {
	return []law{
		{"StepsLoseNothing", stepsLoseNothing, needsClock},
		{"StepsEndNoSession", stepsEndNoSession, needsClock},
		{"StepsMoveNoAccessBack", stepsMoveNoAccessBack, needsClock},
		{"DatesChanges", clockDatesChanges, needsClock},
	}
}

// steps are jumps of the clock, back and forth, across minutes and days.
func steps() []time.Duration {
	return []time.Duration{2 * hour, -hour, time.Millisecond, -time.Millisecond, 48 * hour, -72 * hour, 30 * time.Second, 0}
}

// stepsLoseNothing writes after each jump, with versions of that time, and
// follows the feed from each cursor.
func stepsLoseNothing(r *rig) {
	u := r.user()
	session := r.session(u)
	session.Expiry = r.in(week)
	r.create(session)
	w := r.watch(r.a)
	var want []expected
	var cursors []string
	for i, step := range steps() {
		r.wall.step(step)
		cursors = append(cursors, w.next)
		next := r.changed(session)
		next.Version = perdure.Version{Time: uint64(r.in(0))<<16 | uint64(i), Node: 9}
		r.applied(put(next, session.Version))
		session = next
		want = append(want, change(perdure.Updated, 0, session))
		r.conflicts(session, put(next, perdure.Version{}))
		r.holds(session)
		r.noError(explain(w.read(1), want[i:]))
	}
	for i, cursor := range cursors {
		rest := &watch{r: r, b: r.b, next: cursor}
		rest.saw(want[i:]...)
	}
	r.lists("the user's sessions", u, 1, []perdure.Record{session})
}

// stepsEndNoSession: a clock that jumps ahead and comes back has ended nobody's
// session, for only a sweep ends it.
func stepsEndNoSession(r *rig) {
	u := r.user()
	session := r.session(u)
	session.Idle = 60_000
	r.create(session)
	for range 3 {
		r.wall.step(10 * week)
		r.noError(r.a.Ping(r.ctx))
		r.holds(session)
		r.wall.step(-10 * week)
		session.LastAccess += 1000
		r.applied(touch(session.ID, session.LastAccess))
		r.holds(session)
	}
	r.lists("the user's sessions", u, 1, []perdure.Record{session})
}

func stepsMoveNoAccessBack(r *rig) {
	session := r.session(r.user())
	session.Expiry = r.in(week)
	r.create(session)
	for _, step := range steps() {
		r.wall.step(step)
		now := r.in(0)
		r.applied(touch(session.ID, now))
		session.LastAccess = max(session.LastAccess, now)
		r.holds(session)
	}
}

func clockDatesChanges(r *rig) {
	w := r.watch(r.b)
	for range 3 {
		r.wall.step(hour)
		r.create(r.session(r.user()))
		got := w.read(10)
		if len(got) != 1 || got[0].At != r.in(0) {
			r.t.Fatalf("at %d a new session is announced with\n%s at %v", r.in(0), showChanges(got), got)
		}
	}
}
