package backendtest

import (
	"slices"

	"github.com/perdure/perdure"
	"pgregory.net/rapid"
)

// The actions of a trial. What is drawn are choices; versions are always new.

func (tr *trial) user() perdure.UserKey { return rapid.SampledFrom(tr.users).Draw(tr.rt, "user") }

func (tr *trial) idOf(u perdure.UserKey) string {
	return rapid.SampledFrom(tr.ids[u]).Draw(tr.rt, "id")
}

func (tr *trial) chance(of string) bool { return rapid.IntRange(0, 3).Draw(tr.rt, of) == 0 }

// draft is a new session of the user under the id. All its times are even, and
// those of sweeps odd, so that no sweep falls on a horizon.
func (tr *trial) draft(u perdure.UserKey, id string) perdure.Record {
	session := tr.sessionAs(u, id)
	even := func(m perdure.Millis) perdure.Millis { return m &^ 1 }
	session.Expiry = even(tr.now) + 2*perdure.Millis(rapid.IntRange(60_000, 3600_000).Draw(tr.rt, "life"))
	session.Horizon = even(session.Expiry) + 2*perdure.Millis(rapid.IntRange(0, 1800_000).Draw(tr.rt, "horizon"))
	if rapid.Bool().Draw(tr.rt, "promised more") {
		session.Promised = session.Expiry + 2*perdure.Millis(rapid.IntRange(0, 2).Draw(tr.rt, "promised"))
	}
	session.LastAccess = even(tr.now)
	if rapid.Bool().Draw(tr.rt, "idle") {
		session.Idle = 2 * perdure.Millis(rapid.IntRange(1, 60_000).Draw(tr.rt, "idle timeout"))
	}
	if rapid.Bool().Draw(tr.rt, "rotated") {
		session.Parent = tr.parent(u)
	}
	return session
}

// parent draws an id of the user, mostly one that was ended or rotated.
func (tr *trial) parent(u perdure.UserKey) string {
	dead := tr.model.all(func(r perdure.Record) bool { return r.Kind == perdure.KindTombstone && r.User == u })
	if len(dead) > 0 && !tr.chance("any parent") {
		return rapid.SampledFrom(dead).Draw(tr.rt, "parent").ID
	}
	return tr.idOf(u)
}

// base is mostly the version that is stored.
func (tr *trial) base(stored perdure.Record) perdure.Version {
	if tr.chance("wrong base") {
		return tr.version()
	}
	return stored.Version
}

// newPut is a put of a new session, which may know of an epoch and may be born
// before it.
func (tr *trial) newPut(u perdure.UserKey, id string) perdure.Write {
	w := put(tr.draft(u, id), perdure.Version{})
	epoch := tr.model.records[perdure.EpochID(u)]
	if epoch.Exists() && rapid.Bool().Draw(tr.rt, "older than the epoch") {
		w.Record.Born = perdure.Version{Time: epoch.Version.Time - 1, Node: 1}
	}
	if rapid.Bool().Draw(tr.rt, "knows the epoch") {
		w.Epoch = epoch.Version
	}
	if stored := tr.model.records[id]; stored.Kind == perdure.KindTombstone && rapid.Bool().Draw(tr.rt, "takes its place") {
		w.Base = stored.Version
	}
	w.Reason = rapid.SampledFrom([]perdure.Reason{perdure.ReasonNone, perdure.ReasonMerged}).Draw(tr.rt, "reason")
	return w
}

func (tr *trial) create(*rapid.T) {
	u := tr.user()
	tr.do(tr.newPut(u, tr.idOf(u)))
}

// existing draws an id that has a session; it leaves the action where none has.
func (tr *trial) existing(t *rapid.T) perdure.Record {
	sessions := tr.model.all(func(r perdure.Record) bool { return r.Kind == perdure.KindSession })
	if len(sessions) == 0 {
		t.Skip("nothing is stored")
	}
	return rapid.SampledFrom(sessions).Draw(tr.rt, "session")
}

