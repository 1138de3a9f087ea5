package main

import (
	"context"
	"fmt"

	"github.com/perdure/perdure"
)

// known is an id of those that are stored, at random.
func (s *redisStage) known(w *worker) string { return s.ids[w.rng.IntN(len(s.ids))] }

// getNear starts by reading every session once.
func (s *redisStage) getNear() side {
	return side{name: "perdure", start: func(ctx context.Context) (operation, error) {
		err := forEach(ctx, s.options.goroutines, len(s.ids), func(ctx context.Context, i int) error {
			_, err := s.near.Get(ctx, s.ids[i])
			return err
		})
		return func(ctx context.Context, w *worker) error {
			session, err := s.near.Get(ctx, s.known(w))
			return s.population.check(&session, err)
		}, err
	}}
}

func (s *redisStage) getFar() side {
	return side{name: "perdure", start: always(func(ctx context.Context, w *worker) error {
		session, err := s.far.Get(ctx, s.known(w))
		return s.population.check(&session, err)
	})}
}

func (s *redisStage) getByUser() side {
	return side{name: "perdure", start: always(func(ctx context.Context, w *worker) error {
		user := userID(w.rng.IntN(len(s.ids) / sessionsPerUser))
		sessions, err := s.near.GetByUserID(ctx, user)
		if err == nil && len(sessions) != sessionsPerUser {
			err = fmt.Errorf("%w: %d sessions of %s", errWrong, len(sessions), user)
		}
		for i := range sessions {
			err = s.population.check(&sessions[i], err)
		}
		return err
	})}
}

func (s *redisStage) touch() side {
	return side{name: "perdure", start: always(func(ctx context.Context, w *worker) error {
		touched, err := s.near.Touch(ctx, s.known(w))
		if err == nil && !touched {
			err = fmt.Errorf("%w: nothing was touched", errWrong)
		}
		return err
	})}
}

func (s *redisStage) update() side {
	return side{name: "perdure", start: always(func(ctx context.Context, w *worker) error {
		session, err := s.near.Update(ctx, s.known(w), perdure.Patch{Metadata: map[string]any{"step": w.count}})
		return s.population.check(&session, err)
	})}
}

func (s *redisStage) rotate() side {
	return s.consuming(func(ctx context.Context, id string) error {
		session, err := s.near.Rotate(ctx, id, 0)
		return s.population.check(&session, err)
	})
}

func (s *redisStage) remove() side {
	return s.consuming(func(ctx context.Context, id string) error {
		removed, err := s.near.Delete(ctx, id)
		if err == nil && !removed {
			err = fmt.Errorf("%w: nothing was deleted", errWrong)
		}
		return err
	})
}

// consuming uses sessions up: each cell has new ones.
func (s *redisStage) consuming(do func(ctx context.Context, id string) error) side {
	return side{name: "perdure", limit: s.options.uses(), start: func(ctx context.Context) (operation, error) {
		ids, err := s.create(ctx, s.options.uses())
		return func(ctx context.Context, w *worker) error {
			return do(ctx, ids[w.index+w.count*s.options.goroutines])
		}, err
	}}
}

// createOne gives each user a few sessions and goes on to the next.
func (s *redisStage) createOne() side {
	return side{name: "perdure", start: func(context.Context) (operation, error) {
		const most = 100_000 // users that a worker can reach in a cell
		first := s.users
		s.users += most * s.options.goroutines
		return func(ctx context.Context, w *worker) error {
			user := userID(first + w.index*most + w.count/sessionsPerUser)
			session, err := s.near.Create(ctx, data(user, s.population.metadata))
			return s.population.check(&session, err)
		}, nil
	}}
}
