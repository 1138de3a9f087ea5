package redis

import (
	"bytes"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
)

// near is the near cache: records that were read, and which sessions a user has,
// until the server or a call of this process says that they have changed. It is
// bounded in bytes, and evicts what was not read again (SIEVE; Zhang et al., NSDI
// 2024). A record goes by its id, a user's sessions by the key of their index.
//
// A value that was asked for before a change and arrives after it is not taken
// in: who asks takes a stamp first, and a change makes the stamp void. That goes
// for the calls of this process, so that it never sees a state older than one
// that it has made, and for what the server says: a connection delivers replies
// and changes in their order, but to different goroutines.
type near struct {
	seed   maphash.Seed
	age    time.Duration
	start  time.Time
	doubts atomic.Uint64 // how often what was on its way has become doubtful
	shards [nearShards]nearShard
}

const (
	nearShards = 64
	nearStamps = 64
	// nearOverhead is about what an entry takes besides the record's bytes: its
	// struct, its place in the map and the header of the decoded record.
	nearOverhead = 360
)

type nearShard struct {
	mu      sync.RWMutex
	entries map[string]*nearEntry
	newest  *nearEntry // the list of entries by arrival
	oldest  *nearEntry
	hand    *nearEntry // where eviction goes on
	bytes   int64
	limit   int64
	stamps  [nearStamps]uint64 // each for the changes of the names that share it
	_       [64]byte           // keeps the locks on cache lines of their own
}

type nearEntry struct {
	name         string
	record       perdure.Record
	ids          []string      // of a user's sessions, not to be written to; nil for a record
	until        time.Duration // since start
	size         int64
	read         atomic.Bool
	newer, older *nearEntry
}

// stamp says when a value was asked for.
type stamp struct {
	hash, count, doubts uint64
}

// newNear makes a cache, or none, which is nil and can be used, for a limit that
// is not positive.
func newNear(limit int64, age time.Duration) *near {
	if limit <= 0 {
		return nil
	}
	n := &near{seed: maphash.MakeSeed(), age: age, start: time.Now()}
	for i := range n.shards {
		n.shards[i].entries = map[string]*nearEntry{}
		n.shards[i].limit = max(limit/nearShards, 1)
	}
	return n
}

func (n *near) shard(hash uint64) *nearShard { return &n.shards[hash%nearShards] }

// slot is where in the shard the stamp of a name is.
func slot(hash uint64) uint64 { return hash / nearShards % nearStamps }

// get returns the record, and the stamp to put it with if it is not there.
func (n *near) get(id string) (r perdure.Record, found bool, s stamp) {
	e, s := n.find(id)
	if e == nil || e.ids != nil {
		return r, false, s
	}
	return e.record, true, s
}

// list returns the ids of a user's sessions, and the stamp to put them with.
func (n *near) list(index string) (ids []string, found bool, s stamp) {
	e, s := n.find(index)
	if e == nil || e.ids == nil {
		return nil, false, s
	}
	return e.ids, true, s
}

// find returns what goes by the name, or nil, and the stamp to put it with.
func (n *near) find(name string) (e *nearEntry, s stamp) {
	if n == nil {
		return nil, s
	}
	s.hash, s.doubts = maphash.String(n.seed, name), n.doubts.Load()
	shard := n.shard(s.hash)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	s.count = shard.stamps[slot(s.hash)]
	e = shard.entries[name]
	if e == nil || time.Since(n.start) > e.until {
		return nil, s
	}
	if !e.read.Load() {
		e.read.Store(true)
	}
	return e, s
}

// put takes in a record that was asked for after the stamp was taken.
func (n *near) put(s stamp, r perdure.Record) {
	if n != nil && r.Exists() {
		n.keep(s, &nearEntry{name: r.ID, record: r, size: int64(2*len(r.ID)+r.EncodedSize()) + nearOverhead})
	}
}

// putList is put for the ids of a user's sessions.
func (n *near) putList(s stamp, index string, ids []string) {
	if n == nil {
		return
	}
	e := &nearEntry{name: index, ids: ids, size: int64(len(index)) + nearOverhead}
	for _, id := range ids {
		e.size += int64(len(id)) + 16
	}
	n.keep(s, e)
}

