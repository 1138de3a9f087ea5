package perdure

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Session is a live session as it was when it was read. It is a copy: changing
// it changes nothing in the store.
type Session struct {
	// ID is a public handle: 24 characters, fit for lists and audit records. It
	// is not a bearer secret.
	ID       string   `json:"id"`
	UserID   string   `json:"userId"`
	Username string   `json:"username"`
	Roles    []string `json:"roles"`
	Metadata Metadata `json:"metadata"`
	// Times are in UTC, to the millisecond.
	CreatedAt      time.Time `json:"createdAt"`
	ExpiresAt      time.Time `json:"expiresAt"`
	LastAccessedAt time.Time `json:"lastAccessedAt"`
	// Version changes with every write but a touch.
	Version Version `json:"version"`
}

// Data is what a new session is made of.
type Data struct {
	// ID is the session's id. Defaults to a new random one. Set it only to what
	// your own code made, such as the hash of a token, never to what a client
	// sent: 16 to 128 of A-Z, a-z, 0-9, '-' and '_'.
	ID string
	// UserID is required: 1 to 256 bytes.
	UserID string
	// Username is at most 256 bytes.
	Username string
	// Roles are at most 64, of 1 to 128 bytes each.
	Roles []string
	// Metadata is a JSON object: values as json.Marshal takes them, or
	// json.RawMessage. At most Options.MaxMetadata bytes and 32 levels.
	Metadata map[string]any
	// TTL is the session's life from now; ExpiresAt is the end of it. At most
	// one may be set. Defaults to Options.TTL.
	TTL       time.Duration
	ExpiresAt time.Time
}

// Patch changes only what it sets. Fields that different writers change at the
// same time are all kept; of two changes to one field the later wins.
type Patch struct {
	Username *string
	// Roles replaces all roles; empty but not nil removes them.
	Roles []string
	// Metadata is merged key by key; a nil value removes the key.
	Metadata map[string]any
	// ExpiresAt is a new expiry. It reaches no further than the session's
	// horizon, which is fixed at creation: later times are cut to it.
	ExpiresAt time.Time
	// Expected makes the update fail with ErrConflict unless the session still
	// has this version.
	Expected Version
}

const (
	maxNameSize = 256
	maxRoles    = 64
	maxRoleSize = 128
)

func (d *Data) validate() error {
	if d.ID != "" {
		if err := CheckID(d.ID); err != nil {
			return err
		}
	}
	if err := checkUserID(d.UserID); err != nil {
		return err
	}
	if err := checkName("username", d.Username, 0, maxNameSize); err != nil {
		return err
	}
	if d.TTL != 0 && !d.ExpiresAt.IsZero() {
		return invalid("ttl", "and expiresAt are both set; set one")
	}
	if d.TTL < 0 {
		return invalid("ttl", "is %v; it must be above zero", d.TTL)
	}
	return checkRoles(d.Roles)
}

func (p *Patch) validate() error {
	if p.Username != nil {
		if err := checkName("username", *p.Username, 0, maxNameSize); err != nil {
			return err
		}
	}
	return checkRoles(p.Roles)
}

func checkUserID(id string) error { return checkName("userId", id, 1, maxNameSize) }

func checkRoles(roles []string) error {
	if len(roles) > maxRoles {
		return invalid("roles", "has %d entries; at most %d are allowed", len(roles), maxRoles)
	}
	for _, role := range roles {
		if err := checkName("roles", role, 1, maxRoleSize); err != nil {
			return err
		}
	}
	return nil
}

func checkName(field, s string, least, most int) error {
	switch {
	case s == "" && least > 0:
		return invalid(field, "is empty; %d to %d bytes are allowed", least, most)
	case len(s) > most:
		return invalid(field, "has %d bytes; at most %d are allowed", len(s), most)
	case !utf8.ValidString(s):
		return invalid(field, "is not UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return invalid(field, "has a control character")
	}
	return nil
}
