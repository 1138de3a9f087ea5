package backendtest

import "github.com/perdure/perdure"

func touchLaws() []law {
	return []law{
		{"NeverCreates", touchNeverCreates, nil},
		{"NeverRevives", touchNeverRevives, nil},
		{"ChangesTheLastAccessAlone", touchChangesTheLastAccessAlone, nil},
		{"NeverGoesBack", touchNeverGoesBack, nil},
		{"EndsAtTheExpiry", touchEndsAtTheExpiry, nil},
		{"EndsAtTheIdleTimeout", touchEndsAtTheIdleTimeout, nil},
		{"IsAnnouncedOnce", touchIsAnnouncedOnce, nil},
	}
}

func touchNeverCreates(r *rig) {
	u := r.user()
	for _, id := range []string{r.id(u), r.alien(u)} {
		r.absent(perdure.Record{}, touch(id, r.in(0)))
		r.holdsNothing(id)
	}
	r.wantSame("a scan", r.scan(r.b, perdure.ScanQuery{Limit: 10, Dead: true}), nil)
}

func touchNeverRevives(r *rig) {
	session := r.create(r.session(r.user()))
	v := r.version()
	r.applied(remove(session.ID, v, perdure.ReasonLogout))
	tomb := buried(session, v, perdure.ReasonLogout)
	for _, at := range []perdure.Millis{0, session.LastAccess, session.LastAccess + 1, perdure.MaxMillis} {
		r.absent(tomb, touch(session.ID, at))
		r.holds(tomb)
	}
}

func touchChangesTheLastAccessAlone(r *rig) {
	u := r.user()
	for _, id := range []string{r.id(u), r.alien(u)} {
		session := r.sessionAs(u, id)
		session.Idle, session.Parent, session.Body = 60_000, r.id(u), "\x00\xff body"
		r.create(session)
		for _, step := range []perdure.Millis{1, 255, 256, 20_000, 40_000} {
			session.LastAccess += step
			r.applied(touch(id, session.LastAccess))
			r.holds(session)
		}
	}
}

func touchNeverGoesBack(r *rig) {
	session := r.create(r.session(r.user()))
	for _, at := range []perdure.Millis{session.LastAccess - 1, session.LastAccess, 0, session.LastAccess - 1<<33} {
		r.applied(touch(session.ID, at))
		r.holds(session)
	}
}

func touchEndsAtTheExpiry(r *rig) {
	session := r.create(r.session(r.user()))
	for _, late := range []perdure.Millis{session.Expiry, session.Expiry + 1, perdure.MaxMillis} {
		r.absent(perdure.Record{}, touch(session.ID, late))
		r.holds(session)
	}
	session.LastAccess = session.Expiry - 1
	r.applied(touch(session.ID, session.LastAccess))
	r.holds(session)
}

func touchEndsAtTheIdleTimeout(r *rig) {
	session := r.session(r.user())
	session.Idle = 30_000
	session.Expiry = session.LastAccess + 100_000
	r.create(session)
	for range 3 {
		r.absent(perdure.Record{}, touch(session.ID, session.LastAccess+30_000))
		r.holds(session)
		session.LastAccess += 29_999
		r.applied(touch(session.ID, session.LastAccess))
		r.holds(session)
	}
	r.absent(perdure.Record{}, touch(session.ID, session.Expiry)) // within the idle timeout, past the expiry
	r.holds(session)
}

func touchIsAnnouncedOnce(r *rig) {
	session := r.create(r.session(r.user()))
	w := r.watch(r.b)
	r.applied(touch(session.ID, session.LastAccess+1))
	r.applied(touch(session.ID, session.LastAccess+2))
	w.saw(
		change(perdure.Touched, 0, session),
		change(perdure.Touched, 0, session),
	)
}
