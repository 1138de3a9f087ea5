package backendtest

import "github.com/perdure/perdure"

func obstacleLaws() []law {
	return []law{
		{"AnEpochStandsInTheWayOfTheOlder", anEpochStandsInTheWayOfTheOlder, nil},
		{"AnEpochIsComparedInFull", anEpochIsComparedInFull, nil},
		{"AnEpochTakenIntoAccountLetsIn", anEpochTakenIntoAccountLetsIn, nil},
		{"AnEpochMindsOnlyItsUser", anEpochMindsOnlyItsUser, nil},
		{"AnEpochMindsOnlyNewSessions", anEpochMindsOnlyNewSessions, nil},
		{"AnEpochMindsForeignIDs", anEpochMindsForeignIDs, nil},
		{"AnEndedParentStandsInTheWay", anEndedParentStandsInTheWay, nil},
		{"ARotatedParentDoesNot", aRotatedParentDoesNot, nil},
		{"AParentThatLastedDoesNot", aParentThatLastedDoesNot, nil},
		{"StandsBeforeATombstoneToo", standsBeforeATombstoneToo, nil},
		{"AnEndedParentMindsOnlyNewSessions", anEndedParentMindsOnlyNewSessions, nil},
		{"AnEndedParentMindsForeignIDs", anEndedParentMindsForeignIDs, nil},
	}
}

func anEpochStandsInTheWayOfTheOlder(r *rig) {
	u := r.user()
	older := r.session(u)
	epoch := r.create(r.epoch(u, r.version()))
	younger := r.session(u)
	r.conflicts(epoch, put(older, perdure.Version{}))
	r.holdsNothing(older.ID)
	older.Version = r.version() // born before it, and changed since
	r.conflicts(epoch, put(older, perdure.Version{}))
	r.holds(r.create(younger))
	later := r.epoch(u, r.version())
	r.applied(put(later, epoch.Version))
	last := r.session(u)
	last.Born = younger.Born
	r.conflicts(later, put(last, perdure.Version{}))
	r.holdsNothing(last.ID)
	r.lists("the user's sessions", u, 10, []perdure.Record{younger})
}

// anEpochIsComparedInFull uses versions that differ in their last bits alone,
// which a comparison in floating point does not see.
func anEpochIsComparedInFull(r *rig) {
	u := r.user()
	now := r.version()
	epoch := r.create(r.epoch(u, perdure.Version{Time: now.Time&^0xffff | 0x8000, Node: 1 << 31}))
	for _, old := range []perdure.Version{
		{Time: epoch.Version.Time - 1, Node: 1<<32 - 1},
		{Time: epoch.Version.Time, Node: epoch.Version.Node - 1},
		{Time: epoch.Version.Time - 0x8000, Node: 1<<32 - 1},
		{Time: 1<<15 | 1, Node: 3},
	} {
		session := r.session(u)
		session.Born = old
		r.conflicts(epoch, put(session, perdure.Version{}))
	}
	for _, young := range []perdure.Version{
		{Time: epoch.Version.Time + 1, Node: 0},
		{Time: epoch.Version.Time, Node: epoch.Version.Node + 1},
	} {
		session := r.session(u)
		session.Born = young
		r.create(session)
	}
}

func anEpochTakenIntoAccountLetsIn(r *rig) {
	u := r.user()
	first := r.session(u)
	named := put(first, perdure.Version{})
	named.Epoch = r.version()
	r.applied(named) // no epoch stands, whatever is named
	second := r.session(u)
	epoch := r.create(r.epoch(u, r.version()))
	named = put(second, perdure.Version{})
	for _, other := range []perdure.Version{{}, first.Version, r.version()} {
		named.Epoch = other
		r.conflicts(epoch, named)
	}
	named.Epoch = epoch.Version
	r.applied(named)
	r.holds(second)
}

func anEpochMindsOnlyItsUser(r *rig) {
	u := r.user()
	neighbour := r.session(r.made.neighbour(u))
	stranger := r.session(r.user())
	r.create(r.epoch(u, r.version()))
	r.holds(r.create(neighbour))
	r.holds(r.create(stranger))
}

func anEpochMindsOnlyNewSessions(r *rig) {
	u := r.user()
	stored, other := r.create(r.session(u)), r.session(u)
	epoch := r.create(r.epoch(u, r.version()))
	next := r.changed(stored)
	r.applied(put(next, stored.Version))
	r.holds(next)
	r.applied(touch(next.ID, next.LastAccess+1))
	r.holds(r.create(buried(other, r.version(), perdure.ReasonLogout)))
	r.applied(put(r.changed(epoch), epoch.Version))
}

func anEpochMindsForeignIDs(r *rig) {
	u := r.user()
	older := r.sessionAs(u, r.alien(u))
	epoch := r.create(r.epoch(u, r.version()))
	r.conflicts(epoch, put(older, perdure.Version{}))
	r.holdsNothing(older.ID)
	r.lists("the user's sessions", u, 10, nil)
	named := put(older, perdure.Version{})
	named.Epoch = epoch.Version
	r.applied(named)
	r.holds(r.create(r.sessionAs(u, r.alien(u))))
}

