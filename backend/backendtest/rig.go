package backendtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"pgregory.net/rapid"
)

// lawTime bounds one law, so that a backend that hangs is a failure with a name.
const lawTime = 3 * time.Minute

// rig is where one law is checked: a fresh space, two backends on it (or one
// twice), and a clock for versions.
type rig struct {
	test  *testing.T
	t     rapid.TB // who hears of failures: test, or a run of a property
	cfg   Config
	opts  Options
	ctx   context.Context
	wall  *wall
	clock *perdure.Clock
	made  *maker
	a, b  perdure.Backend
	past  time.Duration // how long ago the law plays
}

func newRig(t *testing.T, cfg Config, o Options) *rig {
	r := &rig{test: t, t: t, cfg: cfg, opts: o, wall: newWall(cfg.Clock), made: &maker{space: o.Space}}
	r.opts.Dir = t.TempDir()
	if cfg.Clock {
		r.opts.Now = r.wall.read
	}
	r.clock = perdure.NewClock(r.wall.read)
	ctx, cancel := context.WithTimeout(t.Context(), lawTime)
	t.Cleanup(cancel)
	r.ctx = ctx
	r.open()
	return r
}

// open opens both backends.
func (r *rig) open() {
	r.a = r.handle()
	r.b = r.a
	if r.cfg.Shared {
		r.b = r.handle()
	}
}

func (r *rig) handle() perdure.Backend {
	b := r.cfg.Open(r.test, r.opts)
	r.test.Cleanup(func() { b.Close() })
	return b
}

// close closes both backends.
func (r *rig) close() {
	r.noError(r.a.Close())
	if r.cfg.Shared {
		r.noError(r.b.Close())
	}
}

// under is the rig for one run of a property, to which failures belong.
func (r *rig) under(t rapid.TB) *rig {
	c := *r
	c.t = t
	return &c
}

func (r *rig) noError(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("unexpected error: %v", err)
	}
}

// wantError fails unless err is each of targets.
func (r *rig) wantError(what string, err error, targets ...error) {
	r.t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			r.t.Fatalf("%s returned the error %v, want one that is %q", what, err, target)
		}
	}
}

// size is n as the configuration scales it.
func (r *rig) size(n int) int {
	n *= r.cfg.Size
	if testing.Short() {
		n = max(n/4, 2)
	}
	return n
}

// parallel runs f once for each of n, all at the same time, and fails with the
// first error.
func (r *rig) parallel(n int, f func(i int) error) {
	r.t.Helper()
	errs := make([]error, n)
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	done.Wait()
	r.noError(errors.Join(errs...))
}

// either is one of the two backends.
func (r *rig) either(i int) perdure.Backend {
	if i%2 == 0 {
		return r.a
	}
	return r.b
}

// eventually fails unless check returns nil within the kit's patience.
func (r *rig) eventually(check func() error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("not within %v: %v", r.cfg.Patience, err)
		}
	}
}

// shows is eventually where a cache may be behind; else check is to return nil at
// once.
func (r *rig) shows(check func() error) {
	r.t.Helper()
	if r.cfg.Stale {
		r.eventually(check)
	} else {
		r.noError(check())
	}
}

// ends fails unless f returns within the kit's patience.
func (r *rig) ends(what string, f func() error) error {
	r.t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(r.cfg.Patience):
		r.t.Fatalf("%s did not return within %v", what, r.cfg.Patience)
		return nil
	}
}

// in is the time so long from the now of the law.
func (r *rig) in(d time.Duration) perdure.Millis {
	return perdure.MillisOf(r.wall.read().Add(d - r.past))
}

// longAgo is the rig for what played months ago and is swept only now: a backend
// sweeps nothing before its own clock says so, whoever asks.
func (r *rig) longAgo() *rig {
	c := *r
	c.past = 12 * week
	return &c
}

// played is a law that played long ago.
func played(check func(*rig)) func(*rig) {
	return func(r *rig) { check(r.longAgo()) }
}

func (r *rig) skew() perdure.Millis { return perdure.Millis(r.cfg.MaxClockSkew.Milliseconds()) }
