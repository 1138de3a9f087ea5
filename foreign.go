package perdure

import (
	"encoding/json"
	"time"
)

// Foreign is a session that another product stored: what Record makes a record
// of, for a Merger.
type Foreign struct {
	// ID stays what it was: 16 to 128 of A-Z, a-z, 0-9, '-' and '_'.
	ID string
	// UserID, Username and Roles are bounded as in Data.
	UserID   string
	Username string
	Roles    []string
	// Metadata is a JSON object by its keys.
	Metadata map[string]json.RawMessage
	// CreatedAt and ExpiresAt are required. LastAccessedAt defaults to CreatedAt.
	CreatedAt, ExpiresAt, LastAccessedAt time.Time
}

// Record is the session as perdure stores it. A nil codec leaves bodies plain. The
// session can be extended to horizon after its creation (0: 7 days), or lives to
// its own expiry where that is later.
//
// The same session gives the same record whenever it is read. Of two that were
// read at different times, a merge takes what was accessed later.
//
// It returns an ErrInvalid that names the field.
func (f *Foreign) Record(codec Codec, horizon time.Duration) (Record, error) {
	if codec == nil {
		codec = plainCodec{}
	}
	metadata, err := f.check()
	if err != nil {
		return Record{}, err
	}
	setDefault(&horizon, defaultHorizon)
	created, expiry := MillisOf(f.CreatedAt), MillisOf(f.ExpiresAt)
	accessed := created
	if !f.LastAccessedAt.IsZero() {
		accessed = max(created, MillisOf(f.LastAccessedAt))
	}
	// No node: whoever reads it makes the same version.
	born, version := Version{Time: uint64(created) << 16}, Version{Time: uint64(accessed) << 16}
	r := Record{ID: f.ID, Header: Header{
		Kind: KindSession, Version: version, Born: born, Expiry: expiry, LastAccess: accessed,
		Horizon: max(expiry, created+Millis(horizon.Milliseconds())), User: codec.UserKey(f.UserID),
	}}
	c := content{userID: f.UserID, username: f.Username, roles: f.Roles, metadata: packMetadata(metadata)}
	if version != born {
		for _, field := range []string{fieldUsername, fieldRoles, fieldExpiry} {
			c.mark(field, version)
		}
		for key := range metadata {
			c.mark(fieldMetadata+key, version)
		}
	}
	r.Body, err = codec.Seal(&r, c.encode())
	return r, err
}

func (f *Foreign) check() (metadata map[string]string, err error) {
	if err := CheckID(f.ID); err != nil {
		return nil, err
	}
	data := Data{UserID: f.UserID, Username: f.Username, Roles: f.Roles}
	if err := data.validate(); err != nil {
		return nil, err
	}
	for field, t := range map[string]time.Time{"createdAt": f.CreatedAt, "expiresAt": f.ExpiresAt, "lastAccessedAt": f.LastAccessedAt} {
		if m := t.UnixMilli(); (m <= 0 || m > maxMillis/2) && !(t.IsZero() && field == "lastAccessedAt") {
			return nil, invalid(field, "is missing, or not between the years 1970 and 6429")
		}
	}
	object, size := make(map[string]any, len(f.Metadata)), 0
	for key, raw := range f.Metadata {
		object[key], size = raw, size+len(key)+len(raw)
	}
	if size > maxMaxMetadata {
		return nil, invalid("metadata", "has %d bytes; at most %d are allowed", size, maxMaxMetadata)
	}
	return encodeMetadata(object)
}
