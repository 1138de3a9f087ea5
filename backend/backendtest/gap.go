package backendtest

import (
	"errors"

	"github.com/perdure/perdure"
)

// feedTellsOfAGap writes until the feed has dropped changes after a cursor, and
// watches that it is told of rather than passed over.
func feedTellsOfAGap(r *rig) {
	session := r.create(r.session(r.user()))
	w := r.watch(r.b)
	start := w.next
	bump := func() {
		session.LastAccess++
		r.applied(touch(session.ID, session.LastAccess))
	}
	written := 0
	var batch perdure.ChangeBatch
	var err error
	for err == nil {
		for range max(r.cfg.FeedLength/4, 1) {
			bump()
			written++
		}
		if written > 1000*r.cfg.FeedLength {
			r.t.Fatalf("a feed of about %d changes still holds %d", r.cfg.FeedLength, written)
		}
		r.countFrom(start, written)
		batch, err = r.b.Changes(r.ctx, start, 1, 0)
	}
	r.wantError("Changes after what the feed has dropped", err, perdure.ErrFeedGap)
	if len(batch.Changes) > 0 {
		r.t.Fatalf("a batch with a gap has changes:\n%s", showChanges(batch.Changes))
	}
	w.next = batch.Next
	w.saw()
	bump()
	w.saw(change(perdure.Touched, 0, session))
	oldest := &watch{r: r, b: r.a, next: perdure.FromOldest}
	if held := len(oldest.read(100)); held < min(r.cfg.FeedLength, written)/2 {
		r.t.Fatalf("a feed of about %d changes holds %d after %d", r.cfg.FeedLength, held, written)
	}
	oldest.saw()
}

// countFrom fails where the feed gives neither all changes after a cursor nor a
// gap.
func (r *rig) countFrom(cursor string, want int) {
	r.t.Helper()
	got := 0
	for {
		batch, err := r.b.Changes(r.ctx, cursor, 1000, 0)
		if errors.Is(err, perdure.ErrFeedGap) {
			return
		}
		r.noError(err)
		got += len(batch.Changes)
		cursor = batch.Next
		if len(batch.Changes) == 0 {
			break
		}
	}
	if got != want {
		r.t.Fatalf("the feed passes over changes: it gives %d of %d, and tells of no gap", got, want)
	}
}

func feedTellsOfAStoreThatForgot(r *rig) {
	r.population(2, 5)
	w := r.watch(r.b)
	r.population(2, 5)
	r.cfg.Lose(r.test, r.opts)
	batch, err := r.b.Changes(r.ctx, w.next, 10, 0)
	r.wantError("Changes of a store that lost its data", err, perdure.ErrFeedGap)
	if len(batch.Changes) > 0 {
		r.t.Fatalf("a batch with a gap has changes:\n%s", showChanges(batch.Changes))
	}
	w.next = batch.Next
	w.saw()
	session := r.create(r.session(r.user()))
	w.saw(change(perdure.Created, 0, session))
}
