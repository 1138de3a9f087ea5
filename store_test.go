package perdure_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// testClock is a clock that tests move.
type testClock struct{ now time.Time }

func (c *testClock) Now() time.Time { return c.now }

func newStore(t *testing.T, options perdure.Options) (*perdure.Store, *testClock) {
	t.Helper()
	clock := &testClock{now: time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)}
	backend, err := local.Open(local.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	options.Now, options.SweepInterval = clock.Now, -1
	store, err := perdure.New(backend, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store, clock
}

func mustCreate(t *testing.T, store *perdure.Store, data perdure.Data) perdure.Session {
	t.Helper()
	session, err := store.Create(context.Background(), data)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantGone fails unless every way to ask says that the sessions are not there.
func wantGone(t *testing.T, store *perdure.Store, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if s, err := store.Get(t.Context(), id); !errors.Is(err, perdure.ErrNotFound) {
			t.Errorf("Get(%s) = %+v, %v; want ErrNotFound", id, s, err)
		}
		if ok, err := store.Exists(t.Context(), id); ok || err != nil {
			t.Errorf("Exists(%s) = %v, %v", id, ok, err)
		}
		if ok, err := store.Touch(t.Context(), id); ok || err != nil {
			t.Errorf("Touch(%s) = %v, %v", id, ok, err)
		}
		if _, err := store.Update(t.Context(), id, perdure.Patch{Roles: []string{"x"}}); !errors.Is(err, perdure.ErrNotFound) {
			t.Errorf("Update(%s): %v", id, err)
		}
		if _, err := store.Rotate(t.Context(), id, 0); !errors.Is(err, perdure.ErrNotFound) {
			t.Errorf("Rotate(%s): %v", id, err)
		}
	}
	if sessions, missing, err := store.GetMany(t.Context(), ids); len(sessions) != 0 || len(missing) != len(ids) || err != nil {
		t.Errorf("GetMany = %v, %v, %v", sessions, missing, err)
	}
}

func TestSessionReadsBackAsItWasWritten(t *testing.T) {
	store, clock := newStore(t, perdure.Options{})
	created := mustCreate(t, store, perdure.Data{
		UserID: "user:*{1}", Username: "John Döe 🙂", Roles: []string{"user", "admin"},
		Metadata: map[string]any{"theme": "dark", "big": json.RawMessage("9007199254740993"), "list": []int{1, 2}},
	})
	got, err := store.Get(t.Context(), created.ID)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := asJSON(t, created), asJSON(t, got); a != b {
		t.Errorf("created %s\nread    %s", a, b)
	}
	want := `"userId":"user:*{1}","username":"John Döe 🙂","roles":["user","admin"],` +
		`"metadata":{"big":9007199254740993,"list":[1,2],"theme":"dark"},` +
		`"createdAt":"2026-01-02T03:04:05.678Z","expiresAt":"2026-01-03T03:04:05.678Z","lastAccessedAt":"2026-01-02T03:04:05.678Z"`
	if s := asJSON(t, got); !strings.Contains(s, want) {
		t.Errorf("got %s", s)
	}
	if sessions, err := store.GetByUserID(t.Context(), "user:*{1}"); err != nil || len(sessions) != 1 || sessions[0].ID != created.ID {
		t.Errorf("GetByUserID = %v, %v", sessions, err)
	}
	clock.now = clock.now.Add(24 * time.Hour)
	wantGone(t, store, created.ID)
}

func TestCreateRefusesBadInput(t *testing.T) {
	store, clock := newStore(t, perdure.Options{})
	for name, c := range map[string]struct {
		data perdure.Data
		want string
	}{
		"no user":           {perdure.Data{}, "userId: is empty"},
		"long user":         {perdure.Data{UserID: strings.Repeat("u", 257)}, "userId: has 257 bytes; at most 256"},
		"huge user":         {perdure.Data{UserID: strings.Repeat("u", 1<<20)}, "userId: has 1048576 bytes"},
		"newline":           {perdure.Data{UserID: "a\nb"}, "userId: has a control character"},
		"not UTF-8":         {perdure.Data{UserID: "a\xff"}, "userId: is not UTF-8"},
		"long username":     {perdure.Data{UserID: "u", Username: strings.Repeat("n", 257)}, "username: has 257 bytes"},
		"65 roles":          {perdure.Data{UserID: "u", Roles: make([]string, 65)}, "roles: has 65 entries; at most 64"},
		"empty role":        {perdure.Data{UserID: "u", Roles: []string{""}}, "roles: is empty"},
		"long role":         {perdure.Data{UserID: "u", Roles: []string{strings.Repeat("r", 129)}}, "roles: has 129 bytes; at most 128"},
		"big metadata":      {perdure.Data{UserID: "u", Metadata: map[string]any{"k": strings.Repeat("x", 65_536)}}, "metadata: has"},
		"past expiry":       {perdure.Data{UserID: "u", ExpiresAt: clock.now.Add(-time.Second)}, "expiresAt: is 2026-01-02T03:04:04.678Z, which is not after now"},
		"expiry now":        {perdure.Data{UserID: "u", ExpiresAt: clock.now}, "not after now"},
		"negative life":     {perdure.Data{UserID: "u", TTL: -1}, "ttl: is -1ns"},
		"no whole ms":       {perdure.Data{UserID: "u", TTL: time.Microsecond}, "not after now"},
		"too long a life":   {perdure.Data{UserID: "u", TTL: 401 * 24 * time.Hour}, "longest life"},
		"two ends":          {perdure.Data{UserID: "u", TTL: 1, ExpiresAt: clock.now.Add(1)}, "both set"},
		"bad id":            {perdure.Data{UserID: "u", ID: "../../../etc/passwd"}, "id: has a character"},
		"33 levels of JSON": {perdure.Data{UserID: "u", Metadata: map[string]any{"k": json.RawMessage(strings.Repeat("[", 32) + strings.Repeat("]", 32))}}, "metadata.k: is nested too deeply"},
	} {
		_, err := store.Create(t.Context(), c.data)
		var field *perdure.InvalidError
		if !errors.Is(err, perdure.ErrInvalid) || !errors.As(err, &field) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if stats, err := store.Stats(t.Context()); err != nil || stats.Sessions != 0 {
		t.Errorf("bad input left something behind: %+v, %v", stats, err)
	}
}

func TestCreateWithATakenID(t *testing.T) {
	store, _ := newStore(t, perdure.Options{})
	data := perdure.Data{ID: "123e4567-e89b-12d3-a456-426614174000", UserID: "u"}
	mustCreate(t, store, data)
	if _, err := store.Create(t.Context(), data); !errors.Is(err, perdure.ErrExists) {
		t.Errorf("of a live session: %v", err)
	}
	if ok, err := store.Delete(t.Context(), data.ID); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, err := store.Create(t.Context(), data); !errors.Is(err, perdure.ErrExists) {
		t.Errorf("of a deleted session: %v", err)
	}
}

func TestUpdateChangesOnlyWhatIsSet(t *testing.T) {
	store, clock := newStore(t, perdure.Options{})
	created := mustCreate(t, store, perdure.Data{
		UserID: "u", Username: "ann", Roles: []string{"user"}, Metadata: map[string]any{"a": 1, "b": 2},
	})
	clock.now = clock.now.Add(time.Minute)
	updated, err := store.Update(t.Context(), created.ID, perdure.Patch{Metadata: map[string]any{"a": nil, "c": 3, "never": nil}})
	if err != nil {
		t.Fatal(err)
	}
	if got := asJSON(t, updated.Metadata); got != `{"b":2,"c":3}` {
		t.Errorf("metadata %s", got)
	}
	if updated.Username != "ann" || !slices.Equal(updated.Roles, []string{"user"}) || !updated.ExpiresAt.Equal(created.ExpiresAt) || !updated.CreatedAt.Equal(created.CreatedAt) {
		t.Errorf("other fields changed: %+v", updated)
	}
	if !created.Version.Before(updated.Version) {
		t.Errorf("version %v after %v", updated.Version, created.Version)
	}
	name := ""
	updated, err = store.Update(t.Context(), created.ID, perdure.Patch{Username: &name, Roles: []string{}, ExpiresAt: clock.now.Add(time.Hour)})
	if err != nil || updated.Username != "" || len(updated.Roles) != 0 || !updated.ExpiresAt.Equal(clock.now.Add(time.Hour)) {
		t.Errorf("got %+v, %v", updated, err)
	}
	got, err := store.Get(t.Context(), created.ID)
	if err != nil || asJSON(t, got) != asJSON(t, updated) {
		t.Errorf("read %s, %v", asJSON(t, got), err)
	}
}

func TestUpdateOfAGivenVersion(t *testing.T) {
	store, _ := newStore(t, perdure.Options{})
	created := mustCreate(t, store, perdure.Data{UserID: "u"})
	first, err := store.Update(t.Context(), created.ID, perdure.Patch{Roles: []string{"first"}, Expected: created.Version})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Update(t.Context(), created.ID, perdure.Patch{Roles: []string{"late"}, Expected: created.Version}); !errors.Is(err, perdure.ErrConflict) {
		t.Errorf("of an old version: %v", err)
	}
	if got, err := store.Get(t.Context(), created.ID); err != nil || asJSON(t, got) != asJSON(t, first) {
		t.Errorf("a refused update changed the session to %s (%v)", asJSON(t, got), err)
	}
}

// A change is never lost to an earlier one by a clock that was ahead.
func TestUpdateComesAfterWhatItReplaces(t *testing.T) {
	store, clock := newStore(t, perdure.Options{})
	created := mustCreate(t, store, perdure.Data{UserID: "u"})
	clock.now = clock.now.Add(30 * time.Second)
	ahead := must[perdure.Session](t)(store.Update(t.Context(), created.ID, perdure.Patch{Roles: []string{"ahead"}}))
	slow, err := perdure.New(store.Backend(), perdure.Options{SweepInterval: -1, Now: func() time.Time { return clock.now.Add(-30 * time.Second) }})
	if err != nil {
		t.Fatal(err)
	}
	updated := must[perdure.Session](t)(slow.Update(t.Context(), created.ID, perdure.Patch{Roles: []string{"behind"}}))
	if !ahead.Version.Before(updated.Version) {
		t.Errorf("version %v of the later write is not after %v", updated.Version, ahead.Version)
	}
}

func TestExpiryReachesNoFurtherThanTheHorizon(t *testing.T) {
	store, clock := newStore(t, perdure.Options{})
	created := mustCreate(t, store, perdure.Data{UserID: "u"})
	horizon := created.CreatedAt.Add(7 * 24 * time.Hour)
	updated, err := store.Update(t.Context(), created.ID, perdure.Patch{ExpiresAt: clock.now.Add(30 * 24 * time.Hour)})
	if err != nil || !updated.ExpiresAt.Equal(horizon) {
		t.Errorf("extended to %v, %v; want %v", updated.ExpiresAt, err, horizon)
	}
	clock.now = clock.now.Add(6 * 24 * time.Hour)
	rotated, err := store.Rotate(t.Context(), created.ID, 2*24*time.Hour)
	if err != nil || !rotated.ExpiresAt.Equal(horizon) {
		t.Errorf("refreshed to %v, %v; want %v", rotated.ExpiresAt, err, horizon)
	}
	if _, err := store.Update(t.Context(), rotated.ID, perdure.Patch{ExpiresAt: clock.now}); !errors.Is(err, perdure.ErrInvalid) {
		t.Errorf("an expiry that is past: %v", err)
	}
	long := mustCreate(t, store, perdure.Data{UserID: "u", TTL: 30 * 24 * time.Hour})
	if want := clock.now.Add(30 * 24 * time.Hour); !long.ExpiresAt.Equal(want) {
		t.Errorf("a long life ends at %v, want %v", long.ExpiresAt, want)
	}
}

func TestTouch(t *testing.T) {
	store, clock := newStore(t, perdure.Options{IdleTimeout: time.Hour})
	created := mustCreate(t, store, perdure.Data{UserID: "u"})
	for range 3 {
		clock.now = clock.now.Add(59 * time.Minute)
		if ok, err := store.Touch(t.Context(), created.ID); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	got, err := store.Get(t.Context(), created.ID)
	if err != nil || !got.LastAccessedAt.Equal(clock.now) || !got.ExpiresAt.Equal(created.ExpiresAt) || got.Version != created.Version {
		t.Errorf("got %+v, %v", got, err)
	}
	clock.now = clock.now.Add(-time.Minute)
	if ok, err := store.Touch(t.Context(), created.ID); !ok || err != nil {
		t.Error(ok, err)
	}
	if back, _ := store.Get(t.Context(), created.ID); !back.LastAccessedAt.Equal(got.LastAccessedAt) {
		t.Errorf("the last access went back to %v", back.LastAccessedAt)
	}
	clock.now = clock.now.Add(61 * time.Minute)
	wantGone(t, store, created.ID)
}

func TestDeleteIsForEver(t *testing.T) {
	store, _ := newStore(t, perdure.Options{})
	created := mustCreate(t, store, perdure.Data{UserID: "u"})
	if ok, err := store.Delete(t.Context(), created.ID); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if ok, err := store.Delete(t.Context(), created.ID); ok || err != nil {
		t.Errorf("the second delete: %v, %v", ok, err)
	}
	if ok, err := store.Delete(t.Context(), perdure.NewID(0)); ok || err != nil {
		t.Errorf("of an unknown id: %v, %v", ok, err)
	}
	wantGone(t, store, created.ID)
}

func TestListPages(t *testing.T) {
	store, _ := newStore(t, perdure.Options{})
	want := map[string]bool{}
	for i := range 250 {
		want[mustCreate(t, store, perdure.Data{UserID: strings.Repeat("u", 1+i%7)}).ID] = true
	}
	for query := (perdure.ListQuery{PageSize: 30}); ; {
		page, err := store.List(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Sessions {
			if !want[s.ID] {
				t.Errorf("%s came twice or is not ours", s.ID)
			}
			delete(want, s.ID)
		}
		if query.PageToken = page.NextPageToken; query.PageToken == "" {
			break
		}
	}
	if len(want) != 0 {
		t.Errorf("%d sessions were not listed", len(want))
	}
	for _, query := range []perdure.ListQuery{{PageSize: -1}, {PageSize: 1001}, {PageToken: "no cursor of ours"}, {UserID: "u", PageToken: "\x00"}, {UserID: "a\nb"}} {
		if _, err := store.List(t.Context(), query); !errors.Is(err, perdure.ErrInvalid) {
			t.Errorf("%+v: %v", query, err)
		}
	}
}

func TestDeleteExpired(t *testing.T) {
	store, clock := newStore(t, perdure.Options{})
	for range 10 {
		mustCreate(t, store, perdure.Data{UserID: "u", TTL: time.Minute})
	}
	mustCreate(t, store, perdure.Data{UserID: "u"})
	clock.now = clock.now.Add(time.Minute)
	if sessions, err := store.GetByUserID(t.Context(), "u"); err != nil || len(sessions) != 1 {
		t.Errorf("%d sessions before the sweep, %v", len(sessions), err)
	}
	for _, want := range []int{10, 0} {
		if n, err := store.DeleteExpired(t.Context()); n != want || err != nil {
			t.Errorf("swept %d, %v; want %d", n, err, want)
		}
	}
}

func TestWatch(t *testing.T) {
	store, _ := newStore(t, perdure.Options{})
	created := mustCreate(t, store, perdure.Data{UserID: "u"})
	if _, err := store.Update(t.Context(), created.ID, perdure.Patch{Roles: []string{"r"}}); err != nil {
		t.Fatal(err)
	}
	rotated, err := store.Rotate(t.Context(), created.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.RevokeUser(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	for batch, err := range store.Watch(ctx, perdure.FromOldest) {
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range batch.Changes {
			got = append(got, c.Kind.String()+"/"+c.Reason.String())
			if c.ID != created.ID && c.ID != rotated.ID {
				t.Errorf("a change of %s", c.ID)
			}
		}
		if len(got) >= 5 {
			break
		}
	}
	slices.Sort(got)
	if want := []string{"created/", "created/rotated", "deleted/rotated", "deleted/user_revoked", "updated/"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	cancel()
	for range store.Watch(ctx, perdure.FromNow) {
		t.Error("a batch after the context's end")
	}
}

func TestOptionsThatContradict(t *testing.T) {
	for _, o := range []perdure.Options{
		{TTL: time.Millisecond}, {TTL: time.Hour, MaxTTL: time.Minute}, {IdleTimeout: -1}, {MaxMetadata: 1}, {MaxMetadata: 1 << 30},
	} {
		if _, err := perdure.New(nil, o); !errors.Is(err, perdure.ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestNoBackend: what a caller has left who did not look at the error of opening one.
func TestNoBackend(t *testing.T) {
	var unopened *local.Backend
	for _, backend := range []perdure.Backend{nil, unopened} {
		if _, err := perdure.New(backend, perdure.Options{}); !errors.Is(err, perdure.ErrInvalid) {
			t.Errorf("New(%T) returned %v", backend, err)
		}
	}
}

// TestALifeIsMeasuredByTheClock: who has met a version from a clock that is ahead issues
// later ones, and yet a new session lives as long as it is to from now.
func TestALifeIsMeasuredByTheClock(t *testing.T) {
	const idle, life = 30 * time.Second, 5 * time.Minute
	store, clock := newStore(t, perdure.Options{IdleTimeout: idle})
	now := clock.now
	met := mustCreate(t, store, perdure.Data{UserID: "u"})
	clock.now = now.Add(40 * time.Second)
	if _, err := store.Update(t.Context(), mustCreate(t, store, perdure.Data{UserID: "u"}).ID, perdure.Patch{Roles: []string{"ahead"}}); err != nil {
		t.Fatal(err)
	}
	clock.now = now.Add(20 * time.Second) // within what versions may be ahead of the clock
	s := mustCreate(t, store, perdure.Data{UserID: "u", TTL: life})
	if !met.Version.Before(s.Version) || !s.ExpiresAt.Equal(clock.now.Add(life)) || !s.LastAccessedAt.Equal(clock.now) {
		t.Errorf("created at %v: until %v, last access %v", clock.now, s.ExpiresAt, s.LastAccessedAt)
	}
	clock.now = clock.now.Add(idle + time.Millisecond)
	wantGone(t, store, s.ID)
}

// TestMetadataOfTheSizeAllowed: what is exactly as large as is allowed is.
func TestMetadataOfTheSizeAllowed(t *testing.T) {
	const most = 1000
	store, _ := newStore(t, perdure.Options{MaxMetadata: most})
	overhead := len(`{"a":1,"b":""}`)
	for over := range 2 {
		metadata := map[string]any{"a": 1, "b": strings.Repeat("x", most-overhead+over)}
		_, err := store.Create(t.Context(), perdure.Data{UserID: "u", Metadata: metadata})
		if fits := err == nil; fits != (over == 0) {
			t.Errorf("%d bytes over: %v", over, err)
		}
	}
}
