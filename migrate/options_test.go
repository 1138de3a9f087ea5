package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/migrate"
)

func TestSkipExisting(t *testing.T) {
	source, target := memory(t), memory(t)
	from, to := storeOn(t, source, perdure.Options{}), storeOn(t, target, perdure.Options{})
	var ids []string
	for range 3 {
		ids = append(ids, must[perdure.Session](t)(from.Create(t.Context(), perdure.Data{UserID: "u"})).ID)
	}
	run(t, source, target, migrate.Options{Reading: migrate.Reading{Filter: migrate.Filter{IDs: ids[:2]}}})
	must[bool](t)(to.Delete(t.Context(), ids[1]))
	ended := must[perdure.Session](t)(from.Create(t.Context(), perdure.Data{UserID: "u"})).ID
	must[bool](t)(from.Delete(t.Context(), ended))
	name := "new"
	must[perdure.Session](t)(from.Update(t.Context(), ids[0], perdure.Patch{Username: &name}))
	result := run(t, source, target, migrate.Options{SkipExisting: true})
	if result.Skipped != 2 || result.Migrated != 1 || result.Total != 3 || result.Tombstones != 1 {
		t.Errorf("%+v", result)
	}
	if got := must[perdure.Session](t)(to.Get(t.Context(), ids[0])); got.Username != "" {
		t.Errorf("a session that was there was changed: %+v", got)
	}
	if ok := must[bool](t)(to.Exists(t.Context(), ids[2])); !ok {
		t.Error("a session that was not there is missing")
	}
}

// TestDeleteMigrated: the source is left empty without a single tombstone, and
// everything can come back.
func TestDeleteMigrated(t *testing.T) {
	for name, open := range map[string]func(testing.TB) perdure.Backend{"memory": memory, "file": file} {
		t.Run(name, func(t *testing.T) {
			source, target := open(t), memory(t)
			sessions := seed(t, source, 60)
			before := records(t, source)
			tombstones := must[perdure.Stats](t)(source.Stats(t.Context())).Tombstones
			result := run(t, source, target, migrate.Options{DeleteMigrated: true})
			if result.Deleted != int64(len(sessions.live)) || result.Migrated != result.Deleted {
				t.Errorf("%d sessions: %+v", len(sessions.live), result)
			}
			stats := must[perdure.Stats](t)(source.Stats(t.Context()))
			if stats.Sessions != 0 || stats.Tombstones != tombstones {
				t.Errorf("the source still has %d sessions, and %d tombstones where it had %d", stats.Sessions, stats.Tombstones, tombstones)
			}
			// A second run finds no tombstones of what it moved, and does no harm.
			if again := run(t, source, target, migrate.Options{}); again.Total != 0 {
				t.Errorf("again: %+v", again)
			}
			run(t, target, source, migrate.Options{})
			if after := records(t, source); len(after) != len(before) {
				t.Errorf("%d records came back of %d", len(after), len(before))
			} else {
				for i := range after {
					if after[i] != before[i] {
						t.Errorf("%+v came back as %+v", before[i], after[i])
					}
				}
			}
		})
	}
}

