package foreign

import (
	"encoding/json"
	"time"

	"github.com/perdure/perdure"
)

// Puppeteer is the layout of puppeteer-mcp, perdure's forerunner: JSON under
// <prefix>session:<id>. Its sets of a user's sessions are not read: the sessions
// say whose they are.
type Puppeteer struct {
	// Prefix is its REDIS_KEY_PREFIX. Defaults to "puppeteer-mcp:".
	Prefix string
}

// KeyPrefix begins the keys of sessions.
func (p Puppeteer) KeyPrefix() string {
	if p.Prefix == "" {
		p.Prefix = "puppeteer-mcp:"
	}
	return p.Prefix + "session:"
}

type puppeteerSession struct {
	ID   string `json:"id"`
	Data struct {
		UserID    string                     `json:"userId"`
		Username  string                     `json:"username"`
		Roles     []string                   `json:"roles"`
		Metadata  map[string]json.RawMessage `json:"metadata"`
		CreatedAt string                     `json:"createdAt"`
		ExpiresAt string                     `json:"expiresAt"`
	} `json:"data"`
	LastAccessedAt string `json:"lastAccessedAt"`
}

// Decode reads a session, as it is in Redis and in the forerunner's backups. It
// ends when it says, not when its key does.
func (Puppeteer) Decode(id, value string, _ time.Time) (f perdure.Foreign, err error) {
	var s puppeteerSession
	if err := object(value, &s); err != nil {
		return f, err
	}
	if id != "" && s.ID != "" && s.ID != id {
		return f, invalid("id", "is another than that of its key")
	}
	f = perdure.Foreign{ID: id, UserID: s.Data.UserID, Username: s.Data.Username, Roles: s.Data.Roles, Metadata: s.Data.Metadata}
	if id == "" {
		f.ID = s.ID
	}
	if f.CreatedAt, err = moment("createdAt", s.Data.CreatedAt); err != nil {
		return f, err
	}
	if f.ExpiresAt, err = moment("expiresAt", s.Data.ExpiresAt); err != nil {
		return f, err
	}
	if s.LastAccessedAt != "" {
		f.LastAccessedAt, err = moment("lastAccessedAt", s.LastAccessedAt)
	}
	return f, err
}
