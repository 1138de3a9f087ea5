package perdure

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Kind says what a record is.
type Kind uint8

const (
	// KindSession is a session, live until its deadline.
	KindSession Kind = iota + 1
	// KindTombstone stands in the place of a deleted session until its horizon.
	KindTombstone
	// KindEpoch says that all of a user's sessions born before its version are
	// dead, but for those that its body excepts.
	KindEpoch
)

// Reason says why a change was made. A tombstone keeps the reason it stands for.
type Reason uint8

const (
	ReasonNone        Reason = iota
	ReasonLogout             // deleted by its id
	ReasonRevoked            // ended by an operator
	ReasonUserRevoked        // ended with all sessions of its user
	ReasonRotated            // replaced by a successor under a new id
	ReasonParentEnded        // its id came from a rotation of a session that was ended
	ReasonExpired            // reached its deadline
	ReasonMerged             // came from another store: migration, restore, replay, replica
)

var reasonNames = [...]string{"", "logout", "revoked", "user_revoked", "rotated", "parent_ended", "expired", "merged"}

func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason_%d", uint8(r))
}

// Header is the part of a record that a backend reads: fixed in size but for
// its end, never sealed, and free of anything private.
type Header struct {
	Kind   Kind
	Reason Reason // why a tombstone stands; ReasonNone in a session
	// Version is that of the last write. Touching does not change it.
	Version Version
	// Born is the first version. Its time is the creation time, and a rotated
	// session inherits it from its parent.
	Born Version
	// Expiry ends a session, whatever else happens.
	Expiry Millis
	// Horizon is fixed at birth: expiry never passes it, and a tombstone stands
	// until then plus the clock skew allowed.
	Horizon Millis
	// LastAccess only grows.
	LastAccess Millis
	// Idle ends a session so long after its last access; 0 is never.
	Idle Millis
	// User is empty where it is not known: in the tombstone of an unknown id.
	User UserKey
	// Promised is the latest expiry that the session was ever given: some copy of
	// it may have that still. With 0, of what left for another store, a sweep leaves
	// nothing.
	Promised Millis
	// ExpirySet is the version that wrote the expiry; zero is Born. A tombstone has it
	// too: what put the expiry off before a sweep is told from what did so earlier still.
	ExpirySet Version
	// Parent is the id that this session had before it was rotated, or empty.
	Parent string
}

// Record is what backends move: a header that they read and a body that they do
// not. The body of a session is opaque (perhaps sealed); that of a tombstone or
// an epoch is plain and belongs to the merge.
type Record struct {
	ID string
	Header
	Body string
}

// Exists reports whether there is a record at all, live or not. The zero Record
// is how a backend says that it holds nothing under an id.
func (r Record) Exists() bool { return r.Kind != 0 }

// Deadline is when a session ends: at its expiry, or idle before that.
func (h *Header) Deadline() Millis {
	if h.Idle > 0 {
		return min(h.Expiry, h.LastAccess+h.Idle)
	}
	return h.Expiry
}

// Live reports whether this is a session that has not reached its deadline.
func (h *Header) Live(now Millis) bool {
	return h.Kind == KindSession && now < h.Deadline()
}

// Ended reports whether this is the tombstone of a session that was ended for
// good, and what it was rotated to with it: not replaced by its successor, nor
// over at the time that it was promised to last to.
func (h *Header) Ended() bool {
	return h.Kind == KindTombstone && h.Reason != ReasonRotated && (h.Reason != ReasonExpired || h.shortened())
}

// expiryVersion is that of the field.
func (h *Header) expiryVersion() Version {
	if h.ExpirySet.IsZero() {
		return h.Born
	}
	return h.ExpirySet
}

// setExpiry notes the version of the expiry, in a record born when this was.
func (h *Header) setExpiry(written Version) {
	if h.ExpirySet = written; written == h.Born {
		h.ExpirySet = Version{}
	}
}

// promise is the latest expiry that the session was ever given.
func (h *Header) promise() Millis { return max(h.Expiry, h.Promised) }

// shortened reports whether the expiry was brought forward.
func (h *Header) shortened() bool { return h.Expiry < h.Promised }

// Lingers reports whether a session that is over leaves a tombstone when it is
// swept at now, until its horizon plus skew, and a key in Redis is to last as long:
// where a copy elsewhere may have been promised more, which is then not given back
// as if it had been lost; and where the id was minted in an outage, so that one
// that is not found has never come.
func (r *Record) Lingers(now, skew Millis) bool {
	if r.Kind != KindSession || r.Promised == 0 || r.Horizon+skew <= now {
		return false
	}
	_, minted := OutageTime(r.ID)
	return minted || r.shortened()
}

