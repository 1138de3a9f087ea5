package perdure_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

// travel writes a session as JSON and reads it back.
func travel(t *testing.T, r perdure.Record) perdure.Record {
	t.Helper()
	p := must[perdure.Portable](t)(r.Portable(nil))
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(p); err != nil {
		t.Fatal(err)
	}
	var back perdure.Portable
	if err := json.Unmarshal(text.Bytes(), &back); err != nil {
		t.Fatalf("%v in %s", err, &text)
	}
	return must[perdure.Record](t)(back.Record(nil))
}

// A session that leaves as JSON comes back byte for byte, whatever befell it.
func TestPortableIsExact(t *testing.T) {
	store, clock := newStore(t, perdure.Options{IdleTimeout: time.Hour})
	metadata := map[string]any{"html": "<a>&\u2028", "big": json.RawMessage("12345678901234567890"), "": nil, "m": map[string]any{"ü": []int{1}}}
	first := mustCreate(t, store, perdure.Data{UserID: "ann:*", Username: "A \"n\"", Roles: []string{"a", "b"}, Metadata: metadata})
	mustCreate(t, store, perdure.Data{UserID: "bob"})
	clock.now = clock.now.Add(time.Minute)
	name := ""
	update := must[perdure.Session](t)
	update(store.Update(t.Context(), first.ID, perdure.Patch{
		Username: &name, Roles: []string{}, Metadata: map[string]any{"big": nil, "new": 1}, ExpiresAt: clock.now.Add(time.Hour),
	}))
	update(store.Rotate(t.Context(), first.ID, time.Hour))
	side := &side{Store: store, clock: clock}
	sessions := 0
	for _, r := range side.records(t) {
		if r.Kind != perdure.KindSession {
			if _, err := r.Portable(nil); !errors.Is(err, perdure.ErrInvalid) {
				t.Errorf("a record of kind %d opens as a session: %v", r.Kind, err)
			}
			continue
		}
		sessions++
		if back := travel(t, r); !reflect.DeepEqual(back, r) {
			t.Errorf("came back as\n%+v and was\n%+v", back, r)
		}
	}
	if sessions != 2 {
		t.Errorf("%d sessions were looked at", sessions)
	}
}

func foreign(id string) perdure.Portable {
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return perdure.Portable{Session: perdure.Session{ID: id, UserID: "ann", CreatedAt: created, ExpiresAt: created.AddDate(0, 0, 3)}}
}

// A session that another system made gets the same record each time. Of two
// exports of it the later wins in every field, in either order and whatever is the
// greater value; times, digits and the user's list are as for any session.
func TestForeignSessions(t *testing.T) {
	const id = "123e4567-e89b-12d3-a456-426614174000"
	early, late := foreign(id), foreign(id)
	for text, m := range map[string]*perdure.Metadata{
		`{"n": 9, "nested": {"z": [1, 2]}}`:               &early.Metadata,
		`{"n": 12345678901234567890, "nested": {"a": 1}}`: &late.Metadata,
	} {
		if err := json.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
	}
	early.Username, late.Username = "zoe", "ann"
	early.Roles, late.Roles = []string{"z"}, []string{"a", "b"}
	early.LastAccessedAt, late.LastAccessedAt = early.CreatedAt.Add(time.Minute), early.CreatedAt.Add(time.Hour)
	late.ExpiresAt = early.ExpiresAt.Add(-time.Minute)
	a, b := must[perdure.Record](t)(early.Record(nil)), must[perdure.Record](t)(late.Record(nil))
	if again := must[perdure.Record](t)(early.Record(nil)); !reflect.DeepEqual(a, again) {
		t.Errorf("%+v is not %+v", again, a)
	}
	if want := early.CreatedAt.AddDate(0, 0, 7); a.Horizon.Time() != want {
		t.Errorf("the horizon is %v, not %v", a.Horizon.Time(), want)
	}
	inEveryOrder(t, eachOn(t, a, b), func(t *testing.T, healed *side) {
		got, err := healed.Get(t.Context(), id)
		if err != nil || got.Username != "ann" || len(got.Roles) != 2 || asJSON(t, got.Metadata) != `{"n":12345678901234567890,"nested":{"a":1}}` ||
			got.CreatedAt != early.CreatedAt || got.ExpiresAt != late.ExpiresAt || got.LastAccessedAt != late.LastAccessedAt {
			t.Errorf("%+v, %v", got, err)
		}
		if byUser := must[[]perdure.Session](t)(healed.GetByUserID(t.Context(), "ann")); len(byUser) != 1 {
			t.Errorf("its user has %d sessions", len(byUser))
		}
	})
}

// eachOn makes a side for each record.
func eachOn(t *testing.T, records ...perdure.Record) (sides []*side) {
	for _, r := range records {
		s := newSide(t)
		s.merge(t, r)
		sides = append(sides, s)
	}
	return sides
}

