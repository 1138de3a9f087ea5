package perdure_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

func foreignSession() perdure.Foreign {
	created := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	return perdure.Foreign{
		ID: "6f2d9a3e-9f0f-4a52-8a41-1f0f2b3c4d5e", UserID: "ada", Username: "Ada", Roles: []string{"user", "admin"},
		Metadata:  map[string]json.RawMessage{"n": json.RawMessage("12345678901234567890"), "nested": json.RawMessage(`{ "a": [1, 2] }`)},
		CreatedAt: created, LastAccessedAt: created.Add(4 * time.Minute), ExpiresAt: created.Add(time.Hour),
	}
}

// TestForeignSession: what another product stored is a session like any other,
// times and digits included.
func TestForeignSession(t *testing.T) {
	s := newSide(t)
	f := foreignSession()
	r, err := f.Record(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.merge(t, r)
	got := must[perdure.Session](t)(s.Get(t.Context(), f.ID))
	raw, _ := got.Metadata.Raw("n")
	if got.UserID != "ada" || got.Username != "Ada" || strings.Join(got.Roles, " ") != "user admin" || string(raw) != "12345678901234567890" ||
		!got.CreatedAt.Equal(f.CreatedAt) || !got.ExpiresAt.Equal(f.ExpiresAt) || !got.LastAccessedAt.Equal(f.LastAccessedAt) {
		t.Errorf("came in as %s", asJSON(t, got))
	}
	if again, err := f.Record(nil, 0); err != nil || again != r {
		t.Errorf("read again it is another: %v", err)
	}
	if byUser := must[[]perdure.Session](t)(s.GetByUserID(t.Context(), "ada")); len(byUser) != 1 {
		t.Errorf("its user has %d sessions", len(byUser))
	}
}

// TestForeignSessionReadTwice: the later state wins, whichever comes first, and
// whatever is the greater value.
func TestForeignSessionReadTwice(t *testing.T) {
	early, late := foreignSession(), foreignSession()
	late.LastAccessedAt = late.LastAccessedAt.Add(time.Minute)
	late.Roles, late.Username, late.ExpiresAt = []string{"a"}, "A", early.ExpiresAt.Add(-time.Minute)
	late.Metadata = map[string]json.RawMessage{"n": json.RawMessage("1"), "nested": json.RawMessage("0")}
	first, second := must[perdure.Record](t)(early.Record(nil, 0)), must[perdure.Record](t)(late.Record(nil, 0))
	for _, order := range [][]perdure.Record{{first, second}, {second, first}, {second, first, second}} {
		s := newSide(t)
		s.merge(t, order...)
		got := must[perdure.Session](t)(s.Get(t.Context(), early.ID))
		if got.Username != "A" || len(got.Roles) != 1 || !got.ExpiresAt.Equal(late.ExpiresAt) || asJSON(t, got.Metadata) != `{"n":1,"nested":0}` {
			t.Errorf("in the end it is %s", asJSON(t, got))
		}
	}
}

func TestForeignSessionRefused(t *testing.T) {
	for field, spoil := range map[string]func(*perdure.Foreign){
		"id":         func(f *perdure.Foreign) { f.ID = "sess:../x" },
		"userId":     func(f *perdure.Foreign) { f.UserID = "" },
		"username":   func(f *perdure.Foreign) { f.Username = "\x1b[2J" },
		"roles":      func(f *perdure.Foreign) { f.Roles = []string{""} },
		"createdAt":  func(f *perdure.Foreign) { f.CreatedAt = time.Time{} },
		"expiresAt":  func(f *perdure.Foreign) { f.ExpiresAt = time.Unix(-5, 0) },
		"metadata.x": func(f *perdure.Foreign) { f.Metadata["x"] = json.RawMessage("{") },
	} {
		f := foreignSession()
		spoil(&f)
		var invalid *perdure.InvalidError
		if _, err := f.Record(nil, 0); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// applies counts the calls of Apply, and notes whether one held a session before
// one held an end.
type applies struct {
	perdure.Backend
	n                  int
	sessions, endsLate bool
}

// TestMergeAllAtOnce: many records that meet others take a few calls, not one
// each, and come to the same as one by one in any order.
func TestMergeAllAtOnce(t *testing.T) {
	a, b := newSide(t), newSide(t)
	var ids []string
	for range 40 {
		ids = append(ids, mustCreate(t, a.Store, perdure.Data{UserID: "u"}).ID)
	}
	b.merge(t, a.records(t)...)
	a.clock.now = a.clock.now.Add(time.Second)
	b.clock.now = b.clock.now.Add(2 * time.Second)
	for i, id := range ids {
		name := "of b"
		must[perdure.Session](t)(b.Update(t.Context(), id, perdure.Patch{Username: &name}))
		switch i % 4 {
		case 0:
			must[bool](t)(a.Delete(t.Context(), id))
		case 1:
			must[perdure.Session](t)(a.Rotate(t.Context(), id, 0))
		case 2:
			must[perdure.Session](t)(a.Update(t.Context(), id, perdure.Patch{Roles: []string{"of a"}}))
		}
	}
	all := a.records(t)
	all = append(all, all[:10]...) // some twice
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	oneByOne := newSide(t)
	oneByOne.clock.now = b.clock.now
	oneByOne.merge(t, b.records(t)...)
	oneByOne.merge(t, all...)

	counted := &applies{Backend: b.Backend()}
	b.merger.Backend = counted
	for i, merged := range b.merger.MergeAll(t.Context(), all) {
		if merged.Err != nil || merged.Record.ID != all[i].ID {
			t.Errorf("%s: %+v", all[i].ID, merged)
		}
	}
	if counted.endsLate {
		t.Error("a tombstone comes after sessions")
	}
	if counted.n > 10 {
		t.Errorf("%d records took %d calls", len(all), counted.n)
	}
	want, got := oneByOne.records(t), b.records(t)
	for i := range want {
		want[i].Version, got[i].Version = perdure.Version{}, perdure.Version{} // a join has a new one
	}
	if asJSON(t, want) != asJSON(t, got) {
		t.Errorf("one by one %s\nat once %s", asJSON(t, want), asJSON(t, got))
	}
}

func (a *applies) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	a.n++
	for _, batch := range batches {
		session := batch[0].Record.Kind == perdure.KindSession
		a.endsLate = a.endsLate || a.sessions && !session
		a.sessions = a.sessions || session
	}
	return a.Backend.Apply(ctx, batches)
}
