package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// embeddedStage is the embedded memory store beside a sync.Map that holds ready
// Session structs.
type embeddedStage struct {
	options    options
	population population
	store      *perdure.Store
	ids        []string
	sessions   sync.Map

	fresh   *perdure.Store // what the present cell fills
	users   []string       // for those that it creates
	keys    []string       // for those that a sync.Map stores
	example perdure.Session
}

// creations is how many sessions a cell creates. They stay in memory, so they
// are counted, not timed.
const creations = 100_000

func newEmbeddedStage(o options) *embeddedStage { return &embeddedStage{options: o} }

func (s *embeddedStage) trials() []trial {
	return []trial{
		s.contest("Embedded Get", s.get(), s.load(0.3)),
		s.contest("Embedded Create", s.create(), s.save(0.2)),
	}
}

func (s *embeddedStage) contest(name string, sides ...side) trial {
	return trial{name: name, run: newContest(s.options, name, meter{}, sides...).run}
}

func (s *embeddedStage) open(ctx context.Context) (err error) {
	if s.population, err = newPopulation(ctx); err != nil {
		return err
	}
	if s.store, err = openMemory(); err != nil {
		return err
	}
	s.ids, err = createMany(ctx, s.store, s.options.goroutines, s.options.sessions, s.data)
	if err != nil {
		return err
	}
	for _, id := range s.ids {
		session, err := s.store.Get(ctx, id)
		if err != nil {
			return err
		}
		s.sessions.Store(id, session)
		s.example = session
	}
	for i := range creations {
		s.keys = append(s.keys, perdure.NewID(i%perdure.Partitions))
		if i%sessionsPerUser == 0 {
			s.users = append(s.users, userID(i))
		}
	}
	return nil
}

func (s *embeddedStage) close() error {
	var errs []error
	for _, store := range []*perdure.Store{s.store, s.fresh} {
		if store != nil {
			errs = append(errs, store.Close())
		}
	}
	return errors.Join(errs...)
}

func openMemory() (*perdure.Store, error) {
	backend, err := local.Open(local.Options{})
	if err != nil {
		return nil, err
	}
	return perdure.New(backend, perdure.Options{})
}

func (s *embeddedStage) data(i int) perdure.Data {
	return data(userID(i/sessionsPerUser), s.population.metadata)
}

func (s *embeddedStage) known(w *worker) string { return s.ids[w.rng.IntN(len(s.ids))] }

func (s *embeddedStage) get() side {
	return side{name: "perdure", start: always(func(ctx context.Context, w *worker) error {
		session, err := s.store.Get(ctx, s.known(w))
		return s.population.check(&session, err)
	})}
}

func (s *embeddedStage) load(target float64) side {
	return side{name: "sync.Map Load", target: target, start: always(func(_ context.Context, w *worker) error {
		value, ok := s.sessions.Load(s.known(w))
		if !ok {
			return fmt.Errorf("%w: no session", errWrong)
		}
		session := value.(perdure.Session)
		return s.population.check(&session, nil)
	})}
}

// create fills a new store.
func (s *embeddedStage) create() side {
	return side{name: "perdure", limit: creations, start: func(context.Context) (operation, error) {
		if s.fresh != nil {
			if err := s.fresh.Close(); err != nil {
				return nil, err
			}
		}
		var err error
		s.fresh, err = openMemory()
		return func(ctx context.Context, w *worker) error {
			user := s.users[s.serial(w)/sessionsPerUser]
			session, err := s.fresh.Create(ctx, data(user, s.population.metadata))
			return s.population.check(&session, err)
		}, err
	}}
}

// save fills a new sync.Map with copies of a ready session under ready keys.
func (s *embeddedStage) save(target float64) side {
	return side{name: "sync.Map Store", target: target, limit: creations, start: func(context.Context) (operation, error) {
		var fresh sync.Map
		return func(_ context.Context, w *worker) error {
			fresh.Store(s.keys[s.serial(w)], s.example)
			return nil
		}, nil
	}}
}

// serial numbers the operations of all workers of a cell without a gap.
func (s *embeddedStage) serial(w *worker) int { return w.index + w.count*s.options.goroutines }
