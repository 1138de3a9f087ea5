package perdure_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

// rotatedAndChanged makes two sides that held one session: a has rotated it, and
// changed it before and after; b has changed it, touched it last of all, and knows
// of no rotation.
func rotatedAndChanged(t *testing.T) (a, b *side, id, successor string) {
	t.Helper()
	a, b, id = partition(t, perdure.Data{UserID: "u", Username: "ann", Metadata: map[string]any{"a": 0, "both": 0, "gone": 0, "kept": 0}})
	update := must[perdure.Session](t)
	update(b.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"both": "early", "kept": "early"}}))
	update(a.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"both": "inherited", "late": "inherited"}}))
	successor = must[perdure.Session](t)(a.Rotate(t.Context(), id, 0)).ID
	update(a.Update(t.Context(), successor, perdure.Patch{Metadata: map[string]any{"a": 1}}))
	b.clock.now = a.clock.now.Add(time.Second)
	update(b.Update(t.Context(), id, perdure.Patch{Roles: []string{"late"}, Metadata: map[string]any{"late": 2, "gone": nil}}))
	update(b.Update(t.Context(), id, perdure.Patch{ExpiresAt: b.clock.now.Add(3 * time.Hour)}))
	b.clock.now = b.clock.now.Add(time.Minute)
	must[bool](t)(b.Touch(t.Context(), id))
	a.clock.now = b.clock.now
	return a, b, id, successor
}

// TestMergedChangesOfBothSidesSurviveARotation is law 4 across a rotation, and law
// 7: the successor that nobody else changed keeps its version.
func TestMergedChangesOfBothSidesSurviveARotation(t *testing.T) {
	a, b, id, successor := rotatedAndChanged(t)
	inEveryOrder(t, []*side{a, b}, func(t *testing.T, healed *side) {
		wantGone(t, healed.Store, id)
		got, err := healed.Get(t.Context(), successor)
		if err != nil {
			t.Errorf("the successor: %v", err)
			return
		}
		if text := asJSON(t, got.Metadata); text != `{"a":1,"both":"inherited","kept":"early","late":2}` {
			t.Errorf("metadata %s", text)
		}
		if !slices.Equal(got.Roles, []string{"late"}) || got.Username != "ann" {
			t.Errorf("username %s, roles %v", got.Username, got.Roles)
		}
		if !got.LastAccessedAt.Equal(b.clock.now) || !got.ExpiresAt.Equal(b.clock.now.Add(3*time.Hour-time.Minute)) {
			t.Errorf("last access %v, expiry %v", got.LastAccessedAt, got.ExpiresAt)
		}
	})
}

// TestMergedRotationOfAnUnchangedSession: a side that has changed nothing since
// changes nothing about the successor, not even its version.
func TestMergedRotationOfAnUnchangedSession(t *testing.T) {
	a, b, id := partition(t, perdure.Data{UserID: "u"})
	rotated := must[perdure.Session](t)(a.Rotate(t.Context(), id, time.Hour))
	inEveryOrder(t, []*side{a, b}, func(t *testing.T, healed *side) {
		if got, err := healed.Get(t.Context(), rotated.ID); err != nil || asJSON(t, got) != asJSON(t, rotated) {
			t.Errorf("went in %s, came out %s, %v", asJSON(t, rotated), asJSON(t, got), err)
		}
	})
}

// TestMergedChangesFollowAChain of rotations to its living end.
func TestMergedChangesFollowAChain(t *testing.T) {
	a, b, first := partition(t, perdure.Data{UserID: "u"})
	second := must[perdure.Session](t)(a.Rotate(t.Context(), first, 0)).ID
	snapshot := newSide(t)
	snapshot.merge(t, must[perdure.Record](t)(a.Backend().Get(t.Context(), second)))
	third := must[perdure.Session](t)(a.Rotate(t.Context(), second, 0)).ID
	must[perdure.Session](t)(b.Update(t.Context(), first, perdure.Patch{Metadata: map[string]any{"k": 1}}))
	inEveryOrder(t, []*side{a, b, snapshot}, func(t *testing.T, healed *side) {
		wantGone(t, healed.Store, first, second)
		if got, err := healed.Get(t.Context(), third); err != nil || asJSON(t, got.Metadata) != `{"k":1}` {
			t.Errorf("got %s, %v", asJSON(t, got), err)
		}
	})
}