// TestDeleteMigratedInPlace: where both addresses are one store, nobody is logged out.
func TestDeleteMigratedInPlace(t *testing.T) {
	source := memory(t)
	sessions := seed(t, source, 60)
	before := must[perdure.Stats](t)(source.Stats(t.Context())).Sessions
	alias := struct{ perdure.Backend }{source}
	_, err := migrate.Run(t.Context(), migrate.FromBackend(source), alias, migrate.Options{DeleteMigrated: true})
	if !errors.Is(err, perdure.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if stats := must[perdure.Stats](t)(source.Stats(t.Context())); stats.Sessions != before {
		t.Errorf("%d sessions are left of %d", stats.Sessions, before)
	}
	// Into a store that has them all already, they can be moved all the same.
	target := memory(t)
	run(t, source, target, migrate.Options{})
	if result := run(t, source, target, migrate.Options{DeleteMigrated: true}); result.Deleted != int64(len(sessions.live)) {
		t.Errorf("again: %+v", result)
	}
}

// TestDeleteMigratedSparesChanges: a session that changes while it is on its way
// is brought along as it is in the end.
func TestDeleteMigratedSparesChanges(t *testing.T) {
	source, target := memory(t), memory(t)
	from, to := storeOn(t, source, perdure.Options{}), storeOn(t, target, perdure.Options{})
	var ids []string
	for range 20 {
		ids = append(ids, must[perdure.Session](t)(from.Create(t.Context(), perdure.Data{UserID: "u"})).ID)
	}
	created := time.Now().UnixMilli()
	for time.Now().UnixMilli() <= created { // a touch is later than that
		runtime.Gosched()
	}
	var once atomic.Bool
	meddling := &faulty{Backend: target, apply: func(ctx context.Context, batches []perdure.Batch, next func(context.Context, []perdure.Batch) ([]perdure.Result, error)) ([]perdure.Result, error) {
		if results, err := next(ctx, batches); !once.CompareAndSwap(false, true) {
			return results, err
		} else {
			for i, id := range ids {
				name := "late"
				switch i % 3 {
				case 0:
					must[perdure.Session](t)(from.Update(ctx, id, perdure.Patch{Username: &name}))
				case 1:
					must[bool](t)(from.Delete(ctx, id))
				case 2:
					must[bool](t)(from.Touch(ctx, id))
				}
			}
			return results, err
		}
	}}
	run(t, source, meddling, migrate.Options{DeleteMigrated: true})
	for i, id := range ids {
		got, err := to.Get(t.Context(), id)
		switch i % 3 {
		case 0:
			if err != nil || got.Username != "late" {
				t.Errorf("updated meanwhile: %+v, %v", got, err)
			}
		case 1:
			if !errors.Is(err, perdure.ErrNotFound) {
				t.Errorf("logged out meanwhile: %+v, %v", got, err)
			}
		case 2:
			if err != nil || got.LastAccessedAt.UnixMilli() <= created {
				t.Errorf("touched meanwhile: %+v, %v", got, err)
			}
		}
		if ok := must[bool](t)(from.Exists(t.Context(), id)); ok {
			t.Errorf("%s is still in the source", id)
		}
	}
}

func TestFilter(t *testing.T) {
	source := memory(t)
	from := storeOn(t, source, perdure.Options{})
	var sessions []perdure.Session
	for i := range 4 {
		sessions = append(sessions, must[perdure.Session](t)(from.Create(t.Context(), perdure.Data{UserID: fmt.Sprint("user", i%2)})))
		for time.Now().UnixMilli() <= sessions[i].CreatedAt.UnixMilli()+1 { // of another age
			time.Now()
		}
	}
	ended := must[perdure.Session](t)(from.Create(t.Context(), perdure.Data{UserID: "user0"})).ID
	must[bool](t)(from.Delete(t.Context(), ended))
	for name, c := range map[string]struct {
		filter     migrate.Filter
		want       []int
		tombstones int64
	}{
		"all":    {migrate.Filter{}, []int{0, 1, 2, 3}, 1},
		"user":   {migrate.Filter{Users: []perdure.UserKey{perdure.HashUser("user1")}}, []int{1, 3}, 0},
		"ids":    {migrate.Filter{IDs: []string{sessions[2].ID, ended}}, []int{2}, 1},
		"after":  {migrate.Filter{CreatedAfter: sessions[1].CreatedAt}, []int{2, 3}, 1},
		"before": {migrate.Filter{CreatedBefore: sessions[1].CreatedAt}, []int{0}, 1},
		"both":   {migrate.Filter{CreatedAfter: sessions[0].CreatedAt, Users: []perdure.UserKey{perdure.HashUser("user0")}}, []int{2}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			target := memory(t)
			reading := migrate.Reading{Filter: c.filter}
			result := run(t, source, target, migrate.Options{Reading: reading})
			if result.Total != int64(len(c.want)) || result.Tombstones != c.tombstones {
				t.Errorf("%+v", result)
			}
			to := storeOn(t, target, perdure.Options{})
			for _, i := range c.want {
				if ok := must[bool](t)(to.Exists(t.Context(), sessions[i].ID)); !ok {
					t.Errorf("session %d is missing", i)
				}
			}
			plan, err := migrate.NewPlan(t.Context(), migrate.FromBackend(source), target, migrate.Options{Reading: reading})
			if err != nil || plan.Sessions != result.Total || plan.Held != result.Total || plan.Tombstones != result.Tombstones || plan.Bytes != result.Bytes {
				t.Errorf("planned %+v, %v", plan, err)
			}
			if _, err := verify(t, source, target, migrate.VerifyOptions{Reading: reading}); err != nil {
				t.Error(err)
			}
		})
	}
}

