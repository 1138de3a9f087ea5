package backendtest

import "github.com/perdure/perdure"

func removeLaws() []law {
	return []law{
		{"LeavesATombstone", removeLeavesATombstone, nil},
		{"MindsNoVersion", removeMindsNoVersion, nil},
		{"MindsNoClock", removeMindsNoClock, nil},
		{"OfNothingIsAbsent", removeOfNothingIsAbsent, nil},
		{"OfATombstoneIsAbsent", removeOfATombstoneIsAbsent, nil},
		{"IsForEver", removeIsForEver, nil},
		{"PlantsATombstone", removePlantsATombstone, nil},
		{"PlantsOnlyWhereNothingIs", removePlantsOnlyWhereNothingIs, nil},
		{"TakesTheExpired", removeTakesTheExpired, nil},
	}
}

func removeLeavesATombstone(r *rig) {
	u := r.user()
	for i, why := range endings() {
		session := r.session(u)
		if i%2 == 1 {
			session = r.sessionAs(u, r.alien(u))
		}
		session.Idle, session.Parent = 600_000, r.id(u)
		r.create(session)
		w := remove(session.ID, r.version(), why)
		w.Record.Body = "not read"
		w.Record.Expiry = 1
		got := r.applied(w)
		if got.Stored != session {
			r.t.Fatalf("a removal returns the session that it ended:\n%s", diff(got.Stored, session))
		}
		r.holds(buried(session, w.Record.Version, why))
		r.lists("the user's sessions", u, 10, nil)
	}
}

func removeMindsNoVersion(r *rig) {
	session := r.create(r.session(r.user()))
	next := r.changed(session)
	r.applied(put(next, session.Version))
	behind := session.Version
	behind.Time -= 1 << 20
	r.applied(remove(session.ID, behind, perdure.ReasonLogout))
	r.holds(buried(next, behind, perdure.ReasonLogout))
}

// A logout never fails because of a clock.
func removeMindsNoClock(r *rig) {
	session := r.create(r.session(r.user()))
	ahead := r.version()
	ahead.Time += uint64(2*r.cfg.MaxClockSkew.Milliseconds()) << 16
	r.applied(remove(session.ID, ahead, perdure.ReasonLogout))
	r.holds(buried(session, ahead, perdure.ReasonLogout))
}

func removeOfNothingIsAbsent(r *rig) {
	u := r.user()
	for _, id := range []string{r.id(u), r.alien(u)} {
		r.absent(perdure.Record{}, remove(id, r.version(), perdure.ReasonLogout))
		r.holdsNothing(id)
	}
	r.wantSame("a scan", r.scan(r.b, perdure.ScanQuery{Limit: 10, Dead: true}), nil)
}

func removeOfATombstoneIsAbsent(r *rig) {
	session := r.create(r.session(r.user()))
	v := r.version()
	r.applied(remove(session.ID, v, perdure.ReasonLogout))
	tomb := buried(session, v, perdure.ReasonLogout)
	w := r.watch(r.a)
	r.absent(tomb, remove(session.ID, r.version(), perdure.ReasonRevoked))
	r.holds(tomb)
	w.saw()
}

func removeIsForEver(r *rig) {
	r = r.longAgo()
	u := r.user()
	first := r.create(r.session(u))
	second := r.changed(first)
	r.applied(put(second, first.Version))
	v := r.version()
	r.applied(remove(first.ID, v, perdure.ReasonLogout))
	tomb := buried(second, v, perdure.ReasonLogout)
	late := r.changed(second)
	for _, base := range []perdure.Version{{}, first.Version, second.Version, late.Version} {
		for _, replay := range []perdure.Record{first, second, late} {
			r.conflicts(tomb, put(replay, base))
		}
	}
	r.absent(tomb, touch(first.ID, r.in(0)+1))
	again := remove(first.ID, r.version(), perdure.ReasonRevoked)
	again.Plant = true
	again.Record = buried(late, again.Record.Version, perdure.ReasonRevoked)
	r.absent(tomb, again)
	r.conflicts(tomb, put(r.childOf(first), perdure.Version{}))
	r.drain(r.b, r.in(6*24*hour), 10)
	r.holds(tomb)
	r.lists("the user's sessions", u, 10, nil)
}

// plant is a removal that leaves a tombstone for an id that is not known.
func (r *rig) plant(id string) perdure.Write {
	v := r.version()
	return perdure.Write{Op: perdure.OpRemove, Plant: true, Record: perdure.Record{ID: id, Body: "known to the merge", Header: perdure.Header{
		Kind: perdure.KindTombstone, Reason: perdure.ReasonLogout, Version: v,
		Horizon: r.in(week), Expiry: r.in(week),
	}}}
}

func removePlantsATombstone(r *rig) {
	u := r.user()
	for _, id := range []string{r.id(u), r.alien(u)} {
		w := r.plant(id)
		got := r.do(w)
		if got.Outcome != perdure.Absent {
			r.t.Fatalf("a removal of an id that is not known: %s, want Absent", showResult(got))
		}
		if got.Stored.Exists() && got.Stored != w.Record {
			r.t.Fatalf("a removal that plants a tombstone found another:\n%s", diff(got.Stored, w.Record))
		}
		r.holds(w.Record)
		r.conflicts(w.Record, put(r.sessionAs(u, id), perdure.Version{}))
		r.absent(w.Record, touch(id, r.in(0)))
		r.absent(w.Record, r.plant(id))
		r.holds(w.Record)
	}
	r.lists("the user's sessions", u, 10, nil)
}

func removePlantsOnlyWhereNothingIs(r *rig) {
	session := r.create(r.session(r.user()))
	w := r.plant(session.ID)
	if got := r.applied(w); got.Stored != session {
		r.t.Fatalf("a removal returns the session that it ended:\n%s", diff(got.Stored, session))
	}
	r.holds(buried(session, w.Record.Version, w.Record.Reason))
}

func removeTakesTheExpired(r *rig) {
	session := r.session(r.user())
	session.Expiry = r.in(0) - 1
	r.create(session)
	v := r.version()
	if got := r.applied(remove(session.ID, v, perdure.ReasonLogout)); got.Stored != session {
		r.t.Fatalf("a removal returns the session that it ended:\n%s", diff(got.Stored, session))
	}
	r.holds(buried(session, v, perdure.ReasonLogout))
}
