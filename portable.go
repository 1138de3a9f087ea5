package perdure

import (
	"encoding/json"
	"strings"
	"time"
)

// Portable is a session outside of a store: what a Session shows, and what a
// store needs besides to take it back as it was. Its JSON is that of a Session
// with further fields.
//
// Of a session that another system made only the embedded Session is known, and
// of that ID, UserID, CreatedAt and ExpiresAt are required.
type Portable struct {
	Session
	// Born is the first version. Defaults to one made of CreatedAt, the same each
	// time; the fields then count as written at LastAccessedAt, so that of two
	// exports of a foreign session the later wins.
	Born Version `json:"born,omitzero"`
	// Horizon is where no extension reaches beyond. Defaults to 7 days after
	// CreatedAt, or to ExpiresAt where that is later.
	Horizon time.Time `json:"horizon,omitzero"`
	// PromisedUntil is the latest expiry that the session was ever given, where that
	// is later than ExpiresAt. Defaults to ExpiresAt.
	PromisedUntil time.Time `json:"promisedUntil,omitzero"`
	// IdleTimeout, in milliseconds, ends the session so long after its last
	// access. Defaults to never.
	IdleTimeout Millis `json:"idleTimeoutMillis,omitempty"`
	// Parent is the id that the session was rotated from, and Root the first one
	// of that chain. Default to none.
	Parent string `json:"parent,omitempty"`
	Root   string `json:"root,omitempty"`
	// Changed has the version of each field that changed since birth: "username",
	// "roles", "expiresAt" and "metadata." with a key, which may be one that was
	// removed. "removed" is the version at which keys count as removed that are in
	// neither Metadata nor Changed, where some have been dropped from there.
	Changed map[string]Version `json:"changed,omitempty"`
}

// changedNames are the names in Portable.Changed with those in a body.
var changedNames = [...]struct{ name, field string }{
	{"username", fieldUsername}, {"roles", fieldRoles}, {"removed", fieldFloor},
}

// The other names: of the field whose version is in the header, and what is before a
// metadata key.
const (
	changedExpiry   = "expiresAt"
	changedMetadata = "metadata."
)

// Portable opens the record of a session; a nil codec is that of plain bodies.
// It returns an ErrInvalid for a record of another kind and an ErrFormat for a
// body that cannot be read.
func (r *Record) Portable(codec Codec) (Portable, error) {
	if r.Kind != KindSession {
		return Portable{}, invalid("record", "%s is not that of a session", clip(r.ID))
	}
	if codec == nil {
		codec = plainCodec{}
	}
	c, err := openContent(r, codec)
	if err != nil {
		return Portable{}, err
	}
	p := Portable{
		Session: newSession(r, &c), Born: r.Born, Horizon: r.Horizon.Time(), IdleTimeout: r.Idle, Parent: r.Parent, Root: c.root,
	}
	if r.shortened() {
		p.PromisedUntil = r.Promised.Time()
	}
	if len(c.changes) == 0 && r.ExpirySet.IsZero() {
		return p, nil
	}
	p.Changed = map[string]Version{}
	for _, change := range c.changes {
		p.Changed[changedName(change.field)] = change.version
	}
	if !r.ExpirySet.IsZero() {
		p.Changed[changedExpiry] = r.ExpirySet
	}
	return p, nil
}

func changedName(field string) string {
	for _, c := range changedNames {
		if field == c.field {
			return c.name
		}
	}
	return changedMetadata + strings.TrimPrefix(field, fieldMetadata)
}

// changedField is the inverse of changedName.
func changedField(name string) (string, error) {
	for _, c := range changedNames {
		if name == c.name {
			return c.field, nil
		}
	}
	if key, ok := strings.CutPrefix(name, changedMetadata); ok {
		return fieldMetadata + key, nil
	}
	return "", invalid("changed", "names %q; allowed: username, roles, expiresAt, removed and metadata.<key>", clip(name))
}

