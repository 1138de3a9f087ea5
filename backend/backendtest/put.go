package backendtest

import (
	"strings"

	"github.com/perdure/perdure"
)

func putLaws() []law {
	return []law{
		{"KeepsEveryHeaderField", keepsEveryHeaderField, nil},
		{"KeepsEveryReasonAndKind", keepsEveryReasonAndKind, nil},
		{"KeepsBodiesOfAllBytes", keepsBodiesOfAllBytes, nil},
		{"KeepsBodiesOfAllSizes", keepsBodiesOfAllSizes, nil},
		{"TakesIDsOfAllForms", takesIDsOfAllForms, nil},
		{"WithoutABaseNeedsNothingStored", withoutABaseNeedsNothingStored, nil},
		{"WithAnotherBaseIsAConflict", withAnotherBaseIsAConflict, nil},
		{"ThatIsExactComparesAsAnyOther", thatIsExactComparesAsAnyOther, nil},
		{"WithABaseNeedsSomethingStored", withABaseNeedsSomethingStored, nil},
		{"ComparesTheWholeBase", comparesTheWholeBase, nil},
		{"ReplacesItsBase", replacesItsBase, nil},
		{"KeepsTheLaterLastAccess", keepsTheLaterLastAccess, nil},
		{"AheadOfTheClockIsRefused", aheadOfTheClockIsRefused, nil},
		{"IsRefusedJustAboveTheSkew", isRefusedJustAboveTheSkew, needsClock},
		{"ThatIsRefusedAnnouncesNothing", thatIsRefusedAnnouncesNothing, nil},
	}
}

func keepsEveryHeaderField(r *rig) {
	u := r.user()
	v := r.version()
	low := perdure.Version{Time: 1, Node: 1}
	high := perdure.Version{Time: v.Time | 0xffff, Node: 1<<32 - 1}
	for _, header := range []perdure.Header{
		{Version: v, Born: low, Expiry: r.in(1 * hour), Horizon: r.in(2 * hour), LastAccess: r.in(3 * hour), Idle: 4},
		{Version: high, Born: high, Expiry: perdure.MaxMillis, Horizon: perdure.MaxMillis, LastAccess: perdure.MaxMillis, Idle: perdure.MaxMillis},
		{Version: v, Born: v, Expiry: 1, Horizon: 1, Promised: perdure.MaxMillis},
		{Version: v, Born: v, Expiry: r.in(hour), Horizon: r.in(week), Promised: 1<<40 + 1, Parent: r.id(u)},
		{Version: v, Born: v, Expiry: perdure.MaxMillis - 1, Horizon: perdure.MaxMillis - 2, LastAccess: 0, Idle: 0},
		{Version: v, Born: v, Expiry: r.in(hour), Horizon: r.in(week), LastAccess: 1<<32 + 1, Idle: 1<<47 + 1, Parent: r.id(u)},
		{Version: v, Born: v, Expiry: r.in(hour), Horizon: r.in(week), Parent: strings.Repeat("_-Z9", 4)},
		{Version: v, Born: v, Expiry: r.in(hour), Horizon: r.in(week), Parent: strings.Repeat("_-Z9", 32)},
		{Version: v, Born: low, Expiry: r.in(hour), Horizon: r.in(week), ExpirySet: v},
		{Version: v, Born: low, Expiry: r.in(hour), Horizon: r.in(week), ExpirySet: high, Parent: strings.Repeat("_-Z9", 32)},
	} {
		header.Kind, header.User = perdure.KindSession, u
		r.holds(r.create(perdure.Record{ID: r.id(u), Header: header, Body: "body"}))
	}
}

func keepsEveryReasonAndKind(r *rig) {
	for why := range perdure.ReasonMerged + 2 {
		u := r.user()
		r.holds(r.create(buried(r.session(u), r.version(), why)))
		epoch := r.epoch(u, r.version())
		epoch.Reason = why
		r.holds(r.create(epoch))
	}
	stranger := perdure.Record{ID: r.made.id(""), Header: perdure.Header{
		Kind: perdure.KindTombstone, Reason: perdure.ReasonLogout, Version: r.version(), Expiry: r.in(week), Horizon: r.in(week),
	}}
	r.holds(r.create(stranger))
}