func TestPortableRefusesBadInput(t *testing.T) {
	for field, spoil := range map[string]func(p *perdure.Portable){
		"id":                func(p *perdure.Portable) { p.ID = "" },
		"userId":            func(p *perdure.Portable) { p.UserID = "" },
		"username":          func(p *perdure.Portable) { p.Username = "\x00" },
		"roles":             func(p *perdure.Portable) { p.Roles = []string{""} },
		"createdAt":         func(p *perdure.Portable) { p.CreatedAt = time.Time{} },
		"expiresAt":         func(p *perdure.Portable) { p.ExpiresAt = time.Unix(-5, 0) },
		"lastAccessedAt":    func(p *perdure.Portable) { p.LastAccessedAt = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"parent":            func(p *perdure.Portable) { p.Parent = "x" },
		"root":              func(p *perdure.Portable) { p.Root = "x" },
		"idleTimeoutMillis": func(p *perdure.Portable) { p.IdleTimeout = -1 },
		"version": func(p *perdure.Portable) {
			p.Born = perdure.Version{Time: uint64(p.CreatedAt.UnixMilli()) << 16}
			p.LastAccessedAt = p.CreatedAt
			p.Horizon = p.ExpiresAt
		},
		"changed": func(p *perdure.Portable) {
			p.Born = perdure.Version{Time: uint64(p.CreatedAt.UnixMilli()) << 16}
			p.Version, p.LastAccessedAt, p.Horizon = p.Born, p.CreatedAt, p.ExpiresAt
			p.Changed = map[string]perdure.Version{"id": p.Born}
		},
	} {
		p := foreign("a-foreign-session-id")
		spoil(&p)
		_, err := p.Record(nil)
		var invalid *perdure.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := foreign("sess:../x").Record(nil); !errors.Is(err, perdure.ErrInvalid) {
		t.Errorf("an id that is a path: %v", err)
	}
	p := foreign("a-foreign-session-id")
	p.Born = perdure.Version{Time: 1 << 16}
	if _, err := p.Record(nil); !errors.Is(err, perdure.ErrInvalid) {
		t.Errorf("born at another time than it was created: %v", err)
	}
	for _, text := range []string{`[]`, `1`, `{"a":` + string(bytes.Repeat([]byte("["), 40)) + string(bytes.Repeat([]byte("]"), 40)) + `}`} {
		var m perdure.Metadata
		if err := json.Unmarshal([]byte(text), &m); !errors.Is(err, perdure.ErrInvalid) {
			t.Errorf("metadata %.20s: %v", text, err)
		}
	}
}

// A preview says what a merge then does, and changes nothing.
func TestPreviewIsWhatMergeDoes(t *testing.T) {
	a, b := newSide(t), newSide(t)
	kept := mustCreate(t, a.Store, perdure.Data{UserID: "kept"})
	changed := mustCreate(t, a.Store, perdure.Data{UserID: "changed"})
	gone := mustCreate(t, a.Store, perdure.Data{UserID: "gone"})
	revoked := mustCreate(t, a.Store, perdure.Data{UserID: "revoked"})
	rotated := mustCreate(t, a.Store, perdure.Data{UserID: "rotated"})
	b.merge(t, a.records(t)...)
	b.clock.now = b.clock.now.Add(time.Second)
	mustCreate(t, a.Store, perdure.Data{UserID: "new"})
	must[perdure.Session](t)(a.Update(t.Context(), changed.ID, perdure.Patch{Roles: []string{"x"}}))
	must[bool](t)(a.Delete(t.Context(), mustCreate(t, a.Store, perdure.Data{UserID: "dead"}).ID))
	late := mustCreate(t, a.Store, perdure.Data{UserID: "revoked"})
	successor := must[perdure.Session](t)(a.Rotate(t.Context(), rotated.ID, 0))
	must[bool](t)(b.Delete(t.Context(), gone.ID))
	must[bool](t)(b.Delete(t.Context(), rotated.ID))
	b.clock.now = b.clock.now.Add(time.Second)
	must[int](t)(b.RevokeUser(t.Context(), "revoked"))

	all := a.records(t)
	before := b.records(t)
	for _, r := range all { // alone, so that only the store knows its parent
		alone := must[[]perdure.Merged](t)(b.merger.Preview(t.Context(), []perdure.Record{r}))
		if r.ID == successor.ID && !alone[0].Killed {
			t.Errorf("the successor of a session that was logged out would live: %+v", alone)
		}
	}
	foreseen := must[[]perdure.Merged](t)(b.merger.Preview(t.Context(), all))
	if after := b.records(t); !reflect.DeepEqual(before, after) {
		t.Errorf("the preview wrote: %+v, was %+v", after, before)
	}
	killed := map[string]bool{}
	for i, m := range b.merger.MergeAll(t.Context(), all) {
		f := foreseen[i]
		// A tombstone of the records may have ended a session of theirs before.
		if f.Err != nil || m.Err != nil || f.Killed != m.Killed || f.Changed != m.Changed && all[i].ID != successor.ID {
			t.Errorf("%s: foreseen %+v, done %+v", all[i].ID, f, m)
		}
		killed[all[i].ID] = m.Killed
	}
	if !killed[gone.ID] || !killed[revoked.ID] || !killed[late.ID] || !killed[successor.ID] || killed[kept.ID] {
		t.Errorf("killed: %v", killed)
	}
}

// A tombstone that comes in a crowd ends the successors of its session like one
// that comes alone.
func TestMergeAllEndsSuccessors(t *testing.T) {
	a, b := newSide(t), newSide(t)
	first := mustCreate(t, a.Store, perdure.Data{UserID: "u"})
	successor := must[perdure.Session](t)(a.Rotate(t.Context(), first.ID, 0))
	for _, r := range a.records(t) {
		if r.Kind == perdure.KindSession {
			b.merge(t, r)
		}
	}
	must[perdure.Session](t)(b.Get(t.Context(), successor.ID))
	must[bool](t)(a.Delete(t.Context(), first.ID))
	for _, r := range a.records(t) {
		if r.ID != first.ID {
			continue
		}
		if m := b.merger.MergeAll(t.Context(), []perdure.Record{r}); m[0].Err != nil || !m[0].Changed {
			t.Errorf("%+v", m)
		}
	}
	wantGone(t, b.Store, first.ID, successor.ID)
}

// Overwrite goes back to a backup: all fields of it, whatever came since. A
// logout stays.
func TestOverwrite(t *testing.T) {
	s := newSide(t)
	session := mustCreate(t, s.Store, perdure.Data{UserID: "u", Username: "old", Roles: []string{"r"}, Metadata: map[string]any{"a": 1, "b": 2}})
	backup := s.records(t)[0]
	s.clock.now = s.clock.now.Add(time.Second)
	name := "new"
	must[perdure.Session](t)(s.Update(t.Context(), session.ID, perdure.Patch{
		Username: &name, Roles: []string{"x"}, Metadata: map[string]any{"a": nil, "b": 3, "c": 4}, ExpiresAt: s.clock.now.Add(time.Minute),
	}))
	newer := s.records(t)[0]
	m := must[perdure.Merged](t)(s.merger.Overwrite(t.Context(), backup))
	got := must[perdure.Session](t)(s.Get(t.Context(), session.ID))
	if !m.Changed || asJSON(t, got.Metadata) != `{"a":1,"b":2}` || got.Username != "old" || got.Roles[0] != "r" || !got.ExpiresAt.Equal(session.ExpiresAt) {
		t.Errorf("%+v, %+v", m, got)
	}
	// The way back is a write like any other: what came before it loses to it
	// wherever they meet.
	after := s.records(t)[0]
	s.merge(t, newer)
	if again := s.records(t)[0]; again != after {
		t.Errorf("a replayed update has undone it: %+v", again)
	}
	if m := must[perdure.Merged](t)(s.merger.Overwrite(t.Context(), backup)); m.Changed {
		t.Errorf("a second time it changes %+v", m)
	}
	must[bool](t)(s.Delete(t.Context(), session.ID))
	if m := must[perdure.Merged](t)(s.merger.Overwrite(t.Context(), backup)); !m.Killed || m.Changed {
		t.Errorf("after a logout: %+v", m)
	}
	wantGone(t, s.Store, session.ID)
	s.clock.now = session.ExpiresAt
	if _, err := s.merger.Overwrite(t.Context(), backup); !errors.Is(err, perdure.ErrInvalid) {
		t.Errorf("with one that has expired: %v", err)
	}
}

func FuzzPortable(f *testing.F) {
	f.Add([]byte(`{"id":"a-foreign-session-id","userId":"u","createdAt":"2026-01-01T00:00:00Z","expiresAt":"2026-01-02T00:00:00Z"}`))
	f.Add([]byte(`{"id":"a-foreign-session-id","userId":"u","metadata":{"a":[1]},"roles":["x"],"createdAt":"2026-01-01T00:00:00Z","expiresAt":"2026-01-02T00:00:00Z","lastAccessedAt":"2026-01-01T00:00:01Z"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var p perdure.Portable
		if json.Unmarshal(text, &p) != nil {
			return
		}
		r, err := p.Record(nil)
		if err != nil {
			return
		}
		if back := travel(t, r); !reflect.DeepEqual(back, r) {
			t.Errorf("came back as\n%+v and was\n%+v", back, r)
		}
	})
}
