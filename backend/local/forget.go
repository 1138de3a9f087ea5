package local

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/perdure/perdure"
)

// Forget drops records that still have the version and the last access given:
// no tombstone stays and nothing is announced. It is for a backend that uses
// this one as its journal, once a record is safe elsewhere.
//
// With a directory they are gone for readers at once, and from the data file with
// the next write, Sync or Close: until then a crash brings them back. A data file
// that takes no writes does not keep Forget from it.
func (b *Backend) Forget(ctx context.Context, records []perdure.Record) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	if len(records) == 0 {
		return nil
	}
	records = slices.Clone(records) // the caller may leave before it is used
	slices.SortFunc(records, func(r, q perdure.Record) int { return strings.Compare(r.ID, q.ID) })
	return b.do(ctx, &forgetCommand{records: records})
}

// Sync returns nil once the data file has no record any more that Forget has
// dropped: none at all, or, where ids are given, none of those. It returns an
// ErrUnavailable where the file does not take that.
func (b *Backend) Sync(ctx context.Context, ids ...string) error {
	if err := b.ready(ctx); err != nil || b.committer == nil {
		return err
	}
	if owed := &b.committer.owed; owed.len() == 0 || len(ids) > 0 && !owed.any(ids) {
		return nil
	}
	return b.committer.do(ctx, syncCommand{})
}

type forgetCommand struct{ records []perdure.Record } // by id

func (c *forgetCommand) claim(set *partitions) {
	for i := range c.records {
		set.addID(c.records[i].ID)
		set.addUser(c.records[i].User)
	}
}

// discover adds the partitions of users that the caller did not know.
func (c *forgetCommand) discover(b *Backend, set *partitions) {
	for i := range c.records {
		if e := b.entry(c.records[i].ID); e != nil {
			set.addUser(e.record.Load().User)
		}
	}
}

func (c *forgetCommand) indexed() bool  { return false }
func (c *forgetCommand) deferred() bool { return true }

func (c *forgetCommand) run(s *stage) {
	last := ""
	for i := range c.records {
		r := &c.records[i]
		e := s.b.entry(r.ID) // nothing else is staged
		if e == nil || r.ID == last {
			continue
		}
		stored := e.record.Load()
		if stored.Version == r.Version && stored.LastAccess == r.LastAccess && stored.Kind == r.Kind {
			s.stage(mutation{old: stored})
			last = r.ID
		}
	}
	s.accept() // it only shrinks: there is no bound to meet
}

// owed are the ids of records that were dropped from memory, and are in the data
// file still. The committer writes to it, anybody reads.
type owed struct {
	mu  sync.RWMutex
	ids map[string]struct{}
	n   atomic.Int64
}

// add notes the ids of what a stage drops.
func (o *owed) add(s *stage) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids == nil {
		o.ids = map[string]struct{}{}
	}
	for id := range s.final {
		o.ids[id] = struct{}{}
	}
	o.n.Store(int64(len(o.ids)))
}

// addTo has a stage drop them from the file, but for those that it stores anew.
func (o *owed) addTo(s *stage) {
	for id := range o.ids {
		if _, known := s.final[id]; !known {
			s.final[id] = nil
		}
	}
	s.records -= len(o.ids)
}

func (o *owed) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ids = nil
	o.n.Store(0)
}

func (o *owed) len() int { return int(o.n.Load()) }

func (o *owed) any(ids []string) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return slices.ContainsFunc(ids, func(id string) bool { _, is := o.ids[id]; return is })
}
