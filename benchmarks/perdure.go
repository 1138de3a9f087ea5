package main

import (
	"context"
	"errors"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
)

// Settings of the near cache, in the terms of redis.Options.
const (
	nearCacheDefault = 0
	nearCacheOff     = -1
)

// openStore opens perdure on the server as an application does: all defaults,
// but for the near cache.
func openStore(ctx context.Context, url string, nearCacheBytes int64) (*perdure.Store, error) {
	backend, err := redis.Open(ctx, redis.Options{URL: url, NearCacheBytes: nearCacheBytes})
	if err != nil {
		return nil, err
	}
	return perdure.New(backend, perdure.Options{})
}

// createMany creates as many sessions and returns their ids in order.
func createMany(ctx context.Context, store *perdure.Store, goroutines, count int, data func(i int) perdure.Data) ([]string, error) {
	ids := make([]string, count)
	err := forEach(ctx, goroutines, count, func(ctx context.Context, i int) error {
		session, err := store.Create(ctx, data(i))
		ids[i] = session.ID
		return err
	})
	return ids, err
}

// closeAll closes the stores that were opened, then their server.
func closeAll(server *redistest.Server, stores ...*perdure.Store) error {
	var errs []error
	for _, store := range stores {
		if store != nil {
			errs = append(errs, store.Close())
		}
	}
	if server != nil {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}
