package perdure_test

import (
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

func TestRevokeUser(t *testing.T) {
	store, _ := newStore(t, perdure.Options{})
	var ids []string
	for range 5 {
		ids = append(ids, mustCreate(t, store, perdure.Data{UserID: "u"}).ID)
	}
	other := mustCreate(t, store, perdure.Data{UserID: "other"})
	if n, err := store.RevokeUser(t.Context(), "u", ids[2]); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	wantGone(t, store, slices.Delete(slices.Clone(ids), 2, 3)...)
	// The spared session goes on living, under new ids too.
	spared := ids[2]
	for range 2 {
		if _, err := store.Update(t.Context(), spared, perdure.Patch{Roles: []string{"still"}}); err != nil {
			t.Fatal(err)
		}
		rotated, err := store.Rotate(t.Context(), spared, 0)
		if err != nil {
			t.Fatal(err)
		}
		spared = rotated.ID
	}
	later := mustCreate(t, store, perdure.Data{UserID: "u"})
	for _, id := range []string{spared, later.ID, other.ID} {
		if ok, err := store.Exists(t.Context(), id); !ok || err != nil {
			t.Errorf("%s is gone: %v", id, err)
		}
	}
	if n, err := store.RevokeUser(t.Context(), "u"); n != 2 || err != nil {
		t.Error(n, err)
	}
	wantGone(t, store, spared, later.ID)
}

// The caller's own session was rotated by the time that all others are revoked.
func TestRevokeUserSparesASuccessor(t *testing.T) {
	store, _ := newStore(t, perdure.Options{})
	first := mustCreate(t, store, perdure.Data{UserID: "u"})
	second := must[perdure.Session](t)(store.Rotate(t.Context(), first.ID, 0))
	third := must[perdure.Session](t)(store.Rotate(t.Context(), second.ID, 0))
	mustCreate(t, store, perdure.Data{UserID: "u"})
	if n, err := store.RevokeUser(t.Context(), "u", first.ID); n != 1 || err != nil {
		t.Error(n, err)
	}
	if ok, err := store.Exists(t.Context(), third.ID); !ok || err != nil {
		t.Errorf("the spared session is gone: %v", err)
	}
}

// The spared session lies in a journal, or in a store that is still to be merged.
func TestRevokeUserSparesASessionThatIsStillToCome(t *testing.T) {
	elsewhere, _ := newStore(t, perdure.Options{})
	spared := mustCreate(t, elsewhere, perdure.Data{UserID: "u"})
	other := mustCreate(t, elsewhere, perdure.Data{UserID: "u"})
	store, clock := newStore(t, perdure.Options{})
	if n, err := store.RevokeUser(t.Context(), "u", spared.ID); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	merger := perdure.Merger{Backend: store.Backend(), Clock: perdure.NewClock(clock.Now)}
	for _, s := range []perdure.Session{spared, other} {
		r := must[perdure.Record](t)(elsewhere.Backend().Get(t.Context(), s.ID))
		must[perdure.Merged](t)(merger.Merge(t.Context(), r))
	}
	if ok, err := store.Exists(t.Context(), spared.ID); !ok || err != nil {
		t.Errorf("the spared session is gone: %v", err)
	}
	wantGone(t, store, other.ID)
}

// TestRevokeUserSparesWhatWasOver here, and what somebody who was cut off has put off.
func TestRevokeUserSparesWhatWasOver(t *testing.T) {
	for name, rotations := range map[string]int{"as it was made": 0, "rotated": 2} {
		t.Run(name, func(t *testing.T) {
			store, clock := newStore(t, perdure.Options{})
			elsewhere, away := newStore(t, perdure.Options{})
			s := mustCreate(t, store, perdure.Data{UserID: "u"})
			for range rotations {
				s = must[perdure.Session](t)(store.Rotate(t.Context(), s.ID, 0))
			}
			move := func(from, to *perdure.Store, now *testClock) {
				merger := perdure.Merger{Backend: to.Backend(), Clock: perdure.NewClock(now.Now)}
				must[perdure.Merged](t)(merger.Merge(t.Context(), must[perdure.Record](t)(from.Backend().Get(t.Context(), s.ID))))
			}
			move(store, elsewhere, away)
			must[perdure.Session](t)(store.Update(t.Context(), s.ID, perdure.Patch{ExpiresAt: clock.now.Add(time.Minute)}))
			away.now = away.now.Add(30 * time.Second)
			must[perdure.Session](t)(elsewhere.Update(t.Context(), s.ID, perdure.Patch{ExpiresAt: away.now.Add(time.Hour)}))
			clock.now = clock.now.Add(2 * time.Minute)
			if n, err := store.DeleteExpired(t.Context()); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			must[int](t)(store.RevokeUser(t.Context(), "u", s.ID))
			move(elsewhere, store, clock)
			if ok, err := store.Exists(t.Context(), s.ID); !ok || err != nil {
				t.Errorf("the spared session is gone: %v", err)
			}
		})
	}
}

func TestRevokeUserOfManySessions(t *testing.T) {
	store, _ := newStore(t, perdure.Options{})
	const many = 1234
	var spared string
	for range many {
		spared = mustCreate(t, store, perdure.Data{UserID: "u"}).ID
	}
	if n, err := store.RevokeUser(t.Context(), "u", spared); n != many-1 || err != nil {
		t.Error(n, err)
	}
	if sessions, err := store.GetByUserID(t.Context(), "u"); err != nil || len(sessions) != 1 || sessions[0].ID != spared {
		t.Errorf("%d sessions are left: %v", len(sessions), err)
	}
}

// TestAnEpochOutlivesWhatItEnds: a session lives as long as its horizon allows,
// which may be longer than a session may ask for.
func TestAnEpochOutlivesWhatItEnds(t *testing.T) {
	store, clock := newStore(t, perdure.Options{TTL: time.Hour, MaxTTL: 2 * time.Hour, Horizon: 24 * time.Hour})
	var away []perdure.Record
	for range 10 {
		s := mustCreate(t, store, perdure.Data{UserID: "u"})
		r, err := store.Backend().Get(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		r.ID, r.Expiry = perdure.NewID(r.User.Partition()), r.Horizon // extended elsewhere, and not known here
		away = append(away, r)
	}
	if _, err := store.RevokeUser(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	clock.now = clock.now.Add(3 * time.Hour)
	if _, err := store.DeleteExpired(t.Context()); err != nil {
		t.Fatal(err)
	}
	merger := perdure.Merger{Backend: store.Backend(), Clock: perdure.NewClock(clock.Now)}
	alive := 0
	for _, r := range away {
		merged, err := merger.Merge(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if merged.Record.Live(perdure.MillisOf(clock.Now())) {
			alive++
		}
	}
	if alive > 0 {
		t.Errorf("%d of %d sessions that were revoked are alive", alive, len(away))
	}
}