// TestMergedChangesReviveNoSuccessor that was ended: by its own id, by the first
// one, with its user, or with a successor of its own.
func TestMergedChangesReviveNoSuccessor(t *testing.T) {
	for name, end := range map[string]func(a, b *side, id, successor string) error{
		"logout of the successor": func(a, _ *side, _, successor string) error {
			_, err := a.Delete(t.Context(), successor)
			return err
		},
		"logout of the first id": func(a, _ *side, id, _ string) error {
			_, err := a.Delete(t.Context(), id)
			return err
		},
		"revocation of the user": func(a, _ *side, _, _ string) error {
			_, err := a.RevokeUser(t.Context(), "u")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, id := partition(t, perdure.Data{UserID: "u"})
			successor := must[perdure.Session](t)(a.Rotate(t.Context(), id, 0)).ID
			must[perdure.Session](t)(b.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"k": 1}}))
			if err := end(a, b, id, successor); err != nil {
				t.Fatal(err)
			}
			inEveryOrder(t, []*side{a, b}, func(t *testing.T, healed *side) { wantGone(t, healed.Store, id, successor) })
		})
	}
}

// TestMergedRotationsOfBothSidesAndAChange: each successor has what a third side
// changed under the id that both came from.
func TestMergedRotationsOfBothSidesAndAChange(t *testing.T) {
	a, b, id := partition(t, perdure.Data{UserID: "u"})
	c := newSide(t)
	c.merge(t, must[perdure.Record](t)(b.Backend().Get(t.Context(), id)))
	one := must[perdure.Session](t)(a.Rotate(t.Context(), id, 0)).ID
	two := must[perdure.Session](t)(b.Rotate(t.Context(), id, 0)).ID
	c.clock.now = a.clock.now.Add(time.Second)
	must[perdure.Session](t)(c.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"k": 1}}))
	inEveryOrder(t, []*side{a, b, c}, func(t *testing.T, healed *side) {
		for _, successor := range []string{one, two} {
			if got, err := healed.Get(t.Context(), successor); err != nil || asJSON(t, got.Metadata) != `{"k":1}` {
				t.Errorf("got %s, %v", asJSON(t, got), err)
			}
		}
	})
}

// TestATombstoneBringsWhatItKeeps to a store that has the successor alone.
func TestATombstoneBringsWhatItKeeps(t *testing.T) {
	a, b, id := partition(t, perdure.Data{UserID: "u"})
	successor := must[perdure.Session](t)(a.Rotate(t.Context(), id, 0)).ID
	before := must[perdure.Record](t)(a.Backend().Get(t.Context(), successor))
	b.clock.now = a.clock.now.Add(time.Second)
	must[perdure.Session](t)(b.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"k": 1}}))
	a.merge(t, b.records(t)...)
	tomb := must[perdure.Record](t)(a.Backend().Get(t.Context(), id))
	other := newSide(t)
	other.clock.now = a.clock.now
	other.merge(t, before, tomb)
	if got, err := other.Get(t.Context(), successor); err != nil || asJSON(t, got.Metadata) != `{"k":1}` {
		t.Errorf("got %s, %v", asJSON(t, got), err)
	}
	must[bool](t)(a.Delete(t.Context(), id))
	if ended := must[perdure.Record](t)(a.Backend().Get(t.Context(), id)); len(ended.Body) != 1+len(successor) {
		t.Errorf("it keeps something after the logout: %q", ended.Body)
	}
}

