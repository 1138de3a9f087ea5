package backendtest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/perdure/perdure"
)

func keepingLaws() []law {
	return []law{
		{"CountsWhatItHolds", countsWhatItHolds, nil},
		{"APingLeavesNothing", aPingLeavesNothing, nil},
		{"OneSpaceSeesNoOther", oneSpaceSeesNoOther, nil},
		{"InspectsWorstFirst", inspectsWorstFirst, nil},
		{"OneProcessSeesWhatAnotherWrote", oneProcessSeesWhatAnotherWrote, needsShared},
		{"OutlivesARestart", outlivesARestart, needsDurable},
		{"CursorsOutliveARestart", cursorsOutliveARestart, needsDurable},
		{"AFullStoreEvictsNothing", aFullStoreEvictsNothing, needsMaxBytes},
		{"LeavesWhatItCannotRead", leavesWhatItCannotRead, needsOverwrite},
	}
}

// wantStats fails unless the counts come to these, in a second or so.
func (r *rig) wantStats(sessions, tombstones int64) {
	r.t.Helper()
	r.eventually(func() error {
		got, err := r.b.Stats(r.ctx)
		if err != nil {
			return err
		}
		if got.Backend == "" {
			return fmt.Errorf("the backend has no name in Stats")
		}
		if got.Sessions != sessions || got.Tombstones != tombstones {
			return fmt.Errorf("the counts are %d sessions and %d tombstones, want %d and %d", got.Sessions, got.Tombstones, sessions, tombstones)
		}
		return nil
	})
}

func countsWhatItHolds(r *rig) {
	r = r.longAgo()
	r.wantStats(0, 0)
	u := r.user()
	all := append(r.sessions(u, 9), r.population(3, 3)...)
	r.wantStats(18, 0)
	for _, session := range all[:4] {
		r.applied(remove(session.ID, r.version(), perdure.ReasonLogout))
	}
	r.applied(put(buried(all[4], r.version(), perdure.ReasonMerged), all[4].Version))
	r.create(r.epoch(r.user(), r.version()))
	r.do(r.plant(r.id(u)))
	r.wantStats(13, 7)
	r.revoke(r.a, r.removal(u, perdure.Version{}))
	r.wantStats(9, 12)
	r.applied(put(r.changed(all[10]), all[10].Version))
	r.applied(touch(all[11].ID, all[11].LastAccess+1))
	r.wantStats(9, 12)
	r.drain(r.a, r.in(2*hour), 10)
	r.wantStats(0, 12)
}

func aPingLeavesNothing(r *rig) {
	w := r.watch(r.b)
	for i := range 3 {
		r.noError(r.either(i).Ping(r.ctx))
	}
	w.saw()
	r.wantSame("a scan", r.scan(r.b, perdure.ScanQuery{Limit: 10, Dead: true}), nil)
	r.wantStats(0, 0)
}

// oneSpaceSeesNoOther has a neighbour whose name begins with the whole of this
// one's.
func oneSpaceSeesNoOther(r *rig) {
	r = r.longAgo()
	o := r.opts
	o.Space, o.Dir = o.Space+"x", r.test.TempDir()
	neighbour := newRig(r.test, r.cfg, o).longAgo()
	u := r.user()
	w, theirs := r.watch(r.a), neighbour.watch(neighbour.a)
	mine := r.create(r.session(u))
	r.holds(mine)
	neighbour.holdsNothing(mine.ID)
	other := neighbour.create(neighbour.sessionAs(u, mine.ID))
	neighbour.create(neighbour.epoch(u, neighbour.version()))
	r.holds(mine)
	r.create(r.childOf(mine))
	neighbour.lists("the user's sessions", u, 10, []perdure.Record{other})
	r.wantSame("a scan", neighbour.scan(neighbour.b, perdure.ScanQuery{Limit: 10}), []perdure.Record{other})
	neighbour.drain(neighbour.a, r.in(2*hour), 10)
	r.holds(mine)
	r.wantStats(2, 0)
	neighbour.wantStats(0, 1)
	if n, m := len(w.read(10)), len(theirs.read(10)); n != 2 || m != 3 {
		r.t.Fatalf("the feeds of two spaces tell of %d and %d changes, want 2 and 3", n, m)
	}
}

