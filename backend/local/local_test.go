package local_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

func TestWrongOptionsAreNamed(t *testing.T) {
	for field, o := range map[string]local.Options{
		"Options.MaxBytes":     {MaxBytes: 1000},
		"Options.MaxEndBytes":  {MaxEndBytes: -1},
		"Options.MaxClockSkew": {MaxClockSkew: -1},
		"Options.FeedLength":   {FeedLength: -1},
		"Options.Timeout":      {Timeout: -1},
	} {
		_, err := local.Open(o)
		var invalid *perdure.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestWhatCannotBeStoredIsRefused(t *testing.T) {
	b := open(t, local.Options{})
	good := newSessions(1)[0]
	for what, spoil := range map[string]func(*perdure.Write){
		"an empty id":        func(w *perdure.Write) { w.Record.ID = "" },
		"a long id":          func(w *perdure.Write) { w.Record.ID = strings.Repeat("i", 129) },
		"a huge id":          func(w *perdure.Write) { w.Record.ID = strings.Repeat("i", 1<<20) },
		"a long parent":      func(w *perdure.Write) { w.Record.Parent = strings.Repeat("p", 129) },
		"a short user":       func(w *perdure.Write) { w.Record.User = "u" },
		"no kind":            func(w *perdure.Write) { w.Record.Kind = 0 },
		"an unknown kind":    func(w *perdure.Write) { w.Record.Kind = 4 },
		"a time below zero":  func(w *perdure.Write) { w.Record.Expiry = -1 },
		"a time too far off": func(w *perdure.Write) { w.Record.Horizon = 1 << 48 },
		"an alien epoch":     func(w *perdure.Write) { w.Record.Kind = perdure.KindEpoch },
		"nobody's epoch": func(w *perdure.Write) {
			w.Record.Kind, w.Record.User, w.Record.ID = perdure.KindEpoch, "", perdure.EpochID("")
		},
		"no operation":          func(w *perdure.Write) { w.Op = 0 },
		"an unknown operation":  func(w *perdure.Write) { w.Op = 9 },
		"a plant without an id": func(w *perdure.Write) { w.Op, w.Plant, w.Record.ID = perdure.OpRemove, true, "" },
	} {
		w := perdure.Write{Op: perdure.OpPut, Record: good}
		spoil(&w)
		wantInvalid(t, b, what, perdure.Batch{w})
	}
	put := perdure.Write{Op: perdure.OpPut, Record: good}
	touch := perdure.Write{Op: perdure.OpTouch, Record: good}
	elsewhere := put
	elsewhere.Record.ID = perdure.NewID(255 - perdure.PartitionOf(good.ID))
	wantInvalid(t, b, "an empty batch", nil)
	wantInvalid(t, b, "a batch over two partitions", perdure.Batch{put, elsewhere})
	wantInvalid(t, b, "a batch of a put and a touch", perdure.Batch{put, touch})
	if stats, err := b.Stats(t.Context()); err != nil || stats.Sessions+stats.Tombstones+stats.Bytes+stats.FeedLength != 0 {
		t.Errorf("what was refused has left %+v, %v", stats, err)
	}
}

func wantInvalid(t *testing.T, b perdure.Backend, what string, batch perdure.Batch) {
	t.Helper()
	results, err := b.Apply(t.Context(), []perdure.Batch{batch})
	if err != nil || !errors.Is(results[0].Err, perdure.ErrInvalid) || results[0].Outcome != 0 {
		t.Errorf("%s: %+v, %v", what, results, err)
	}
}

// A batch sees its own writes: a record that it puts twice, an epoch before a
// session, the end of a parent before its child.
func TestABatchSeesItsOwnWrites(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		b := open(t, local.Options{Dir: dir})
		r := newSessions(1)[0]
		next := r
		next.Version.Time++
		epoch := perdure.Record{ID: perdure.EpochID(r.User), Header: perdure.Header{
			Kind: perdure.KindEpoch, Version: next.Version, Born: next.Version, User: r.User, Horizon: r.Horizon,
		}}
		tomb, orphan := r, r
		tomb.ID, tomb.Kind = perdure.NewID(r.User.Partition()), perdure.KindTombstone
		orphan.ID, orphan.Parent = perdure.NewID(r.User.Partition()), tomb.ID
		of := func(records ...perdure.Record) (batch perdure.Batch) {
			for _, r := range records {
				batch = append(batch, perdure.Write{Op: perdure.OpPut, Record: r})
			}
			return batch
		}
		twice := of(r, next)
		twice[1].Base = r.Version
		results, err := b.Apply(t.Context(), []perdure.Batch{of(epoch, r), of(tomb, orphan), twice})
		if err != nil {
			t.Fatal(err)
		}
		if got := results[0]; got.Outcome != perdure.Conflict || got.Stored != epoch || got.Write != 1 {
			t.Errorf("an epoch and an older session: %+v", got)
		}
		if got := results[1]; got.Outcome != perdure.Conflict || got.Stored != tomb || got.Write != 1 {
			t.Errorf("a tombstone and its child: %+v", got)
		}
		if got := results[2]; got.Outcome != perdure.Applied {
			t.Errorf("a session, put twice: %+v", got)
		}
		if all := scanAll(t, b); len(all) != 1 || all[0] != next {
			t.Errorf("what is stored is %+v", all)
		}
	}
}

// A full backend takes no session, and still ends them.
func TestAFullBackendStillEndsSessions(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		b := open(t, local.Options{Dir: dir, MaxBytes: 1 << 20, Timeout: time.Minute})
		all := newSessions(5000)
		n := 0
		for ; ; n++ {
			results, err := b.Apply(t.Context(), []perdure.Batch{put(all[n], perdure.Version{})})
			if err != nil {
				t.Fatal(err)
			}
			if err := results[0].Err; err != nil {
				if !errors.Is(err, perdure.ErrFull) || !strings.Contains(err.Error(), "PERDURE_MAX_MEMORY") {
					t.Fatalf("a put into a full backend: %v", err)
				}
				break
			}
		}
		touch, smaller, larger := all[0], all[1], all[2]
		touch.LastAccess++
		smaller.Body, smaller.Version.Time = "s", smaller.Version.Time+1
		larger.Body, larger.Version.Time = strings.Repeat("l", 5000), larger.Version.Time+1
		plant := all[n]
		plant.Kind = perdure.KindTombstone
		results, err := b.Apply(t.Context(), []perdure.Batch{
			put(larger, all[2].Version), {{Op: perdure.OpTouch, Record: touch}}, put(smaller, all[1].Version),
			{{Op: perdure.OpRemove, Record: plant, Plant: true}}, {{Op: perdure.OpRemove, Record: all[3]}},
		})
		if err != nil || !errors.Is(results[0].Err, perdure.ErrFull) {
			t.Errorf("an update that grows: %+v, %v", results[0], err)
		}
		for i, want := range []perdure.Outcome{perdure.Applied, perdure.Applied, perdure.Absent, perdure.Applied} {
			if results[i+1].Outcome != want {
				t.Errorf("write %d to a full backend: %+v", i+1, results[i+1])
			}
		}
		if removed, err := b.RemoveUser(t.Context(), removalOf(all[4].User)); err != nil || len(removed.Removed) != 4 {
			t.Errorf("a removal in a full backend: %+v, %v", removed, err)
		}
		stats, err := b.Stats(t.Context())
		if err != nil || stats.Bytes > stats.MaxBytes || stats.Sessions != int64(n-5) {
			t.Errorf("%d sessions were stored, stats are %+v, %v", n, stats, err)
		}
		findings, err := b.Inspect(t.Context())
		if i := slices.IndexFunc(findings, func(f perdure.Finding) bool { return f.Name == "memory" }); err != nil || findings[i].Severity != perdure.SeverityWarning {
			t.Errorf("a full backend is inspected as %+v, %v", findings, err)
		}
	}
}

