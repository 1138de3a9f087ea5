package perdure

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"slices"
)

// Mender sets right what was stamped while no store could say that the clock was
// wrong. What the clocks of Nodes and Others have issued is moved by how far they were
// off. What those of Adrift have issued, and whatever else is ahead of Since, was off by
// nobody knows how much: it comes to lie at Since, in the order that it had.
//
// All records are shown to Look first, then each goes through Mend.
type Mender struct {
	// Codec opens and seals bodies. Defaults to plain bodies.
	Codec Codec
	// Now is the time by the clock of the store that all share.
	Now Millis
	// Since is when, by that clock, those of Nodes began: what others have issued
	// they have issued before. Defaults to Now.
	Since Millis
	// Ahead is how far the clocks of Nodes were ahead of that; below zero, behind.
	Ahead Millis
	// Nodes are the node ids of clocks that were off by Ahead. Defaults to none.
	Nodes map[uint32]bool
	// Others are the node ids of other clocks, and how far each was ahead. Defaults to
	// none.
	Others map[uint32]Millis
	// Adrift are the node ids of clocks of which nobody knows how they went. Defaults
	// to none.
	Adrift map[uint32]bool
	// Accessed are the ids whose last access those clocks have noted, and when by
	// them. Defaults to none.
	Accessed map[string]Millis

	older  []Version // what is to lie at Since, of all records
	newer  []Version // what is to lie at Now
	sorted bool
	node   uint32 // of versions that are moved: none is like one that a clock has issued
}

// Look takes in what is ahead of Now. It returns an ErrFormat for a body that cannot
// be read.
func (m *Mender) Look(r Record) error {
	_, err := m.restamp(r, func(v Version) Version {
		switch ahead, known := m.ahead(v); {
		case known && m.late(m.shifted(v, ahead)):
			m.newer = append(m.newer, m.shifted(v, ahead))
		case !known && m.unplaced(v):
			m.older = append(m.older, v)
		}
		return v
	})
	return err
}

// Mend is the record as clocks that were right would have stamped it. Its length of
// life, its horizon and its last access move along with its birth. It returns an
// ErrFormat for a body that cannot be read.
func (m *Mender) Mend(r Record) (Record, error) {
	if !m.sorted {
		for _, all := range []*[]Version{&m.older, &m.newer} {
			slices.SortFunc(*all, Version.Compare)
			*all = slices.Compact(*all)
		}
		m.sorted = true
	}
	mended, err := m.restamp(r, m.right)
	if err != nil {
		return r, err
	}
	if at, ok := m.Accessed[r.ID]; ok && mended.Born == r.Born {
		right := at - m.Ahead
		if r.LastAccess > at {
			right = max(right, r.LastAccess) // it was not moved back
		}
		mended.LastAccess = right
	}
	mended.LastAccess = min(mended.LastAccess, max(m.Now, mended.Born.Millis()))
	return mended, nil
}

// wrong reports whether the clock that issued the version may have been off.
func (m *Mender) wrong(v Version) bool {
	_, known := m.ahead(v)
	return known || m.unplaced(v)
}

// ahead is how far the clock that issued the version was ahead, if that is known.
func (m *Mender) ahead(v Version) (ahead Millis, known bool) {
	if m.Nodes[v.Node] {
		return m.Ahead, true
	}
	ahead, known = m.Others[v.Node]
	return ahead, known
}

// unplaced reports whether nobody knows when the version was issued.
func (m *Mender) unplaced(v Version) bool { return m.Adrift[v.Node] || v.Millis() > m.since() }

func (m *Mender) since() Millis { return cmp.Or(m.Since, m.Now) }

// late reports whether a version that was moved is too late all the same: that of a
// change to what a clock further ahead had stamped. A second is within measure.
func (m *Mender) late(v Version) bool { return v.Millis() > m.Now+1000 }

// shifted is a version moved by how far its clock was ahead.
func (m *Mender) shifted(v Version, ahead Millis) Version {
	if ahead == 0 {
		return v
	}
	v.Time -= uint64(ahead) << 16 // also below zero
	v.Node ^= m.mark()
	return v
}