// refusing is a target that does not take some sessions.
func refusing(b perdure.Backend, refuse map[string]bool) perdure.Backend {
	return &faulty{Backend: b, apply: func(ctx context.Context, batches []perdure.Batch, next func(context.Context, []perdure.Batch) ([]perdure.Result, error)) ([]perdure.Result, error) {
		results, err := next(ctx, batches)
		for i := range results {
			if refuse[batches[i][0].Record.ID] {
				results[i] = perdure.Result{Err: fmt.Errorf("%w: \x1b[2J", perdure.ErrSkew)}
			}
		}
		return results, err
	}}
}

func TestContinueOnError(t *testing.T) {
	source := memory(t)
	sessions := seed(t, source, 50)
	bad := map[string]bool{}
	for _, id := range sessions.live[:5] {
		bad[id] = true
	}
	result, err := migrate.Run(t.Context(), migrate.FromBackend(source), refusing(memory(t), bad), migrate.Options{})
	if !errors.Is(err, perdure.ErrSkew) || !bad[strings.TrimSuffix(strings.Fields(err.Error())[1], ":")] {
		t.Errorf("it goes on: %v, %+v", err, result)
	}
	result, err = migrate.Run(t.Context(), migrate.FromBackend(source), refusing(memory(t), bad), migrate.Options{
		ContinueOnError: true, Reading: migrate.Reading{MaxErrors: 3},
	})
	if !errors.Is(err, migrate.ErrIncomplete) || result.Failed != 5 || result.Migrated != int64(len(sessions.live)-5) || len(result.Errors) != 3 {
		t.Errorf("%v, %+v", err, result)
	}
	for _, e := range result.Errors {
		if !bad[e.ID] || strings.Contains(e.Reason, "\x1b") {
			t.Errorf("%+v", e)
		}
	}
}

// TestUnavailable: a store that is away for a moment is waited for; one that
// stays away ends the run, whatever the options say.
func TestUnavailable(t *testing.T) {
	source, target := memory(t), memory(t)
	seed(t, source, 30)
	var failures atomic.Int64
	failures.Store(4)
	down := func() error {
		if failures.Add(-1) >= 0 {
			return perdure.ErrUnavailable
		}
		return nil
	}
	away := &faulty{Backend: target, apply: func(ctx context.Context, batches []perdure.Batch, next func(context.Context, []perdure.Batch) ([]perdure.Result, error)) ([]perdure.Result, error) {
		if err := down(); err != nil {
			return nil, err
		}
		return next(ctx, batches)
	}}
	var waited atomic.Bool
	run(t, &faulty{Backend: source, scan: func(perdure.ScanQuery) error { return down() }}, away, migrate.Options{Reading: migrate.Reading{
		ProgressInterval: time.Millisecond,
		Progress: func(p migrate.Progress) {
			if errors.Is(p.Waiting, perdure.ErrUnavailable) {
				waited.Store(true)
			}
		},
	}})
	if !waited.Load() {
		t.Error("nobody was told that it waits")
	}
	wantSame(t, source, target)
	failures.Store(1 << 40)
	result, err := migrate.Run(t.Context(), migrate.FromBackend(source), away, migrate.Options{ContinueOnError: true, Reading: migrate.Reading{Patience: time.Millisecond}})
	if !errors.Is(err, perdure.ErrUnavailable) || errors.Is(err, migrate.ErrIncomplete) || result.Failed != 0 {
		t.Errorf("%v, %+v", err, result)
	}
}

