package backendtest

import (
	"context"
	"fmt"
	"time"

	"github.com/perdure/perdure"
)

func feedLaws() []law {
	return []law{
		{"TellsOfEveryChangeOnce", feedTellsOfEveryChangeOnce, nil},
		{"TellsOfNoVersionTwice", feedTellsOfNoVersionTwice, nil},
		{"KeepsTheOrderOfASession", feedKeepsTheOrderOfASession, nil},
		{"SaysWhenAChangeWasMade", feedSaysWhenAChangeWasMade, nil},
		{"FromNowIsWhatIsToCome", feedFromNowIsWhatIsToCome, nil},
		{"FromOldestIsAllItHolds", feedFromOldestIsAllItHolds, nil},
		{"GoesOnFromAnyCursor", feedGoesOnFromAnyCursor, nil},
		{"GivesNoMoreThanTheLimit", feedGivesNoMoreThanTheLimit, nil},
		{"WaitsForAChange", feedWaitsForAChange, nil},
		{"ReturnsEmptyAfterTheWait", feedReturnsEmptyAfterTheWait, nil},
		{"RefusesACursorThatIsNone", feedRefusesACursorThatIsNone, nil},
		{"TellsOfAGap", feedTellsOfAGap, needsFeedLength},
		{"TellsOfAStoreThatForgot", feedTellsOfAStoreThatForgot, needsLose},
	}
}

// feedTellsOfNoVersionTwice, but for touches, nor of a second end of what has ended,
// but for what had been rotated: who follows it counts each end once.
func feedTellsOfNoVersionTwice(r *rig) {
	u := r.user()
	for _, id := range []string{r.id(u), r.alien(u)} {
		w := r.watch(r.b)
		session := r.create(r.sessionAs(u, id))
		later := session
		later.LastAccess += 5000
		r.applied(put(session, session.Version))
		r.applied(put(later, session.Version))
		r.applied(put(session, session.Version))
		r.holds(later)
		w.saw(change(perdure.Created, 0, session), change(perdure.Touched, 0, session))

		planted := r.plant(r.id(u))
		r.do(planted)
		known := planted.Record // has met the session that it stands for
		known.Born, known.User, known.LastAccess = session.Born, u, session.LastAccess
		r.applied(put(known, known.Version))
		r.holds(known)
		came := r.create(buried(r.session(u), r.version(), perdure.ReasonLogout))
		used := came
		used.LastAccess++
		r.applied(put(used, came.Version))
		rotated := r.create(buried(r.session(u), r.version(), perdure.ReasonRotated))
		ended := buried(rotated, r.version(), perdure.ReasonLogout)
		r.applied(put(ended, rotated.Version))
		again := buried(rotated, r.version(), perdure.ReasonRevoked)
		r.applied(put(again, ended.Version)) // where two had ended it
		epoch := r.epoch(r.user(), r.version())
		r.create(epoch)
		r.applied(put(epoch, epoch.Version))
		revoked := change(perdure.UserRevoked, 0, epoch)
		revoked.anyReason = true
		w.saw(
			change(perdure.Deleted, perdure.ReasonLogout, planted.Record), change(perdure.Deleted, perdure.ReasonLogout, came),
			change(perdure.Deleted, perdure.ReasonRotated, rotated), change(perdure.Deleted, perdure.ReasonLogout, ended), revoked,
		)
	}
}

func feedTellsOfEveryChangeOnce(r *rig) {
	u := r.user()
	w := r.watch(r.b)
	var want []expected
	first, second := r.session(u), r.sessionAs(u, r.alien(u))
	write := func(w perdure.Write, announced ...expected) {
		r.t.Helper()
		if result := r.do(w); result.Outcome == perdure.Conflict {
			r.t.Fatalf("%s: %s", showWrite(w), showResult(result))
		}
		want = append(want, announced...)
	}
	login := put(first, perdure.Version{})
	login.Reason = perdure.ReasonMerged
	write(login, change(perdure.Created, perdure.ReasonMerged, first))
	write(put(second, perdure.Version{}), change(perdure.Created, 0, second))
	next := r.changed(second)
	update := put(next, second.Version)
	update.Reason = perdure.ReasonRotated
	write(update, change(perdure.Updated, perdure.ReasonRotated, next))
	write(touch(first.ID, first.LastAccess+1), change(perdure.Touched, 0, first))
	last := r.changed(next)
	write(put(last, next.Version), change(perdure.Updated, 0, last))
	logout := buried(first, r.version(), perdure.ReasonLogout)
	write(remove(first.ID, logout.Version, logout.Reason), change(perdure.Deleted, perdure.ReasonLogout, logout))
	merged := buried(last, r.version(), perdure.ReasonRevoked)
	write(put(merged, last.Version), change(perdure.Deleted, perdure.ReasonRevoked, merged))
	epoch := change(perdure.UserRevoked, 0, r.epoch(u, r.version()))
	epoch.anyReason = true
	write(put(r.epoch(u, epoch.Version), perdure.Version{}), epoch)
	parent := r.session(u)
	write(put(parent, perdure.Version{}), change(perdure.Created, 0, parent))
	batch, tomb, child := r.rotation(parent)
	batch[1].Epoch = epoch.Version
	r.applied(batch...)
	want = append(want, change(perdure.Deleted, perdure.ReasonRotated, tomb), change(perdure.Created, perdure.ReasonRotated, child))
	w.saw(want...)
	w.saw()
}