func (tr *trial) update(t *rapid.T) {
	stored := tr.existing(t)
	next := tr.draft(stored.User, stored.ID)
	next.Born, next.Horizon = stored.Born, max(stored.Horizon, next.Horizon)
	next.LastAccess += 2 * perdure.Millis(rapid.IntRange(-5000, 5000).Draw(tr.rt, "access"))
	tr.do(put(next, tr.base(stored)))
}

func (tr *trial) bury(*rapid.T) {
	u := tr.user()
	id := tr.idOf(u)
	stored := tr.model.records[id]
	tomb := stored
	if !stored.Exists() {
		tomb = tr.draft(u, id)
	}
	why := rapid.SampledFrom(append(endings(), perdure.ReasonRotated)).Draw(tr.rt, "reason")
	tr.do(put(buried(tomb, tr.version(), why), tr.base(stored)))
}

// known draws an id, mostly one that has a session.
func (tr *trial) known() perdure.Record {
	u := tr.user()
	if sessions := tr.model.sessions(u); len(sessions) > 0 && !tr.chance("any id") {
		return rapid.SampledFrom(sessions).Draw(tr.rt, "session")
	}
	return perdure.Record{ID: tr.idOf(u), Header: perdure.Header{User: u}}
}

func (tr *trial) touch(*rapid.T) {
	tr.now += perdure.Millis(rapid.IntRange(0, 300_000).Draw(tr.rt, "pause"))
	asked := tr.known()
	at := tr.now - perdure.Millis(rapid.IntRange(0, 60_000).Draw(tr.rt, "late"))
	if rapid.Bool().Draw(tr.rt, "about the deadline") {
		at = asked.Deadline() + 2*perdure.Millis(rapid.IntRange(-1, 1).Draw(tr.rt, "off"))
	}
	tr.do(touch(asked.ID, max(at, 0)&^1))
}

func (tr *trial) remove(*rapid.T) {
	asked := tr.known()
	w := remove(asked.ID, tr.version(), rapid.SampledFrom(endings()).Draw(tr.rt, "reason"))
	if w.Plant = tr.chance("plant"); w.Plant {
		w.Record = buried(tr.draft(asked.User, asked.ID), w.Record.Version, w.Record.Reason)
	}
	tr.do(w)
}

func (tr *trial) rotate(t *rapid.T) {
	parent := tr.existing(t)
	batch, _, child := tr.rotation(parent)
	batch[0].Base = tr.base(parent)
	if rapid.Bool().Draw(tr.rt, "knows the epoch") {
		batch[1].Epoch = tr.model.records[perdure.EpochID(parent.User)].Version
	}
	child.Expiry, child.Horizon, child.LastAccess = parent.Expiry, parent.Horizon, parent.LastAccess
	batch[1].Record = child
	tr.ids[parent.User] = append(tr.ids[parent.User], child.ID)
	tr.all = append(tr.all, child.ID)
	tr.do(batch...)
}

// many puts several new sessions of one partition in one batch.
func (tr *trial) many(*rapid.T) {
	u := tr.user()
	var batch perdure.Batch
	for _, id := range rapid.Permutation(tr.ids[u][:3]).Draw(tr.rt, "ids")[:rapid.IntRange(2, 3).Draw(tr.rt, "writes")] {
		w := tr.newPut(u, id)
		w.Record.Parent = ""
		if rapid.Bool().Draw(tr.rt, "on its base") {
			w.Base = tr.model.records[id].Version
			if tr.model.records[id].Kind == perdure.KindTombstone {
				w.Record = buried(w.Record, w.Record.Version, perdure.ReasonMerged)
			}
		}
		batch = append(batch, w)
	}
	tr.do(batch...)
}

