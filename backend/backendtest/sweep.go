package backendtest

import "github.com/perdure/perdure"

func sweepLaws() []law {
	return []law{
		{"TakesASessionAtItsExpiry", played(sweepTakesASessionAtItsExpiry), nil},
		{"TakesASessionAtItsIdleTimeout", played(sweepTakesASessionAtItsIdleTimeout), nil},
		{"FollowsAChangedExpiry", played(sweepFollowsAChangedExpiry), nil},
		{"FollowsAChangedIdleTimeout", played(sweepFollowsAChangedIdleTimeout), nil},
		{"AnnouncesEachSessionOnce", played(sweepAnnouncesEachSessionOnce), nil},
		{"PassesOverTheEnded", played(sweepPassesOverTheEnded), nil},
		{"KeepsTombstonesToTheirHorizon", played(sweepKeepsTombstonesToTheirHorizon), nil},
		{"LetsNothingPileUp", played(sweepLetsNothingPileUp), nil},
		{"SaysWhetherMoreIsDue", played(sweepSaysWhetherMoreIsDue), nil},
		{"TakesWhatCameExpired", played(sweepTakesWhatCameExpired), nil},
		{"GoesByTheClockOfTheStore", sweepGoesByTheClockOfTheStore, nil},
		{"LeavesATombstoneOfWhatWasPromisedMore", played(sweepLeavesATombstoneOfWhatWasPromisedMore), nil},
		{"LeavesATombstoneOfWhatWasMintedInAnOutage", played(sweepLeavesATombstoneOfWhatWasMintedInAnOutage), nil},
		{"LeavesNothingOfWhatLeft", played(sweepLeavesNothingOfWhatLeft), nil},
		{"LeavesNoTombstonePastTheHorizon", played(sweepLeavesNoTombstonePastTheHorizon), nil},
	}
}

// wantSwept drains the store at now and fails unless exactly these sessions
// expire; watch the feed before what is swept was last written.
func (r *rig) wantSwept(w *watch, now perdure.Millis, gone ...perdure.Record) {
	r.t.Helper()
	if n := r.drain(r.a, now, 10); n != len(gone) {
		r.t.Fatalf("the sweep at %d expired %d sessions, want %d", now, n, len(gone))
	}
	var want []expected
	for _, session := range gone {
		r.holdsNothing(session.ID)
		want = append(want, change(perdure.Expired, perdure.ReasonExpired, session))
	}
	w.saw(want...)
}

func sweepTakesASessionAtItsExpiry(r *rig) {
	u := r.user()
	for _, id := range []string{r.id(u), r.alien(u)} {
		session := r.create(r.sessionAs(u, id))
		other := r.session(u)
		other.Expiry++
		r.create(other)
		w := r.watch(r.b)
		r.wantSwept(w, session.Expiry-1)
		r.holds(session)
		r.wantSwept(w, session.Expiry, session)
		r.holds(other)
		r.wantSwept(w, other.Expiry, other)
	}
	r.lists("the user's sessions", u, 10, nil)
}

func sweepTakesASessionAtItsIdleTimeout(r *rig) {
	u := r.user()
	session, other := r.session(u), r.sessionAs(u, r.alien(u))
	session.Idle, other.Idle = 10_000, 10_000
	r.create(session)
	r.create(other)
	session.LastAccess += 9_000
	r.applied(touch(session.ID, session.LastAccess))
	w := r.watch(r.b)
	r.wantSwept(w, other.LastAccess+9_999)
	r.wantSwept(w, other.LastAccess+10_000, other)
	r.wantSwept(w, session.LastAccess+9_999)
	r.holds(session)
	r.wantSwept(w, session.LastAccess+10_000, session)
	late := r.session(u)
	late.Idle = 3 * 3600_000
	r.create(late)
	w.read(10)
	r.wantSwept(w, late.Expiry-1)
	r.wantSwept(w, late.Expiry, late)
}