func feedKeepsTheOrderOfASession(r *rig) {
	all := r.population(2, 3)
	w := r.watch(r.b)
	var want []expected
	for n := range r.size(30) * len(all) {
		session := &all[n/3%len(all)]
		if n%4 == 3 {
			session.LastAccess++
			r.applied(touch(session.ID, session.LastAccess))
			want = append(want, change(perdure.Touched, 0, *session))
			continue
		}
		next := r.changed(*session)
		r.applied(put(next, session.Version))
		want = append(want, change(perdure.Updated, 0, next))
		*session = next
	}
	w.saw(want...)
}

func feedSaysWhenAChangeWasMade(r *rig) {
	w := r.watch(r.b)
	r.create(r.session(r.user()))
	got := w.read(10)
	if len(got) != 1 {
		r.t.Fatalf("one new session makes %d changes", len(got))
	}
	if off := got[0].At - r.in(0); off > r.skew() || off < -r.skew() {
		r.t.Fatalf("a change is dated %d ms off the clock", off)
	}
}

func feedFromNowIsWhatIsToCome(r *rig) {
	u := r.user()
	r.create(r.session(u))
	w := r.watch(r.b)
	w.saw()
	session := r.create(r.session(u))
	w.saw(change(perdure.Created, 0, session))
}

func feedFromOldestIsAllItHolds(r *rig) {
	w := &watch{r: r, b: r.b, next: perdure.FromOldest}
	w.saw()
	var want []expected
	for _, session := range r.population(4, 5) {
		want = append(want, change(perdure.Created, 0, session))
	}
	w.saw(want...)
	again := &watch{r: r, b: r.a, next: perdure.FromOldest}
	again.saw(want...)
}

func feedGoesOnFromAnyCursor(r *rig) {
	w := r.watch(r.a)
	cursors := []string{w.next}
	var want []expected
	for _, session := range r.population(3, 4) {
		want = append(want, change(perdure.Created, 0, session))
	}
	var got []perdure.Change
	for range want {
		batch := w.batch(1)
		got = append(got, batch.Changes...)
		cursors = append(cursors, w.next)
	}
	r.noError(explain(got, want))
	session := r.create(r.session(r.user()))
	want = append(want, change(perdure.Created, 0, session))
	for i, cursor := range cursors {
		rest := &watch{r: r, b: r.either(i), next: cursor}
		seen := append(got[:i:i], rest.read(3)...)
		r.noError(explain(seen, want))
		rest.saw()
	}
}

func feedGivesNoMoreThanTheLimit(r *rig) {
	w := r.watch(r.b)
	all := r.population(10, 3)
	seen := 0
	for _, limit := range []int{1, 2, 3, 5, 7, 12} {
		batch := w.batch(limit)
		if n := len(batch.Changes); n > limit || n == 0 {
			r.t.Fatalf("a batch of at most %d changes has %d", limit, n)
		}
		seen += len(batch.Changes)
	}
	if rest := w.read(100); seen+len(rest) != len(all) {
		r.t.Fatalf("%d changes were read of %d", seen+len(rest), len(all))
	}
}

func feedWaitsForAChange(r *rig) {
	u := r.user()
	w := r.watch(r.b)
	for range r.size(10) {
		type answer struct {
			batch perdure.ChangeBatch
			err   error
		}
		got := make(chan answer, 1)
		asked := make(chan struct{})
		go func() {
			close(asked)
			batch, err := r.b.Changes(r.ctx, w.next, 10, lawTime)
			got <- answer{batch, err}
		}()
		<-asked
		r.noError(r.a.Ping(r.ctx)) // some time for the watcher to wait in
		session := r.create(r.session(u))
		var a answer
		r.noError(r.ends("Changes that waits for a change", func() error { a = <-got; return a.err }))
		r.noError(explain(a.batch.Changes, []expected{change(perdure.Created, 0, session)}))
		w.next = a.batch.Next
	}
}

func feedReturnsEmptyAfterTheWait(r *rig) {
	w := r.watch(r.b)
	for _, wait := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond} {
		r.noError(r.ends("Changes after its wait", func() error {
			batch, err := r.b.Changes(r.ctx, w.next, 10, wait)
			if len(batch.Changes) > 0 {
				return fmt.Errorf("a feed without changes has\n%s", showChanges(batch.Changes))
			}
			w.next = batch.Next
			return err
		}))
		session := r.create(r.session(r.user()))
		w.saw(change(perdure.Created, 0, session))
	}
	fresh := ""
	r.noError(r.ends("Changes after its wait", func() (err error) {
		batch, err := r.b.Changes(r.ctx, perdure.FromNow, 10, time.Millisecond)
		fresh = batch.Next
		return err
	}))
	w.next = fresh
	w.saw()
}

func feedRefusesACursorThatIsNone(r *rig) {
	r.population(2, 2)
	for _, cursor := range noCursors() {
		ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Patience)
		_, err := r.b.Changes(ctx, cursor, 10, 0)
		cancel()
		r.wantError("Changes after "+clip(cursor), err, perdure.ErrInvalid)
	}
}
