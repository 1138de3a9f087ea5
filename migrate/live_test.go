package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
	"github.com/perdure/perdure/migrate"
)

// gate is a backend that is moved from one to another while it is in use.
type gate struct {
	perdure.Backend // where calls go
	to              perdure.Backend
	mu              sync.RWMutex
	ready           func(ctx context.Context) error
	refuse          error // of Hold
	hold            func()
	held, moved     bool
}

func (g *gate) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.Backend.Apply(ctx, batches)
}

func (g *gate) Get(ctx context.Context, id string) (perdure.Record, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.Backend.Get(ctx, id)
}

func (g *gate) RemoveUser(ctx context.Context, r perdure.UserRemoval) (perdure.UserRemoved, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.Backend.RemoveUser(ctx, r)
}

func (g *gate) Ready(ctx context.Context) error {
	if g.ready == nil {
		return nil
	}
	return g.ready(ctx)
}

func (g *gate) Hold(context.Context) error {
	g.mu.Lock()
	g.held = true
	if g.hold != nil {
		g.hold()
	}
	return g.refuse
}

func (g *gate) Release(moved bool) {
	if g.moved = moved; moved {
		g.Backend = g.to
	}
	g.mu.Unlock()
}

// traffic is what services do with sessions, and what they were told.
type traffic struct {
	store *perdure.Store
	stop  atomic.Bool
	ops   atomic.Int64
	done  chan struct{} // an operation, where somebody waits for one
	group sync.WaitGroup
	mu    sync.Mutex
	live  map[string]perdure.Session
	ended map[string]bool
}

func startTraffic(t *testing.T, b perdure.Backend, workers int, each time.Duration) *traffic {
	f := &traffic{store: storeOn(t, b, perdure.Options{}), done: make(chan struct{}), live: map[string]perdure.Session{}, ended: map[string]bool{}}
	for w := range workers {
		f.group.Go(func() {
			user := fmt.Sprint("traffic", w)
			mine := map[string]perdure.Session{}
			for i := 0; !f.stop.Load(); i++ {
				f.one(t, user, mine)
				f.ops.Add(1)
				select {
				case f.done <- struct{}{}:
				default:
				}
				if each > 0 {
					time.Sleep(each) // a load, not a wait
				}
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			for id, s := range mine {
				f.live[id] = s
			}
		})
	}
	return f
}

// one does one thing, with a session of the worker's own.
func (f *traffic) one(t *testing.T, user string, mine map[string]perdure.Session) {
	ctx := context.Background()
	var s perdure.Session
	for _, s = range mine {
		break
	}
	end := func(ids ...string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, id := range ids {
			f.ended[id] = true
			delete(mine, id)
		}
	}
	var err error
	switch n := rand.IntN(100); {
	case len(mine) == 0 || n < 25:
		s, err = f.store.Create(ctx, perdure.Data{UserID: user})
		mine[s.ID] = s
	case n < 60:
		var ok bool
		if ok, err = f.store.Touch(ctx, s.ID); err == nil && !ok {
			err = perdure.ErrNotFound
		}
		if got, bad := f.store.Get(ctx, s.ID); err == nil {
			mine[s.ID], err = got, bad
		}
	case n < 80:
		s, err = f.store.Update(ctx, s.ID, perdure.Patch{Metadata: map[string]any{"n": rand.Int()}})
		mine[s.ID] = s
	case n < 90:
		_, err = f.store.Delete(ctx, s.ID)
		end(s.ID)
	case n < 98:
		old := s.ID
		s, err = f.store.Rotate(ctx, s.ID, 0)
		end(old)
		mine[s.ID] = s
	default:
		_, err = f.store.RevokeUser(ctx, user)
		var ids []string
		for id := range mine {
			ids = append(ids, id)
		}
		end(ids...)
	}
	if err != nil {
		t.Errorf("a caller was told %v", err)
	}
}

// runs waits for so many more operations.
func (f *traffic) runs(n int) {
	for range n {
		<-f.done
	}
}

func (f *traffic) end() {
	f.stop.Store(true)
	f.group.Wait()
}

// check compares what callers were told with what a backend holds.
func (f *traffic) check(t *testing.T, b perdure.Backend) (lost, resurrected int) {
	t.Helper()
	store := storeOn(t, b, perdure.Options{})
	for id, want := range f.live {
		got, err := store.Get(t.Context(), id)
		if err != nil || got.Version != want.Version || got.LastAccessedAt.Before(want.LastAccessedAt) || !got.CreatedAt.Equal(want.CreatedAt) {
			lost++
			t.Errorf("callers hold %+v\nthere is %+v, %v", want, got, err)
		}
	}
	for id := range f.ended {
		if ok, err := store.Exists(t.Context(), id); ok || err != nil {
			resurrected++
			t.Errorf("%s is alive again: %v", id, err)
		}
	}
	return lost, resurrected
}

// TestLive moves sessions under traffic and cuts over: no call fails, nothing is
// lost and nothing comes back.
func TestLive(t *testing.T) {
	one, two := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	for name, c := range map[string]struct {
		source, target func(testing.TB) perdure.Backend
	}{
		"memory to memory": {memory, memory},
		"redis to redis": {func(t testing.TB) perdure.Backend { return onRedis(t, one.URL()) },
			func(t testing.TB) perdure.Backend { return onRedis(t, two.URL()) }},
		"redis to file": {func(t testing.TB) perdure.Backend { return onRedis(t, one.URL()) }, file},
	} {
		t.Run(name, func(t *testing.T) {
			source, target := c.source(t), c.target(t)
			sessions := seed(t, source, 200)
			g := &gate{Backend: source, to: target}
			f := startTraffic(t, g, 4, time.Millisecond)
			g.ready = func(context.Context) error { f.runs(200); return nil }
			f.runs(200)
			result, err := migrate.Live(t.Context(), source, target, g, migrate.Options{Reading: migrate.Reading{BatchSize: 50, Workers: 2}})
			if err != nil || !g.moved || result.Back == "" || result.Rounds == 0 {
				t.Fatalf("%+v, %v", result, err)
			}
			f.runs(200)
			f.end()
			f.check(t, target)
			for _, id := range sessions.live {
				if ok, err := storeOn(t, target, perdure.Options{}).Exists(t.Context(), id); !ok || err != nil {
					t.Errorf("%s is lost: %v", id, err)
				}
			}
			t.Logf("%d operations, writes held for %v, %d rounds", f.ops.Load(), result.Pause, result.Rounds)
			wayBack(t, f, target, source, result.Back)
		})
	}
}

// wayBack brings the source into step again with what the target has taken.
func wayBack(t *testing.T, f *traffic, target, source perdure.Backend, cursor string) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what is there, and no more
	next, err := migrate.Follow(ctx, target, source, cursor, migrate.Options{})
	if err != nil || next == cursor {
		t.Errorf("%v", err)
	}
	f.check(t, source)
}