// endings are the reasons that end a session for good.
func endings() []perdure.Reason {
	return []perdure.Reason{
		perdure.ReasonNone, perdure.ReasonLogout, perdure.ReasonRevoked, perdure.ReasonUserRevoked,
		perdure.ReasonParentEnded, perdure.ReasonExpired, perdure.ReasonMerged,
	}
}

func (r *rig) childOf(parent perdure.Record) perdure.Record {
	child := r.session(parent.User)
	child.Parent, child.Born = parent.ID, parent.Born
	return child
}

func anEndedParentStandsInTheWay(r *rig) {
	u := r.user()
	for _, why := range endings() {
		parent := r.session(u)
		parent.Promised = parent.Expiry + 1
		r.create(parent)
		child := r.childOf(parent)
		v := r.version()
		r.applied(remove(parent.ID, v, why))
		r.conflicts(buried(parent, v, why), put(child, perdure.Version{}))
		r.holdsNothing(child.ID)
	}
	planted := r.session(u)
	child := r.childOf(planted)
	r.create(buried(planted, r.version(), perdure.ReasonLogout))
	if got := r.do(put(child, perdure.Version{})); got.Outcome != perdure.Conflict {
		r.t.Fatalf("a child of a session that was ended before it came is stored: %s", showResult(got))
	}
	r.lists("the user's sessions", u, 10, nil)
}

func aRotatedParentDoesNot(r *rig) {
	u := r.user()
	live := r.create(r.session(u))
	r.holds(r.create(r.childOf(live)))
	r.holds(r.create(r.childOf(r.session(u)))) // of a parent that is not known
	rotated := r.create(buried(r.session(u), r.version(), perdure.ReasonRotated))
	child := r.create(r.childOf(rotated))
	r.holds(child)
	ended := buried(rotated, r.version(), perdure.ReasonLogout)
	r.applied(put(ended, rotated.Version))
	r.conflicts(ended, put(r.childOf(ended), perdure.Version{}))
	r.holds(child)
}

// aParentThatLastedDoesNot: it was over at the time that it was promised to last to,
// and what it was rotated to elsewhere has a time of its own.
func aParentThatLastedDoesNot(r *rig) {
	u := r.user()
	for _, promised := range []perdure.Millis{0, r.in(hour / 2)} {
		lasted := r.session(u)
		lasted.Expiry, lasted.Promised = r.in(hour/2), promised
		r.create(buried(lasted, r.version(), perdure.ReasonExpired))
		r.holds(r.create(r.childOf(lasted)))
	}
}

// standsBeforeATombstoneToo: a session that takes the place of a tombstone comes
// back, and is as new as one that comes where nothing is.
func standsBeforeATombstoneToo(r *rig) {
	for _, make := range []func(perdure.UserKey) string{r.id, r.alien} {
		user := r.user()
		id := make(user)
		tomb := r.create(buried(r.sessionAs(user, id), r.version(), perdure.ReasonExpired))
		session := r.sessionAs(user, id)
		epoch := r.create(r.epoch(user, r.version()))
		r.conflicts(epoch, put(session, tomb.Version))
		r.holds(tomb)
		named := put(session, tomb.Version)
		named.Epoch = epoch.Version
		w := r.watch(r.b)
		r.applied(named)
		r.holds(session)
		w.saw(change(perdure.Updated, 0, session))
		r.lists("the user's sessions", user, 10, []perdure.Record{session})
		parent := r.create(buried(r.sessionAs(user, r.id(user)), r.version(), perdure.ReasonLogout))
		child := r.childOf(parent)
		child.Born = child.Version
		ended := r.create(buried(child, r.version(), perdure.ReasonExpired))
		r.conflicts(parent, put(child, ended.Version))
		r.holds(ended)
	}
}

func anEndedParentMindsOnlyNewSessions(r *rig) {
	parent := r.create(r.session(r.user()))
	child, other := r.create(r.childOf(parent)), r.childOf(parent)
	r.applied(remove(parent.ID, r.version(), perdure.ReasonLogout))
	next := r.changed(child)
	r.applied(put(next, child.Version))
	r.holds(next)
	r.holds(r.create(buried(other, r.version(), perdure.ReasonParentEnded)))
}

func anEndedParentMindsForeignIDs(r *rig) {
	u := r.user()
	parent := r.create(r.sessionAs(u, r.made.foreign(u, 128)))
	native, alien := r.childOf(parent), r.childOf(parent)
	alien.ID = r.alien(u)
	v := r.version()
	r.applied(remove(parent.ID, v, perdure.ReasonRevoked))
	for _, child := range []perdure.Record{native, alien} {
		r.conflicts(buried(parent, v, perdure.ReasonRevoked), put(child, perdure.Version{}))
		r.holdsNothing(child.ID)
	}
}
