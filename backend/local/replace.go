package local

import (
	"context"
	"slices"

	"github.com/perdure/perdure"
)

// Replacement is a record that is to stand in the place of another of its id.
type Replacement struct{ Old, New perdure.Record }

// Replace stores records in the place of those that still have the version and the
// last access given, whatever theirs are, and announces nothing. It is for a backend
// that uses this one as its journal, and has found out that a clock was wrong.
func (b *Backend) Replace(ctx context.Context, replacements []Replacement) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	if len(replacements) == 0 {
		return nil
	}
	c := &replaceCommand{replacements: slices.Clone(replacements)} // the caller may leave before it is used
	if err := b.do(ctx, c); err != nil {
		return err
	}
	return c.err
}

type replaceCommand struct {
	replacements []Replacement
	err          error
}

func (c *replaceCommand) claim(set *partitions) {
	for i := range c.replacements {
		set.addID(c.replacements[i].Old.ID)
		set.addUser(c.replacements[i].Old.User)
		set.addUser(c.replacements[i].New.User)
	}
}

// discover adds the partitions of users that the caller did not know.
func (c *replaceCommand) discover(b *Backend, set *partitions) {
	for i := range c.replacements {
		if e := b.entry(c.replacements[i].Old.ID); e != nil {
			set.addUser(e.record.Load().User)
		}
	}
}

func (c *replaceCommand) indexed() bool  { return false }
func (c *replaceCommand) deferred() bool { return false }

func (c *replaceCommand) run(s *stage) {
	c.err = nil
	for i := range c.replacements {
		old, record := &c.replacements[i].Old, &c.replacements[i].New
		stored, err := s.find(old.ID)
		if err != nil || stored == nil || stored.Version != old.Version || stored.LastAccess != old.LastAccess || stored.Kind != old.Kind {
			continue
		}
		s.stage(mutation{old: stored, new: record})
		if err := s.accept(); err != nil {
			c.err = err
		}
	}
}