func sweepFollowsAChangedExpiry(r *rig) {
	u := r.user()
	longer, shorter := r.session(u), r.session(u)
	old := longer.Expiry
	shorter.Expiry = old
	r.create(longer)
	r.create(shorter)
	moved := r.changed(longer)
	moved.Expiry += 5000
	r.applied(put(moved, longer.Version))
	cut := r.changed(shorter)
	cut.Expiry -= 5000
	r.applied(put(cut, shorter.Version))
	w := r.watch(r.b)
	r.wantSwept(w, old-5001)
	r.wantSwept(w, old-5000, cut)
	r.wantSwept(w, old)
	r.wantSwept(w, old+4999)
	r.holds(moved)
	r.wantSwept(w, old+5000, moved)
}

func sweepFollowsAChangedIdleTimeout(r *rig) {
	u := r.user()
	gained, lost := r.session(u), r.session(u)
	lost.Idle = 1000
	r.create(gained)
	r.create(lost)
	idle, steady := r.changed(gained), r.changed(lost)
	idle.Idle, steady.Idle = 2000, 0
	r.applied(put(idle, gained.Version))
	r.applied(put(steady, lost.Version))
	w := r.watch(r.b)
	r.wantSwept(w, idle.LastAccess+1999)
	r.wantSwept(w, idle.LastAccess+2000, idle)
	r.wantSwept(w, steady.Expiry-1)
	r.wantSwept(w, steady.Expiry, steady)
}

func sweepAnnouncesEachSessionOnce(r *rig) {
	all := r.population(6, 10)
	w := r.watch(r.b)
	last := r.in(2 * hour)
	r.wantSwept(w, last, all...)
	r.wantSwept(w, last)
	r.wantSwept(w, r.in(3*week))
}

// sweepPassesOverTheEnded: a session that was ended does not expire as well.
func sweepPassesOverTheEnded(r *rig) {
	u := r.user()
	all := r.sessions(u, 9)
	var dead []perdure.Record
	for i, session := range all[:6] {
		tomb := buried(session, r.version(), perdure.ReasonLogout)
		if i%2 == 0 {
			r.applied(remove(session.ID, tomb.Version, tomb.Reason))
		} else {
			r.applied(put(tomb, session.Version))
		}
		dead = append(dead, tomb)
	}
	q := r.removal(u, perdure.Version{})
	q.Except = ids(all[8:])
	r.revoke(r.a, q)
	w := r.watch(r.b)
	r.wantSwept(w, r.in(2*hour), all[8])
	for _, tomb := range dead {
		r.holds(tomb)
	}
	r.ended(q, all[6:8])
}

func sweepKeepsTombstonesToTheirHorizon(r *rig) {
	u := r.user()
	session := r.create(r.session(u))
	tomb := buried(session, r.version(), perdure.ReasonLogout)
	r.applied(remove(session.ID, tomb.Version, tomb.Reason))
	planted := r.plant(r.alien(u))
	planted.Record.Horizon = session.Horizon
	planted.Record.Expiry = session.LastAccess - 1000
	r.do(planted)
	rotated := buried(r.session(u), r.version(), perdure.ReasonRotated)
	rotated.Horizon, rotated.Idle = session.Horizon, 1000
	epoch := r.epoch(u, r.version())
	epoch.Horizon, epoch.Expiry = session.Horizon, session.LastAccess-1000
	dead := []perdure.Record{tomb, planted.Record, r.create(rotated), r.create(epoch)}
	w := r.watch(r.b)
	for _, now := range []perdure.Millis{session.Expiry, session.Horizon - 1, session.Horizon, session.Horizon + 1, session.Horizon + r.skew() - 1} {
		r.wantSwept(w, now)
		for _, record := range dead {
			r.holds(record)
		}
		r.conflicts(tomb, put(session, session.Version))
	}
	r.wantSwept(w, session.Horizon+r.skew()+1)
	for _, record := range dead {
		r.holdsNothing(record.ID)
	}
	r.wantSame("a scan", r.scan(r.b, perdure.ScanQuery{Limit: 10, Dead: true}), nil)
}

func sweepLetsNothingPileUp(r *rig) {
	for i, session := range r.population(4, 10) {
		switch i % 3 {
		case 0:
			r.applied(remove(session.ID, r.version(), perdure.ReasonLogout))
		case 1:
			r.applied(put(buried(session, r.version(), perdure.ReasonMerged), session.Version))
		}
	}
	for range 4 {
		r.sessions(r.user(), 3)
		u := r.user()
		r.create(r.epoch(u, r.version()))
		r.do(r.plant(r.id(u)))
	}
	r.drain(r.a, r.in(week)+r.skew()+1, 10)
	r.wantSame("a scan", r.scan(r.b, perdure.ScanQuery{Limit: 10, Dead: true}), nil)
	r.wantStats(0, 0)
}