// TestMergeOfAnOldCopyDoesNotBringBackAnExpiredSuccessor: nothing is stored under
// the successor's id any more, and the time of the copy is over too.
func TestMergeOfAnOldCopyDoesNotBringBackAnExpiredSuccessor(t *testing.T) {
	a, b, id := partition(t, perdure.Data{UserID: "u", TTL: time.Hour})
	must[perdure.Session](t)(a.Rotate(t.Context(), id, 0))
	a.clock.now = a.clock.now.Add(2 * time.Hour)
	must[int](t)(a.DeleteExpired(t.Context()))
	before := len(a.records(t))
	a.merge(t, b.records(t)...)
	if after := a.records(t); len(after) != before {
		t.Errorf("there are %d records and there were %d: %v", len(after), before, after)
	}
}

// breaking is a backend that fails the nth call of Apply from now on.
type breaking struct {
	perdure.Backend
	left int
}

func (b *breaking) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	if b.left--; b.left == 0 {
		return nil, perdure.ErrUnavailable
	}
	return b.Backend.Apply(ctx, batches)
}

// TestAMergeThatIsInterrupted anywhere, and begun again, has lost nothing.
func TestAMergeThatIsInterrupted(t *testing.T) {
	for name, into := range map[string]func(a, b *side) (stored, incoming *side){
		"a rotation meets a change": func(a, b *side) (*side, *side) { return b, a },
		"a change meets a rotation": func(a, b *side) (*side, *side) { return a, b },
	} {
		t.Run(name, func(t *testing.T) {
			interrupted := 0
			for left := 1; ; left++ {
				a, b, id, successor := rotatedAndChanged(t)
				stored, incoming := into(a, b)
				whole := stored.merger.Backend
				stored.merger.Backend = &breaking{whole, left}
				records := incoming.records(t)
				failed := false
				for _, merged := range stored.merger.MergeAll(t.Context(), records) {
					if merged.Err != nil && !errors.Is(merged.Err, perdure.ErrUnavailable) {
						t.Fatal(merged.Err)
					}
					failed = failed || merged.Err != nil
				}
				stored.merger.Backend = whole
				for _, merged := range stored.merger.MergeAll(t.Context(), records) {
					if merged.Err != nil {
						t.Fatal(merged.Err)
					}
				}
				wantGone(t, stored.Store, id)
				if got, err := stored.Get(t.Context(), successor); err != nil || asJSON(t, got.Metadata) != `{"a":1,"both":"inherited","kept":"early","late":2}` {
					t.Fatalf("interrupted at call %d: got %s, %v", left, asJSON(t, got), err)
				}
				if !failed {
					break
				}
				interrupted++
			}
			if interrupted < 3 {
				t.Errorf("it was interrupted only %d times", interrupted)
			}
		})
	}
}

// TestMergeSaysWhatACarriedChangeDid, and that it does nothing the second time, in
// one call.
func TestMergeSaysWhatACarriedChangeDid(t *testing.T) {
	a, b, id := partition(t, perdure.Data{UserID: "u"})
	must[perdure.Session](t)(a.Rotate(t.Context(), id, 0))
	b.clock.now = a.clock.now.Add(time.Second)
	must[perdure.Session](t)(b.Update(t.Context(), id, perdure.Patch{Roles: []string{"late"}}))
	changed := must[perdure.Record](t)(b.Backend().Get(t.Context(), id))
	counted := &applies{Backend: a.Backend()}
	a.merger.Backend = counted
	for i, want := range []bool{true, false} {
		before := counted.n
		merged, err := a.merger.Merge(t.Context(), changed)
		if err != nil || merged.Changed != want || !merged.Killed || !want && counted.n != before+1 {
			t.Errorf("merge %d in %d calls: %+v, %v", i+1, counted.n-before, merged, err)
		}
	}
}

