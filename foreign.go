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
	object := make(map[string]any, len(f.Metadata))
	for key, raw := range f.Metadata {
		object[key] = raw
	}
	metadata, err := newMetadata(object)
	if err != nil {
		return Record{}, err
	}
	setDefault(&horizon, defaultHorizon)
	p := Portable{Session: Session{
		ID: f.ID, UserID: f.UserID, Username: f.Username, Roles: f.Roles, Metadata: metadata,
		CreatedAt: f.CreatedAt, ExpiresAt: f.ExpiresAt, LastAccessedAt: f.LastAccessedAt,
	}}
	if p.LastAccessedAt.Before(p.CreatedAt) {
		p.LastAccessedAt = p.CreatedAt
	}
	if p.Horizon = p.CreatedAt.Add(horizon); p.Horizon.Before(p.ExpiresAt) {
		p.Horizon = p.ExpiresAt
	}
	return p.Record(codec)
}