func inspectsWorstFirst(r *rig) {
	inspector, ok := r.a.(perdure.Inspector)
	if !ok {
		r.t.Skip("the backend is no perdure.Inspector")
	}
	findings, err := inspector.Inspect(r.ctx)
	r.noError(err)
	for i, f := range findings {
		if f.Name == "" || i > 0 && f.Severity > findings[i-1].Severity {
			r.t.Fatalf("finding %d is without a name, or worse than the one before: %+v", i, findings)
		}
		if f.Severity > perdure.SeverityInfo && f.Advice == "" {
			r.t.Fatalf("a warning says what to do about it: %+v", f)
		}
	}
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	_, err = inspector.Inspect(ctx)
	r.wantError("Inspect with a cancelled context", err, context.Canceled)
	r.noError(r.a.Close())
	_, err = inspector.Inspect(r.ctx)
	r.wantError("Inspect of a closed backend", err, perdure.ErrClosed)
}

// oneProcessSeesWhatAnotherWrote has each process read before the other writes,
// so that a cache has something to be wrong with.
func oneProcessSeesWhatAnotherWrote(r *rig) {
	r = r.longAgo()
	u := r.user()
	stored := r.create(r.session(u))
	for i := range 20 {
		r.settles(stored)
		next := r.changed(stored)
		next.LastAccess++
		r.noError(mustApply(r, r.either(i), put(next, stored.Version)))
		stored = next
		r.noError(finds(r, r.either(i), stored.ID, stored)) // never behind a call of its own
		stored.LastAccess++
		r.noError(mustApply(r, r.either(i), touch(stored.ID, stored.LastAccess)))
		r.noError(finds(r, r.either(i), stored.ID, stored))
	}
	r.settles(stored)
	tomb := buried(stored, r.version(), perdure.ReasonLogout)
	r.noError(mustApply(r, r.b, remove(stored.ID, tomb.Version, tomb.Reason)))
	r.noError(finds(r, r.b, stored.ID, tomb))
	r.settles(tomb)
	other := r.create(r.session(u))
	r.settles(other)
	q := r.removal(u, perdure.Version{})
	r.revoke(r.b, q)
	r.noError(finds(r, r.b, other.ID, buried(other, q.Epoch.Version, q.Reason)))
	r.noError(finds(r, r.b, q.Epoch.ID, q.Epoch))
	r.settles(q.Epoch)
	r.settles(buried(other, q.Epoch.Version, q.Reason))
	last := r.create(r.session(u))
	r.settles(last)
	r.drain(r.b, r.in(2*hour), 10)
	r.noError(finds(r, r.b, last.ID, perdure.Record{}))
	r.settlesOn(last.ID, func(got perdure.Record) error {
		if got.Exists() {
			return fmt.Errorf("one process swept %s and another still sees it", show(got))
		}
		return nil
	})
}

// reopen closes both backends, restarts what lies under them, and opens them.
func (r *rig) reopen() {
	r.t.Helper()
	r.close()
	if r.cfg.Restart != nil {
		r.cfg.Restart(r.test, r.opts)
	}
	r.open()
}

func outlivesARestart(r *rig) {
	r = r.longAgo()
	u := r.user()
	live, dead := r.sessions(u, 10), r.population(2, 3)
	for i := range live {
		live[i].LastAccess++
		r.applied(touch(live[i].ID, live[i].LastAccess))
	}
	next := r.changed(live[0])
	r.applied(put(next, live[0].Version))
	live[0] = next
	for i, session := range dead {
		tomb := buried(session, r.version(), perdure.ReasonLogout)
		r.applied(remove(session.ID, tomb.Version, tomb.Reason))
		dead[i] = tomb
	}
	older := r.session(u)
	epoch := r.create(r.epoch(u, r.version()))
	dead = append(dead, epoch)
	swept := r.session(r.user())
	swept.Expiry = r.in(0) - 1
	r.create(swept)
	r.drain(r.a, r.in(0), 10)

	for range 2 {
		r.reopen()
		r.wantSame("a scan", r.scan(r.b, perdure.ScanQuery{Limit: 7, Dead: true}), append(dead, live...))
		r.lists("the user's sessions", u, 3, live)
		r.holds(live[0])
		r.conflicts(epoch, put(older, perdure.Version{}))
		r.conflicts(dead[0], put(r.changed(dead[0]), perdure.Version{}))
		r.conflicts(dead[0], put(r.childOf(dead[0]), perdure.Version{}))
		r.wantStats(int64(len(live)), int64(len(dead)))
	}
	w := r.watch(r.b)
	r.wantSwept(w, r.in(2*hour), live...)
}

