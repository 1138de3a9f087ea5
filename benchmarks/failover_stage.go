package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
	goredis "github.com/redis/go-redis/v9"
)

// failoverStage is a store that fails over beside one that does not, on one
// server, while all is well.
type failoverStage struct {
	options    options
	population population
	server     *redistest.Server
	admin      *goredis.Client
	guarded    guarded
	bare       *perdure.Store
	ids        []string
	users      int
}

// guarded is a store that fails over.
type guarded struct {
	*perdure.Store
	failover *failover.Backend
	dir      string
}

// openGuarded opens perdure with failover as the daemon does, with a journal on
// disk.
func openGuarded(ctx context.Context, url string) (g guarded, err error) {
	if g.dir, err = os.MkdirTemp("", "benchmark-"); err != nil {
		return g, err
	}
	g.failover, err = failover.Open(ctx, failover.Options{
		Open: func(ctx context.Context) (perdure.Backend, error) {
			return redis.Open(ctx, redis.Options{URL: url, TimeoutAll: true})
		},
		Dir: g.dir,
	})
	if err != nil {
		return g, err
	}
	g.Store, err = perdure.New(g.failover, perdure.Options{})
	return g, err
}

func (g guarded) close() error {
	var err error
	if g.Store != nil {
		err = g.Store.Close()
	}
	return errors.Join(err, os.RemoveAll(g.dir))
}

// await returns when failover is in the state, and how long that took.
func (g guarded) await(ctx context.Context, want failover.State) (time.Duration, error) {
	began := time.Now()
	for g.failover.Health(ctx).State != want {
		if time.Since(began) > time.Minute {
			return 0, fmt.Errorf("%w: not %s after a minute: %+v", errWrong, want, g.failover.Health(ctx))
		}
		time.Sleep(10 * time.Millisecond) // to look costs CPU time, too
	}
	return time.Since(began), nil
}

func newFailoverStage(o options) *failoverStage { return &failoverStage{options: o} }

// stores are both sides: the guarded one, and the bare one with a target.
func (s *failoverStage) sides(op func(store *perdure.Store) func(context.Context) (operation, error)) []side {
	return []side{
		{name: "with failover", start: op(s.guarded.Store)},
		{name: "bare Redis backend", start: op(s.bare), target: 0.9},
	}
}

func (s *failoverStage) trials() []trial {
	return []trial{
		s.contest("Failover, healthy: Get", s.get),
		s.contest("Failover, healthy: Touch", s.touch),
		s.contest("Failover, healthy: Create", s.create),
	}
}

func (s *failoverStage) contest(name string, op func(*perdure.Store) func(context.Context) (operation, error)) trial {
	return trial{name: name, run: func(ctx context.Context) (findings, error) {
		return newContest(s.options, name, meter{redis: s.admin}, s.sides(op)...).run(ctx)
	}}
}

func (s *failoverStage) open(ctx context.Context) (err error) {
	if s.population, err = newPopulation(ctx); err != nil {
		return err
	}
	if s.server, err = redistest.Launch(ctx, redistest.Options{}); err != nil {
		return err
	}
	s.admin = goredis.NewClient(&goredis.Options{Addr: s.server.Addr(), PoolSize: 1})
	if s.guarded, err = openGuarded(ctx, s.server.URL()); err != nil {
		return err
	}
	if s.bare, err = openStore(ctx, s.server.URL(), nearCacheDefault); err != nil {
		return err
	}
	s.users = s.options.sessions
	s.ids, err = createMany(ctx, s.guarded.Store, s.options.goroutines, s.options.sessions, func(i int) perdure.Data {
		return data(userID(i/sessionsPerUser), s.population.metadata)
	})
	return err
}

func (s *failoverStage) close() error {
	errs := []error{s.guarded.close()}
	if s.bare != nil {
		errs = append(errs, s.bare.Close())
	}
	if s.admin != nil {
		errs = append(errs, s.admin.Close())
	}
	if s.server != nil {
		errs = append(errs, s.server.Close())
	}
	return errors.Join(errs...)
}

func (s *failoverStage) get(store *perdure.Store) func(context.Context) (operation, error) {
	return always(func(ctx context.Context, w *worker) error {
		session, err := store.Get(ctx, s.ids[w.rng.IntN(len(s.ids))])
		return s.population.check(&session, err)
	})
}

func (s *failoverStage) touch(store *perdure.Store) func(context.Context) (operation, error) {
	return always(func(ctx context.Context, w *worker) error {
		touched, err := store.Touch(ctx, s.ids[w.rng.IntN(len(s.ids))])
		if err == nil && !touched {
			err = fmt.Errorf("%w: nothing was touched", errWrong)
		}
		return err
	})
}

func (s *failoverStage) create(store *perdure.Store) func(context.Context) (operation, error) {
	return func(context.Context) (operation, error) {
		const most = 100_000 // users that a worker can reach in a cell
		first := s.users
		s.users += most * s.options.goroutines
		return func(ctx context.Context, w *worker) error {
			session, err := store.Create(ctx, data(userID(first+w.index*most+w.count/sessionsPerUser), s.population.metadata))
			return s.population.check(&session, err)
		}, nil
	}
}
