package perdure

import (
	"context"
	"errors"
)

const pageSize = 500

// endKilled ends the stored sessions of the epoch's user that it kills. Those that
// cannot be read are left for the UnreadableError that it ends with.
func (m *Merger) endKilled(ctx context.Context, epoch Record) error {
	var bad UnreadableError
	for after := ""; ; {
		page, err := m.Backend.ListUser(ctx, epoch.User, after, pageSize)
		if errors.Is(err, ErrListExpired) && after != "" {
			after = "" // to end a session twice does no harm
			continue
		}
		if err != nil {
			return err
		}
		for _, id := range page.Unreadable {
			bad.Add(id, nil)
		}
		var removals []Batch
		for _, session := range page.Records {
			dead, err := m.killedBy(epoch, &session)
			switch {
			case errors.Is(err, ErrFormat):
				bad.Add(session.ID, err)
			case err != nil:
				return err
			case dead:
				tomb := entomb(session, ReasonUserRevoked, m.Clock.Tick(session.Version))
				removals = append(removals, Batch{{Op: OpRemove, Record: tomb}})
			}
		}
		if _, err := m.remove(ctx, removals); err != nil {
			return err
		}
		if after = page.Next; after == "" {
			return bad.OrNil()
		}
	}
}

// remove carries out removals, and ends what was rotated just before. It returns
// how many sessions were ended.
func (m *Merger) remove(ctx context.Context, removals []Batch) (ended int, err error) {
	if len(removals) == 0 {
		return 0, nil
	}
	results, err := m.Backend.Apply(ctx, removals)
	if err != nil {
		return 0, err
	}
	for i, result := range results {
		n, err := 1, result.Err
		if err == nil && result.Outcome != Applied {
			n, err = m.endFurther(ctx, removals[i][0].Record, result.Stored)
		}
		if err != nil {
			return ended, err
		}
		ended += n
	}
	return ended, nil
}

// revoke leaves an epoch for the user and ends all stored sessions but the
// excepted ones, page by page. It returns the sessions as they stood before, with
// an UnreadableError too.
func (m *Merger) revoke(ctx context.Context, user UserKey, except []string, horizon Millis, reason Reason) ([]Record, error) {
	roots, except, err := m.roots(ctx, except)
	if err != nil {
		return nil, err
	}
	at := m.Clock.TickOver()
	e := epoch{at: at, except: roots}
	removal := UserRemoval{Epoch: e.record(user, at, horizon), Except: except, Reason: reason, Limit: pageSize}
	var ended []Record
	var bad UnreadableError
	for {
		removed, err := m.Backend.RemoveUser(ctx, removal)
		if err != nil {
			return ended, err
		}
		if removed.Outcome == Conflict && !removed.Stored.Exists() {
			removal.Base = Version{} // the epoch of the page before is gone
			continue
		}
		if removed.Outcome == Conflict {
			if removal.Epoch, err = merge(removal.Epoch, removed.Stored, m.Clock, m.codec()); err != nil {
				return ended, err
			}
			removal.Base = removed.Stored.Version
			continue
		}
		ended = append(ended, removed.Removed...)
		for _, id := range removed.Unreadable {
			bad.Add(id, nil)
		}
		if removed.Next == "" {
			return ended, bad.OrNil()
		}
		removal.Base, removal.After = removal.Epoch.Version, removed.Next
	}
}

// roots finds, for ids that a revocation spares, the roots of their chains of
// rotations, and follows those that were rotated meanwhile to the living end.
func (m *Merger) roots(ctx context.Context, ids []string) (map[string]Version, []string, error) {
	roots := map[string]Version{}
	var spared []string
	for queue := ids; len(queue) > 0; {
		records, err := m.Backend.Load(ctx, queue)
		if err != nil {
			return nil, nil, err
		}
		spared = append(spared, queue...)
		asked := queue
		queue = nil
		for i, r := range records {
			switch {
			case !r.Exists(): // it may be still to come, with a root of its own
				roots[asked[i]] = Version{}
			case r.Kind == KindSession:
				root, err := m.Root(&r)
				if err != nil {
					return nil, nil, err
				}
				roots[root] = Version{}
				spared = append(spared, root) // who does not know of the rotations holds it by that
				if r.Parent != "" {
					spared = append(spared, r.Parent)
				}
			case r.Kind == KindTombstone && r.Reason == ReasonExpired: // somebody may have put that off
				root, err := m.eldest(ctx, r)
				if err != nil {
					return nil, nil, err
				}
				roots[root] = Version{}
			case r.Kind == KindTombstone && !r.Ended():
				next, err := successors(r)
				if err != nil {
					return nil, nil, err
				}
				queue = append(queue, next...)
			}
		}
	}
	return roots, spared, nil
}

// maxChain is more rotations than a session can have that is rotated every minute.
const maxChain = 1 << 14

// eldest is the first id of the tombstone's chain of rotations, as far as that is still
// stored.
func (m *Merger) eldest(ctx context.Context, tomb Record) (string, error) {
	for n := 0; tomb.Parent != "" && n < maxChain; n++ {
		parent, err := m.Backend.Get(ctx, tomb.Parent)
		if err != nil {
			return "", err
		}
		if !parent.Exists() {
			return tomb.Parent, nil
		}
		tomb = parent
	}
	return tomb.ID, nil
}

// Root is the first id of the session's chain of rotations: its own, if it was never
// rotated. It returns an ErrFormat, or the error of the Codec.
func (m *Merger) Root(session *Record) (string, error) {
	c, err := openContent(session, m.codec())
	if err != nil || c.root == "" {
		return session.ID, err
	}
	return c.root, nil
}