func cursorsOutliveARestart(r *rig) {
	u := r.user()
	all := r.sessions(u, 10)
	w := r.watch(r.a)
	next := r.changed(all[9])
	r.applied(put(next, all[9].Version))
	want := []expected{change(perdure.Updated, 0, next)}
	all[9] = next
	scan, err := r.a.Scan(r.ctx, perdure.ScanQuery{Limit: 4})
	r.noError(err)
	list, err := r.a.ListUser(r.ctx, u, "", 4)
	r.noError(err)
	if scan.Next == "" || list.Next == "" {
		r.t.Fatalf("a first page of about 4 of %d records has no next", len(all))
	}
	r.reopen()
	r.pages(func(after string) (perdure.Page, error) {
		if after == "" {
			after = scan.Next
		}
		return r.a.Scan(r.ctx, perdure.ScanQuery{After: after, Limit: 4})
	}, func(page perdure.Page) { scan.Records = append(scan.Records, page.Records...) })
	r.wantSame("a scan that a restart interrupted", scan.Records, all)

	later := r.create(r.session(u))
	want = append(want, change(perdure.Created, 0, later))
	w.b = r.b
	batch, err := w.b.Changes(r.ctx, w.next, 100, 0)
	if errors.Is(err, perdure.ErrFeedGap) && len(batch.Changes) == 0 {
		return // a feed in memory: it says that it lost its past
	}
	r.noError(err)
	w.next = batch.Next
	r.noError(explain(append(batch.Changes, w.read(10)...), want))
}

// aFullStoreEvictsNothing fills the store to its bound: what was acknowledged
// stays, and can be touched, revoked and ended.
func aFullStoreEvictsNothing(r *rig) {
	u := r.user()
	var stored []perdure.Record
	var full error
	for written := int64(0); full == nil; {
		session := r.session(r.user())
		session.Body = strings.Repeat("x", 2000)
		result := r.apply(r.a, perdure.Batch{put(session, perdure.Version{})})[0]
		if full = result.Err; full == nil {
			stored = append(stored, session)
		}
		if written += int64(session.EncodedSize()); written > 4*r.cfg.MaxBytes {
			r.t.Fatalf("a store bounded to %d bytes has taken %d", r.cfg.MaxBytes, written)
		}
	}
	r.wantError("a put into a full store", full, perdure.ErrFull, perdure.ErrUnavailable)
	if len(stored) == 0 {
		r.t.Fatalf("a store bounded to %d bytes takes no session at all", r.cfg.MaxBytes)
	}
	r.wantSame("a scan of a full store", r.scan(r.b, perdure.ScanQuery{Limit: 100}), stored)
	for i := range stored {
		stored[i].LastAccess++
		r.applied(touch(stored[i].ID, stored[i].LastAccess))
	}
	last := len(stored) - 1
	q := r.removal(stored[last].User, perdure.Version{})
	r.revoke(r.a, q)
	r.ended(q, stored[last:])
	for _, session := range stored[:last] {
		tomb := buried(session, r.version(), perdure.ReasonLogout)
		r.applied(remove(session.ID, tomb.Version, tomb.Reason))
		r.holds(tomb)
	}
	r.holds(r.create(r.session(u)))
}

// leavesWhatItCannotRead puts a record of a newer format under an id.
func leavesWhatItCannotRead(r *rig) {
	session := r.create(r.session(r.user()))
	newer := session.Append(nil)
	newer[0] = 255
	r.cfg.Overwrite(r.test, r.opts, session.ID, string(newer))
	unreadable := func(b perdure.Backend) error {
		_, err := b.Get(r.ctx, session.ID)
		if !errors.Is(err, perdure.ErrFormat) {
			return fmt.Errorf("Get of a newer format returned the error %v, want ErrFormat", err)
		}
		return nil
	}
	check := func() {
		r.t.Helper()
		r.eventually(func() error { return errors.Join(unreadable(r.a), unreadable(r.b)) })
	}
	check()
	_, err := r.a.Load(r.ctx, []string{session.ID})
	r.wantError("Load of a newer format", err, perdure.ErrFormat)
	r.refused(perdure.ErrFormat, put(r.changed(session), perdure.Version{}))
	r.refused(perdure.ErrFormat, put(r.changed(session), session.Version))
	r.refused(perdure.ErrFormat, touch(session.ID, session.LastAccess+1))
	r.refused(perdure.ErrFormat, remove(session.ID, r.version(), perdure.ReasonLogout))
	check()
	r.cfg.Overwrite(r.test, r.opts, session.ID, string(session.Append(nil)))
	r.eventually(func() error { return finds(r, r.a, session.ID, session) })
}