func sweepSaysWhetherMoreIsDue(r *rig) {
	const n, limit = 60, 5
	r.population(3, n/3)
	now := r.in(2 * hour)
	total, calls := 0, 0
	for more := true; more; calls++ {
		var expired int
		var err error
		expired, more, err = r.either(calls).Sweep(r.ctx, now, limit)
		r.noError(err)
		if expired > n/2 {
			r.t.Fatalf("a sweep of about %d records expired %d", limit, expired)
		}
		if calls > maxPages {
			r.t.Fatalf("the sweep does not end after %d calls", calls)
		}
		total += expired
	}
	if total != n {
		r.t.Fatalf("the sweep says that no more is due after %d of %d sessions", total, n)
	}
	if expired, more, err := r.b.Sweep(r.ctx, now, limit); expired != 0 || more || err != nil {
		r.t.Fatalf("a sweep with nothing due expired %d, more is %v, the error %v", expired, more, err)
	}
}

func sweepTakesWhatCameExpired(r *rig) {
	u := r.user()
	var all []perdure.Record
	w := r.watch(r.b)
	var want []expected
	for _, ago := range []perdure.Millis{1, 5000, 40_000} {
		session := r.session(u)
		session.Expiry = r.in(0) - ago
		r.holds(r.create(session))
		r.absent(perdure.Record{}, touch(session.ID, r.in(0)))
		all = append(all, session)
		want = append(want, change(perdure.Created, 0, session))
	}
	w.saw(want...)
	r.wantSwept(w, r.in(0), all...)
	r.lists("the user's sessions", u, 10, nil)
}

// sweepGoesByTheClockOfTheStore: a caller whose clock is ahead ends nobody's
// session, and drops no tombstone.
func sweepGoesByTheClockOfTheStore(r *rig) {
	u := r.user()
	live, idle := r.create(r.session(u)), r.session(u)
	idle.Idle = 30 * 60_000
	r.create(idle)
	tomb := r.create(buried(r.session(u), r.version(), perdure.ReasonLogout))
	w := r.watch(r.b)
	for _, now := range []perdure.Millis{r.in(2 * hour), r.in(3 * week), perdure.MaxMillis} {
		r.wantSwept(w, now)
		for _, record := range []perdure.Record{live, idle, tomb} {
			r.holds(record)
		}
	}
}

// lapses sweeps sessions that are over, and holds on to what is left of them until
// their horizon.
func (r *rig) lapses(w *watch, all ...perdure.Record) {
	r.t.Helper()
	var want []expected
	now := perdure.Millis(0)
	for _, session := range all {
		now = max(now, session.Deadline())
		want = append(want, change(perdure.Expired, perdure.ReasonExpired, session.Lapse()))
	}
	if n := r.drain(r.a, now, 10); n != len(all) {
		r.t.Fatalf("the sweep at %d expired %d sessions, want %d", now, n, len(all))
	}
	w.saw(want...)
	for _, session := range all {
		for _, later := range []perdure.Millis{session.Expiry, session.Horizon, session.Horizon + r.skew() - 1} {
			r.wantSwept(w, later)
			r.holds(session.Lapse())
		}
		r.conflicts(session.Lapse(), put(session, perdure.Version{}))
		r.conflicts(session.Lapse(), put(session, session.Version))
		r.absent(session.Lapse(), remove(session.ID, r.version(), perdure.ReasonLogout))
	}
	r.lists("the user's sessions", all[0].User, 10, nil)
	r.wantStats(0, int64(len(all)))
	r.wantSwept(w, all[0].Horizon+r.skew()+1)
	for _, session := range all {
		r.holdsNothing(session.ID)
	}
}

