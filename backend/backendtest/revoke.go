package backendtest

import (
	"slices"

	"github.com/perdure/perdure"
)

func revokeLaws() []law {
	return []law{
		{"EndsAllSessions", revokeEndsAllSessions, nil},
		{"SparesTheExcepted", revokeSparesTheExcepted, nil},
		{"LeavesAnEpoch", revokeLeavesAnEpoch, nil},
		{"OnAnotherBaseIsAConflict", revokeOnAnotherBaseIsAConflict, nil},
		{"AheadOfTheClockIsRefused", revokeAheadOfTheClockIsRefused, nil},
		{"GoesPageByPage", revokeGoesPageByPage, nil},
		{"ShowsTheExpiredToo", revokeShowsTheExpiredToo, nil},
		{"TouchesNoOtherUser", revokeTouchesNoOtherUser, nil},
		{"IsAnnounced", revokeIsAnnounced, nil},
		{"RefusesACursorThatIsNone", revokeRefusesACursorThatIsNone, nil},
	}
}

// removal is the removal of all a user's sessions, now.
func (r *rig) removal(u perdure.UserKey, base perdure.Version) perdure.UserRemoval {
	return perdure.UserRemoval{Epoch: r.epoch(u, r.version()), Base: base, Reason: perdure.ReasonRevoked, Limit: 100}
}

// revoke carries a removal out to its end and returns all that it removed.
func (r *rig) revoke(b perdure.Backend, q perdure.UserRemoval) (removed []perdure.Record) {
	r.t.Helper()
	for range maxPages {
		got, err := b.RemoveUser(r.ctx, q)
		r.noError(err)
		if got.Outcome != perdure.Applied {
			r.t.Fatalf("RemoveUser: %s with %s, want Applied", showOutcome(got.Outcome), show(got.Stored))
		}
		if len(got.Removed) > q.Limit {
			r.t.Fatalf("RemoveUser ended %d sessions in one call, the limit is %d", len(got.Removed), q.Limit)
		}
		removed = append(removed, got.Removed...)
		if got.Next == "" {
			return removed
		}
		q.After, q.Base = got.Next, q.Epoch.Version
	}
	r.t.Fatalf("RemoveUser does not end after %d calls", maxPages)
	return nil
}

// ended fails unless all have the tombstones that the removal leaves.
func (r *rig) ended(q perdure.UserRemoval, all []perdure.Record) {
	r.t.Helper()
	for _, session := range all {
		r.holds(buried(session, q.Epoch.Version, q.Reason))
	}
}

func revokeEndsAllSessions(r *rig) {
	r = r.longAgo()
	u := r.user()
	all := r.sessions(u, 12)
	q := r.removal(u, perdure.Version{})
	r.wantSame("what was removed", r.revoke(r.a, q), all)
	r.ended(q, all)
	r.lists("the user's sessions", u, 10, nil)
	if n := r.drain(r.b, r.in(2*hour), 10); n != 0 {
		r.t.Fatalf("the sweep expired %d sessions that had been ended", n)
	}
}

func revokeSparesTheExcepted(r *rig) {
	u := r.user()
	all := r.sessions(u, 8)
	q := r.removal(u, perdure.Version{})
	q.Except = append(ids(all[:3]), r.id(u))
	r.wantSame("what was removed", r.revoke(r.a, q), all[3:])
	r.ended(q, all[3:])
	r.lists("the user's sessions", u, 10, all[:3])
}

func revokeLeavesAnEpoch(r *rig) {
	u := r.user()
	older := r.session(u)
	q := r.removal(u, perdure.Version{})
	r.wantSame("what was removed", r.revoke(r.a, q), nil)
	r.holds(q.Epoch)
	r.conflicts(q.Epoch, put(older, perdure.Version{}))
	younger := r.create(r.session(u))
	r.lists("the user's sessions", u, 10, []perdure.Record{younger})
}

