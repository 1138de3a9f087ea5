package backendtest

import (
	"fmt"
	"sync/atomic"

	"github.com/perdure/perdure"
)

func raceLaws() []law {
	return []law{
		{"LogoutBeatsTouchAndUpdate", logoutBeatsTouchAndUpdate, nil},
		{"OneCreateWins", oneCreateWins, nil},
		{"NoUpdateIsLost", noUpdateIsLost, nil},
		{"TheLatestTouchStays", theLatestTouchStays, nil},
		{"OneRotationWins", oneRotationWins, nil},
		{"DeleteOrRotateNeverBoth", deleteOrRotateNeverBoth, nil},
		{"ARotationIsSeenWhole", aRotationIsSeenWhole, nil},
		{"RevokeAllMissesNoLogin", revokeAllMissesNoLogin, nil},
		{"OneRevocationWins", oneRevocationWins, nil},
		{"SweepOrUseNeverBoth", sweepOrUseNeverBoth, nil},
		{"SweepersShareTheWork", sweepersShareTheWork, nil},
		{"TheFeedMissesNothing", theFeedMissesNothing, nil},
		{"SessionsAreLinearizable", sessionsAreLinearizable, nil},
	}
}

// logoutBeatsTouchAndUpdate: whatever is begun after a logout was acknowledged
// finds it, and nothing that was under way undoes it.
func logoutBeatsTouchAndUpdate(r *rig) {
	for range r.size(15) {
		session := r.create(r.session(r.user()))
		var ended atomic.Bool
		tomb := buried(session, r.version(), perdure.ReasonLogout)
		writers := 4
		r.parallel(writers+1, func(i int) error {
			if i == writers {
				err := mustApply(r, r.a, remove(session.ID, tomb.Version, tomb.Reason))
				ended.Store(true)
				return err
			}
			known := session
			for range r.size(15) {
				late := ended.Load()
				known.LastAccess++
				w := touch(session.ID, known.LastAccess)
				if i%2 == 0 {
					w = put(r.changed(known), known.Version)
				}
				result, err := tryApply(r, r.either(i), w)
				if err != nil {
					return err
				}
				if late && result.Outcome == perdure.Applied {
					return fmt.Errorf("applied after the logout was acknowledged: %s", showWrite(w))
				}
				known = follow(known, w, result)
			}
			return nil
		})
		got := r.stored(session.ID)
		if got.Kind != perdure.KindTombstone || got.Version != tomb.Version || got.Body != "" {
			r.t.Fatalf("after a logout the id has %s", show(got))
		}
		r.holds(got)
	}
}

// follow is what a writer knows after a write.
func follow(known perdure.Record, w perdure.Write, result perdure.Result) perdure.Record {
	switch {
	case w.Op == perdure.OpPut && result.Outcome == perdure.Applied:
		return w.Record
	case result.Outcome == perdure.Conflict && result.Stored.Kind == perdure.KindSession:
		return result.Stored
	}
	return known
}

func oneCreateWins(r *rig) {
	for round := range r.size(20) {
		u := r.user()
		id := r.id(u)
		if round%2 == 1 {
			id = r.alien(u)
		}
		const writers = 6
		tries := make([]perdure.Record, writers)
		results := make([]perdure.Result, writers)
		r.parallel(writers, func(i int) (err error) {
			tries[i] = r.sessionAs(u, id)
			results[i], err = tryApply(r, r.either(i), put(tries[i], perdure.Version{}))
			return err
		})
		winner := perdure.Record{}
		for i, result := range results {
			if result.Outcome == perdure.Applied {
				if winner.Exists() {
					r.t.Fatalf("two creations of %s were applied", id)
				}
				winner = tries[i]
			}
		}
		for i, result := range results {
			if result.Outcome != perdure.Applied && result.Stored != winner {
				r.t.Fatalf("creation %d lost against another than the winner:\n%s", i, diff(result.Stored, winner))
			}
		}
		r.holds(winner)
		r.lists("the user's sessions", u, 10, []perdure.Record{winner})
	}
}

// noUpdateIsLost counts in a body, by compare and set.
func noUpdateIsLost(r *rig) {
	u := r.user()
	for _, id := range []string{r.id(u), r.alien(u)} {
		session := r.sessionAs(u, id)
		session.Body = ""
		r.create(session)
		const writers = 4
		each := r.size(15)
		r.parallel(writers, func(i int) error {
			known := session
			for n := 0; n < each; {
				next := r.changed(known)
				next.Body = known.Body + string(rune('a'+i))
				result, err := tryApply(r, r.either(i), put(next, known.Version))
				if err != nil {
					return err
				}
				if result.Outcome == perdure.Applied {
					n++
				}
				known = follow(known, put(next, known.Version), result)
			}
			return nil
		})
		r.settlesOn(id, func(got perdure.Record) error {
			if n := len(got.Body); n != writers*each {
				return fmt.Errorf("%d of %d updates were lost", writers*each-n, writers*each)
			}
			return nil
		})
	}
}

// theLatestTouchStays has updates race touches: neither undoes the other.
func theLatestTouchStays(r *rig) {
	session := r.create(r.session(r.user()))
	latest := session.LastAccess
	const touchers = 3
	for range r.size(40) {
		next := r.changed(session)
		r.parallel(touchers+1, func(i int) error {
			if i == touchers {
				return mustApply(r, r.either(i), put(next, session.Version)) // keeps the access that it knows
			}
			return mustApply(r, r.either(i), touch(session.ID, latest+1+perdure.Millis(i)))
		})
		latest += touchers
		session = next
		r.settlesOn(session.ID, func(got perdure.Record) error {
			if got.LastAccess != latest || got.Version != next.Version {
				return fmt.Errorf("after touches up to %d and an update to version %s:\n%s", latest, next.Version, show(got))
			}
			return nil
		})
	}
}
