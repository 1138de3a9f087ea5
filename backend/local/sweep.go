package local

import (
	"context"

	"github.com/perdure/perdure"
)

// Sweep drops what is due. It begins with another partition each time, so that
// a small limit starves none.
func (b *Backend) Sweep(ctx context.Context, now perdure.Millis, limit int) (expired int, more bool, err error) {
	if err := b.ready(ctx); err != nil {
		return 0, false, err
	}
	c := &sweepCommand{now: min(now, b.now()), left: pageLimit(limit), first: int(b.sweepStart.Add(1) % perdure.Partitions), count: perdure.Partitions}
	if b.committer != nil { // one write for all
		if err := b.committer.do(ctx, c); err != nil {
			return 0, false, err
		}
		return c.expired, c.more, nil
	}
	c.count = 1 // one lock at a time
	for range perdure.Partitions {
		if b.anyDue(c.first, c.now) {
			b.execute(c)
		}
		if c.more || ctx.Err() != nil {
			break
		}
		c.first++
	}
	return c.expired, c.more || ctx.Err() != nil, nil
}

// anyDue reports whether the partition holds anything whose time may have come.
func (b *Backend) anyDue(partition int, now perdure.Millis) bool {
	s := &b.shards[partition%perdure.Partitions]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.due) > 0 && s.due[0].at <= now
}

// sweepCommand drops what is due in count partitions from first on.
type sweepCommand struct {
	now          perdure.Millis
	first, count int
	left         int // how many records may still be looked at

	expired int
	more    bool
}

func (c *sweepCommand) claim(set *partitions) {
	for i := range c.count {
		set.add((c.first + i) % perdure.Partitions)
	}
}

// discover adds the partitions of the users of what is due.
func (c *sweepCommand) discover(b *Backend, set *partitions) {
	for i := range c.count {
		for _, e := range c.due(b, i) {
			set.addUser(e.record.Load().User)
		}
	}
}

func (c *sweepCommand) indexed() bool  { return true }
func (c *sweepCommand) deferred() bool { return false }

func (c *sweepCommand) run(s *stage) {
	for i := range c.count {
		for _, e := range c.due(s.b, i) {
			if c.left == 0 {
				c.more = true
				break
			}
			c.left--
			c.drop(s, e)
		}
	}
	s.accept() // it only shrinks: there is no bound to meet
}

// due is the entries of the i-th partition whose time has come: one more than
// may be looked at, where there are so many.
func (c *sweepCommand) due(b *Backend, i int) []*entry {
	return b.shards[(c.first+i)%perdure.Partitions].due.until(c.now, c.left+1, 0, nil)
}

// drop stages the drop of an entry, or what is left of it, or puts it off where it
// was given more time.
func (c *sweepCommand) drop(s *stage, e *entry) {
	r := e.record.Load()
	if at := s.b.dueAt(r); at > c.now {
		s.b.shardOf(r.ID).due.postpone(e, at)
		return
	}
	lingers := r.Lingers(c.now, s.b.skew)
	if lingers && s.b.opts.Copy {
		s.b.shardOf(r.ID).due.postpone(e, r.Horizon+s.b.skew+1)
		return
	}
	m := mutation{old: r}
	if r.Kind == perdure.KindSession {
		m.kind, m.reason = perdure.Expired, perdure.ReasonExpired
		c.expired++
		if lingers {
			lapse := r.Lapse()
			m.new = &lapse
		}
	}
	s.stage(m)
}