// Record is the record of the session; a nil codec is that of plain bodies. One
// that Record.Portable opened comes back byte for byte. It returns an ErrInvalid
// that names the field.
func (p Portable) Record(codec Codec) (Record, error) {
	if codec == nil {
		codec = plainCodec{}
	}
	if p.Born.IsZero() {
		p.adopt()
	}
	if err := p.validate(); err != nil {
		return Record{}, err
	}
	c := content{userID: p.UserID, username: p.Username, roles: p.Roles, metadata: p.Metadata, root: p.Root}
	for name, version := range p.Changed {
		if name == changedExpiry {
			continue
		}
		field, err := changedField(name)
		if err != nil {
			return Record{}, err
		}
		c.mark(field, version)
	}
	r := Record{ID: p.ID, Header: Header{
		Kind: KindSession, Version: p.Version, Born: p.Born, Expiry: MillisOf(p.ExpiresAt), Horizon: MillisOf(p.Horizon),
		LastAccess: MillisOf(p.LastAccessedAt), Idle: p.IdleTimeout, User: codec.UserKey(p.UserID), Parent: p.Parent,
	}}
	if written, ok := p.Changed[changedExpiry]; ok {
		r.setExpiry(written)
	}
	r.Promised = r.Expiry
	if !p.PromisedUntil.IsZero() {
		r.Promised = max(r.Expiry, MillisOf(p.PromisedUntil))
	}
	body, err := seal(codec, r, c.encode())
	r.Body = body
	return r, err
}

// adopt gives a foreign session what it lacks: the same each time that it comes.
func (p *Portable) adopt() {
	if p.LastAccessedAt.Before(p.CreatedAt) {
		p.LastAccessedAt = p.CreatedAt
	}
	p.Born = Version{Time: uint64(MillisOf(p.CreatedAt)) << 16}
	p.Version = p.Born
	if written := (Version{Time: uint64(MillisOf(p.LastAccessedAt)) << 16}); p.Born.Before(written) {
		p.Version = written
		p.Changed = map[string]Version{}
		p.Changed[changedExpiry] = written
		for _, c := range changedNames {
			if c.field != fieldFloor {
				p.Changed[c.name] = written
			}
		}
		for key := range p.Metadata.entries() {
			p.Changed[changedMetadata+key] = written
		}
	}
	if p.Horizon.IsZero() {
		p.Horizon = p.CreatedAt.Add(defaultHorizon)
		if p.Horizon.Before(p.ExpiresAt) {
			p.Horizon = p.ExpiresAt
		}
	}
}

func (p *Portable) validate() error {
	data := Data{ID: p.ID, UserID: p.UserID, Username: p.Username, Roles: p.Roles}
	switch err := data.validate(); {
	case p.ID == "":
		return invalid("id", "is missing")
	case err != nil:
		return err
	}
	for _, t := range []struct {
		field string
		time  time.Time
	}{{"createdAt", p.CreatedAt}, {"expiresAt", p.ExpiresAt}, {"lastAccessedAt", p.LastAccessedAt}, {"horizon", p.Horizon}} {
		if t.time.IsZero() {
			return invalid(t.field, "is missing")
		}
		if m := MillisOf(t.time); m <= 0 || m > MaxMillis {
			return invalid(t.field, "is %s; times from 1970 to 10889 are allowed", t.time.Format(time.RFC3339))
		}
	}
	switch {
	case MillisOf(p.CreatedAt) != p.Born.Millis():
		return invalid("createdAt", "is not the time that the field born has; correct it, or leave born out")
	case p.Version.Before(p.Born):
		return invalid("version", "is before the field born; leave both out for a session that another system made")
	case p.Horizon.Before(p.ExpiresAt):
		return invalid("expiresAt", "is past the horizon")
	case !p.PromisedUntil.IsZero() && (p.PromisedUntil.After(p.Horizon) || p.PromisedUntil.Before(p.ExpiresAt)):
		return invalid("promisedUntil", "is not between expiresAt and the horizon")
	case p.IdleTimeout < 0 || p.IdleTimeout > MaxMillis:
		return invalid("idleTimeoutMillis", "is %d; it must not be negative, nor over %d", p.IdleTimeout, MaxMillis)
	case p.Metadata.jsonSize() > maxMaxMetadata:
		return invalid("metadata", "has %d bytes; at most %d are allowed", p.Metadata.jsonSize(), maxMaxMetadata)
	}
	for field, id := range map[string]string{"parent": p.Parent, "root": p.Root} {
		if id != "" && CheckID(id) != nil {
			return invalid(field, "is not the id of a session")
		}
	}
	return nil
}

// UnmarshalJSON reads a JSON object. Numbers keep every digit. It returns an
// ErrInvalid for any other value and for one that is nested too deeply.
func (m *Metadata) UnmarshalJSON(b []byte) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b, &object); err != nil {
		return invalid("metadata", "is not a JSON object")
	}
	values := make(map[string]any, len(object))
	for key, value := range object {
		values[key] = value
	}
	read, err := newMetadata(values)
	if err == nil {
		*m = read
	}
	return err
}
