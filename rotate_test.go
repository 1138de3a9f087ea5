package perdure_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

func TestRotate(t *testing.T) {
	store, clock := newStore(t, perdure.Options{})
	created := mustCreate(t, store, perdure.Data{UserID: "u", Username: "ann", Metadata: map[string]any{"k": "v"}})
	clock.now = clock.now.Add(time.Hour)
	rotated, err := store.Rotate(t.Context(), created.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantGone(t, store, created.ID)
	got, err := store.Get(t.Context(), rotated.ID)
	if err != nil || asJSON(t, got) != asJSON(t, rotated) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got.ID == created.ID || !got.CreatedAt.Equal(created.CreatedAt) || !got.ExpiresAt.Equal(created.ExpiresAt) || got.Metadata.String("k") != "v" || got.Username != "ann" {
		t.Errorf("got %+v", got)
	}
	if sessions, err := store.GetByUserID(t.Context(), "u"); err != nil || len(sessions) != 1 || sessions[0].ID != rotated.ID {
		t.Errorf("the user has %v, %v", sessions, err)
	}
}

// A logout that names an id which was rotated meanwhile means the session.
func TestDeleteOfARotatedIDEndsItsSuccessors(t *testing.T) {
	store, _ := newStore(t, perdure.Options{})
	first := mustCreate(t, store, perdure.Data{UserID: "u"})
	second, err := store.Rotate(t.Context(), first.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	third, err := store.Rotate(t.Context(), second.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := store.Delete(t.Context(), first.ID); !ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
	wantGone(t, store, first.ID, second.ID, third.ID)
}

// undecided carries out the first batch, and answers that it wants another id, as a
// backend does that could not tell what became of it.
type undecided struct {
	perdure.Backend
	asked bool
}

func (u *undecided) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	results, err := u.Backend.Apply(ctx, batches)
	if !u.asked {
		u.asked = true
		for i := range results {
			results[i] = perdure.Result{Outcome: perdure.Conflict}
		}
	}
	return results, err
}

// TestARotationThatHadCome is found out: the session is not lost to its user.
func TestARotationThatHadCome(t *testing.T) {
	store, clock := newStore(t, perdure.Options{})
	created := mustCreate(t, store, perdure.Data{UserID: "u"})
	through, err := perdure.New(&undecided{Backend: store.Backend()}, perdure.Options{Now: clock.Now, SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := through.Rotate(t.Context(), created.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantGone(t, store, created.ID)
	if sessions, err := store.GetByUserID(t.Context(), "u"); err != nil || len(sessions) != 1 || sessions[0].ID != rotated.ID {
		t.Errorf("the user has %v, %v, want %s", sessions, err, rotated.ID)
	}
}

// TestTwoRefreshAtOnce: who comes second is told that the session was rotated, and
// when, which is no logout; who was logged out is not.
func TestTwoRefreshAtOnce(t *testing.T) {
	store, clock := newStore(t, perdure.Options{})
	name := "ada"
	calls := map[string]func(id string) error{
		"Get": func(id string) error { _, err := store.Get(t.Context(), id); return err },
		"Update": func(id string) error {
			_, err := store.Update(t.Context(), id, perdure.Patch{Username: &name})
			return err
		},
		"Rotate": func(id string) error { _, err := store.Rotate(t.Context(), id, 0); return err },
	}
	rotated := func(id string, at time.Time) {
		t.Helper()
		for what, call := range calls {
			err := call(id)
			if told, ok := errors.AsType[*perdure.RotatedError](err); !ok || !told.At.Equal(at) || !errors.Is(err, perdure.ErrNotFound) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if ok, err := store.Exists(t.Context(), id); ok || err != nil {
			t.Errorf("Exists: %v, %v", ok, err)
		}
		if ok, err := store.Touch(t.Context(), id); ok || err != nil {
			t.Errorf("Touch: %v, %v", ok, err)
		}
	}
	old := mustCreate(t, store, perdure.Data{UserID: "u"})
	clock.now = clock.now.Add(time.Hour)
	at := clock.now.Truncate(time.Millisecond)
	winners := make(chan perdure.Session, 2)
	losers := make(chan error, 2)
	for range 2 {
		go func() {
			s, err := store.Rotate(context.Background(), old.ID, 0)
			if err != nil {
				losers <- err
			} else {
				winners <- s
			}
		}()
	}
	winner, lost := <-winners, <-losers
	if told, ok := errors.AsType[*perdure.RotatedError](lost); !ok || !told.At.Equal(at) || strings.Contains(lost.Error(), winner.ID) {
		t.Errorf("the loser: %v", lost)
	}
	clock.now = clock.now.Add(time.Hour)
	rotated(old.ID, at)
	if ok, err := store.Delete(t.Context(), old.ID); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, id := range []string{old.ID, winner.ID, perdure.NewID(3)} {
		for what, call := range calls {
			if _, told := errors.AsType[*perdure.RotatedError](call(id)); told {
				t.Errorf("%s of one that was logged out says that it was rotated", what)
			}
		}
	}
}
