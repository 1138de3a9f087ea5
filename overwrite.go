package perdure

import (
	"context"
	"slices"
)

// Overwrite makes a stored session read like the given one, as if somebody had
// updated each field that differs just now; it is how an operator goes back to a
// backup. Where nothing is stored, where the session has ended, and for
// tombstones and epochs it is Merge: no logout is undone.
//
// It returns what Merge does, and an ErrInvalid for a session that has reached
// its deadline.
func (m *Merger) Overwrite(ctx context.Context, r Record) (Merged, error) {
	if r.Kind != KindSession {
		return m.Merge(ctx, r)
	}
	if err := checkIncoming(&r); err != nil {
		return Merged{}, err
	}
	if now := m.Clock.Now(); !r.Live(now) {
		return Merged{}, errPast(r.Deadline(), now)
	}
	p := put{Write: Write{Op: OpPut, Record: r, Reason: ReasonMerged}}
	join := m.join(&p.Write)
	p.resolve = func(stored Record) (Record, error) {
		if p.Record.Kind != KindSession || stored.Kind != KindSession {
			return join(stored)
		}
		return m.revert(r, stored)
	}
	if m.settle(ctx, &p); p.err != nil {
		return Merged{}, p.err
	}
	return Merged{Record: p.Record, Changed: p.changed, Killed: p.Record.Kind == KindTombstone, Met: p.met}, nil
}

// revert is the stored session with the fields of another of its records.
func (m *Merger) revert(to, stored Record) (Record, error) {
	joined, err := merge(to, stored, m.Clock, m.codec())
	if err != nil {
		return Record{}, err
	}
	want, err := openContent(&to, m.codec())
	if err != nil {
		return Record{}, err
	}
	c, err := openContent(&joined, m.codec())
	if err != nil {
		return Record{}, err
	}
	fields := c.differences(&want)
	if len(fields) == 0 && joined.Expiry == to.Expiry {
		return joined, nil
	}
	joined.Version = m.Clock.Tick(joined.Version)
	if joined.Expiry != to.Expiry {
		joined.Expiry = to.Expiry
		joined.setExpiry(joined.Version)
	}
	for _, field := range fields {
		c.mark(field, joined.Version)
	}
	c.username, c.roles, c.metadata = want.username, want.roles, want.metadata
	joined.Body, err = seal(m.codec(), joined, c.encode())
	return joined, err
}

// differences are the fields that read otherwise in o.
func (c *content) differences(o *content) (fields []string) {
	if c.username != o.username {
		fields = append(fields, fieldUsername)
	}
	if !slices.Equal(c.roles, o.roles) {
		fields = append(fields, fieldRoles)
	}
	mine, others := c.metadata.raw(), o.metadata.raw()
	for key := range mine {
		if value, ok := others[key]; !ok || value != mine[key] {
			fields = append(fields, fieldMetadata+key)
		}
	}
	for key := range others {
		if _, ok := mine[key]; !ok {
			fields = append(fields, fieldMetadata+key)
		}
	}
	return fields
}