// TestASuccessorThatIsNotHereYet begins with what is known of it, and a revocation
// that spared it spares it here.
func TestASuccessorThatIsNotHereYet(t *testing.T) {
	a, b, id, successor := rotatedAndChanged(t)
	must[int](t)(a.RevokeUser(t.Context(), "u", successor))
	later := must[perdure.Record](t)(a.Backend().Get(t.Context(), successor))
	healed := newSide(t)
	healed.clock.now = a.clock.now
	for _, r := range append(a.records(t), b.records(t)...) {
		if r.ID != successor {
			healed.merge(t, r)
		}
	}
	if got, err := healed.Get(t.Context(), successor); err != nil || asJSON(t, got.Metadata) != `{"a":0,"both":"early","kept":"early","late":2}` {
		t.Errorf("before it came: %s, %v", asJSON(t, got), err)
	}
	healed.merge(t, later)
	wantGone(t, healed.Store, id)
	if got, err := healed.Get(t.Context(), successor); err != nil || asJSON(t, got.Metadata) != `{"a":1,"both":"inherited","kept":"early","late":2}` {
		t.Errorf("when it came: %s, %v", asJSON(t, got), err)
	}
}

// TestACopyMakesNothingUp: where the backend is a copy of another store, what it
// does not hold may have ended there.
func TestACopyMakesNothingUp(t *testing.T) {
	a, b, id, successor := rotatedAndChanged(t)
	tomb := must[perdure.Record](t)(a.Backend().Get(t.Context(), id))
	b.merger.Copy = true
	b.merge(t, tomb)
	wantGone(t, b.Store, id, successor)
}

// TestMergeOfRotationsInACircle, which only damage can make, ends.
func TestMergeOfRotationsInACircle(t *testing.T) {
	a, b, id, successor := rotatedAndChanged(t)
	changed := must[perdure.Record](t)(b.Backend().Get(t.Context(), id))
	tomb := must[perdure.Record](t)(a.Backend().Get(t.Context(), id))
	back := tomb
	back.ID, back.Body = successor, string(append([]byte{byte(len(id))}, id...))
	healed := newSide(t)
	healed.clock.now = a.clock.now
	healed.merge(t, tomb, back, changed)
	wantGone(t, healed.Store, id, successor)
}

// bound is a codec whose bodies open under the id and with the key that they were
// sealed with, and no other.
type bound struct{ key string }

func (c bound) prefix(r perdure.Record) string { return c.key + r.ID + r.Parent + "|" }

func (c bound) Seal(r perdure.Record, body []byte) (string, error) {
	return c.prefix(r) + string(body), nil
}

func (c bound) Open(r perdure.Record) (string, error) {
	body, ok := strings.CutPrefix(r.Body, c.prefix(r))
	if !ok {
		return "", perdure.ErrFormat
	}
	return body, nil
}

func (bound) UserKey(userID string) perdure.UserKey { return perdure.HashUser(userID) }

// TestMergedChangesOfASealedSession are sealed anew; where they cannot be read,
// nothing is overwritten.
func TestMergedChangesOfASealedSession(t *testing.T) {
	sealed := func() *side {
		store, clock := newStore(t, perdure.Options{Codec: bound{"k"}})
		return &side{store, clock, perdure.Merger{Backend: store.Backend(), Clock: perdure.NewClock(clock.Now), Codec: bound{"k"}}}
	}
	a, b := sealed(), sealed()
	id := mustCreate(t, a.Store, perdure.Data{UserID: "u"}).ID
	b.merge(t, a.records(t)...)
	b.clock.now = b.clock.now.Add(time.Second)
	must[perdure.Session](t)(b.Update(t.Context(), id, perdure.Patch{Roles: []string{"late"}}))
	successor := must[perdure.Session](t)(a.Rotate(t.Context(), id, 0)).ID
	tomb := must[perdure.Record](t)(a.Backend().Get(t.Context(), id))

	b.merger.Codec = bound{"another"}
	if _, err := b.merger.Merge(t.Context(), tomb); !errors.Is(err, perdure.ErrFormat) {
		t.Errorf("with another key: %v", err)
	}
	if ok, err := b.Exists(t.Context(), id); !ok || err != nil {
		t.Errorf("with another key it was overwritten: %v", err)
	}
	b.merger.Codec = bound{"k"}
	b.merge(t, a.records(t)...)
	wantGone(t, b.Store, id)
	if got, err := b.Get(t.Context(), successor); err != nil || !slices.Equal(got.Roles, []string{"late"}) {
		t.Errorf("got %s, %v", asJSON(t, got), err)
	}
}
