package local

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/perdure/perdure"
)

// shard is one partition in memory: its records, the sessions of its users, and
// what is due when. Its lock is held to change any of it. An entry's record
// alone can be read without.
type shard struct {
	mu       sync.RWMutex
	entries  table
	users    map[perdure.UserKey]*user
	due      schedule
	sessions int      // how many of entries are sessions
	_        [48]byte // keeps the locks of neighbours in different cache lines
}

// entry holds the record of one id. The record is replaced, never written to.
type entry struct {
	record atomic.Pointer[perdure.Record]
	next   *entry // in its bucket of the table
	hash   uint32
	place  int32 // its index in the shard's schedule
}

// user is what a shard knows of a user of its partition. The sessions may lie in
// other shards: foreign ids are hashed by themselves.
type user struct {
	epoch    *perdure.Record // nil if there is none
	sessions []*entry        // by id
	only     [1]*entry       // the first memory of sessions
}

// mutation is a change of one record, decided on but perhaps not applied. It is
// a creation without old and a drop without new.
type mutation struct {
	old, new *perdure.Record
	kind     perdure.ChangeKind // 0 is not announced
	reason   perdure.Reason
}

// shardOf is the shard that holds the id.
func (b *Backend) shardOf(id string) *shard { return &b.shards[perdure.PartitionOf(id)] }

// entry is that of the id, or nil. The caller holds the lock.
func (b *Backend) entry(id string) *entry { return b.shardOf(id).entries.find(id) }

// user is what is known of a user, or nil. The caller holds the lock.
func (b *Backend) user(k perdure.UserKey) *user { return b.shards[k.Partition()].users[k] }

func (s *shard) init() {
	s.entries = newTable()
	s.users = map[perdure.UserKey]*user{}
}

// apply makes a mutation visible. The caller holds the locks of the partitions
// that mutation.claim names.
func (b *Backend) apply(m mutation) {
	switch {
	case m.new == nil:
		s := b.shardOf(m.old.ID)
		e := s.entries.find(m.old.ID)
		b.unlist(m.old)
		s.count(m.old, -1)
		s.due.remove(e)
		s.entries.remove(e)
	case m.old == nil:
		s := b.shardOf(m.new.ID)
		e := s.entries.add(m.new)
		s.due.add(e, b.dueAt(m.new))
		s.count(m.new, +1)
		b.list(m.new, e)
	default:
		s := b.shardOf(m.new.ID)
		e := s.entries.find(m.new.ID)
		e.record.Store(m.new)
		s.due.advance(e, b.dueAt(m.new))
		if m.old.Kind != m.new.Kind || m.old.User != m.new.User || m.new.Kind == perdure.KindEpoch {
			s.count(m.old, -1)
			s.count(m.new, +1)
			b.unlist(m.old)
			b.list(m.new, e)
		}
	}
}

// claim adds the partitions that applying the mutation touches.
func (m *mutation) claim(set *partitions) {
	for _, r := range [...]*perdure.Record{m.old, m.new} {
		if r != nil {
			set.addID(r.ID)
			set.addUser(r.User)
		}
	}
}

// id is that of the record that the mutation changes.
func (m *mutation) id() string {
	if m.new != nil {
		return m.new.ID
	}
	return m.old.ID
}

// dueAt is when the record is to be swept: a session at its deadline, the rest
// past the time at which anything that is replayed could live.
func (b *Backend) dueAt(r *perdure.Record) perdure.Millis {
	if r.Kind == perdure.KindSession {
		return r.Deadline()
	}
	return r.Horizon + b.skew + 1
}

// list enters the record in its user's index.
func (b *Backend) list(r *perdure.Record, e *entry) {
	if r.User == "" || r.Kind == perdure.KindTombstone {
		return
	}
	users := b.shards[r.User.Partition()].users
	u := users[r.User]
	if u == nil {
		u = &user{}
		u.sessions = u.only[:0]
		users[r.User] = u
	}
	if r.Kind == perdure.KindEpoch {
		u.epoch = r
	} else if i, found := u.find(r.ID); !found {
		u.sessions = slices.Insert(u.sessions, i, e)
	}
}

// unlist takes the record out of its user's index.
func (b *Backend) unlist(r *perdure.Record) {
	users := b.shards[r.User.Partition()].users
	u := users[r.User]
	if u == nil || r.Kind == perdure.KindTombstone {
		return
	}
	if r.Kind == perdure.KindEpoch {
		u.epoch = nil
	} else if i, found := u.find(r.ID); found {
		u.sessions = slices.Delete(u.sessions, i, i+1)
	}
	if u.epoch == nil && len(u.sessions) == 0 {
		delete(users, r.User)
	}
}

// find is where the id is, or belongs, in the user's sessions.
func (u *user) find(id string) (int, bool) {
	return slices.BinarySearchFunc(u.sessions, id, func(e *entry, id string) int {
		return strings.Compare(e.record.Load().ID, id)
	})
}

func (s *shard) count(r *perdure.Record, by int) {
	if r.Kind == perdure.KindSession {
		s.sessions += by
	}
}

// What a record takes beside its strings, in bytes: the record, its entry, their
// places in table and schedule, and, for a session, about half a user's index.
// TestAccounting keeps them honest.
const (
	recordOverhead  = 200
	sessionOverhead = 80
)

// size is the memory that the record is accounted for, in bytes.
func size(r *perdure.Record) int64 {
	if r == nil {
		return 0
	}
	n := recordOverhead + len(r.ID) + len(r.User) + len(r.Parent) + len(r.Body)
	if r.Kind == perdure.KindSession {
		n += sessionOverhead
	}
	return int64(n)
}
