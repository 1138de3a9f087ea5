package perdure

import (
	"cmp"
	"context"
)

// Two sides of a partition: on one a session is rotated, on the other it is
// changed under the id that it had. Where its record meets the tombstone of the
// rotation, it is joined with the successors, as if it had been one of them: what
// was inherited has the version that it was inherited with, so what was changed
// since wins, and nothing else. A successor that was ended stays dead; one that was
// itself rotated passes it on; one that is not here yet begins with it, and is
// joined when it comes. One that is not even known yet, since both sides have
// rotated the session, gets it from the tombstone, which keeps what is later.

// heirs prepares what is to be carried before the put is tried: the session that
// met the tombstone of its rotation, or all that this keeps. What the stored one
// keeps was carried before. Mine and stored are what the put was joined from.
func (m *Merger) heirs(p *put, mine, stored Record) error {
	if m.Copy || p.Record.Kind != KindTombstone || p.Record.Ended() {
		return nil
	}
	r, err := decodeRotation(p.Record)
	if err != nil {
		return err
	}
	session := r.kept
	switch {
	case session.Exists() && stored.Body == p.Record.Body:
		return nil
	case session.Exists():
	case mine.Kind == KindSession:
		session = mine
	case stored.Kind == KindSession:
		session = stored
	default:
		return nil
	}
	seen := p.seen
	if seen == nil {
		seen = map[string]bool{session.ID: true}
	}
	for _, id := range r.ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		heir, err := m.heir(session, id)
		if err != nil {
			return err
		}
		h := &put{Write: Write{Op: OpPut, Record: heir, Reason: ReasonMerged}, seen: seen}
		h.resolve = m.join(&h.Write)
		if stored.Kind != KindSession && !session.Live(m.Clock.Now()) {
			h.Base, h.resolve = heir.Version, joinOnly(h.resolve)
		}
		p.heirs = append(p.heirs, h)
	}
	return nil
}

// heir is the session as the id that it was rotated to would have it.
func (m *Merger) heir(session Record, id string) (Record, error) {
	c, err := openContent(&session, m.codec())
	if err != nil {
		return Record{}, err
	}
	c.descend(session.ID)
	r := session
	r.ID, r.Parent = id, session.ID
	if err := checkIncoming(&r); err != nil {
		return Record{}, err
	}
	r.Body, err = seal(m.codec(), r, c.encode())
	return r, err
}

// joinOnly leaves alone what is not stored: an old copy of a session whose time is
// over changes its successor, and does not bring back one that has expired too.
func joinOnly(join func(stored Record) (Record, error)) func(stored Record) (Record, error) {
	return func(stored Record) (Record, error) {
		if !stored.Exists() {
			return Record{}, nil
		}
		return join(stored)
	}
}

// carry merges what was prepared into the successors, before the sessions it comes
// from are overwritten: who is interrupted in between finds them again. It returns
// the puts that are to be tried again.
func (m *Merger) carry(ctx context.Context, puts []*put) (again []*put) {
	if len(puts) == 0 {
		return nil
	}
	var all []*put
	for _, p := range puts {
		all = append(all, p.heirs...)
	}
	m.settle(ctx, all...)
	carried := map[string]bool{}
	for _, h := range all {
		carried[h.Record.ID] = true
	}
	for _, p := range puts {
		if carried[p.Record.ID] {
			p.Base = Version{} // what it met may have been used since, which no version shows
		}
		for _, h := range p.heirs {
			p.changed = p.changed || h.changed
			p.err = cmp.Or(p.err, h.err)
		}
		if p.heirs = nil; p.err == nil && !p.done {
			again = append(again, p)
		}
	}
	return again
}