// TestFollow keeps a stand-by in step, both ways at once, without going round in
// circles.
func TestFollow(t *testing.T) {
	a, b := memory(t), memory(t)
	f := startTraffic(t, a, 2, time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for _, way := range [][2]perdure.Backend{{a, b}, {b, a}} {
		group.Go(func() {
			if _, err := migrate.Follow(ctx, way[0], way[1], perdure.FromOldest, migrate.Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	f.runs(500)
	f.end()
	cancel()
	group.Wait()
	wantSame(t, a, b)
	before := must[perdure.Stats](t)(a.Stats(t.Context())).FeedLength
	if _, err := migrate.Follow(ctx, b, a, perdure.FromOldest, migrate.Options{}); err != nil {
		t.Error(err)
	}
	if after := must[perdure.Stats](t)(a.Stats(t.Context())).FeedLength; after != before {
		t.Errorf("what was there already made %d changes", after-before)
	}
}

// TestLiveStays: where the cut-over fails the writers stay with the source, and
// go on.
func TestLiveStays(t *testing.T) {
	source, target := memory(t), memory(t)
	broken := errors.New("broken")
	g := &gate{Backend: source, to: target, refuse: broken}
	f := startTraffic(t, g, 2, time.Millisecond)
	f.runs(50)
	if _, err := migrate.Live(t.Context(), source, target, g, migrate.Options{}); !errors.Is(err, broken) || g.moved || !g.held {
		t.Errorf("%v, %+v", err, g)
	}
	g.refuse, g.held = nil, false
	g.ready = func(context.Context) error { return broken }
	if _, err := migrate.Live(t.Context(), source, target, g, migrate.Options{}); !errors.Is(err, broken) || g.held {
		t.Errorf("%v, %+v", err, g)
	}
	ctx, cancel := context.WithCancel(t.Context())
	g.ready = func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() }
	if _, err := migrate.Live(ctx, source, target, g, migrate.Options{}); !errors.Is(err, context.Canceled) || g.held {
		t.Errorf("%v, %+v", err, g)
	}
	f.runs(50)
	f.end()
	f.check(t, source)
}

// gappy is a backend whose feed has lost something at those looks.
type gappy struct {
	perdure.Backend
	lost func(look int64) bool
	scan func(ctx context.Context) error // before each page; may be nil

	looks atomic.Int64
}

func (g *gappy) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	batch, err := g.Backend.Changes(ctx, after, limit, wait)
	if err == nil && after != perdure.FromNow && g.lost(g.looks.Add(1)) {
		now, _ := g.Backend.Changes(ctx, perdure.FromNow, 1, 0)
		return perdure.ChangeBatch{Next: now.Next}, perdure.ErrFeedGap
	}
	return batch, err
}

func (g *gappy) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	if g.scan != nil {
		if err := g.scan(ctx); err != nil {
			return perdure.Page{}, err
		}
	}
	return g.Backend.Scan(ctx, q)
}

// TestFeedGap: what the feed does not tell any more is read anew.
func TestFeedGap(t *testing.T) {
	source, target := memory(t), memory(t)
	seed(t, source, 50)
	g := &gate{Backend: source, to: target}
	f := startTraffic(t, g, 2, time.Millisecond)
	var closing atomic.Bool
	g.ready = func(context.Context) error {
		f.runs(300)
		closing.Store(true)
		return nil
	}
	oneInFour := func(look int64) bool { return look%4 == 1 && !closing.Load() }
	if _, err := migrate.Live(t.Context(), &gappy{Backend: source, lost: oneInFour}, target, g, migrate.Options{}); err != nil {
		t.Error(err)
	}
	f.end()
	f.check(t, target)
	closing.Store(false)
	other := memory(t)
	run(t, &gappy{Backend: target, lost: oneInFour}, other, migrate.Options{})
	wantSame(t, target, other)
}

// TestFeedGapAtTheCutOver: while writes are held the source is not read anew, and
// nothing that the feed has lost is left behind: the writers stay.
func TestFeedGapAtTheCutOver(t *testing.T) {
	for name, interrupted := range map[string]bool{"found by the last look": false, "while the source is read anew": true} {
		t.Run(name, func(t *testing.T) {
			source, target := memory(t), memory(t)
			g := &gate{Backend: source, to: target}
			f := startTraffic(t, g, 2, time.Millisecond)
			var held, lost atomic.Bool
			reading := make(chan struct{})
			from := &gappy{Backend: source}
			from.lost = func(int64) bool { return held.Load() && !lost.Swap(true) }
			from.scan = func(ctx context.Context) error {
				if !held.Load() || !interrupted {
					return nil
				}
				select {
				case reading <- struct{}{}:
				case <-ctx.Done():
				}
				<-ctx.Done()
				return ctx.Err()
			}
			g.ready = func(context.Context) error { f.runs(100); return nil }
			g.hold = func() {
				held.Store(true)
				if interrupted {
					<-reading
				}
			}
			_, err := migrate.Live(t.Context(), from, target, g, migrate.Options{})
			f.runs(50)
			f.end()
			if err == nil && !interrupted { // the follower looked first, and was done in time
				f.check(t, target)
				return
			}
			if !errors.Is(err, perdure.ErrFeedGap) || g.moved {
				t.Errorf("%v, moved: %v", err, g.moved)
			}
			f.check(t, source)
		})
	}
}

// busy is a backend that somebody writes to whenever its feed is looked at.
type busy struct {
	perdure.Backend
	write func()
	looks atomic.Int64
}

func (b *busy) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	if b.looks.Add(1) > 50 {
		return perdure.ChangeBatch{}, errors.New("it never ends")
	}
	b.write()
	return b.Backend.Changes(ctx, after, limit, wait)
}

// TestBusySource: a source that is never quiet is no reason not to come to an end.
func TestBusySource(t *testing.T) {
	source, target := memory(t), memory(t)
	seed(t, source, 30)
	store := storeOn(t, source, perdure.Options{})
	b := &busy{Backend: source, write: func() { must[perdure.Session](t)(store.Create(t.Context(), perdure.Data{UserID: "busy"})) }}
	run(t, b, target, migrate.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.looks.Store(0)
	if _, err := migrate.Follow(ctx, b, target, perdure.FromOldest, migrate.Options{}); err != nil {
		t.Error(err)
	}
}