// Lapse is the tombstone that a sweep leaves of a session. Its version is the next
// after the session's: nobody writes to what is over, and so nobody else makes it.
func (r *Record) Lapse() Record {
	return entomb(*r, ReasonExpired, Version{Time: r.Version.Time + 1, Node: r.Version.Node})
}

// The layout of an encoded record, format 1. All numbers are big-endian; times
// are 48 bits. docs/storage.md is the reference, and the Redis scripts read the
// same offsets.
const (
	recordFormat = 1

	offKind       = 1
	offReason     = 2
	offVersion    = 3
	offBorn       = 15
	offExpiry     = 27
	offHorizon    = 33
	offLastAccess = 39
	offIdle       = 45
	offUser       = 51
	offPromised   = 73
	offTailLen    = 79
	offTail       = 80 // the parent, and behind a zero the version of the expiry

	millisSize = 6
)

// EncodedSize is the length of what Append adds.
func (r *Record) EncodedSize() int { return offTail + r.tailLen() + len(r.Body) }

func (h *Header) tailLen() int {
	if h.ExpirySet.IsZero() {
		return len(h.Parent)
	}
	return len(h.Parent) + 1 + versionSize
}

// Append encodes the record, without its id, which is its key.
func (r *Record) Append(b []byte) []byte {
	b = append(b, recordFormat, byte(r.Kind), byte(r.Reason))
	b = r.Version.append(b)
	b = r.Born.append(b)
	b = appendMillis(b, r.Expiry)
	b = appendMillis(b, r.Horizon)
	b = appendMillis(b, r.LastAccess)
	b = appendMillis(b, r.Idle)
	var user [userKeyLen]byte // zeroes where the user is not known
	copy(user[:], r.User)
	b = append(b, user[:]...)
	b = appendMillis(b, r.Promised)
	b = append(b, byte(r.tailLen()))
	b = append(b, r.Parent...)
	if !r.ExpirySet.IsZero() {
		b = r.ExpirySet.append(append(b, 0))
	}
	return append(b, r.Body...)
}

// DecodeRecord reads what Append wrote. The record shares the memory of value.
// It returns an ErrFormat.
func DecodeRecord(id, value string) (Record, error) {
	if len(value) > 0 && value[0] != recordFormat {
		return Record{}, fmt.Errorf("%w: %s has format %d and this build reads format %d: it is damaged, or of a later release", ErrFormat, clip(id), value[0], recordFormat)
	}
	if len(value) < offTail || len(value) < offTail+int(value[offTailLen]) {
		return Record{}, fmt.Errorf("%w: %s is cut short at %d bytes", ErrFormat, clip(id), len(value))
	}
	body := offTail + int(value[offTailLen])
	parent, set, expirySet := strings.Cut(value[offTail:body], "\x00")
	if expirySet && len(set) != versionSize {
		return Record{}, fmt.Errorf("%w: %s has a damaged header", ErrFormat, clip(id))
	}
	r := Record{ID: id, Body: value[body:], Header: Header{
		Kind:       Kind(value[offKind]),
		Reason:     Reason(value[offReason]),
		Version:    versionAt(value[offVersion:]),
		Born:       versionAt(value[offBorn:]),
		Expiry:     millisAt(value, offExpiry),
		Horizon:    millisAt(value, offHorizon),
		LastAccess: millisAt(value, offLastAccess),
		Idle:       millisAt(value, offIdle),
		Promised:   millisAt(value, offPromised),
		Parent:     parent,
	}}
	if expirySet {
		r.ExpirySet = versionAt(set)
	}
	if value[offUser] != 0 {
		r.User = UserKey(value[offUser:offPromised])
	}
	if r.Kind < KindSession || r.Kind > KindEpoch {
		return Record{}, fmt.Errorf("%w: %s is of unknown kind %d", ErrFormat, clip(id), r.Kind)
	}
	return r, nil
}

func appendMillis(b []byte, m Millis) []byte {
	var wide [8]byte
	binary.BigEndian.PutUint64(wide[:], uint64(m))
	return append(b, wide[2:]...)
}

func millisAt(s string, off int) Millis {
	return Millis(bigEndian(s[off : off+millisSize]))
}
