package foreign_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/foreign"
)

const (
	id = "9b1deb4d-3b7d-4bad-9bdd-000000000000"

	puppeteer = `{"id":"9b1deb4d-3b7d-4bad-9bdd-000000000000","data":{"userId":"ada","username":"Ada","roles":["user","a:b"],` +
		`"metadata":{"n":9007199254740993},"createdAt":"2026-01-02T03:04:05.678Z","expiresAt":"2026-01-03T03:04:05.678Z"},` +
		`"lastAccessedAt":"2026-01-02T04:00:00.001Z"}`
	connect = `{"cookie":{"originalMaxAge":3600000,"expires":"2026-01-02T15:04:05.678Z"},"passport":{"user":{"id":7}},"roles":["a"]}`
)

// TestPuppeteer: what the forerunner wrote is read whole, times as text and as
// milliseconds, with the id of its key or its own.
func TestPuppeteer(t *testing.T) {
	inMillis := strings.NewReplacer(`"2026-01-02T03:04:05.678Z"`, "1767323045678", `"2026-01-03T03:04:05.678Z"`, "1767409445678").Replace(puppeteer)
	for _, text := range []string{puppeteer, inMillis} {
		for _, key := range []string{id, ""} {
			p, err := foreign.Puppeteer{}.Decode(key, []byte(text), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			digits, _ := p.Metadata.Raw("n")
			got := fmt.Sprint(p.ID, p.UserID, p.Username, p.Roles, string(digits), p.CreatedAt.UnixMilli(), p.ExpiresAt.UnixMilli(), p.LastAccessedAt.UnixMilli())
			if want := fmt.Sprint(id, "ada", "Ada", []string{"user", "a:b"}, "9007199254740993", 1767323045678, 1767409445678, 1767326400001); got != want {
				t.Errorf("%s\nis read as %s", want, got)
			}
		}
	}
	for _, none := range []string{`,"lastAccessedAt":null}`, `,"lastAccessedAt":""}`, `,"lastAccessedAt":0}`, `}`} {
		text := strings.Replace(puppeteer, `,"lastAccessedAt":"2026-01-02T04:00:00.001Z"}`, none, 1)
		if p, err := (foreign.Puppeteer{}).Decode(id, []byte(text), time.Time{}); err != nil || !p.LastAccessedAt.IsZero() {
			t.Errorf("with %s: %v, %v", none, p.LastAccessedAt, err)
		}
	}
}

// TestRefusals: what cannot be read is an ErrInvalid that names the field and says
// nothing of what is there.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		layout    foreign.Layout
		old, new  string
		field, id string
	}{
		{foreign.Puppeteer{}, puppeteer, `{"hunter2`, "session", ""},
		{foreign.Puppeteer{}, puppeteer, `["hunter2"]`, "session", ""},
		{foreign.Puppeteer{}, puppeteer, `4711`, "session", ""},
		{foreign.Puppeteer{}, `["user","a:b"]`, `"hunter2"`, "data.roles", id},
		{foreign.Puppeteer{}, `["user","a:b"]`, `4711`, "data.roles", id},
		{foreign.Puppeteer{}, `{"n":9007199254740993}`, `"hunter2"`, "metadata", id},
		{foreign.Puppeteer{}, `{"n":9007199254740993}`, `4711`, "metadata", id},
		{foreign.Puppeteer{}, `"2026-01-02T03:04:05.678Z"`, `"hunter2"`, "createdAt", id},
		{foreign.Puppeteer{}, `"2026-01-03T03:04:05.678Z"`, `4711.5`, "expiresAt", id},
		{foreign.Puppeteer{}, `"2026-01-02T04:00:00.001Z"`, `{"x":"hunter2"}`, "lastAccessedAt", id},
		{foreign.Puppeteer{}, `"2026-01-03T03:04:05.678Z"`, `null`, "expiresAt", id},
		{foreign.ConnectRedis{}, connect, `hunter2`, "session", id},
		{foreign.ConnectRedis{}, `{"originalMaxAge":3600000,"expires":"2026-01-02T15:04:05.678Z"}`, `"hunter2"`, "session", id},
		{foreign.ConnectRedis{}, `"cookie"`, `"hunter2"`, "cookie", id},
		{foreign.ConnectRedis{}, `"2026-01-02T15:04:05.678Z"`, `"hunter2"`, "expires", id},
		{foreign.ConnectRedis{}, `["a"]`, `["hunter2\u0007"]`, "roles", id},
	} {
		text, key := connect, id
		if _, ok := c.layout.(foreign.Puppeteer); ok {
			text, key = puppeteer, ""
		}
		text = strings.Replace(text, c.old, c.new, 1)
		p, err := c.layout.Decode(key, []byte(text), time.Time{})
		if err == nil {
			_, err = p.Record(nil)
		}
		var invalid *perdure.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != c.field || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "4711") || p.ID != c.id {
			t.Errorf("%s: %v, of %q", text, err, p.ID)
		}
	}
	if _, err := (foreign.Puppeteer{}).Decode("another-session-id", []byte(puppeteer), time.Time{}); !errors.Is(err, perdure.ErrInvalid) {
		t.Errorf("under the key of another: %v", err)
	}
}

// FuzzDecode: whatever is stored becomes a session that a store takes, or an
// ErrInvalid.
func FuzzDecode(f *testing.F) {
	f.Add(puppeteer, true)
	f.Add(connect, false)
	f.Add(`{"cookie":{"originalMaxAge":-1e300,"expires":false},"user":[],"roles":[1]}`, false)
	f.Add(`{"cookie":{"expires":"0001-01-01T00:00:00Z","originalMaxAge":1}}`, false)
	f.Add(`null`, true)
	f.Add(`[]`, false)
	f.Fuzz(func(t *testing.T, value string, puppeteer bool) {
		var layout foreign.Layout = foreign.ConnectRedis{TTL: time.Hour}
		if puppeteer {
			layout = foreign.Puppeteer{}
		}
		session, err := layout.Decode(id, []byte(value), time.Time{})
		if err == nil {
			var r perdure.Record
			if r, err = session.Record(nil); err == nil {
				if r.Expiry <= 0 || r.Expiry > r.Horizon || r.Born.IsZero() || r.Version.Before(r.Born) {
					t.Errorf("%+v", r)
				}
				return
			}
		}
		if !errors.Is(err, perdure.ErrInvalid) {
			t.Errorf("%v", err)
		}
	})
}
