package local

import (
	"context"
	"slices"

	"github.com/perdure/perdure"
)

const (
	defaultPage = 1000
	maxPage     = 1 << 20
)

// pageLimit is how many records to handle where the caller asked for n: 1000 if
// that is none.
func pageLimit(n int) int {
	if n <= 0 {
		return defaultPage
	}
	return min(n, maxPage)
}

// ListUser returns a page of the user's sessions in the order of their ids. The
// cursor stands for the last id. Whose those are that cannot be read is not known:
// Scan names them.
func (b *Backend) ListUser(ctx context.Context, k perdure.UserKey, after string, limit int) (perdure.Page, error) {
	if err := b.ready(ctx); err != nil {
		return perdure.Page{}, err
	}
	after, err := readCursor(after)
	if err != nil {
		return perdure.Page{}, err
	}
	s := &b.shards[k.Partition()]
	s.mu.RLock()
	defer s.mu.RUnlock()
	entries, next := s.users[k].page(after, limit)
	record := func(i int) *perdure.Record { return entries[i].record.Load() }
	if n, _ := fitting(0, len(entries), record); n < len(entries) {
		entries, next = entries[:n], writeCursor(record(n-1).ID)
	}
	page := perdure.Page{Next: next, Records: make([]perdure.Record, len(entries))}
	for i, e := range entries {
		page.Records[i] = *e.record.Load()
	}
	return page, nil
}

// page is up to limit of the user's sessions after an id, with the cursor of the
// page that follows.
func (u *user) page(after string, limit int) (entries []*entry, next string) {
	if u == nil {
		return nil, ""
	}
	i, found := u.find(after)
	if found {
		i++
	}
	entries = u.sessions[i:]
	if limit = pageLimit(limit); len(entries) > limit {
		entries = entries[:limit]
		next = writeCursor(entries[limit-1].record.Load().ID)
	}
	return entries, next
}

// RemoveUser ends a user's sessions. A call is atomic: no session of the user
// is created between the epoch and the tombstones.
func (b *Backend) RemoveUser(ctx context.Context, r perdure.UserRemoval) (perdure.UserRemoved, error) {
	if err := b.ready(ctx); err != nil {
		return perdure.UserRemoved{}, err
	}
	if err := r.Check(); err != nil {
		return perdure.UserRemoved{}, err
	}
	after, err := readCursor(r.After)
	if err != nil {
		return perdure.UserRemoved{}, err
	}
	r.Except = slices.Clone(r.Except) // the caller may leave before it is used
	c := &removalCommand{removal: r, after: after}
	if err := b.do(ctx, c); err != nil {
		return perdure.UserRemoved{}, err
	}
	return c.removed, c.err
}

// removalCommand carries out a UserRemoval.
type removalCommand struct {
	removal perdure.UserRemoval
	after   string // the id that it goes on from
	removed perdure.UserRemoved
	err     error
}

func (c *removalCommand) claim(set *partitions) {
	set.addID(c.removal.Epoch.ID)
	set.addUser(c.removal.Epoch.User)
}

// discover adds the partitions of the sessions to end.
func (c *removalCommand) discover(b *Backend, set *partitions) {
	entries, _ := b.user(c.removal.Epoch.User).page(c.after, c.removal.Limit)
	for _, e := range entries {
		set.addID(e.record.Load().ID)
	}
}

func (c *removalCommand) indexed() bool  { return true }
func (c *removalCommand) deferred() bool { return false }

func (c *removalCommand) run(s *stage) {
	r := &c.removal
	put := s.putEpoch(r)
	if put.Err != nil || put.Outcome == perdure.Conflict {
		c.removed, c.err = perdure.UserRemoved{Outcome: put.Outcome, Stored: put.Stored}, put.Err
		return
	}
	entries, next := s.b.user(r.Epoch.User).page(c.after, r.Limit)
	removed := perdure.UserRemoved{Outcome: perdure.Applied, Next: next}
	for _, e := range entries {
		if session := e.record.Load(); !slices.Contains(r.Except, session.ID) {
			s.end(session, r.Epoch.Version, r.Reason)
			removed.Removed = append(removed.Removed, *session)
		}
	}
	if c.err = s.accept(); c.err == nil {
		c.removed = removed
	}
}

// putEpoch stages the epoch of a removal. From the second call on it is there.
func (s *stage) putEpoch(r *perdure.UserRemoval) perdure.Result {
	stored, err := s.find(r.Epoch.ID)
	if err != nil {
		return perdure.Result{Err: err}
	}
	if stored != nil && stored.Version == r.Base && r.Base == r.Epoch.Version {
		return perdure.Result{Outcome: perdure.Applied}
	}
	return s.put(&perdure.Write{Op: perdure.OpPut, Record: r.Epoch, Base: r.Base, Reason: r.Reason}, stored)
}
