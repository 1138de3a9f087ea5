package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/internal/redistest"
)

// journalled is how many sessions are created in the outage that a recovery is
// measured after.
const journalled = 100_000

// outageStage is a store that fails over, with a server that comes and goes, and
// an embedded store beside it.
type outageStage struct {
	options    options
	population population
	server     *redistest.Server
	guarded    guarded
	embedded   *perdure.Store
	ids, own   []string // of the guarded store and of the embedded one
}

func newOutageStage(o options) *outageStage { return &outageStage{options: o} }

func (s *outageStage) trials() []trial {
	return []trial{
		{name: "Outage: noticed", run: s.noticed},
		{name: "Outage: over", run: s.over},
		{name: "Outage: Get", run: s.get},
		{name: "Outage: recovery", run: s.recovery},
	}
}

func (s *outageStage) open(ctx context.Context) (err error) {
	if s.population, err = newPopulation(ctx); err != nil {
		return err
	}
	if s.server, err = redistest.Launch(ctx, redistest.Options{Config: []string{"appendonly yes"}}); err != nil {
		return err
	}
	if s.guarded, err = openGuarded(ctx, s.server.URL()); err != nil {
		return err
	}
	if s.embedded, err = openMemory(); err != nil {
		return err
	}
	if s.ids, err = createMany(ctx, s.guarded.Store, s.options.goroutines, s.options.sessions, s.data); err != nil {
		return err
	}
	s.own, err = createMany(ctx, s.embedded, s.options.goroutines, s.options.sessions, s.data)
	return err
}

func (s *outageStage) close() error {
	return errors.Join(s.guarded.close(), closeAll(s.server, s.embedded))
}

func (s *outageStage) data(i int) perdure.Data {
	return data(userID(i/sessionsPerUser), s.population.metadata)
}

// noticed is how long a write takes that meets the outage: the first one.
func (s *outageStage) noticed(ctx context.Context) (findings, error) {
	kinds := []struct {
		name       string
		stop, mend func() error
		most       float64
	}{
		{"Outage: hang until served without Redis", s.server.Stop, s.server.Continue, 1500},
		{"Outage: refusal until served without Redis", s.server.Kill, func() error { return s.server.Restart(ctx) }, 100},
	}
	var found findings
	for _, kind := range kinds {
		var took []float64
		for range s.options.rounds {
			if err := kind.stop(); err != nil {
				return found, err
			}
			began := time.Now()
			if _, err := s.guarded.Touch(ctx, s.ids[0]); err != nil {
				return found, err
			}
			took = append(took, millis(time.Since(began)))
			if err := kind.mend(); err != nil {
				return found, err
			}
			if _, err := s.guarded.await(ctx, failover.Healthy); err != nil {
				return found, err
			}
		}
		spread := spreadOf(took)
		found.rows = append(found.rows, row{
			Operation: kind.name, Perdure: figure{"median", spread.Median, unitMillis}, Ratio: spread, Target: target{Most: kind.most},
		})
	}
	return found, nil
}

// over is how long after the server's return an outage of a second is over for every
// process, with callers all the time.
func (s *outageStage) over(ctx context.Context) (found findings, err error) {
	other, err := openGuarded(ctx, s.server.URL())
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, other.close()) }()
	if _, err := other.await(ctx, failover.Healthy); err != nil {
		return found, err
	}
	var took []float64
	for range s.options.rounds {
		one, err := s.outageOfASecond(ctx, s.guarded, other)
		if err != nil {
			return found, err
		}
		took = append(took, millis(one))
	}
	spread := spreadOf(took)
	found.rows = append(found.rows, row{
		Operation: "Outage of a second: over for two processes after", Perdure: figure{"median", spread.Median, unitMillis}, Ratio: spread, Target: target{Most: 5000},
	})
	return found, nil
}

