package perdure

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// merge joins two records of one id: the heart of migration, restore, replay,
// replication and online writes alike. It is commutative, associative and
// idempotent in all that a record says; only the version of a join that equals
// neither side is new each time, so that two different records never share one.
//
// What is deleted stays deleted; of two live records each field is taken from
// the side that wrote it later.
func merge(a, b Record, clock *Clock, codec Codec) (Record, error) {
	if a.Kind != b.Kind {
		switch {
		case a.Kind == KindTombstone && b.Kind == KindSession:
			return absorb(a, b, clock, codec)
		case b.Kind == KindTombstone && a.Kind == KindSession:
			return absorb(b, a, clock, codec)
		}
		return Record{}, fmt.Errorf("%w: records of kinds %d and %d share an id", ErrFormat, a.Kind, b.Kind)
	}
	join := join{Record: a, clock: clock}
	join.header(a, b)
	var err error
	switch a.Kind {
	case KindSession:
		err = join.sessions(a, b, codec)
	case KindTombstone:
		err = join.tombstones(a, b, codec)
	case KindEpoch:
		err = join.epochs(a, b)
	}
	if err != nil {
		return Record{}, err
	}
	join.stamp(a, b)
	return join.Record, nil
}

// join is a merge under way.
type join struct {
	Record
	clock        *Clock
	fromA, fromB bool // whether either side gave something that the other lacks
}

// header joins the last access, and what is fixed at birth: that differs only
// where a foreign session was brought in twice, or a tombstone was planted.
func (j *join) header(a, b Record) {
	j.LastAccess = max(a.LastAccess, b.LastAccess)
	switch {
	case a.Born.IsZero() == b.Born.IsZero():
		j.Horizon = max(a.Horizon, b.Horizon)
	case a.Born.IsZero():
		j.Horizon = b.Horizon
	}
	j.Idle = max(a.Idle, b.Idle)
	j.Promised = max(a.Promised, b.Promised)
	j.User = max(a.User, b.User)
	j.Parent = max(a.Parent, b.Parent)
	j.Born = a.Born
	if a.Born.IsZero() || !b.Born.IsZero() && b.Born.Before(a.Born) {
		j.Born = b.Born
	}
}

// stamp gives the join its version: that of a side which it equals and whose
// version is the later, else a new one.
func (j *join) stamp(a, b Record) {
	switch order := a.Version.Compare(b.Version); {
	case !j.fromA && !j.fromB:
		j.Version = later(a.Version, b.Version)
	case !j.fromB && order > 0:
		j.Version = a.Version
	case !j.fromA && order < 0:
		j.Version = b.Version
	default:
		j.Version = j.clock.Tick(a.Version, b.Version)
	}
}

// pick decides a field: the later version, or, where foreign sessions share
// one, the greater value, so that both sides decide alike.
func (j *join) pick(versions, values int) (takeB bool) {
	order := cmp.Or(versions, values)
	j.fromA = j.fromA || order > 0
	j.fromB = j.fromB || order < 0
	return order < 0
}

func (j *join) sessions(a, b Record, codec Codec) error {
	ca, err := openContent(&a, codec)
	if err != nil {
		return err
	}
	cb, err := openContent(&b, codec)
	if err != nil {
		return err
	}
	merged := content{userID: max(ca.userID, cb.userID), root: max(ca.root, cb.root), username: ca.username, roles: ca.roles}
	take := func(field string, values int) bool {
		va, vb := ca.version(field, a.Born), cb.version(field, b.Born)
		if v := later(va, vb); v != j.Born {
			merged.mark(field, v)
		}
		return j.pick(va.Compare(vb), values)
	}
	if take(fieldUsername, cmp.Compare(ca.username, cb.username)) {
		merged.username = cb.username
	}
	if take(fieldRoles, slices.Compare(ca.roles, cb.roles)) {
		merged.roles = cb.roles
	}
	j.expiry(&a, &b)
	if promised := max(a.promise(), b.promise()); promised > j.Expiry {
		j.Promised = promised
	}
	j.fromA = j.fromA || a.promise() > b.promise()
	j.fromB = j.fromB || b.promise() > a.promise()
	merged.metadata = j.metadata(&ca, &cb, a.Born, b.Born, &merged)
	switch {
	case !j.fromB:
		j.Body = a.Body
	case !j.fromA:
		j.Body = b.Body
	default:
		j.Body, err = seal(codec, j.Record, merged.encode())
	}
	return err
}

// expiry takes the later one with its version.
func (j *join) expiry(a, b *Record) {
	va, vb := a.expiryVersion(), b.expiryVersion()
	j.Expiry = a.Expiry
	if j.pick(va.Compare(vb), cmp.Compare(a.Expiry, b.Expiry)) {
		j.Expiry = b.Expiry
	}
	j.setExpiry(later(va, vb))
}

// metadata joins key by key. A key that one side lacks was removed there at a version
// of its own, or else at the floor: none, if the side has never dropped a removal.
func (j *join) metadata(ca, cb *content, bornA, bornB Version, merged *content) Metadata {
	rawA, rawB := ca.metadata.raw(), cb.metadata.raw()
	keys := map[string]bool{}
	for _, raw := range []map[string]string{rawA, rawB} {
		for key := range raw {
			keys[key] = true
		}
	}
	for _, c := range []*content{ca, cb} {
		for _, change := range c.changes {
			if change.field[:1] == fieldMetadata {
				keys[change.field[1:]] = true
			}
		}
	}
	floorA, floorB := ca.floor(), cb.floor()
	floor := later(floorA, floorB)
	if !floor.IsZero() {
		merged.mark(fieldFloor, floor)
	}
	j.pick(floorA.Compare(floorB), 0)
	versionOf := func(c *content, raw map[string]string, key string, unmarked, floor Version) Version {
		if _, ok := raw[key]; !ok {
			unmarked = floor
		}
		return c.version(fieldMetadata+key, unmarked)
	}
	raw := make(map[string]string, len(keys))
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		va, vb := versionOf(ca, rawA, key, bornA, floorA), versionOf(cb, rawB, key, bornB, floorB)
		value, ok := rawA[key]
		if j.pick(va.Compare(vb), cmp.Compare(rawA[key], rawB[key])) {
			value, ok = rawB[key]
		}
		implied := floor
		if ok {
			raw[key], implied = value, j.Born
		}
		if v := later(va, vb); v != implied {
			merged.mark(fieldMetadata+key, v)
		}
	}
	return packMetadata(raw)
}

func openContent(r *Record, codec Codec) (content, error) {
	body, err := codec.Open(*r)
	if err != nil {
		return content{}, err
	}
	return decodeContent(body)
}