// sweepLeavesATombstoneOfWhatWasPromisedMore: some copy may have it still that the
// session lasts longer, and is not to bring it back.
func sweepLeavesATombstoneOfWhatWasPromisedMore(r *rig) {
	u := r.user()
	cut, idle := r.session(u), r.sessionAs(u, r.alien(u))
	idle.Horizon = cut.Horizon
	cut.Parent = r.id(u)
	cut.Promised, idle.Promised = cut.Expiry, idle.Expiry
	r.create(cut)
	r.create(idle)
	for _, session := range []*perdure.Record{&cut, &idle} {
		next := r.changed(*session)
		next.Expiry, next.ExpirySet = r.in(hour/2), next.Version
		r.applied(put(next, session.Version))
		*session = next
	}
	idle.Version, idle.Idle = r.version(), 1000
	r.applied(put(idle, r.stored(idle.ID).Version))
	last := r.session(u) // lasts as long as it was promised to
	last.Promised, last.Expiry = cut.Expiry, cut.Expiry
	r.create(last)
	w := r.watch(r.b)
	r.wantSwept(w, idle.Deadline()-1)
	if n := r.drain(r.a, idle.Deadline(), 10); n != 1 {
		r.t.Fatalf("the sweep expired %d sessions, want the one that was not used", n)
	}
	r.holds(idle.Lapse())
	w.read(10)
	if n := r.drain(r.a, cut.Expiry, 10); n != 2 {
		r.t.Fatalf("the sweep expired %d sessions, want 2", n)
	}
	r.holdsNothing(last.ID)
	r.holds(cut.Lapse())
	r.wantSwept(&watch{r: r, b: r.b, next: r.watch(r.b).next}, cut.Horizon+r.skew()+1)
	again, foreign := r.session(u), r.sessionAs(u, r.alien(u))
	foreign.Horizon = again.Horizon
	for _, session := range []*perdure.Record{&again, &foreign} {
		session.Promised, session.ExpirySet = session.Expiry+1, session.Version
		session.Version.Time |= 0xffff // and what follows it has carried
		r.create(*session)
	}
	r.lapses(r.watch(r.b), again, foreign)
}

// sweepLeavesATombstoneOfWhatWasMintedInAnOutage: what is not found under such an id
// has never come.
func sweepLeavesATombstoneOfWhatWasMintedInAnOutage(r *rig) {
	u := r.user()
	var all []perdure.Record
	for range 3 {
		session := r.sessionAs(u, perdure.NewOutageID(u.Partition(), r.wall.read()))
		session.Horizon = r.in(week)
		if len(all) > 0 {
			session.Horizon = all[0].Horizon
		}
		session.Promised = session.Expiry
		all = append(all, r.create(session))
	}
	id := []byte(perdure.NewOutageID(u.Partition(), r.wall.read()))
	id[30] = 'X' // looks like one, and is none
	other := r.create(r.sessionAs(u, string(id)))
	w := r.watch(r.b)
	if n := r.drain(r.a, other.Expiry, 10); n != 4 {
		r.t.Fatalf("the sweep expired %d sessions, want 4", n)
	}
	r.holdsNothing(other.ID)
	w.read(10)
	r.drain(r.a, all[0].Horizon+r.skew()+1, 10)
	for i := range all {
		all[i].ID = perdure.NewOutageID(u.Partition(), r.wall.read())
		r.create(all[i])
	}
	r.lapses(r.watch(r.b), all...)
}

// sweepLeavesNoTombstonePastTheHorizon, where nothing could bring it back.
func sweepLeavesNoTombstonePastTheHorizon(r *rig) {
	u := r.user()
	session := r.session(u)
	session.Promised = session.Expiry + 1000
	r.create(session)
	w := r.watch(r.b)
	r.wantSwept(w, session.Horizon+r.skew()+1, session)
	r.wantStats(0, 0)
}

// sweepLeavesNothingOfWhatLeft for another store, from which it may come back.
func sweepLeavesNothingOfWhatLeft(r *rig) {
	u := r.user()
	session := r.sessionAs(u, perdure.NewOutageID(u.Partition(), r.wall.read()))
	session.Promised = session.Expiry
	r.create(session)
	left := r.changed(session)
	left.Expiry, left.Promised = r.in(0), 0
	r.applied(put(left, session.Version))
	w := r.watch(r.b)
	r.wantSwept(w, left.Expiry, left)
	r.wantStats(0, 0)
	r.holds(r.create(session))
}
