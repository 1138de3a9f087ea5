package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/perdure/perdure"
	goredis "github.com/redis/go-redis/v9"
)

// footprintStage is two Redis servers that come to hold the same sessions: one
// in perdure's layout, one in the forerunner's.
type footprintStage struct {
	options      options
	ours, theirs *scale
}

func newFootprintStage(o options) *footprintStage { return &footprintStage{options: o} }

func (s *footprintStage) trials() []trial {
	return []trial{{name: "Redis memory a session", run: s.run}}
}

func (s *footprintStage) open(ctx context.Context) (err error) {
	if s.ours, err = newScale(ctx); err != nil {
		return err
	}
	s.theirs, err = newScale(ctx)
	return err
}

func (s *footprintStage) close() error {
	var errs []error
	for _, scale := range []*scale{s.ours, s.theirs} {
		if scale != nil {
			errs = append(errs, scale.close())
		}
	}
	return errors.Join(errs...)
}

// example is the forerunner's example session, of users with a few each.
func example(i int) perdure.Data {
	return data("user"+strconv.Itoa(i/sessionsPerUser), nil)
}

func (s *footprintStage) run(ctx context.Context) (findings, error) {
	theirs, err := s.weighForerunner(ctx)
	if err != nil {
		return findings{}, err
	}
	fresh, saturated, err := s.weighPerdure(ctx)
	if err != nil {
		return findings{}, err
	}
	var found findings
	for _, ours := range []figure{{"as created", fresh, unitBytes}, {"feed full", saturated, unitBytes}} {
		found.rows = append(found.rows, row{
			Operation: "Redis memory a session, " + ours.Name,
			Perdure:   ours,
			Peer:      &figure{"forerunner's layout", theirs, unitBytes},
			Ratio:     spreadOf([]float64{ours.Value / theirs}),
			Target:    target{Most: 1},
		})
	}
	return found, nil
}

func (s *footprintStage) weighForerunner(ctx context.Context) (float64, error) {
	client := goredis.NewClient(&goredis.Options{Addr: s.theirs.server.Addr()})
	writer := forerunner{client: client}
	err := forEach(ctx, s.options.goroutines, s.options.footprint, func(ctx context.Context, i int) error {
		return writer.create(ctx, example(i))
	})
	if err := errors.Join(err, client.Close()); err != nil {
		return 0, err
	}
	return s.perSession(ctx, s.theirs)
}

// weighPerdure weighs twice: with the feed entries of the creations alone, and
// with a feed that has no room left.
func (s *footprintStage) weighPerdure(ctx context.Context) (fresh, saturated float64, err error) {
	var ids []string
	err = s.withStore(ctx, func(store *perdure.Store) error {
		ids, err = createMany(ctx, store, s.options.goroutines, s.options.footprint, example)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	if fresh, err = s.perSession(ctx, s.ours); err != nil {
		return 0, 0, err
	}
	err = s.withStore(ctx, func(store *perdure.Store) error { return s.saturate(ctx, store, ids) })
	if err != nil {
		return 0, 0, err
	}
	saturated, err = s.perSession(ctx, s.ours)
	return fresh, saturated, err
}

func (s *footprintStage) withStore(ctx context.Context, do func(*perdure.Store) error) error {
	store, err := openStore(ctx, s.ours.server.URL(), nearCacheOff)
	if err != nil {
		return err
	}
	return errors.Join(do(store), store.Close())
}

// saturate touches sessions until the feed grows no more.
func (s *footprintStage) saturate(ctx context.Context, store *perdure.Store, ids []string) error {
	for before := int64(-1); ; {
		stats, err := store.Stats(ctx)
		if err != nil {
			return err
		}
		if stats.FeedLength <= before {
			return nil
		}
		before = stats.FeedLength
		err = forEach(ctx, s.options.goroutines, len(ids), func(ctx context.Context, i int) error {
			_, err := store.Touch(ctx, ids[i])
			return err
		})
		if err != nil {
			return err
		}
	}
}

func (s *footprintStage) perSession(ctx context.Context, on *scale) (float64, error) {
	bytes, err := on.weigh(ctx)
	return float64(bytes) / float64(s.options.footprint), err
}
