package backendtest

import (
	"fmt"
	"slices"

	"github.com/perdure/perdure"
)

func batchLaws() []law {
	return []law{
		{"ARotationIsOneStep", aRotationIsOneStep, nil},
		{"IsAppliedTogetherOrNotAtAll", isAppliedTogetherOrNotAtAll, nil},
		{"WithOneSkewedVersionIsRefused", withOneSkewedVersionIsRefused, nil},
		{"OfManyIsOneStepToo", ofManyIsOneStepToo, nil},
		{"ResultsAreAligned", resultsAreAligned, nil},
		{"NamesTheWriteThatMetARecord", namesTheWriteThatMetARecord, nil},
		{"LoadIsAligned", loadIsAligned, nil},
		{"TakesManyAtOnce", takesManyAtOnce, nil},
		{"OfNothingIsNothing", ofNothingIsNothing, nil},
	}
}

// rotation is the batch that replaces parent by child, which is in the parent's
// partition.
func (r *rig) rotation(parent perdure.Record) (batch perdure.Batch, tomb, child perdure.Record) {
	tomb = buried(parent, r.version(), perdure.ReasonRotated)
	child = r.childOf(parent)
	child.ID = perdure.NewID(perdure.PartitionOf(parent.ID))
	tomb.Body = child.ID
	batch = perdure.Batch{put(tomb, parent.Version), put(child, perdure.Version{})}
	batch[1].Reason = perdure.ReasonRotated
	return batch, tomb, child
}

func aRotationIsOneStep(r *rig) {
	u := r.user()
	parents := []perdure.Record{r.create(r.session(u)), r.create(r.sessionAs(u, r.alien(u)))}
	epoch := r.create(r.epoch(u, r.version()))
	for _, parent := range parents {
		batch, tomb, child := r.rotation(parent)
		r.conflicts(epoch, batch...)
		r.holds(parent)
		r.holdsNothing(child.ID)
		batch[1].Epoch = epoch.Version
		r.applied(batch...)
		r.holds(tomb)
		r.holds(child)
		if again := r.do(batch...); again.Outcome != perdure.Conflict {
			r.t.Fatalf("a rotation of what was rotated: %s, want Conflict", showResult(again))
		}
		r.applied(remove(child.ID, r.version(), perdure.ReasonLogout))
	}
	r.lists("the user's sessions", u, 10, nil)
}

func isAppliedTogetherOrNotAtAll(r *rig) {
	u := r.user()
	parent := r.create(r.session(u))
	batch, _, child := r.rotation(parent)
	moved := r.changed(parent)
	r.applied(put(moved, parent.Version))
	r.conflicts(moved, batch...)
	r.holds(moved)
	r.holdsNothing(child.ID)

	batch, tomb, child := r.rotation(moved)
	taken := r.create(child)
	r.conflicts(taken, batch...)
	slices.Reverse(batch)
	r.conflicts(taken, batch...)
	r.holds(moved)
	r.holds(taken)

	gone := r.id(u)
	batch = perdure.Batch{put(tomb, moved.Version), put(r.sessionAs(u, gone), r.version())}
	r.conflicts(perdure.Record{}, batch...)
	r.holds(moved)
	r.holdsNothing(gone)
	r.lists("the user's sessions", u, 10, []perdure.Record{moved, taken})
}

func withOneSkewedVersionIsRefused(r *rig) {
	u := r.user()
	for at := range 3 {
		var batch perdure.Batch
		for i := range 3 {
			session := r.session(u)
			if i == at {
				session.Version = r.beyond(r.skew() + 3600_000)
			}
			batch = append(batch, put(session, perdure.Version{}))
		}
		r.refused(perdure.ErrSkew, batch...)
	}
	r.lists("the user's sessions", u, 10, nil)
}

func ofManyIsOneStepToo(r *rig) {
	u := r.user()
	taken := r.create(r.session(u))
	var batch perdure.Batch
	var all []perdure.Record
	for range r.size(128) {
		session := r.session(u)
		all = append(all, session)
		batch = append(batch, put(session, perdure.Version{}))
	}
	r.conflicts(taken, append(slices.Clone(batch), put(r.changed(taken), perdure.Version{}))...)
	r.lists("the user's sessions", u, 50, []perdure.Record{taken})
	w := r.watch(r.b)
	r.applied(batch...)
	r.lists("the user's sessions", u, 50, append(all, taken))
	var want []expected
	for _, session := range all {
		want = append(want, change(perdure.Created, 0, session))
	}
	w.saw(want...)
}

