package perdure

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// epoch is the body of an epoch record: all sessions of the user that were born
// at or before it are dead, but that an excepted one is dead only if born at or
// before its own floor (its value), which earlier epochs left.
//
// As a function from a session to the version at or before which it is dead,
// the join of two epochs is the greater of the two at every point.
type epoch struct {
	at     Version
	except map[string]Version // by the root of the session's chain of rotations
}

// EmptyEpoch is an epoch record that ends no session: a mark that a tool leaves in a
// store for as long as the horizon says, and nobody sees.
func EmptyEpoch(user UserKey, v Version, horizon Millis) Record {
	return MarkedEpoch(user, v, horizon, nil)
}

// NoticeUser is the user key of the record in which processes that share a store leave
// marks for one another, about what that store holds. No user has it: an id is not that
// long. A copy of the store, as a migration or a backup makes, does not have the record.
func NoticeUser() UserKey {
	return HashUser(strings.Repeat("this session store is being filled again ", 10))
}

// Notice reports whether the record is the one of NoticeUser.
func (h *Header) Notice() bool { return h.Kind == KindEpoch && h.User == NoticeUser() }

// MarkedEpoch is an EmptyEpoch with marks: names, each with a version, of which a join
// keeps the later. So several processes can leave their marks in one record.
func MarkedEpoch(user UserKey, v Version, horizon Millis, marks map[string]Version) Record {
	return (&epoch{except: marks}).record(user, v, horizon)
}

// Marks are the marks of an epoch. It returns an ErrFormat.
func Marks(r Record) (map[string]Version, error) {
	e, err := decodeEpoch(r)
	return e.except, err
}

// record is the epoch as it is stored for a user, until the horizon.
func (e *epoch) record(user UserKey, v Version, horizon Millis) Record {
	return Record{ID: EpochID(user), Body: e.encode(), Header: Header{
		Kind: KindEpoch, Version: v, Born: v, User: user, Expiry: horizon, Horizon: horizon, LastAccess: v.Millis(),
	}}
}

func (e *epoch) floor(root string) Version {
	if floor, ok := e.except[root]; ok {
		return floor
	}
	return e.at
}

// kills reports whether a session of that root and birth is dead.
func (e *epoch) kills(root string, born Version) bool {
	return !e.floor(root).Before(born)
}

func (e *epoch) join(o *epoch) epoch {
	joined := epoch{at: later(e.at, o.at), except: map[string]Version{}}
	for _, except := range []map[string]Version{e.except, o.except} {
		for root := range except {
			if floor := later(e.floor(root), o.floor(root)); floor != joined.at {
				joined.except[root] = floor
			}
		}
	}
	return joined
}

func (e *epoch) equal(o *epoch) bool {
	return e.at == o.at && maps.Equal(e.except, o.except)
}

func (e *epoch) encode() string {
	b := e.at.append(nil)
	for _, root := range slices.Sorted(maps.Keys(e.except)) {
		b = e.except[root].append(appendString(b, root))
	}
	return string(b)
}

func decodeEpoch(r Record) (epoch, error) {
	damaged := fmt.Errorf("%w: the epoch %s is damaged", ErrFormat, r.ID)
	if r.Kind != KindEpoch || len(r.Body) < versionSize {
		return epoch{}, damaged
	}
	e := epoch{at: versionAt(r.Body), except: map[string]Version{}}
	for rest := r.Body[versionSize:]; rest != ""; {
		root, floor, ok := cutString(rest)
		if !ok || len(floor) < versionSize {
			return epoch{}, damaged
		}
		e.except[root], rest = versionAt(floor), floor[versionSize:]
	}
	return e, nil
}

func (j *join) epochs(a, b Record) error {
	ea, err := decodeEpoch(a)
	if err != nil {
		return err
	}
	eb, err := decodeEpoch(b)
	if err != nil {
		return err
	}
	joined := ea.join(&eb)
	j.Expiry = max(a.Expiry, b.Expiry)
	j.fromA, j.fromB = !joined.equal(&eb), !joined.equal(&ea)
	j.Body = joined.encode()
	return nil
}