func revokeOnAnotherBaseIsAConflict(r *rig) {
	u := r.user()
	all := r.sessions(u, 3)
	try := func(base perdure.Version, stored perdure.Record) {
		r.t.Helper()
		got, err := r.a.RemoveUser(r.ctx, r.removal(u, base))
		r.noError(err)
		if got.Outcome != perdure.Conflict || len(got.Removed) > 0 {
			r.t.Fatalf("RemoveUser on another base: %s, %d removed; want Conflict and none", showOutcome(got.Outcome), len(got.Removed))
		}
		if got.Stored != stored {
			r.t.Fatalf("RemoveUser on another base:\n%s", diff(got.Stored, stored))
		}
	}
	try(r.version(), perdure.Record{})
	r.holdsNothing(perdure.EpochID(u))
	epoch := r.create(r.epoch(u, r.version()))
	try(perdure.Version{}, epoch)
	try(r.version(), epoch)
	r.holds(epoch)
	r.lists("the user's sessions", u, 10, all)
}

func revokeAheadOfTheClockIsRefused(r *rig) {
	u := r.user()
	all := r.sessions(u, 3)
	q := r.removal(u, perdure.Version{})
	q.Epoch.Version = r.beyond(r.skew() + 3600_000)
	_, err := r.a.RemoveUser(r.ctx, q)
	r.wantError("RemoveUser with an epoch ahead of the clock", err, perdure.ErrSkew)
	r.holdsNothing(q.Epoch.ID)
	r.lists("the user's sessions", u, 10, all)
}

func revokeGoesPageByPage(r *rig) {
	for _, limit := range []int{1, 3, 9, 10} {
		u := r.user()
		all := r.sessions(u, 10)
		q := r.removal(u, perdure.Version{})
		q.Limit, q.Except = limit, ids(all[4:6])
		gone := slices.Concat(all[:4], all[6:])
		r.wantSame("what was removed", r.revoke(r.a, q), gone)
		r.ended(q, gone)
		r.lists("the user's sessions", u, 10, all[4:6])
	}
}

func revokeShowsTheExpiredToo(r *rig) {
	u := r.user()
	session := r.session(u)
	session.Expiry = r.in(0) - 1
	r.create(session)
	q := r.removal(u, perdure.Version{})
	r.wantSame("what was removed", r.revoke(r.a, q), []perdure.Record{session})
	r.ended(q, []perdure.Record{session})
}

func revokeTouchesNoOtherUser(r *rig) {
	u := r.user()
	others := r.sessions(r.made.neighbour(u), 5)
	all := r.sessions(u, 5)
	r.wantSame("what was removed", r.revoke(r.a, r.removal(u, perdure.Version{})), all)
	r.lists("the neighbour's sessions", others[0].User, 10, others)
	for _, session := range others {
		r.holds(session)
	}
}

func revokeIsAnnounced(r *rig) {
	u := r.user()
	all := r.sessions(u, 5)
	w := r.watch(r.b)
	q := r.removal(u, perdure.Version{})
	q.Except = ids(all[:1])
	r.revoke(r.a, q)
	epoch := change(perdure.UserRevoked, 0, q.Epoch)
	epoch.anyReason = true
	want := []expected{epoch}
	for _, session := range all[1:] {
		want = append(want, change(perdure.Deleted, q.Reason, buried(session, q.Epoch.Version, q.Reason)))
	}
	w.saw(want...)
}

func revokeRefusesACursorThatIsNone(r *rig) {
	u := r.user()
	all := r.sessions(u, 5)
	epoch := r.create(r.epoch(u, r.version()))
	for _, cursor := range noCursors() {
		q := r.removal(u, epoch.Version)
		q.Epoch, q.After = epoch, cursor
		_, err := r.a.RemoveUser(r.ctx, q)
		r.wantError("RemoveUser after "+clip(cursor), err, perdure.ErrInvalid)
	}
	r.lists("the user's sessions", u, 10, all)
}