// right is the version as a clock that was right would have issued it.
func (m *Mender) right(v Version) Version {
	switch ahead, known := m.ahead(v); {
	case known:
		if v = m.shifted(v, ahead); m.late(v) {
			return m.placed(v, m.newer, m.Now)
		}
	case m.unplaced(v):
		return m.placed(v, m.older, m.since())
	}
	return v
}

// placed is the version right before a time, in the order of all that come to lie there.
func (m *Mender) placed(v Version, all []Version, at Millis) Version {
	n, _ := slices.BinarySearchFunc(all, v, Version.Compare)
	return Version{Time: uint64(at)<<16 - uint64(len(all)-n), Node: m.mark()}
}

func (m *Mender) mark() uint32 {
	for m.node == 0 {
		var b [4]byte
		rand.Read(b[:]) // never fails: it ends the program instead
		m.node = binary.BigEndian.Uint32(b[:])
	}
	return m.node
}

// restamp is the record with f of each version in it. A record without one that may
// be wrong is returned unopened: its own version is the latest of all in it.
func (m *Mender) restamp(r Record, f func(Version) Version) (Record, error) {
	if !m.wrong(r.Version) && !m.wrong(r.Born) {
		return r, nil
	}
	keep := func(v Version) Version {
		if v.IsZero() {
			return v
		}
		return f(v)
	}
	was := r
	r.Version, r.Born = keep(was.Version), keep(was.Born)
	switch r.Kind {
	case KindEpoch:
		return restampedEpoch(was, r, keep)
	case KindTombstone:
		return m.tombstone(was, r, f)
	}
	return m.session(was, r, keep)
}

// moved is a point in time that a record reckons from a version; none stays none.
func moved(at Millis, from, to Version) Millis {
	if at == 0 {
		return 0
	}
	return max(at+to.Millis()-from.Millis(), 1)
}

func restampedEpoch(was, r Record, f func(Version) Version) (Record, error) {
	e, err := decodeEpoch(was)
	if err != nil {
		return was, err
	}
	e.at = f(e.at)
	for root, floor := range e.except {
		e.except[root] = f(floor)
	}
	for _, at := range []*Millis{&r.Expiry, &r.Horizon, &r.LastAccess} {
		*at = moved(*at, was.Version, r.Version)
	}
	r.Body = e.encode()
	return r, nil
}

// tombstone restamps what a rotation keeps, too. The times of a session that nobody
// knew are reckoned from its end.
func (m *Mender) tombstone(was, r Record, f func(Version) Version) (Record, error) {
	from, to := was.Born, r.Born
	if from.IsZero() {
		from, to = was.Version, r.Version
	}
	for _, at := range []*Millis{&r.Expiry, &r.Horizon, &r.LastAccess} {
		*at = moved(*at, from, to)
	}
	rotated, err := decodeRotation(was)
	if err != nil || !rotated.kept.Exists() {
		return r, err
	}
	if rotated.kept, err = m.restamp(rotated.kept, f); err != nil {
		return was, err
	}
	r.Body = rotated.encode()
	return r, nil
}

func (m *Mender) session(was, r Record, f func(Version) Version) (Record, error) {
	codec := m.Codec
	if codec == nil {
		codec = plainCodec{}
	}
	c, err := openContent(&was, codec)
	if err != nil {
		return was, err
	}
	ends := was.expiryVersion()
	for i := range c.changes {
		c.changes[i].version = f(c.changes[i].version)
	}
	r.Horizon = moved(was.Horizon, was.Born, r.Born)
	r.LastAccess = moved(was.LastAccess, was.Born, r.Born)
	r.Expiry = min(moved(was.Expiry, ends, f(ends)), r.Horizon)
	r.setExpiry(f(ends))
	if r.Version == was.Version && r.Born == was.Born {
		return was, nil
	}
	r.Body, err = seal(codec, r, c.encode())
	return r, err
}
