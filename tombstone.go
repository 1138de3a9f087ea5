package perdure

import (
	"fmt"
	"slices"
)

// rotation is the body of a tombstone: what its session was rotated to.
type rotation struct {
	// ids are those of the successors: none where it was ended without a rotation,
	// one, or two where both sides of a partition rotated it.
	ids []string
	// kept is what was written by those who did not know that it was rotated, for
	// successors that are not known yet. The zero Record where the tombstone has met
	// nothing that is later, and once the session has ended.
	kept Record
}

// encode writes the ids, then, where there is one, an empty id and the record.
func (r *rotation) encode() string {
	var b []byte
	for _, id := range r.ids {
		b = appendString(b, id)
	}
	if r.kept.Exists() {
		b = r.kept.Append(appendString(b, ""))
	}
	return string(b)
}

func decodeRotation(tomb Record) (r rotation, err error) {
	for rest := tomb.Body; rest != ""; {
		id, next, ok := cutString(rest)
		if !ok {
			return r, fmt.Errorf("%w: the tombstone of %s is damaged", ErrFormat, tomb.ID)
		}
		if id == "" {
			if r.kept, err = DecodeRecord(tomb.ID, next); err == nil && r.kept.Kind != KindSession {
				err = fmt.Errorf("%w: the tombstone of %s keeps what is no session", ErrFormat, tomb.ID)
			}
			return r, err
		}
		r.ids, rest = append(r.ids, id), next
	}
	return r, nil
}

func encodeSuccessors(ids ...string) string {
	r := rotation{ids: ids}
	return r.encode()
}

// successors are the ids that a tombstone's session was rotated to.
func successors(tomb Record) ([]string, error) {
	r, err := decodeRotation(tomb)
	return r.ids, err
}

// absorb is a tombstone that has met the session it stands for. Where it was
// planted for an id that nobody knew, it learns what it stands for; that of a
// rotation keeps what was written after it, which the rotation cannot have known.
func absorb(tomb, session Record, clock *Clock, codec Codec) (Record, error) {
	if tomb.Reason == ReasonExpired {
		return outlast(tomb, session, clock), nil
	}
	tomb.LastAccess = max(tomb.LastAccess, session.LastAccess)
	tomb.Promised = max(tomb.Promised, session.promise())
	if tomb.Born.IsZero() {
		tomb.Born, tomb.Expiry, tomb.Idle, tomb.Horizon = session.Born, session.Expiry, session.Idle, session.Horizon
		tomb.User, tomb.Parent, tomb.ExpirySet = session.User, session.Parent, session.ExpirySet
	}
	if tomb.Ended() {
		return tomb, nil
	}
	r, err := decodeRotation(tomb)
	if err != nil {
		return Record{}, err
	}
	if !r.kept.Exists() && session.Version.Before(tomb.Version) {
		return tomb, nil
	}
	kept, _, more, err := joinKept(r.kept, session, clock, codec)
	if err != nil || !more {
		return tomb, err
	}
	r.kept = kept
	tomb.Body, tomb.Version = r.encode(), clock.Tick(tomb.Version, session.Version)
	return tomb, nil
}

// outlast is the tombstone of a session that has expired and was swept, and has met
// another record of that session. What was promised before is over; what put its
// expiry off since, or used it before it had been idle for too long, counts as if there
// had been no sweep.
func outlast(tomb, session Record, clock *Clock) Record {
	j := join{Record: tomb, clock: clock}
	j.expiry(&tomb, &session)
	j.LastAccess = max(tomb.LastAccess, session.LastAccess)
	j.fromB = j.fromB || session.promise() > tomb.promise()
	j.Promised = max(tomb.promise(), session.promise())
	if j.Deadline() <= tomb.Deadline() {
		if j.fromB {
			j.Version = clock.Tick(tomb.Version, session.Version)
		}
		return j.Record
	}
	r := session
	r.LastAccess, r.Expiry, r.ExpirySet, r.Promised = j.LastAccess, j.Expiry, j.ExpirySet, j.Promised
	if j.fromA || tomb.promise() > session.promise() || r.Version.Before(tomb.Version) {
		r.Version = clock.Tick(tomb.Version, session.Version)
	}
	return r
}

// joinKept joins two records of a session, either of which may be none, and says
// what each gives that the other lacks.
func joinKept(a, b Record, clock *Clock, codec Codec) (joined Record, fromA, fromB bool, err error) {
	switch {
	case !a.Exists():
		return b, false, b.Exists(), nil
	case !b.Exists():
		return a, true, false, nil
	}
	if joined, err = merge(a, b, clock, codec); err != nil {
		return joined, false, false, err
	}
	differs := func(side *Record) bool {
		return joined.Version != side.Version || joined.LastAccess != side.LastAccess
	}
	return joined, differs(&b), differs(&a), nil
}

// tombstones keeps the reason that ends more, all successors that either names,
// and, of a rotation, what either keeps.
func (j *join) tombstones(a, b Record, codec Codec) error {
	ra, err := decodeRotation(a)
	if err != nil {
		return err
	}
	rb, err := decodeRotation(b)
	if err != nil {
		return err
	}
	if j.pick(finality(&b)-finality(&a), 0) {
		j.Reason = b.Reason
	}
	j.over(&a, &b)
	union := rotation{ids: slices.Concat(ra.ids, rb.ids)}
	slices.Sort(union.ids)
	union.ids = slices.Compact(union.ids)
	j.fromA = j.fromA || len(union.ids) > len(rb.ids)
	j.fromB = j.fromB || len(union.ids) > len(ra.ids)
	if !j.Ended() {
		var moreA, moreB bool
		if union.kept, moreA, moreB, err = joinKept(ra.kept, rb.kept, j.clock, codec); err != nil {
			return err
		}
		j.fromA, j.fromB = j.fromA || moreA, j.fromB || moreB
	}
	j.Body = union.encode()
	return nil
}

// over joins the expiries of two tombstones: they count if the session has expired.
func (j *join) over(a, b *Record) {
	switch {
	case j.Reason != ReasonExpired:
		j.Expiry, j.ExpirySet = max(a.Expiry, b.Expiry), later(a.ExpirySet, b.ExpirySet)
	case a.Reason != ReasonExpired:
		j.Expiry, j.ExpirySet = b.Expiry, b.ExpirySet
	case b.Reason != ReasonExpired:
		j.Expiry, j.ExpirySet = a.Expiry, a.ExpirySet
	default:
		j.expiry(a, b)
	}
}

// finality orders tombstones: the least wins a merge. To have expired is final only
// as far as it is known what was promised; a rotation ends nothing, and a session
// that lasted as long as it was promised to does not end what it was rotated to.
func finality(tomb *Record) int {
	switch {
	case tomb.Reason == ReasonRotated:
		return 257
	case tomb.Reason != ReasonExpired:
		return int(tomb.Reason)
	case tomb.Ended():
		return 256
	}
	return 258
}

// final reports whether nothing that is not known here could make more, or less, of
// the tombstone.
func (h *Header) final() bool {
	return h.Kind == KindTombstone && h.Reason != ReasonRotated && h.Reason != ReasonExpired
}
