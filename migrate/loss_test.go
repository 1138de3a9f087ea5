package migrate_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
	"github.com/perdure/perdure/migrate"
)

// losses are ways for a server to lose what it has acknowledged.
var losses = map[string]func(t *testing.T, s *redistest.Server){
	"restarted empty": func(t *testing.T, s *redistest.Server) { check(t, s.RestartEmpty(t.Context())) },
	"restarted older": func(t *testing.T, s *redistest.Server) { check(t, s.Kill(), s.Restart(t.Context())) },
	"flushed":         func(t *testing.T, s *redistest.Server) { command(t, s, "FLUSHALL") },
}

func check(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func command(t testing.TB, s *redistest.Server, args ...string) {
	t.Helper()
	if _, err := s.Do(args...); err != nil {
		t.Fatal(err)
	}
}

// losing is a server that loses data once, when a backend has been called so often.
type losing struct {
	*redistest.Server
	perdure.Backend
	lose func()
}

// eachLoss tests with a server that loses data in each of the ways.
func eachLoss(t *testing.T, test func(t *testing.T, l *losing)) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, redistest.Options{})
			b := opened(t)(redis.Open(t.Context(), redis.Options{URL: s.URL(), Timeout: patient}))
			var once atomic.Bool
			test(t, &losing{s, b, func() {
				if !once.Swap(true) {
					lose(t, s)
				}
			}})
			if !once.Load() {
				t.Error("nothing was lost")
			}
		})
	}
}

// snapshot is what a server that is restarted older has.
func (l *losing) snapshot(t testing.TB) { command(t, l.Server, "SAVE") }

func pages(size int) migrate.Reading { return migrate.Reading{BatchSize: size, Workers: 2} }

// TestTargetLosesDataMidway: a run that says it is done has all in the target.
func TestTargetLosesDataMidway(t *testing.T) {
	for name, at := range map[string]int64{"while pages are read": 200, "at the last page": 256} {
		t.Run(name, func(t *testing.T) {
			eachLoss(t, func(t *testing.T, to *losing) {
				source := memory(t)
				seed(t, source, 60)
				var scans atomic.Int64
				from := &faulty{Backend: source, scan: func(perdure.ScanQuery) error {
					switch scans.Add(1) {
					case 100:
						to.snapshot(t)
					case at:
						to.lose()
					}
					return nil
				}}
				run(t, from, to.Backend, migrate.Options{Reading: pages(1)})
				wantSame(t, source, to.Backend)
			})
		})
	}
}

// TestTargetLosesDataWhileCatchingUp: all pages were moved, and the last changes are
// looked for.
func TestTargetLosesDataWhileCatchingUp(t *testing.T) {
	eachLoss(t, func(t *testing.T, to *losing) {
		source := memory(t)
		seed(t, source, 30)
		to.snapshot(t)
		from := &busy{Backend: source, write: func() {}}
		from.write = func() {
			if from.looks.Load() == 2 { // the first is for where the feed begins
				to.lose()
			}
		}
		run(t, from, to.Backend, migrate.Options{})
		wantSame(t, source, to.Backend)
	})
}

// TestTargetLosesDataBetweenRuns: a checkpoint is about what answers, not about where.
func TestTargetLosesDataBetweenRuns(t *testing.T) {
	eachLoss(t, func(t *testing.T, to *losing) {
		source := memory(t)
		seed(t, source, 60)
		to.snapshot(t)
		o := migrate.Options{Reading: pages(5), Checkpoint: filepath.Join(t.TempDir(), "checkpoint")}
		interrupted(t, source, to.Backend, o, 200)
		to.lose()
		o.Resume = true
		run(t, source, to.Backend, o)
		wantSame(t, source, to.Backend)
	})
}

// TestTargetFileReplacedBetweenRuns: another file is at the same path.
func TestTargetFileReplacedBetweenRuns(t *testing.T) {
	source, dir := memory(t), t.TempDir()
	seed(t, source, 60)
	target := must[perdure.Backend](t)(openFile(filepath.Join(dir, "one")))
	o := migrate.Options{Reading: pages(5), Checkpoint: filepath.Join(dir, "checkpoint")}
	interrupted(t, source, target, o, 200)
	check(t, target.Close())
	o.Resume = true
	target = opened(t)(openFile(filepath.Join(dir, "two")))
	run(t, source, target, o)
	wantSame(t, source, target)
}

