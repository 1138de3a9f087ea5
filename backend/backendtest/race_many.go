package backendtest

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/perdure/perdure"
)

// Races of what goes over many sessions: revocation, sweep and feed.

// revokeAllMissesNoLogin: no session that was born before a revocation is there
// after it, whenever its creation arrived. One that is born after it lives,
// unless the revocation met it on its way and says so.
func revokeAllMissesNoLogin(r *rig) {
	for range r.size(10) {
		u := r.user()
		early := r.sessions(u, 4)
		q := r.removal(u, perdure.Version{})
		q.Limit = 3
		late := perdure.Version{Time: q.Epoch.Version.Time - 1, Node: 1}
		const creators, each = 4, 8
		created := make([][]perdure.Record, creators)
		removed := map[string]bool{}
		r.parallel(creators+1, func(i int) error {
			if i == creators {
				return r.revokeAll(q, removed)
			}
			for range each {
				session := r.session(u)
				if i == 0 {
					session.Born = late
				}
				result, err := tryApply(r, r.either(i), put(session, perdure.Version{}))
				switch {
				case err != nil:
					return err
				case result.Outcome == perdure.Applied:
					created[i] = append(created[i], session)
				case session.Born != late:
					return fmt.Errorf("a login after the revocation was refused: %s", showResult(result))
				}
			}
			return nil
		})
		var alive []perdure.Record
		for _, session := range slices.Concat(append(created, early)...) {
			if !removed[session.ID] {
				alive = append(alive, session)
				if session.Born.Before(q.Epoch.Version) {
					r.t.Fatalf("a revocation missed a login from before it: %s", show(session))
				}
			}
		}
		r.lists("the user's sessions after a revocation", u, 10, alive)
		r.ended(q, early)
		last := r.create(r.session(u))
		r.lists("the user's sessions and a later login", u, 10, append(alive, last))
	}
}

// revokeAll carries a removal out to its end and notes what it removed; it can
// be called from any goroutine.
func (r *rig) revokeAll(q perdure.UserRemoval, removed map[string]bool) error {
	for range maxPages {
		got, err := r.a.RemoveUser(r.ctx, q)
		if err != nil {
			return err
		}
		if got.Outcome != perdure.Applied {
			return fmt.Errorf("RemoveUser: %s with %s, want Applied", showOutcome(got.Outcome), show(got.Stored))
		}
		for _, session := range got.Removed {
			removed[session.ID] = true
		}
		if got.Next == "" {
			return nil
		}
		q.After, q.Base = got.Next, q.Epoch.Version
	}
	return fmt.Errorf("RemoveUser does not end after %d calls", maxPages)
}

// oneRevocationWins: of revocations on one base all but one are told of the
// epoch that came first.
func oneRevocationWins(r *rig) {
	for range r.size(10) {
		u := r.user()
		all := r.sessions(u, 3)
		const writers = 4
		var tries [writers]perdure.UserRemoval
		var got [writers]perdure.UserRemoved
		r.parallel(writers, func(i int) (err error) {
			tries[i] = r.removal(u, perdure.Version{})
			got[i], err = r.either(i).RemoveUser(r.ctx, tries[i])
			return err
		})
		winner := slices.IndexFunc(got[:], func(g perdure.UserRemoved) bool { return g.Outcome == perdure.Applied })
		if winner < 0 {
			r.t.Fatalf("of %d revocations none was applied", writers)
		}
		for i, g := range got {
			if i != winner && (g.Outcome != perdure.Conflict || g.Stored != tries[winner].Epoch || len(g.Removed) > 0) {
				r.t.Fatalf("beside a revocation another: %s, %d removed:\n%s", showOutcome(g.Outcome), len(g.Removed), diff(g.Stored, tries[winner].Epoch))
			}
		}
		r.wantSame("what was removed", got[winner].Removed, all)
	}
}