// keep takes in an entry that was asked for after the stamp was taken.
func (n *near) keep(s stamp, e *nearEntry) {
	e.until = time.Since(n.start) + n.age
	shard := n.shard(s.hash)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.stamps[slot(s.hash)] != s.count || n.doubts.Load() != s.doubts || e.size > shard.limit {
		return
	}
	if old := shard.entries[e.name]; old != nil {
		shard.remove(old)
	}
	shard.add(e)
	for shard.bytes > shard.limit {
		shard.evict()
	}
}

// drop forgets what has changed.
func (n *near) drop(name string) {
	if n == nil {
		return
	}
	hash := maphash.String(n.seed, name)
	shard := n.shard(hash)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.stamps[slot(hash)]++
	if e := shard.entries[name]; e != nil {
		shard.remove(e)
	}
}

// refused takes in an error that a server replied with, before whoever waits for it
// has heard of it. Behind an ASK the client asks another node, which does not tell of
// changes to what it answers: its ASKING comes between the CLIENT CACHING and the
// command that this is for, and Redis takes each for the next command alone. Nor does
// a server tell of anything that refuses the CLIENT CACHING. So what is on its way is
// not taken in. Behind a MOVED somebody else writes what was read from this server,
// which need not hear of that, nor have said that it let go of the slot: all is
// forgotten.
func (n *near) refused(reply []byte) {
	code, _, _ := bytes.Cut(reply, []byte(" "))
	switch string(code) {
	case "MOVED":
		n.clear()
	case "ASK", "ERR", "NOPERM":
		n.doubt()
	}
}

// heard takes in a change that the feed tells of: it forgets a record that this makes
// wrong. The server has mostly said so before; but it does not, if it is no longer the
// one that the change was made on.
func (n *near) heard(c *perdure.Change) {
	if n == nil {
		return
	}
	shard := n.shard(maphash.String(n.seed, c.ID))
	shard.mu.RLock()
	e := shard.entries[c.ID]
	shard.mu.RUnlock()
	if e == nil || e.ids != nil {
		return
	}
	ended := e.record.Kind == perdure.KindSession && c.Kind == perdure.Deleted
	if ended || e.record.Version.Before(c.Version) {
		n.drop(c.ID)
	}
}

// doubt has nothing taken in that was asked for before.
func (n *near) doubt() {
	if n != nil {
		n.doubts.Add(1)
	}
}

// clear forgets all.
func (n *near) clear() {
	if n == nil {
		return
	}
	for i := range n.shards {
		shard := &n.shards[i]
		shard.mu.Lock()
		for j := range shard.stamps {
			shard.stamps[j]++
		}
		clear(shard.entries)
		shard.newest, shard.oldest, shard.hand, shard.bytes = nil, nil, nil, 0
		shard.mu.Unlock()
	}
}

// size is how many bytes the cache takes, about.
func (n *near) size() (bytes int64) {
	if n == nil {
		return 0
	}
	for i := range n.shards {
		n.shards[i].mu.RLock()
		bytes += n.shards[i].bytes
		n.shards[i].mu.RUnlock()
	}
	return bytes
}

func (s *nearShard) add(e *nearEntry) {
	s.entries[e.name] = e
	s.bytes += e.size
	if e.older = s.newest; e.older != nil {
		e.older.newer = e
	} else {
		s.oldest = e
	}
	s.newest = e
}

func (s *nearShard) remove(e *nearEntry) {
	delete(s.entries, e.name)
	s.bytes -= e.size
	if s.hand == e {
		s.hand = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		s.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		s.oldest = e.newer
	}
}

// evict removes the first entry from the hand on, towards the newest and around,
// that was not read since the hand passed it.
func (s *nearShard) evict() {
	e := s.hand
	for {
		if e == nil {
			e = s.oldest
		}
		if !e.read.Swap(false) {
			break
		}
		e = e.newer
	}
	s.hand = e.newer
	s.remove(e)
}