// TestTargetLosesDataInStep: the writers are told to start at a target that has all.
func TestTargetLosesDataInStep(t *testing.T) {
	eachLoss(t, func(t *testing.T, to *losing) {
		source := memory(t)
		sessions := seed(t, source, 60)
		g := &gate{Backend: source, to: to.Backend}
		f := startTraffic(t, g, 2, time.Millisecond)
		to.snapshot(t)
		g.ready = func(context.Context) error { to.lose(); f.runs(50); return nil }
		_, err := migrate.Live(t.Context(), source, to.Backend, g, migrate.Options{})
		f.runs(20)
		f.end()
		if err != nil || !g.moved {
			t.Fatalf("%v, moved %v", err, g.moved)
		}
		f.check(t, to.Backend)
		for _, id := range sessions.live {
			if ok, err := storeOn(t, to.Backend, perdure.Options{}).Exists(t.Context(), id); !ok || err != nil {
				t.Fatalf("%s is lost: %v", id, err)
			}
		}
	})
}

// TestTargetLosesDataAtTheCutOver: while writes are held, nothing is moved again: the
// writers stay.
func TestTargetLosesDataAtTheCutOver(t *testing.T) {
	eachLoss(t, func(t *testing.T, to *losing) {
		source := memory(t)
		seed(t, source, 60)
		to.snapshot(t)
		g := &gate{Backend: source, to: to.Backend, hold: to.lose}
		f := startTraffic(t, g, 2, time.Millisecond)
		_, err := migrate.Live(t.Context(), source, to.Backend, g, migrate.Options{})
		f.end()
		if err == nil || g.moved {
			t.Errorf("%v, moved %v", err, g.moved)
		}
		f.check(t, source)
	})
}

// TestSourceLosesData: what is not in the source any more, and was moved before, is no
// success: the stores differ. Moving the other way brings it back, and so does a way back.
func TestSourceLosesData(t *testing.T) {
	eachLoss(t, func(t *testing.T, from *losing) {
		target := memory(t)
		seed(t, from.Backend, 30)
		from.snapshot(t)
		for range 5 {
			must[perdure.Session](t)(storeOn(t, from.Backend, perdure.Options{}).Create(t.Context(), perdure.Data{UserID: "late"}))
		}
		var scans atomic.Int64
		source := &faulty{Backend: from.Backend, scan: func(perdure.ScanQuery) error {
			if scans.Add(1) == 250 {
				from.lose()
			}
			return nil
		}}
		o := migrate.Options{Reading: pages(5), Checkpoint: filepath.Join(t.TempDir(), "checkpoint")}
		o.Workers = 1 // the last parts are still to come
		_, err := migrate.Run(t.Context(), migrate.FromBackend(source), target, o)
		if _, differs := verify(t, from.Backend, target, migrate.VerifyOptions{}); differs != nil && !errors.Is(err, migrate.ErrDiffers) {
			t.Errorf("the stores differ, and it said %v", err)
		}
		if _, err := migrate.Live(t.Context(), from.Backend, target, nil, migrate.Options{Reverse: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := verify(t, from.Backend, target, migrate.VerifyOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// TestDeleteMigratedIntoALoss: nothing is taken out of the source that the target does not
// hold any more.
func TestDeleteMigratedIntoALoss(t *testing.T) {
	eachLoss(t, func(t *testing.T, to *losing) {
		source := memory(t)
		sessions := seed(t, source, 60)
		to.snapshot(t)
		var scans atomic.Int64
		from := &faulty{Backend: source, scan: func(perdure.ScanQuery) error {
			if scans.Add(1) == 200 {
				to.lose()
			}
			return nil
		}}
		result := run(t, from, to.Backend, migrate.Options{Reading: pages(5), DeleteMigrated: true})
		store := storeOn(t, to.Backend, perdure.Options{})
		for _, id := range sessions.live {
			if ok, err := store.Exists(t.Context(), id); !ok || err != nil {
				t.Fatalf("%s is lost: %v, %+v", id, err, result)
			}
		}
	})
}
