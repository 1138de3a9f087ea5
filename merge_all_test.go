package perdure_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

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
		session, end := batch[0].Record.Kind == perdure.KindSession, batch[0].Record.Ended()
		a.endsLate = a.endsLate || a.sessions && end // a rotation comes after what it carries
		a.sessions = a.sessions || session
	}
	return a.Backend.Apply(ctx, batches)
}
