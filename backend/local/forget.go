package local

import (
	"context"
	"slices"

	"github.com/perdure/perdure"
)

// Forget drops records that still have the version and the last access given:
// no tombstone stays and nothing is announced. It is for a backend that uses
// this one as its journal, once a record is safe elsewhere. It is one write.
func (b *Backend) Forget(ctx context.Context, records []perdure.Record) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	if len(records) == 0 {
		return nil
	}
	records = slices.Clone(records) // the caller may leave before it is used
	return b.do(ctx, &forgetCommand{records: records})
}

type forgetCommand struct{ records []perdure.Record }

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

func (c *forgetCommand) indexed() bool { return false }

func (c *forgetCommand) run(s *stage) {
	for i := range c.records {
		r := &c.records[i]
		stored, err := s.find(r.ID)
		if err == nil && stored != nil && stored.Version == r.Version && stored.LastAccess == r.LastAccess && stored.Kind == r.Kind {
			s.stage(mutation{old: stored})
		}
	}
	s.accept() // it only shrinks: there is no bound to meet
}
