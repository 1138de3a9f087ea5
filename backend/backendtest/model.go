package backendtest

import (
	"maps"
	"slices"

	"github.com/perdure/perdure"
)

// model is the contract in memory, as plainly as it can be put: what is stored,
// and what the feed is to tell.
type model struct {
	records map[string]perdure.Record
	feed    []expected
	skew    perdure.Millis
}

// verdict is what may become of a batch: one outcome, and, where it is not
// Applied or a removal's, any of some records met by a write.
type verdict struct {
	outcome perdure.Outcome
	met     []meeting
}

type meeting struct {
	write  int
	stored perdure.Record
}

// allows reports whether the result is one that the contract allows.
func (v verdict) allows(got perdure.Result) bool {
	if got.Err != nil || got.Outcome != v.outcome {
		return false
	}
	return len(v.met) == 0 || slices.Contains(v.met, meeting{got.Write, got.Stored})
}

func (m *model) apply(batch perdure.Batch) verdict {
	switch w := batch[0]; w.Op {
	case perdure.OpTouch:
		return m.touch(w.Record)
	case perdure.OpRemove:
		return m.remove(w)
	}
	var met []meeting
	for i, w := range batch {
		met = append(met, m.obstacles(i, w)...)
	}
	if len(met) > 0 {
		return verdict{perdure.Conflict, met}
	}
	for _, w := range batch {
		m.put(w)
	}
	return verdict{outcome: perdure.Applied}
}

// obstacles is all that stands in the way of a put.
func (m *model) obstacles(i int, w perdure.Write) (met []meeting) {
	stored := m.records[w.Record.ID]
	if stored.Version != w.Base {
		return []meeting{{i, stored}}
	}
	if stored.Kind == perdure.KindSession || w.Record.Kind != perdure.KindSession {
		return nil
	}
	epoch := m.records[perdure.EpochID(w.Record.User)]
	if w.Record.Born.Before(epoch.Version) && w.Epoch != epoch.Version {
		met = append(met, meeting{i, epoch})
	}
	if parent := m.records[w.Record.Parent]; parent.Ended() {
		met = append(met, meeting{i, parent})
	}
	return met
}

func (m *model) put(w perdure.Write) {
	stored, next := m.records[w.Record.ID], w.Record
	next.LastAccess = max(next.LastAccess, stored.LastAccess)
	m.records[next.ID] = next
	switch {
	case next.Version == stored.Version && next.Kind == stored.Kind:
		if next.Kind == perdure.KindSession && next.LastAccess > stored.LastAccess {
			m.feed = append(m.feed, change(perdure.Touched, 0, next))
		}
	case next.Kind == perdure.KindTombstone && stored.Kind == perdure.KindTombstone && stored.Reason != perdure.ReasonRotated:
	case next.Kind == perdure.KindEpoch:
		e := change(perdure.UserRevoked, 0, next)
		e.anyReason = true
		m.feed = append(m.feed, e)
	case next.Kind == perdure.KindTombstone:
		m.feed = append(m.feed, change(perdure.Deleted, next.Reason, next))
	case stored.Exists():
		m.feed = append(m.feed, change(perdure.Updated, w.Reason, next))
	default:
		m.feed = append(m.feed, change(perdure.Created, w.Reason, next))
	}
}

func (m *model) touch(asked perdure.Record) verdict {
	stored := m.records[asked.ID]
	if !stored.Live(asked.LastAccess) {
		return m.absent(stored)
	}
	e := change(perdure.Touched, 0, stored)
	e.maybe = asked.LastAccess <= stored.LastAccess // nothing changes
	m.feed = append(m.feed, e)
	stored.LastAccess = max(stored.LastAccess, asked.LastAccess)
	m.records[stored.ID] = stored
	return verdict{outcome: perdure.Applied}
}

// absent shows the tombstone, but not a session that is past its deadline.
func (m *model) absent(stored perdure.Record) verdict {
	if stored.Kind != perdure.KindTombstone {
		stored = perdure.Record{}
	}
	return verdict{perdure.Absent, []meeting{{0, stored}}}
}

func (m *model) remove(w perdure.Write) verdict {
	stored := m.records[w.Record.ID]
	if stored.Kind == perdure.KindSession {
		m.bury(stored, w.Record.Version, w.Record.Reason)
		return verdict{perdure.Applied, []meeting{{0, stored}}}
	}
	v := m.absent(stored)
	if w.Plant && !stored.Exists() {
		m.records[w.Record.ID] = w.Record
		m.feed = append(m.feed, change(perdure.Deleted, w.Record.Reason, w.Record))
		v.met = append(v.met, meeting{0, w.Record})
	}
	return v
}

func (m *model) bury(session perdure.Record, v perdure.Version, why perdure.Reason) {
	tomb := buried(session, v, why)
	m.records[tomb.ID] = tomb
	m.feed = append(m.feed, change(perdure.Deleted, why, tomb))
}

// revoke is a removal of a user's sessions, all pages of it. It returns the
// epoch that is in the way, or what is removed.
func (m *model) revoke(q perdure.UserRemoval) (conflict bool, stored perdure.Record, removed []perdure.Record) {
	stored = m.records[q.Epoch.ID]
	if stored.Version != q.Base {
		return true, stored, nil
	}
	m.put(put(q.Epoch, q.Base))
	for range 20 { // a page may tell of the epoch again
		again := m.feed[len(m.feed)-1]
		again.maybe = true
		m.feed = append(m.feed, again)
	}
	for _, session := range m.sessions(q.Epoch.User) {
		if slices.Contains(q.Except, session.ID) {
			continue
		}
		removed = append(removed, session)
		m.bury(session, q.Epoch.Version, q.Reason)
	}
	return false, stored, removed
}

// sweep drops all that is due and returns how many sessions expired.
func (m *model) sweep(now perdure.Millis) (expired int) {
	for id, record := range m.records {
		switch {
		case record.Kind == perdure.KindSession && !record.Live(now):
			expired++
			delete(m.records, id)
			if record.Lingers(now, m.skew) {
				record = record.Lapse()
				m.records[id] = record
			}
			m.feed = append(m.feed, change(perdure.Expired, perdure.ReasonExpired, record))
		case record.Kind != perdure.KindSession && now > record.Horizon+m.skew:
			delete(m.records, id)
		}
	}
	return expired
}

// sessions are the user's, in the order of their ids.
func (m *model) sessions(u perdure.UserKey) []perdure.Record {
	return m.all(func(r perdure.Record) bool { return r.Kind == perdure.KindSession && r.User == u })
}

func (m *model) all(chosen func(perdure.Record) bool) (found []perdure.Record) {
	for _, id := range slices.Sorted(maps.Keys(m.records)) {
		if record := m.records[id]; chosen(record) {
			found = append(found, record)
		}
	}
	return found
}
