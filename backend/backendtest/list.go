package backendtest

import (
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

func listLaws() []law {
	return []law{
		{"ShowsEachSessionOnce", listShowsEachSessionOnce, nil},
		{"ShowsNoDead", listShowsNoDead, nil},
		{"ShowsNoOtherUser", listShowsNoOtherUser, nil},
		{"ShowsTheExpiredUntilSwept", listShowsTheExpiredUntilSwept, nil},
		{"AShortSessionHidesNoLonger", aShortSessionHidesNoLonger, nil},
		{"TheDeadDoNotPileUp", listTheDeadDoNotPileUp, nil},
		{"FollowsTheExpiry", listFollowsTheExpiry, nil},
		{"GoesOnInAnotherProcess", listGoesOnInAnotherProcess, nil},
		{"IsStableWhileOthersWrite", listIsStableWhileOthersWrite, nil},
		{"RefusesACursorThatIsNone", listRefusesACursorThatIsNone, nil},
		{"IsNeverBehindItself", listIsNeverBehindItself, nil},
		{"LacksNobodyAfterAnEpoch", listLacksNobodyAfterAnEpoch, nil},
		{"IsBoundedInBytes", listIsBoundedInBytes, nil},
	}
}

// listIsBoundedInBytes: however many records are asked for, a page is of a size that
// a connection bears, and none is missing.
func listIsBoundedInBytes(r *rig) {
	u := r.user()
	var all []perdure.Record
	for range 50 {
		session := r.session(u)
		session.Body = strings.Repeat("b", perdure.MaxPageBytes/40)
		all = append(all, r.create(session))
	}
	for what, read := range map[string]func(after string) (perdure.Page, error){
		"a list": func(after string) (perdure.Page, error) { return r.a.ListUser(r.ctx, u, after, 1000) },
		"a scan": func(after string) (perdure.Page, error) {
			return r.a.Scan(r.ctx, perdure.ScanQuery{After: after, Limit: 1000})
		},
	} {
		var found []perdure.Record
		r.pages(read, func(page perdure.Page) {
			bytes := 0
			for i := range page.Records {
				bytes += page.Records[i].EncodedSize()
			}
			if bytes > perdure.MaxPageBytes {
				r.t.Errorf("%s: a page of %d bytes; %d are allowed", what, bytes, perdure.MaxPageBytes)
			}
			found = append(found, page.Records...)
		})
		r.wantSame(what, found, all)
	}
}

// listLacksNobodyAfterAnEpoch: who puts a user's epoch lists the sessions that it is
// to end, and none that another process had stored may be missing.
func listLacksNobodyAfterAnEpoch(r *rig) {
	for range 10 {
		u := r.user()
		kept := r.create(r.session(u))
		r.lists("the user's sessions", u, 10, []perdure.Record{kept})
		login := r.session(u)
		r.noError(mustApply(r, r.b, put(login, perdure.Version{})))
		r.applied(put(r.epoch(u, r.version()), perdure.Version{}))
		r.wantSame("after an epoch", r.listing(r.a, u, 10), []perdure.Record{kept, login})
	}
}

// listIsNeverBehindItself lists before each write, so that a cache has something to
// be wrong with, and after it.
func listIsNeverBehindItself(r *rig) {
	u := r.user()
	kept := r.create(r.session(u))
	for range 5 {
		r.lists("the user's sessions", u, 10, []perdure.Record{kept})
		login := r.session(u)
		r.applied(put(login, perdure.Version{}))
		r.wantSame("after a login", r.listing(r.a, u, 10), []perdure.Record{kept, login})
		r.lists("the user's sessions", u, 10, []perdure.Record{kept, login})
		changed := r.changed(login)
		r.applied(put(changed, login.Version))
		r.wantSame("after a change", r.listing(r.a, u, 10), []perdure.Record{kept, changed})
		changed.LastAccess++
		r.applied(touch(changed.ID, changed.LastAccess))
		r.wantSame("after a touch", r.listing(r.a, u, 10), []perdure.Record{kept, changed})
		r.applied(remove(changed.ID, r.version(), perdure.ReasonLogout))
		r.wantSame("after a logout", r.listing(r.a, u, 10), []perdure.Record{kept})
	}
	r.lists("the user's sessions", u, 10, []perdure.Record{kept})
	r.revoke(r.a, r.removal(u, perdure.Version{}))
	r.wantSame("after a revocation", r.listing(r.a, u, 10), nil)
}

// sessions stores n sessions of the user with different expiries, native and
// foreign ids, and some with an idle timeout.
func (r *rig) sessions(u perdure.UserKey, n int) (all []perdure.Record) {
	r.t.Helper()
	var batches []perdure.Batch
	for i := range n {
		session := r.session(u)
		if i%3 == 0 {
			session = r.sessionAs(u, r.alien(u))
		}
		session.Expiry += perdure.Millis(i/2) * 1000 // two and two alike
		if i%4 == 0 {
			session.Idle = 1800_000
		}
		batches = append(batches, perdure.Batch{put(session, perdure.Version{})})
		all = append(all, session)
	}
	for i, result := range r.apply(r.a, batches...) {
		r.noError(result.Err)
		if result.Outcome != perdure.Applied {
			r.t.Fatalf("%s: not applied: %s", show(all[i]), showResult(result))
		}
	}
	return all
}

func listShowsEachSessionOnce(r *rig) {
	for _, n := range []int{0, 1, 7, 60} {
		u := r.user()
		all := r.sessions(u, n)
		for _, limit := range []int{1, 2, 7, 59, 60, 61, 1000} {
			r.lists("the user's sessions", u, limit, all)
		}
	}
}

func listShowsNoDead(r *rig) {
	u := r.user()
	all := r.sessions(u, 12)
	for _, session := range all[:3] {
		r.applied(remove(session.ID, r.version(), perdure.ReasonLogout))
	}
	for _, session := range all[3:6] {
		r.applied(put(buried(session, r.version(), perdure.ReasonMerged), session.Version))
	}
	r.create(buried(r.session(u), r.version(), perdure.ReasonLogout))
	r.create(r.epoch(u, r.version()))
	for _, limit := range []int{1, 5, 100} {
		r.lists("the user's sessions", u, limit, all[6:])
	}
}

func listShowsNoOtherUser(r *rig) {
	u := r.user()
	all := r.sessions(u, 5)
	others := r.sessions(r.made.neighbour(u), 5)
	r.lists("the user's sessions", u, 2, all)
	r.lists("the neighbour's sessions", others[0].User, 2, others)
	r.lists("nobody's sessions", r.made.neighbour(u), 2, nil)
}

func listShowsTheExpiredUntilSwept(r *rig) {
	u := r.user()
	live, expired := r.create(r.session(u)), r.session(u)
	expired.Expiry = r.in(0) - 1
	r.create(expired)
	r.lists("the user's sessions", u, 1, []perdure.Record{live, expired})
	if n := r.drain(r.b, r.in(0), 10); n != 1 {
		r.t.Fatalf("the sweep expired %d sessions, want 1", n)
	}
	r.lists("the user's sessions", u, 1, []perdure.Record{live})
}

// aShortSessionHidesNoLonger: an index that lives as long as the last session
// written, however much longer than that, would lose those that live longer.
func aShortSessionHidesNoLonger(r *rig) {
	u := r.user()
	long := r.create(r.session(u))
	short := r.session(u)
	short.Expiry = r.in(0) - 1
	r.create(short)
	r.lists("the user's sessions", u, 10, []perdure.Record{long, short})
	r.drain(r.b, r.in(0), 10)
	r.lists("the user's sessions", u, 10, []perdure.Record{long})
	for _, ago := range []time.Duration{24 * hour, 4 * week} {
		short = r.session(u)
		short.Expiry, short.Horizon = r.in(-ago), r.in(-ago)
		r.create(short)
		if all := r.listing(r.b, u, 10); !slices.Contains(all, long) {
			r.t.Fatalf("a session that expired %v ago hides one that lives", ago)
		}
	}
	r.drain(r.b, r.in(0), 10)
	r.lists("the user's sessions", u, 10, []perdure.Record{long})
	r.applied(put(buried(long, r.version(), perdure.ReasonLogout), long.Version))
	r.lists("the user's sessions", u, 10, nil)
}

// listTheDeadDoNotPileUp: a page is not spent on what is no more.
func listTheDeadDoNotPileUp(r *rig) {
	u := r.user()
	alive := r.create(r.session(u))
	for round := range 3 {
		for i, session := range r.sessions(u, r.size(40)) {
			if (round+i)%2 == 0 {
				r.applied(remove(session.ID, r.version(), perdure.ReasonLogout))
				continue
			}
			expired := r.changed(session)
			expired.Expiry = r.in(0) - 1
			r.applied(put(expired, session.Version))
		}
		r.drain(r.b, r.in(0), 7)
	}
	pages := 0
	r.pages(func(after string) (perdure.Page, error) {
		return r.b.ListUser(r.ctx, u, after, 10)
	}, func(page perdure.Page) { pages++ })
	if pages > 2 {
		r.t.Fatalf("one session takes %d pages of 10: the dead are still in the user's index", pages)
	}
	r.lists("the user's sessions", u, 10, []perdure.Record{alive})
}

func listFollowsTheExpiry(r *rig) {
	u := r.user()
	all := r.sessions(u, 6)
	for i, step := range []perdure.Millis{-1000_000, 1, 3600_000, -1, 0, 86_400_000} {
		next := r.changed(all[i])
		next.Expiry += step
		r.applied(put(next, all[i].Version))
		all[i] = next
	}
	for _, limit := range []int{1, 4, 100} {
		r.lists("the user's sessions", u, limit, all)
	}
}

func listGoesOnInAnotherProcess(r *rig) {
	u := r.user()
	all := r.sessions(u, 9)
	var got []perdure.Record
	turn := 0
	r.pages(func(after string) (perdure.Page, error) {
		turn++
		return r.either(turn).ListUser(r.ctx, u, after, 2)
	}, func(page perdure.Page) { got = append(got, page.Records...) })
	r.wantSame("the user's sessions", got, all)
}

// listIsStableWhileOthersWrite pages through sessions that are touched and
// changed, but not in their expiry, while others come, move and go.
func listIsStableWhileOthersWrite(r *rig) {
	u := r.user()
	traffic := newTraffic(r, u, r.sessions(u, 24))
	for range r.size(12) {
		seen := map[string]int{}
		r.pages(func(after string) (perdure.Page, error) {
			traffic.pass()
			return r.b.ListUser(r.ctx, u, after, 3)
		}, func(page perdure.Page) {
			for _, record := range page.Records {
				if seen[record.ID]++; seen[record.ID] > 1 {
					r.t.Fatalf("%s is in a listing twice", record.ID)
				}
			}
		})
		for _, session := range traffic.steady {
			if seen[session.ID] == 0 {
				r.t.Fatalf("%s was there throughout and is not in the listing", session.ID)
			}
		}
	}
}

func ids(records []perdure.Record) []string {
	all := make([]string, len(records))
	for i, record := range records {
		all[i] = record.ID
	}
	return all
}

// noCursors are cursors that no backend made.
func noCursors() []string {
	return []string{"no such cursor", "\xff\xfe", "{}*", "../../etc", strings.Repeat("9", 1<<20), "oldest\x00"}
}

func listRefusesACursorThatIsNone(r *rig) {
	u := r.user()
	r.sessions(u, 5)
	for _, cursor := range noCursors() {
		_, err := r.b.ListUser(r.ctx, u, cursor, 10)
		r.wantError("ListUser after "+clip(cursor), err, perdure.ErrInvalid)
	}
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