func removalOf(user perdure.UserKey) perdure.UserRemoval {
	v := perdure.NewClock(nil).Tick()
	return perdure.UserRemoval{Reason: perdure.ReasonUserRevoked, Epoch: perdure.Record{ID: perdure.EpochID(user), Header: perdure.Header{
		Kind: perdure.KindEpoch, Version: v, Born: v, User: user, Horizon: v.Millis() + 3600_000,
	}}}
}

// nextMonth is when all sessions that are made now, and what is left of them, are due.
func nextMonth() time.Time { return time.Now().AddDate(0, 1, 0) }

// When all sessions are gone, so are their bytes and indexes.
func TestNothingIsLeftBehind(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		b := open(t, local.Options{Dir: dir, Timeout: time.Minute, Now: nextMonth})
		all := newSessions(2000)
		for i := range all {
			if i%3 == 0 {
				all[i].ID = fmt.Sprintf("foreign-%032d", i)
			}
		}
		fill(t, b, all)
		for i, r := range all {
			if i%5 == 0 {
				if _, err := b.Apply(t.Context(), []perdure.Batch{{{Op: perdure.OpRemove, Record: r}}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, r := range all[:100] {
			if _, err := b.RemoveUser(t.Context(), removalOf(r.User)); err != nil {
				t.Fatal(err)
			}
		}
		expired := 0
		for more := true; more; {
			var n int
			var err error
			if n, more, err = b.Sweep(t.Context(), 1<<47, 100); err != nil {
				t.Fatal(err)
			}
			expired += n
		}
		stats, err := b.Stats(t.Context())
		if err != nil || stats.Sessions+stats.Tombstones+stats.Bytes != 0 || expired != 1600-80 {
			t.Errorf("%d expired, left is %+v, %v", expired, stats, err)
		}
		b.Close()
		if dir != "" {
			if all := scanAll(t, open(t, local.Options{Dir: dir})); len(all) > 0 {
				t.Errorf("the file still has %d records", len(all))
			}
		}
	}
}

// Writers of foreign ids, whose users lie in other partitions, meet removals,
// sweeps and listings: nobody waits for ever, and every session is in its
// user's list, or ended.
func TestForeignIDsInParallel(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		b := open(t, local.Options{Dir: dir, Timeout: time.Minute, Now: nextMonth})
		users := make([]perdure.UserKey, 8)
		for i := range users {
			users[i] = perdure.UserKeyFrom([16]byte(randomBytes(16)))
		}
		clock := perdure.NewClock(nil)
		var done sync.WaitGroup
		for g := range 8 {
			done.Go(func() {
				for i := range 100 {
					user := users[rand.IntN(len(users))]
					r := newSession(user, fmt.Sprintf("foreign-%d-%032d", g, i), clock, "body")
					act(t, b, user, r, clock)
				}
			})
		}
		done.Wait()
		listed := map[string]bool{}
		for _, user := range users {
			page, err := b.ListUser(t.Context(), user, "", 10_000)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Records {
				listed[r.ID] = true
			}
		}
		for _, r := range scanAll(t, b) {
			if r.Kind == perdure.KindSession && !listed[r.ID] {
				t.Errorf("%s is in no list", r.ID)
			}
			delete(listed, r.ID)
		}
		if len(listed) > 0 {
			t.Errorf("lists show what is not there: %v", listed)
		}
	}
}

// act stores a session and does something else, by chance.
func act(t *testing.T, b perdure.Backend, user perdure.UserKey, r perdure.Record, clock *perdure.Clock) {
	ctx := context.Background()
	var err error
	if _, err = b.Apply(ctx, []perdure.Batch{put(r, perdure.Version{})}); err == nil {
		switch rand.IntN(6) {
		case 0:
			_, err = b.RemoveUser(ctx, removalOf(user))
		case 1:
			_, _, err = b.Sweep(ctx, r.Expiry-1, 10)
		case 2:
			_, err = b.ListUser(ctx, user, "", 3)
		case 3:
			_, err = b.Apply(ctx, []perdure.Batch{{{Op: perdure.OpRemove, Record: r}}})
		case 4:
			next := r
			next.Version = clock.Tick()
			next.Expiry -= 3600_000
			_, err = b.Apply(ctx, []perdure.Batch{put(next, r.Version)})
		}
	}
	if err != nil {
		t.Error(err)
	}
}

func TestScanIsInOrder(t *testing.T) {
	b := open(t, local.Options{})
	all := newSessions(20_000)
	fill(t, b, all)
	for _, limit := range []int{1000, 77, 1 << 30} {
		var got []perdure.Record
		q := perdure.ScanQuery{Limit: limit}
		for {
			page, err := b.Scan(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, page.Records...); len(page.Records) > limit {
				t.Fatalf("a page of %d has %d records", limit, len(page.Records))
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		if len(got) != len(all) || !slices.IsSortedFunc(got, func(a, b perdure.Record) int { return strings.Compare(a.ID, b.ID) }) {
			t.Errorf("pages of %d: %d of %d records, or not in order", limit, len(got), len(all))
		}
	}
	for _, q := range []perdure.ScanQuery{{From: -1, To: 3}, {From: 0, To: 257}, {From: 5, To: 4}} {
		if _, err := b.Scan(t.Context(), q); !errors.Is(err, perdure.ErrInvalid) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestMemorySaysThatItForgets(t *testing.T) {
	findings, err := open(t, local.Options{}).Inspect(t.Context())
	if err != nil || len(findings) != 2 || findings[0].Severity != perdure.SeverityInfo || !strings.Contains(findings[0].Found, "end with the process") {
		t.Errorf("%+v, %v", findings, err)
	}
}

// After a restart a watcher learns that it has missed something.
func TestFeedCursorsEndWithTheProcess(t *testing.T) {
	o := local.Options{Dir: t.TempDir()}
	b := open(t, o)
	fill(t, b, newSessions(3))
	old, err := b.Changes(t.Context(), perdure.FromOldest, 2, 0)
	if err != nil || len(old.Changes) != 2 {
		t.Fatalf("%+v, %v", old, err)
	}
	b.Close()
	b = open(t, o)
	gap, err := b.Changes(t.Context(), old.Next, 2, time.Hour)
	if !errors.Is(err, perdure.ErrFeedGap) {
		t.Fatalf("%+v, %v", gap, err)
	}
	fill(t, b, newSessions(1))
	if next, err := b.Changes(t.Context(), gap.Next, 2, time.Hour); err != nil || len(next.Changes) != 1 {
		t.Errorf("%+v, %v", next, err)
	}
}

// With room of their own, the ends of sessions that are not stored here are taken by a
// full backend, and no session moves into it.
func TestAFullBackendHasRoomForEnds(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		b := open(t, local.Options{Dir: dir, MaxBytes: 64 << 10, MaxEndBytes: 64 << 10, Timeout: time.Minute})
		write := func(w perdure.Write) error {
			t.Helper()
			results, err := b.Apply(t.Context(), []perdure.Batch{{w}})
			if err != nil {
				t.Fatal(err)
			}
			return results[0].Err
		}
		all := newSessions(1000)
		for i := range all {
			all[i].Body = ""
		}
		n, ended := 0, 0
		for write(perdure.Write{Op: perdure.OpPut, Record: all[n]}) == nil {
			n++
		}
		for ; ended < 100; ended++ {
			if err := write(perdure.Write{Op: perdure.OpRemove, Record: all[n+ended], Plant: true}); err != nil {
				t.Fatalf("the end of session %d, with %d stored: %v", ended, n, err)
			}
		}
		if err := write(perdure.Write{Op: perdure.OpPut, Record: all[n+ended]}); !errors.Is(err, perdure.ErrFull) {
			t.Errorf("a session in the room for ends: %v", err)
		}
		for ; ended < 600; ended++ {
			if err := write(perdure.Write{Op: perdure.OpRemove, Record: all[n+ended], Plant: true}); err != nil {
				if !errors.Is(err, perdure.ErrFull) {
					t.Fatal(err)
				}
				break
			}
		}
		if stats, err := b.Stats(t.Context()); err != nil || ended == 600 || stats.Bytes > 128<<10 {
			t.Errorf("%d ends are taken, and stats are %+v, %v", ended, stats, err)
		}
	}
}
