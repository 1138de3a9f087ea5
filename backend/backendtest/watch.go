package backendtest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/perdure/perdure"
)

// watch reads a backend's feed.
type watch struct {
	r    *rig
	b    perdure.Backend
	next string
}

// watch starts from now.
func (r *rig) watch(b perdure.Backend) *watch {
	r.t.Helper()
	w := &watch{r: r, b: b, next: perdure.FromNow}
	if got := w.batch(10); len(got.Changes) > 0 {
		r.t.Fatalf("a watch from now begins with\n%s", showChanges(got.Changes))
	}
	return w
}

// batch reads one batch and moves on.
func (w *watch) batch(limit int) perdure.ChangeBatch {
	w.r.t.Helper()
	batch, err := w.b.Changes(w.r.ctx, w.next, limit, 0)
	w.r.noError(err)
	if batch.Next == perdure.FromNow {
		w.r.t.Fatalf("a batch of %d changes has no cursor to go on from", len(batch.Changes))
	}
	w.next = batch.Next
	return batch
}

// read is all that has come since the last reading.
func (w *watch) read(limit int) (all []perdure.Change) {
	w.r.t.Helper()
	for {
		batch := w.batch(limit)
		if len(batch.Changes) == 0 {
			return all
		}
		all = append(all, batch.Changes...)
	}
}

// saw fails unless exactly the expected changes have come since the last
// reading, each session's in this order.
func (w *watch) saw(want ...expected) {
	w.r.t.Helper()
	w.r.noError(explain(w.read(100), want))
}

// expected is a change that the feed is to tell of.
type expected struct {
	perdure.Change
	anyReason bool // the contract does not say which
	maybe     bool // nor whether it is told of
}

// change is what tells of the record.
func change(kind perdure.ChangeKind, why perdure.Reason, record perdure.Record) expected {
	return expected{Change: perdure.Change{Kind: kind, Reason: why, ID: record.ID, User: record.User, Version: record.Version}}
}

func (e *expected) tells(got perdure.Change) bool {
	got.At = 0
	if e.anyReason {
		got.Reason = e.Reason
	}
	return got == e.Change
}

// explain returns an error unless the changes of each id are those that are
// expected of it, in order, but perhaps for those that may be left out.
func explain(got []perdure.Change, want []expected) error {
	changes := map[string][]perdure.Change{}
	for _, c := range got {
		changes[c.ID] = append(changes[c.ID], c)
	}
	wants := map[string][]expected{}
	for _, e := range want {
		wants[e.ID] = append(wants[e.ID], e)
		if _, ok := changes[e.ID]; !ok {
			changes[e.ID] = nil
		}
	}
	for _, id := range slices.Sorted(maps.Keys(changes)) {
		if !explains(changes[id], wants[id]) {
			told := make([]perdure.Change, len(wants[id]))
			for i, e := range wants[id] {
				told[i] = e.Change
			}
			return fmt.Errorf("the feed tells of %s\n%s\nwant\n%s", id, showChanges(changes[id]), showChanges(told))
		}
	}
	return nil
}

// explains matches changes against expectations. It keeps the set of all
// positions in want that the changes so far can have led to.
func explains(got []perdure.Change, want []expected) bool {
	at := map[int]bool{0: true}
	skip := func() {
		for i := range want {
			if at[i] && want[i].maybe {
				at[i+1] = true
			}
		}
	}
	skip()
	for _, c := range got {
		reached := map[int]bool{}
		for i := range want {
			if at[i] && want[i].tells(c) {
				reached[i+1] = true
			}
		}
		at = reached
		skip()
	}
	return at[len(want)]
}