func (tr *trial) newEpoch(u perdure.UserKey) perdure.Record {
	epoch := tr.rig.epoch(u, tr.version())
	epoch.Horizon = (tr.now + 7200_000) &^ 1
	epoch.Expiry = epoch.Horizon
	return epoch
}

func (tr *trial) epoch(*rapid.T) {
	u := tr.user()
	tr.do(put(tr.newEpoch(u), tr.base(tr.model.records[perdure.EpochID(u)])))
}

func (tr *trial) revoke(*rapid.T) {
	u := tr.user()
	stored := tr.model.records[perdure.EpochID(u)]
	q := perdure.UserRemoval{Epoch: tr.newEpoch(u), Base: tr.base(stored), Reason: perdure.ReasonRevoked}
	q.Limit = rapid.IntRange(1, 6).Draw(tr.rt, "limit")
	for _, id := range tr.ids[u] {
		if tr.chance("spare") {
			q.Except = append(q.Except, id)
		}
	}
	conflict, stored, want := tr.model.revoke(q)
	b := tr.backend()
	if conflict {
		got, err := b.RemoveUser(tr.ctx, q)
		tr.noError(err)
		if got.Outcome != perdure.Conflict || got.Stored != stored || len(got.Removed) > 0 {
			tr.t.Fatalf("RemoveUser on another base: %s, %d removed:\n%s", showOutcome(got.Outcome), len(got.Removed), diff(got.Stored, stored))
		}
	} else {
		tr.wantSame("what was removed", tr.rig.revoke(b, q), want)
	}
	for _, id := range append(slices.Clone(tr.ids[u]), q.Epoch.ID) {
		tr.check(id)
	}
}

func (tr *trial) sweep(*rapid.T) {
	tr.now += perdure.Millis(rapid.IntRange(0, 2400_000).Draw(tr.rt, "pause"))
	tr.now |= 1
	tr.sweepTo(tr.now)
	for _, id := range tr.all {
		tr.check(id)
	}
}

func (tr *trial) load(*rapid.T) {
	wanted := rapid.SliceOfN(rapid.SampledFrom(tr.all), 0, 20).Draw(tr.rt, "ids")
	got, err := tr.backend().Load(tr.ctx, wanted)
	tr.noError(err)
	if len(got) != len(wanted) {
		tr.t.Fatalf("Load of %d ids returned %d records", len(wanted), len(got))
	}
	for i, id := range wanted {
		if got[i] != tr.model.records[id] {
			tr.t.Fatalf("Load, record %d of %d:\n%s", i, len(wanted), diff(got[i], tr.model.records[id]))
		}
	}
}

func (tr *trial) list(*rapid.T) {
	u := tr.user()
	limit := rapid.IntRange(1, 6).Draw(tr.rt, "limit")
	tr.lists("the user's sessions", u, limit, tr.model.sessions(u))
}

func (tr *trial) scan(*rapid.T) {
	q := perdure.ScanQuery{Limit: rapid.IntRange(1, 10).Draw(tr.rt, "limit"), Dead: rapid.Bool().Draw(tr.rt, "dead"), To: perdure.Partitions}
	if rapid.Bool().Draw(tr.rt, "bounds") {
		q.From = perdure.PartitionOf(rapid.SampledFrom(tr.all).Draw(tr.rt, "from"))
		q.To = q.From + rapid.IntRange(1, perdure.Partitions-q.From).Draw(tr.rt, "partitions")
	}
	tr.wantSame("a scan", tr.rig.scan(tr.b, q), tr.model.all(func(r perdure.Record) bool {
		p := perdure.PartitionOf(r.ID)
		return p >= q.From && p < q.To && (q.Dead || r.Kind == perdure.KindSession)
	}))
}

func (tr *trial) follow(*rapid.T) {
	tr.feed.b = tr.backend()
	batch := tr.feed.batch(rapid.IntRange(1, 10).Draw(tr.rt, "limit"))
	tr.told = append(tr.told, batch.Changes...)
}
