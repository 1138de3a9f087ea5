package backendtest

import (
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

func contextLaws() []law {
	return []law{
		{"CancelledEndsEveryCall", cancelledEndsEveryCall, nil},
		{"PassedDeadlineEndsEveryCall", passedDeadlineEndsEveryCall, nil},
		{"CancelEndsTheWaitForAChange", cancelEndsTheWaitForAChange, nil},
		{"ClosedRefusesEveryCall", closedRefusesEveryCall, nil},
		{"CloseEndsTheWaitForAChange", closeEndsTheWaitForAChange, nil},
		{"CloseLeavesNothingRunning", closeLeavesNothingRunning, nil},
	}
}

type call struct {
	name string
	do   func(ctx context.Context) error
}

// calls is one call of every method that takes a context.
func (r *rig) calls(b perdure.Backend) []call {
	u := r.user()
	session := r.create(r.session(u))
	q := r.removal(u, perdure.Version{})
	return []call{
		{"Get", func(ctx context.Context) error { _, err := b.Get(ctx, session.ID); return err }},
		{"Load", func(ctx context.Context) error { _, err := b.Load(ctx, []string{session.ID}); return err }},
		{"Apply", func(ctx context.Context) error {
			_, err := b.Apply(ctx, []perdure.Batch{{touch(session.ID, session.LastAccess)}})
			return err
		}},
		{"ListUser", func(ctx context.Context) error { _, err := b.ListUser(ctx, u, "", 10); return err }},
		{"RemoveUser", func(ctx context.Context) error { _, err := b.RemoveUser(ctx, q); return err }},
		{"Scan", func(ctx context.Context) error { _, err := b.Scan(ctx, perdure.ScanQuery{Limit: 10}); return err }},
		{"Sweep", func(ctx context.Context) error { _, _, err := b.Sweep(ctx, r.in(0), 10); return err }},
		{"Changes", func(ctx context.Context) error {
			_, err := b.Changes(ctx, perdure.FromOldest, 10, lawTime)
			return err
		}},
		{"Stats", func(ctx context.Context) error { _, err := b.Stats(ctx); return err }},
		{"Ping", func(ctx context.Context) error { return b.Ping(ctx) }},
	}
}

func cancelledEndsEveryCall(r *rig) {
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	for _, call := range r.calls(r.a) {
		err := r.ends(call.name+" with a cancelled context", func() error { return call.do(ctx) })
		r.wantError(call.name+" with a cancelled context", err, context.Canceled)
	}
}

func passedDeadlineEndsEveryCall(r *rig) {
	ctx, cancel := context.WithDeadline(r.ctx, time.Now().Add(-time.Second))
	defer cancel()
	for _, call := range r.calls(r.a) {
		err := r.ends(call.name+" past its deadline", func() error { return call.do(ctx) })
		r.wantError(call.name+" past its deadline", err, perdure.ErrUnavailable, context.DeadlineExceeded)
	}
}

func cancelEndsTheWaitForAChange(r *rig) {
	w := r.watch(r.a)
	for range r.size(8) {
		ctx, cancel := context.WithCancel(r.ctx)
		err := r.interrupted(ctx, w.next, func() error { cancel(); return nil })
		r.wantError("Changes whose context is cancelled", err, context.Canceled)
	}
}

// interrupted waits for a change that does not come until stop makes it end.
func (r *rig) interrupted(ctx context.Context, cursor string, stop func() error) error {
	r.t.Helper()
	asked, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		<-asked
		for range 30 { // some time for the watcher to wait in
			runtime.Gosched()
			r.a.Ping(r.ctx)
		}
		stopped <- stop()
	}()
	err := r.ends("Changes that is interrupted", func() error {
		close(asked)
		_, err := r.a.Changes(ctx, cursor, 10, lawTime)
		return err
	})
	r.noError(<-stopped)
	return err
}

func closedRefusesEveryCall(r *rig) {
	calls := r.calls(r.a)
	r.noError(r.a.Close())
	for _, call := range calls {
		err := r.ends(call.name+" of a closed backend", func() error { return call.do(r.ctx) })
		r.wantError(call.name+" of a closed backend", err, perdure.ErrClosed)
	}
	if r.cfg.Shared {
		r.noError(r.b.Ping(r.ctx)) // the other process goes on
	}
}

func closeEndsTheWaitForAChange(r *rig) {
	for range r.size(8) {
		w := r.watch(r.a)
		err := r.interrupted(r.ctx, w.next, r.a.Close)
		r.wantError("Changes of a backend that is closed meanwhile", err, perdure.ErrClosed)
		r.a = r.handle()
	}
}

// closeLeavesNothingRunning finds the goroutines of its own backends by a label
// that they inherit: other tests may run at the same time.
func closeLeavesNothingRunning(r *rig) {
	r = r.longAgo()
	r.close()
	pprof.Do(r.ctx, pprof.Labels("space", r.opts.Space), func(context.Context) {
		r.open()
		session := r.create(r.session(r.user()))
		r.holds(session)
		r.watch(r.b).read(10)
		r.drain(r.a, r.in(2*hour), 10)
		r.close()
	})
	r.eventually(func() error {
		var profile strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
			return err
		}
		for _, group := range strings.Split(profile.String(), "\n\n") {
			if strings.Contains(group, r.opts.Space) {
				return fmt.Errorf("a closed backend has left this running:\n%s", group)
			}
		}
		return nil
	})
}