func (s *outageStage) outageOfASecond(ctx context.Context, processes ...guarded) (took time.Duration, err error) {
	if err := s.server.Kill(); err != nil {
		return 0, err
	}
	callers, leave := context.WithCancel(ctx)
	var calling sync.WaitGroup
	for _, g := range processes {
		calling.Go(func() {
			for callers.Err() == nil {
				_, _ = g.Touch(callers, s.ids[0]) // in an outage it may hold no copy
				_ = pause(callers, 10*time.Millisecond)
			}
		})
	}
	defer calling.Wait()
	defer leave()
	for _, g := range processes {
		if _, err := g.await(ctx, failover.Degraded); err != nil {
			return 0, err
		}
	}
	if err := errors.Join(pause(ctx, time.Second), s.server.Restart(ctx)); err != nil {
		return 0, err
	}
	back := time.Now()
	for _, g := range processes {
		if _, err := g.await(ctx, failover.Healthy); err != nil {
			return 0, err
		}
	}
	return time.Since(back), nil
}

// get reads in an outage.
func (s *outageStage) get(ctx context.Context) (findings, error) {
	if err := s.server.Kill(); err != nil {
		return findings{}, err
	}
	if _, err := s.guarded.await(ctx, failover.Degraded); err != nil {
		return findings{}, err
	}
	read := func(store *perdure.Store, ids []string) func(context.Context) (operation, error) {
		return always(func(ctx context.Context, w *worker) error {
			session, err := store.Get(ctx, ids[w.rng.IntN(len(ids))])
			return s.population.check(&session, err)
		})
	}
	found, err := newContest(s.options, "Outage: Get", meter{},
		side{name: "without Redis", start: read(s.guarded.Store, s.ids)},
		side{name: "embedded store", start: read(s.embedded, s.own), target: 0.5},
	).run(ctx)
	if err != nil {
		return found, err
	}
	p99 := found.costs[0].P99 / 1e3
	found.rows = append(found.rows, row{
		Operation: "Outage: Get, p99", Perdure: figure{"p99", p99, unitMillis}, Ratio: spread{p99, p99, p99}, Target: target{Most: 1},
	})
	if err := s.server.Restart(ctx); err != nil {
		return found, err
	}
	_, err = s.guarded.await(ctx, failover.Healthy)
	return found, err
}

// recovery is how long the merge of what was written in an outage takes, and what
// others notice of it.
func (s *outageStage) recovery(ctx context.Context) (found findings, err error) {
	if err := s.server.Kill(); err != nil {
		return found, err
	}
	if _, err := s.guarded.Touch(ctx, s.ids[0]); err != nil {
		return found, err
	}
	if _, err := createMany(ctx, s.guarded.Store, 4*s.options.goroutines, journalled, s.data); err != nil {
		return found, err
	}
	if err := s.server.Restart(ctx); err != nil {
		return found, err
	}
	if _, err := s.guarded.await(ctx, failover.Recovering); err != nil {
		return found, err
	}
	var took time.Duration
	others, err := s.bystanding(ctx, func() (err error) {
		took, err = s.guarded.await(ctx, failover.Healthy)
		return err
	})
	if err != nil {
		return found, err
	}
	if h := s.guarded.failover.Health(ctx); h.JournalDepth > 0 || h.Replayed < journalled {
		return found, fmt.Errorf("%w: %+v", errWrong, h)
	}
	calm, err := s.bystanding(ctx, func() error { return pause(ctx, took) })
	if err != nil {
		return found, err
	}
	for _, f := range []struct {
		name  string
		value time.Duration
		most  float64
	}{
		{fmt.Sprintf("Outage: recovery of %d journalled writes", journalled), took, 10_000},
		{"Outage: Get of another process meanwhile, p99", others, 5},
		{"Outage: Get of another process afterwards, p99", calm, 0},
	} {
		value := millis(f.value)
		found.rows = append(found.rows, row{
			Operation: f.name, Perdure: figure{"", value, unitMillis}, Ratio: spread{value, value, value}, Target: target{Most: f.most},
		})
	}
	return found, nil
}

// bystanding is the p99 of another process's reads while something goes on.
func (s *outageStage) bystanding(ctx context.Context, do func() error) (p99 time.Duration, err error) {
	other, err := startBystander(ctx, s.server.URL(), s.ids[:min(len(s.ids), 1000)])
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	delays, err := other.took()
	slices.Sort(delays)
	return percentile(delays, 99), err
}

// pause lets time pass.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