func keepsBodiesOfAllBytes(r *rig) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	u := r.user()
	var stored []perdure.Record
	for _, body := range []string{"", "\x00", "\xff\xfe\xfd", "\r\n\r\n", "{xx}:*?[a-z]", string(all), strings.Repeat(string(all), 5)} {
		session := r.session(u)
		session.Body = body
		stored = append(stored, r.create(session))
		r.holds(session)
	}
	r.lists("a listing", u, 100, stored)
	r.wantSame("a scan", r.scan(r.b, perdure.ScanQuery{Limit: 100}), stored)
}

func keepsBodiesOfAllSizes(r *rig) {
	for _, size := range []int{1, 63, 64, 127, 128, 255, 256, 1023, 4095, 4096, 16384, 65535, 65536, 65537, 200000} {
		session := r.session(r.user())
		session.Body = strings.Repeat("0123456789abcdef", size/16+1)[:size]
		r.holds(r.create(session))
		shorter := r.changed(session)
		r.applied(put(shorter, session.Version))
		r.holds(shorter)
	}
}

func takesIDsOfAllForms(r *rig) {
	u := r.user()
	var all []perdure.Record
	for _, id := range []string{
		r.id(u), r.made.foreign(u, 16), r.made.foreign(u, 24), r.made.foreign(u, 36), r.made.foreign(u, 127), r.made.foreign(u, 128),
	} {
		session := r.create(r.sessionAs(u, id))
		r.holds(session)
		next := r.changed(session)
		r.applied(put(next, session.Version))
		next.LastAccess++
		r.applied(touch(id, next.LastAccess))
		r.holds(next)
		all = append(all, next)
	}
	r.lists("the user's sessions", u, 2, all)
	for _, session := range all {
		v := r.version()
		if ended := r.applied(remove(session.ID, v, perdure.ReasonLogout)); ended.Stored != session {
			r.t.Fatalf("a removal ended another session:\n%s", diff(ended.Stored, session))
		}
		r.holds(buried(session, v, perdure.ReasonLogout))
	}
	r.lists("the user's sessions", u, 2, nil)
}

func withoutABaseNeedsNothingStored(r *rig) {
	u := r.user()
	for _, stored := range []perdure.Record{r.session(u), buried(r.session(u), r.version(), perdure.ReasonLogout), r.epoch(u, r.version())} {
		r.create(stored)
		other := r.changed(stored)
		if stored.Kind == perdure.KindTombstone {
			other.Kind = perdure.KindSession
		}
		r.conflicts(stored, put(other, perdure.Version{}))
		r.holds(stored)
	}
}

func withAnotherBaseIsAConflict(r *rig) {
	first := r.create(r.session(r.user()))
	second := r.changed(first)
	r.applied(put(second, first.Version))
	third := r.changed(second)
	for _, base := range []perdure.Version{{}, first.Version, third.Version, r.version()} {
		r.conflicts(second, put(third, base))
		r.conflicts(second, put(buried(third, third.Version, perdure.ReasonLogout), base))
		r.holds(second)
	}
	v := r.version()
	r.applied(remove(first.ID, v, perdure.ReasonLogout))
	tomb := buried(second, v, perdure.ReasonLogout)
	for _, base := range []perdure.Version{{}, first.Version, second.Version} {
		r.conflicts(tomb, put(third, base))
		r.holds(tomb)
	}
}

// thatIsExactComparesAsAnyOther: a put whose caller has named the version succeeds over
// that one alone, and once.
func thatIsExactComparesAsAnyOther(r *rig) {
	exact := func(record perdure.Record, base perdure.Version) perdure.Write {
		w := put(record, base)
		w.Exact = true
		return w
	}
	first := r.create(r.session(r.user()))
	second := r.changed(first)
	r.applied(exact(second, first.Version))
	third := r.changed(second)
	for _, base := range []perdure.Version{first.Version, third.Version, r.version()} {
		r.conflicts(second, exact(third, base))
		r.holds(second)
	}
	r.applied(exact(third, second.Version))
	r.holds(third)
}

func withABaseNeedsSomethingStored(r *rig) {
	session := r.session(r.user())
	r.conflicts(perdure.Record{}, put(session, session.Version))
	r.conflicts(perdure.Record{}, put(session, perdure.Version{Time: 1, Node: 1}))
	r.holdsNothing(session.ID)
}