func resultsAreAligned(r *rig) {
	var batches []perdure.Batch
	var check []func(perdure.Result) error
	add := func(what string, w perdure.Write, outcome perdure.Outcome, stored perdure.Record) {
		batches = append(batches, perdure.Batch{w})
		check = append(check, func(got perdure.Result) error {
			if got.Outcome != outcome || stored.Exists() && got.Stored != stored || got.Err != nil {
				return fmt.Errorf("%s: %s, want %s with %s", what, showResult(got), showOutcome(outcome), show(stored))
			}
			return nil
		})
	}
	for range r.size(20) {
		u := r.user()
		old, gone := r.create(r.session(u)), r.create(r.session(u))
		v := r.version()
		r.applied(remove(gone.ID, v, perdure.ReasonLogout))
		tomb := buried(gone, v, perdure.ReasonLogout)
		add("create", put(r.session(u), perdure.Version{}), perdure.Applied, perdure.Record{})
		add("put on a wrong base", put(r.changed(old), perdure.Version{}), perdure.Conflict, old)
		add("touch of a tombstone", touch(gone.ID, r.in(0)), perdure.Absent, tomb)
		add("touch of nothing", touch(r.id(u), r.in(0)), perdure.Absent, perdure.Record{})
		add("removal", remove(r.create(r.session(u)).ID, r.version(), perdure.ReasonLogout), perdure.Applied, perdure.Record{})
		skewed := r.session(u)
		skewed.Version = r.beyond(r.skew() + 3600_000)
		batches = append(batches, perdure.Batch{put(skewed, perdure.Version{})})
		check = append(check, func(got perdure.Result) error {
			if got.Err == nil || got.Outcome != 0 {
				return fmt.Errorf("a version too far ahead: %s", showResult(got))
			}
			return nil
		})
	}
	for i, got := range r.apply(r.a, batches...) {
		if err := check[i](got); err != nil {
			r.t.Fatalf("result %d of %d: %v", i, len(batches), err)
		}
	}
}

func namesTheWriteThatMetARecord(r *rig) {
	u := r.user()
	taken := r.create(r.session(u))
	for at := range 4 {
		var batch perdure.Batch
		for range 4 {
			batch = append(batch, put(r.session(u), perdure.Version{}))
		}
		batch[at].Record = r.changed(taken)
		if got := r.conflicts(taken, batch...); got.Write != at {
			r.t.Fatalf("write %d of a batch met a record; Write says %d", at, got.Write)
		}
	}
}

func loadIsAligned(r *rig) {
	var ids []string
	want := map[string]perdure.Record{}
	for i := range r.size(40) {
		u := r.user()
		session := r.session(u)
		if i%3 == 0 {
			session = r.sessionAs(u, r.alien(u))
		}
		r.create(session)
		want[session.ID] = session
		if i%4 == 0 {
			v := r.version()
			r.applied(remove(session.ID, v, perdure.ReasonLogout))
			want[session.ID] = buried(session, v, perdure.ReasonLogout)
		}
		epoch := r.create(r.epoch(u, r.version()))
		want[epoch.ID] = epoch
		ids = append(ids, session.ID, r.id(u), session.ID, epoch.ID, r.alien(u))
	}
	ids = append(ids, ids[0], ids[1])
	for _, b := range []perdure.Backend{r.a, r.b, r.a} {
		got, err := b.Load(r.ctx, ids)
		r.noError(err)
		if len(got) != len(ids) {
			r.t.Fatalf("Load of %d ids returned %d records", len(ids), len(got))
		}
		for i, id := range ids {
			if got[i] != want[id] {
				r.t.Fatalf("Load, record %d of %d:\n%s", i, len(ids), diff(got[i], want[id]))
			}
		}
	}
}

func takesManyAtOnce(r *rig) {
	n := r.size(1000)
	users := []perdure.UserKey{r.user(), r.user(), r.user(), r.user(), r.user()}
	batches := make([]perdure.Batch, n)
	ids := make([]string, n)
	for i := range n {
		session := r.session(users[i%len(users)])
		session.Body = fmt.Sprint(i)
		batches[i] = perdure.Batch{put(session, perdure.Version{})}
		ids[i] = session.ID
	}
	for i, result := range r.apply(r.a, batches...) {
		if result.Outcome != perdure.Applied {
			r.t.Fatalf("batch %d of %d: %s", i, n, showResult(result))
		}
	}
	got, err := r.b.Load(r.ctx, ids)
	r.noError(err)
	for i, record := range got {
		if record != batches[i][0].Record {
			r.t.Fatalf("record %d of %d:\n%s", i, n, diff(record, batches[i][0].Record))
		}
	}
}

func ofNothingIsNothing(r *rig) {
	for _, batches := range [][]perdure.Batch{nil, {}} {
		if results, err := r.a.Apply(r.ctx, batches); err != nil || len(results) > 0 {
			r.t.Fatalf("Apply of no batches returned %d results and the error %v", len(results), err)
		}
	}
	for _, ids := range [][]string{nil, {}} {
		if records, err := r.a.Load(r.ctx, ids); err != nil || len(records) > 0 {
			r.t.Fatalf("Load of no ids returned %d records and the error %v", len(records), err)
		}
	}
	r.lists("an unknown user's sessions", r.user(), 10, nil)
	r.wantSame("a scan of nothing", r.scan(r.a, perdure.ScanQuery{Limit: 10, Dead: true}), nil)
	if n := r.drain(r.a, perdure.MaxMillis, 10); n != 0 {
		r.t.Fatalf("a sweep of nothing expired %d sessions", n)
	}
}
