package backendtest

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
)

const (
	hour = time.Hour
	week = 7 * 24 * time.Hour
)

// maker makes users and ids that nobody else uses.
type maker struct {
	space  string
	serial atomic.Int64
}

func (m *maker) user() perdure.UserKey {
	return perdure.HashUser(fmt.Sprintf("%s %d", m.space, m.serial.Add(1)))
}

// neighbour is another user of the same partition.
func (m *maker) neighbour(u perdure.UserKey) perdure.UserKey {
	for {
		if n := m.user(); n.Partition() == u.Partition() {
			return n
		}
	}
}

// id is a native id in the user's partition.
func (m *maker) id(u perdure.UserKey) string { return perdure.NewID(u.Partition()) }

// foreign is an id of n bytes that lies in another partition than its user.
func (m *maker) foreign(u perdure.UserKey, n int) string {
	for {
		id := fmt.Sprintf("%d-%s_", m.serial.Add(1), m.space)
		id = (id + strings.Repeat("Az09-_", n/6+1))[:n]
		if perdure.PartitionOf(id) != u.Partition() {
			return id
		}
	}
}

// version is a new version, later than all before.
func (r *rig) version() perdure.Version { return r.clock.Tick() }

// user and id are fresh ones.
func (r *rig) user() perdure.UserKey          { return r.made.user() }
func (r *rig) id(u perdure.UserKey) string    { return r.made.id(u) }
func (r *rig) alien(u perdure.UserKey) string { return r.made.foreign(u, 36) }

// session is a new session of the user: an hour of life, a week of horizon.
func (r *rig) session(u perdure.UserKey) perdure.Record {
	return r.sessionAs(u, r.id(u))
}

func (r *rig) sessionAs(u perdure.UserKey, id string) perdure.Record {
	v := r.version()
	return perdure.Record{ID: id, Body: "body of " + id, Header: perdure.Header{
		Kind: perdure.KindSession, Version: v, Born: v,
		Expiry: r.in(hour), Horizon: r.in(week), LastAccess: r.in(0),
		User: u,
	}}
}

// changed is the record as a later writer leaves it.
func (r *rig) changed(old perdure.Record) perdure.Record {
	old.Version = r.version()
	old.Body = fmt.Sprintf("body at %s", old.Version)
	return old
}

// buried is the tombstone that a removal of the session leaves.
func buried(session perdure.Record, v perdure.Version, why perdure.Reason) perdure.Record {
	session.Kind, session.Version, session.Reason, session.Body = perdure.KindTombstone, v, why, ""
	return session
}

// epoch is an epoch of the user at version v.
func (r *rig) epoch(u perdure.UserKey, v perdure.Version) perdure.Record {
	return perdure.Record{ID: perdure.EpochID(u), Body: "epoch at " + v.String(), Header: perdure.Header{
		Kind: perdure.KindEpoch, Reason: perdure.ReasonUserRevoked, Version: v, Born: v,
		Expiry: r.in(week), Horizon: r.in(week), User: u,
	}}
}

func put(record perdure.Record, base perdure.Version) perdure.Write {
	return perdure.Write{Op: perdure.OpPut, Record: record, Base: base}
}

func touch(id string, at perdure.Millis) perdure.Write {
	return perdure.Write{Op: perdure.OpTouch, Record: perdure.Record{ID: id, Header: perdure.Header{LastAccess: at}}}
}

func remove(id string, v perdure.Version, why perdure.Reason) perdure.Write {
	return perdure.Write{Op: perdure.OpRemove, Record: perdure.Record{ID: id, Header: perdure.Header{Version: v, Reason: why}}}
}