// comparesTheWholeBase uses versions that differ in their last bits alone, which
// a comparison in floating point does not see.
func comparesTheWholeBase(r *rig) {
	stored := r.session(r.user())
	stored.Version = perdure.Version{Time: stored.Version.Time&^0xffff | 0x8000, Node: 1 << 31}
	r.create(stored)
	next := r.changed(stored)
	for _, base := range []perdure.Version{
		{Time: stored.Version.Time + 1, Node: stored.Version.Node},
		{Time: stored.Version.Time - 1, Node: stored.Version.Node},
		{Time: stored.Version.Time, Node: stored.Version.Node + 1},
		{Time: stored.Version.Time, Node: 0},
		{Node: stored.Version.Node},
	} {
		r.conflicts(stored, put(next, base))
	}
	r.applied(put(next, stored.Version))
}

func replacesItsBase(r *rig) {
	u := r.user()
	session := r.create(r.session(u))
	next := r.changed(session)
	next.Expiry, next.Idle, next.LastAccess = r.in(2*hour), 1000, session.LastAccess+1
	r.applied(put(next, session.Version))
	r.holds(next)
	older := next // a writer whose clock is behind, but who has read what is there
	older.Version, older.Body = perdure.Version{Time: session.Version.Time - 1<<20, Node: 7}, ""
	r.applied(put(older, next.Version))
	r.holds(older)
	tomb := buried(older, r.version(), perdure.ReasonRotated)
	tomb.Body = "successor"
	r.applied(put(tomb, older.Version))
	r.holds(tomb)
	ended := buried(tomb, r.version(), perdure.ReasonRevoked)
	r.applied(put(ended, tomb.Version))
	r.holds(ended)
	epoch := r.create(r.epoch(u, r.version()))
	later := r.changed(epoch)
	r.applied(put(later, epoch.Version))
	r.holds(later)
}

func keepsTheLaterLastAccess(r *rig) {
	session := r.session(r.user())
	session.LastAccess = r.in(0)
	r.create(session)
	behind := r.changed(session)
	behind.LastAccess -= 1000
	r.applied(put(behind, session.Version))
	behind.LastAccess = session.LastAccess
	r.holds(behind)
	ahead := r.changed(behind)
	ahead.LastAccess += 1000
	r.applied(put(ahead, behind.Version))
	r.holds(ahead)
	r.applied(touch(ahead.ID, ahead.LastAccess+5))
	tomb := buried(ahead, r.version(), perdure.ReasonRotated)
	r.applied(put(tomb, ahead.Version))
	tomb.LastAccess += 5
	r.holds(tomb)
}

// beyond is a version so far ahead of the clock.
func (r *rig) beyond(ahead perdure.Millis) perdure.Version {
	return perdure.Version{Time: uint64(r.in(0)+ahead) << 16, Node: 1}
}

func aheadOfTheClockIsRefused(r *rig) {
	stored := r.create(r.session(r.user()))
	for _, record := range []perdure.Record{r.session(r.user()), buried(r.session(r.user()), perdure.Version{}, perdure.ReasonLogout), r.epoch(r.user(), r.version())} {
		record.Version = r.beyond(r.skew() + 3600_000)
		r.refused(perdure.ErrSkew, put(record, perdure.Version{}))
		r.holdsNothing(record.ID)
		record.Version = r.beyond(r.skew() / 2)
		r.holds(r.create(record))
	}
	next := r.changed(stored)
	next.Version = r.beyond(perdure.MaxMillis / 2)
	r.refused(perdure.ErrSkew, put(next, stored.Version))
	r.holds(stored)
}

func isRefusedJustAboveTheSkew(r *rig) {
	session := r.session(r.user())
	session.Version = r.beyond(r.skew() + 1)
	r.refused(perdure.ErrSkew, put(session, perdure.Version{}))
	session.Version = r.beyond(r.skew())
	r.holds(r.create(session))
	r.wall.step(hour)
	session = r.session(r.user())
	session.Version = r.beyond(r.skew())
	r.holds(r.create(session))
}

func thatIsRefusedAnnouncesNothing(r *rig) {
	u := r.user()
	stored := r.create(r.session(u))
	w := r.watch(r.a)
	next := r.changed(stored)
	r.conflicts(stored, put(next, perdure.Version{}))
	next.Version = r.beyond(r.skew() + 3600_000)
	r.refused(perdure.ErrSkew, put(next, stored.Version))
	r.absent(perdure.Record{}, touch(r.id(u), r.in(0)))
	r.absent(perdure.Record{}, remove(r.id(u), r.version(), perdure.ReasonLogout))
	if got := w.read(10); len(got) > 0 {
		r.t.Fatalf("writes that changed nothing are in the feed:\n%s", showChanges(got))
	}
	r.lists("the user's sessions", u, 10, []perdure.Record{stored})
}
