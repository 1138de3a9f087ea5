package perdure_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

// keysOf is a patch of n keys from a number on.
func keysOf(from, n int, value any) map[string]any {
	keys := make(map[string]any, n)
	for i := range n {
		keys[fmt.Sprintf("k%d", from+i)] = value
	}
	return keys
}

// changeable fails unless each field of the session can be changed.
func changeable(t *testing.T, store *perdure.Store, id string) {
	t.Helper()
	name := "ada"
	for what, patch := range map[string]perdure.Patch{
		"expiresAt": {ExpiresAt: time.Date(2026, 1, 3, 20, 0, 0, 0, time.UTC)}, "username": {Username: &name}, "roles": {Roles: []string{"a"}},
		"metadata": {Metadata: map[string]any{"new": 1}},
	} {
		if _, err := store.Update(t.Context(), id, patch); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestManyKeysSetAndRemoved leave a session as it can be changed as ever, whose record
// does not grow without end.
func TestManyKeysSetAndRemoved(t *testing.T) {
	store, clock := newStore(t, perdure.Options{})
	id := mustCreate(t, store, perdure.Data{UserID: "u", Metadata: map[string]any{"kept": 1}}).ID
	for round := range 20 {
		for _, value := range []any{1, nil} {
			clock.now = clock.now.Add(time.Millisecond)
			if _, err := store.Update(t.Context(), id, perdure.Patch{Metadata: keysOf(round*500, 500, value)}); err != nil {
				t.Fatalf("after %d keys: %v", round*500, err)
			}
		}
	}
	r, err := store.Backend().Get(t.Context(), id)
	if err != nil || len(r.Body) > 80<<10 {
		t.Errorf("the record has %d bytes, %v", len(r.Body), err)
	}
	portable, err := r.Portable(nil)
	if _, compacted := portable.Changed["removed"]; err != nil || !compacted {
		t.Fatalf("none of its removed keys was dropped, %v", err)
	}
	if back, err := portable.Record(nil); err != nil || back != r {
		t.Errorf("from its JSON it comes back otherwise: %v", err)
	}
	changeable(t, store, id)
	s, err := store.Get(t.Context(), id)
	if text, _ := s.Metadata.MarshalJSON(); err != nil || string(text) != `{"kept":1,"new":1}` {
		t.Errorf("it has %s, %v", text, err)
	}
	if _, err := store.Update(t.Context(), id, perdure.Patch{Metadata: keysOf(7, 1, 2)}); err != nil {
		t.Error("a removed key, set again:", err)
	}
	if s, err = store.Get(t.Context(), id); err != nil || s.Metadata.Len() != 3 {
		t.Errorf("it has %d keys, %v", s.Metadata.Len(), err)
	}
}

// TestEachOfManyKeysChangedOnce: what can be created can be changed.
func TestEachOfManyKeysChangedOnce(t *testing.T) {
	const keys = 5500
	store, _ := newStore(t, perdure.Options{})
	id := mustCreate(t, store, perdure.Data{UserID: "u", Metadata: keysOf(0, keys, 1)}).ID
	for from := 0; from < keys; from += 500 {
		if _, err := store.Update(t.Context(), id, perdure.Patch{Metadata: keysOf(from, 500, 2)}); err != nil {
			t.Fatalf("after %d: %v", from, err)
		}
	}
	s, err := store.Get(t.Context(), id)
	if raw, _ := s.Metadata.Raw("k0"); err != nil || string(raw) != "2" {
		t.Error(string(raw), err)
	}
	changeable(t, store, id)
}

// TestMetadataAboveTheBound, as of before the bound was lowered, or of a merge of two
// sides: what does not enlarge it passes.
func TestMetadataAboveTheBound(t *testing.T) {
	large, clock := newStore(t, perdure.Options{})
	id := mustCreate(t, large, perdure.Data{UserID: "u", Metadata: keysOf(0, 500, 11)}).ID
	small, err := perdure.New(large.Backend(), perdure.Options{MaxMetadata: 1000, SweepInterval: -1, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	changes := func(want error, metadata map[string]any) {
		t.Helper()
		if _, err := small.Update(t.Context(), id, perdure.Patch{Metadata: metadata}); !errors.Is(err, want) {
			t.Errorf("%v, not %v", err, want)
		}
	}
	changes(nil, keysOf(0, 100, 22))
	changes(nil, keysOf(0, 100, nil))
	changes(perdure.ErrInvalid, map[string]any{"new": 1})
	changes(perdure.ErrInvalid, keysOf(100, 1, 333))
	name := "ada"
	if _, err := small.Update(t.Context(), id, perdure.Patch{Username: &name}); err != nil {
		t.Error("username:", err)
	}
}
