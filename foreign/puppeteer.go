package foreign

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/perdure/perdure"
)

// Puppeteer is the layout of puppeteer-mcp, perdure's forerunner: JSON under
// <prefix>session:<id>, and the same JSON in its backups. Its sets of a user's
// sessions are not read: the sessions say whose they are.
type Puppeteer struct {
	// Prefix is its REDIS_KEY_PREFIX. Defaults to "puppeteer-mcp:".
	Prefix string
}

// KeyPrefix begins the keys of sessions.
func (p Puppeteer) KeyPrefix() string {
	return cmp.Or(p.Prefix, "puppeteer-mcp:") + "session:"
}

type puppeteerSession struct {
	ID   string `json:"id"`
	Data struct {
		UserID    string           `json:"userId"`
		Username  string           `json:"username"`
		Roles     []string         `json:"roles"`
		Metadata  perdure.Metadata `json:"metadata"`
		CreatedAt json.RawMessage  `json:"createdAt"`
		ExpiresAt json.RawMessage  `json:"expiresAt"`
	} `json:"data"`
	LastAccessedAt json.RawMessage `json:"lastAccessedAt"`
}

// Decode reads a session. It ends when it says, not when its key does.
func (Puppeteer) Decode(id string, value []byte, _ time.Time) (p perdure.Portable, err error) {
	var s puppeteerSession
	err = Unmarshal(value, &s)
	p.Session = perdure.Session{
		ID: cmp.Or(id, s.ID), UserID: s.Data.UserID, Username: s.Data.Username, Roles: s.Data.Roles, Metadata: s.Data.Metadata,
	}
	switch {
	case err != nil:
		return p, err
	case s.ID != "" && s.ID != p.ID:
		return p, invalid("id", "is another than that of its key")
	}
	for _, t := range []struct {
		field string
		raw   json.RawMessage
		time  *time.Time
	}{{"createdAt", s.Data.CreatedAt, &p.CreatedAt}, {"expiresAt", s.Data.ExpiresAt, &p.ExpiresAt}, {"lastAccessedAt", s.LastAccessedAt, &p.LastAccessedAt}} {
		if *t.time, err = moment(t.field, t.raw); err != nil {
			return p, err
		}
	}
	return p, nil
}
