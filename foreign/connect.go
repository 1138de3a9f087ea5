package foreign

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// ConnectRedis is the layout of connect-redis, the store of express-session: JSON
// under <prefix><sid>, with a cookie and whatever the service keeps there.
//
// All of it becomes metadata. A session ends when its key does, else when its
// cookie does. When it was created is not stored: it counts from when its cookie
// was last set, or a day before its end. One that is nobody's, such as a visitor's
// basket, gets a user of its own, whose id begins with "anonymous:".
type ConnectRedis struct {
	// Prefix is that of the store. Defaults to "sess:".
	Prefix string
	// User is where the user id is, as names with dots in between: "passport.user".
	// Defaults to the first that is there of userId, user.id, passport.user.id and
	// passport.user.
	User string
	// TTL is the life, from now on, of a session that neither key nor cookie end.
	// Defaults to refusing it.
	TTL time.Duration
}

// day is how long connect-redis keeps a session that does not say.
const day = 24 * time.Hour

// KeyPrefix begins the keys of sessions.
func (c ConnectRedis) KeyPrefix() string {
	return cmp.Or(c.Prefix, "sess:")
}

type cookie struct {
	Expires        json.RawMessage `json:"expires"`
	OriginalMaxAge json.RawMessage `json:"originalMaxAge"`
}

// Decode reads a session.
func (c ConnectRedis) Decode(id string, value []byte, expires time.Time) (p perdure.Portable, err error) {
	p.ID = id
	var session map[string]json.RawMessage
	if err := Unmarshal(value, &session); err != nil {
		return p, err
	}
	raw, ok := session["cookie"]
	if !ok {
		return p, invalid("cookie", "is missing: this is no session of express-session")
	}
	var k cookie
	if err := Unmarshal(raw, &k); err != nil {
		return p, err
	}
	if p.CreatedAt, p.ExpiresAt, err = c.life(&k, expires, time.Now()); err != nil {
		return p, err
	}
	if err := Unmarshal(value, &p.Metadata); err != nil {
		return p, err
	}
	p.UserID = cmp.Or(c.user(session), "anonymous:"+string(perdure.HashUser(id)))
	for _, path := range []string{"username", "user.username", "user.name"} {
		if p.Username = text(session, path); p.Username != "" {
			break
		}
	}
	for _, path := range []string{"roles", "user.roles"} {
		if json.Unmarshal(at(session, path), &p.Roles) == nil && len(p.Roles) > 0 {
			break
		}
		p.Roles = nil
	}
	return p, nil
}

// life is when a session was last set, and when it ends.
func (c ConnectRedis) life(k *cookie, expires, now time.Time) (begins, ends time.Time, err error) {
	var expiry time.Time
	_ = json.Unmarshal(k.Expires, &expiry) // null, false and the like are none
	var age float64
	_ = json.Unmarshal(k.OriginalMaxAge, &age)
	switch {
	case !expires.IsZero():
		ends = expires
	case !expiry.IsZero():
		ends = expiry
	case c.TTL > 0:
		ends = now.Add(c.TTL)
	default:
		return begins, ends, invalid("expires", "is set neither by the key nor by the cookie; say how long such sessions may live")
	}
	begins = ends.Add(-day)
	if !expiry.IsZero() && age > 0 && age < float64(400*day/time.Millisecond) {
		begins = expiry.Add(-time.Duration(age) * time.Millisecond)
	}
	if begins.After(now) {
		begins = now
	}
	return begins, ends, nil
}

func (c ConnectRedis) user(session map[string]json.RawMessage) string {
	if c.User != "" {
		return text(session, c.User)
	}
	for _, path := range []string{"userId", "user.id", "passport.user.id", "passport.user"} {
		if id := text(session, path); id != "" {
			return id
		}
	}
	return ""
}

// text is the string or the number at a path, as text, or empty.
func text(object map[string]json.RawMessage, path string) string {
	raw := at(object, path)
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

// at is the value at a path; null where there is none.
func at(object map[string]json.RawMessage, path string) json.RawMessage {
	name, rest, deeper := strings.Cut(path, ".")
	raw, ok := object[name]
	if !ok {
		return json.RawMessage("null")
	}
	if !deeper {
		return raw
	}
	var inner map[string]json.RawMessage
	if json.Unmarshal(raw, &inner) != nil {
		return json.RawMessage("null")
	}
	return at(inner, rest)
}