// sweepOrUseNeverBoth: a session that is swept while it is used is used or swept.
func sweepOrUseNeverBoth(r *rig) {
	r = r.longAgo()
	for round := range r.size(25) {
		session := r.session(r.user())
		session.Idle = 1000
		r.create(session)
		used := r.changed(session)
		used.LastAccess += 999
		w := touch(session.ID, used.LastAccess)
		if round%2 == 0 {
			w = put(used, session.Version)
		}
		var result perdure.Result
		var expired int
		r.parallel(2, func(i int) (err error) {
			if i == 0 {
				result, err = tryApply(r, r.a, w)
			} else {
				expired, _, err = r.b.Sweep(r.ctx, session.LastAccess+1000, 10)
			}
			return err
		})
		r.settlesOn(session.ID, func(stored perdure.Record) error {
			if applied := result.Outcome == perdure.Applied; applied == (expired > 0) || applied != stored.Exists() {
				return fmt.Errorf("%s: %s; the sweep expired %d; stored is %s", showWrite(w), showResult(result), expired, show(stored))
			}
			return nil
		})
		r.drain(r.a, session.Expiry, 10)
	}
}

func sweepersShareTheWork(r *rig) {
	r = r.longAgo()
	all := r.population(5, r.size(40))
	w := r.watch(r.b)
	now := r.in(3 * hour)
	const sweepers = 4
	var expired atomic.Int64
	r.parallel(sweepers, func(i int) error {
		for range maxPages {
			n, more, err := r.either(i).Sweep(r.ctx, now, 7)
			if err != nil {
				return err
			}
			expired.Add(int64(n))
			if !more {
				return nil
			}
		}
		return fmt.Errorf("the sweep does not end")
	})
	if total := int(expired.Load()) + r.drain(r.a, now, 7); total != len(all) {
		r.t.Fatalf("%d sweepers expired %d of %d sessions", sweepers, total, len(all))
	}
	var want []expected
	for _, session := range all {
		want = append(want, change(perdure.Expired, perdure.ReasonExpired, session))
	}
	w.saw(want...)
}

// theFeedMissesNothing follows the feed while several change the same sessions:
// it tells of each change once, in the order in which one was based on another.
func theFeedMissesNothing(r *rig) {
	const writers = 4
	all := r.sessions(r.user(), 2)
	var made [writers][]perdure.Write
	w := r.watch(r.b)
	done := make(chan struct{})
	var writing atomic.Int64
	var got []perdure.Change
	r.parallel(writers+1, func(i int) (err error) {
		if i == writers {
			got, err = w.follow(done)
			return err
		}
		made[i], err = r.contend(i, all)
		if writing.Add(1) == writers {
			close(done)
		}
		return err
	})
	follows := map[perdure.Version]perdure.Record{} // what was put on a base
	for _, write := range slices.Concat(made[:]...) {
		follows[write.Base] = write.Record
	}
	var want []expected
	for _, session := range all {
		for next, ok := follows[session.Version]; ok; next, ok = follows[next.Version] {
			want = append(want, change(perdure.Updated, 0, next))
		}
	}
	r.noError(explain(append(got, w.read(50)...), want))
}

// contend changes the sessions by compare and set, and returns the puts that
// were applied; it can be called from any goroutine.
func (r *rig) contend(i int, all []perdure.Record) (made []perdure.Write, err error) {
	known := slices.Clone(all)
	for n := range r.size(60) {
		session := &known[n%len(known)]
		w := put(r.changed(*session), session.Version)
		result, err := tryApply(r, r.either(i), w)
		if err != nil {
			return nil, err
		}
		if result.Outcome == perdure.Applied {
			made = append(made, w)
		}
		*session = follow(*session, w, result)
	}
	return made, nil
}

// follow reads the feed until done; it can be called from any goroutine.
func (w *watch) follow(done <-chan struct{}) (all []perdure.Change, err error) {
	for {
		batch, err := w.b.Changes(w.r.ctx, w.next, 5, 0)
		if err != nil {
			return nil, err
		}
		all, w.next = append(all, batch.Changes...), batch.Next
		select {
		case <-done:
			return all, nil
		default:
		}
	}
}