func TestProgress(t *testing.T) {
	source, target := memory(t), memory(t)
	sessions := seed(t, source, 100)
	var last migrate.Progress
	var busy atomic.Bool
	result := run(t, source, target, migrate.Options{Reading: migrate.Reading{ProgressInterval: time.Microsecond, BatchSize: 1, Progress: func(p migrate.Progress) {
		if !busy.CompareAndSwap(false, true) {
			t.Error("told twice at a time")
		}
		if p.Result.Migrated < last.Result.Migrated {
			t.Errorf("went back from %d to %d", last.Result.Migrated, p.Result.Migrated)
		}
		last = p
		busy.Store(false)
	}}})
	if last.Result.Migrated != int64(len(sessions.live)) || last.Result.Migrated != result.Migrated {
		t.Errorf("at the end: %+v", last)
	}
}

// TestNothingKeepsRunning: whatever way an operation ends, its goroutines end with
// it.
func TestNothingKeepsRunning(t *testing.T) {
	source, target := memory(t), memory(t)
	seed(t, source, 60)
	before := goleak.IgnoreCurrent()
	o := migrate.Options{Reading: migrate.Reading{ProgressInterval: time.Millisecond, Progress: func(migrate.Progress) {}, BatchSize: 3}}
	run(t, source, target, o)
	if _, err := verify(t, source, target, migrate.VerifyOptions{Reading: o.Reading}); err != nil {
		t.Error(err)
	}
	if _, err := migrate.NewPlan(t.Context(), migrate.FromBackend(source), target, o); err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	for _, g := range []*gate{{Backend: source, to: target}, {Backend: source, to: target, refuse: broken}} {
		if _, err := migrate.Live(t.Context(), source, target, g, o); !errors.Is(err, g.refuse) {
			t.Error(err)
		}
	}
	o.Checkpoint = filepath.Join(t.TempDir(), "checkpoint")
	interrupted(t, source, target, o, 100)
	bad := &faulty{Backend: source, scan: func(perdure.ScanQuery) error { return broken }}
	if _, err := migrate.Run(t.Context(), migrate.FromBackend(bad), target, migrate.Options{}); !errors.Is(err, broken) {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
}

func TestWrongOptions(t *testing.T) {
	source, target := memory(t), memory(t)
	for field, o := range map[string]migrate.Options{
		"BatchSize": {Reading: migrate.Reading{BatchSize: 5001}}, "Workers": {Reading: migrate.Reading{Workers: -1}},
		"Rate": {Rate: -1}, "Timeout": {Reading: migrate.Reading{Patience: -1}}, "MaxErrors": {Reading: migrate.Reading{MaxErrors: -1}},
		"Resume": {Resume: true}, "id": {Reading: migrate.Reading{Filter: migrate.Filter{IDs: []string{"x"}}}},
	} {
		var invalid *perdure.InvalidError
		if _, err := migrate.Run(t.Context(), migrate.FromBackend(source), target, o); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
		if _, err := migrate.NewPlan(t.Context(), migrate.FromBackend(source), target, o); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", field, err)
		}
	}
	for field, o := range map[string]migrate.Options{"SkipExisting": {SkipExisting: true}, "DeleteMigrated": {DeleteMigrated: true}} {
		var invalid *perdure.InvalidError
		if _, err := migrate.Live(t.Context(), source, target, nil, o); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
