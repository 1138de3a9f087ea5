package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/perdure/perdure/internal/redistest"
	goredis "github.com/redis/go-redis/v9"
)

// scale is an empty Redis server whose memory is weighed.
type scale struct {
	server *redistest.Server
	admin  *goredis.Client
	tare   int64
}

func newScale(ctx context.Context) (*scale, error) {
	server, err := redistest.Launch(ctx, redistest.Options{})
	if err != nil {
		return nil, err
	}
	s := &scale{server: server, admin: goredis.NewClient(&goredis.Options{Addr: server.Addr(), PoolSize: 1})}
	if s.tare, err = s.read(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *scale) close() error { return errors.Join(s.admin.Close(), s.server.Close()) }

// weigh is what the server holds more than at the start. It waits until those
// who wrote have hung up, whose buffers are not what is to be weighed.
func (s *scale) weigh(ctx context.Context) (int64, error) {
	now, err := s.read(ctx)
	return now - s.tare, err
}

func (s *scale) read(ctx context.Context) (int64, error) {
	for {
		clients, err := s.info(ctx, "Clients", "connected_clients")
		if err != nil {
			return 0, err
		}
		if clients <= 1 {
			return s.info(ctx, "Memory", "used_memory")
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// info is one number of the server's INFO.
func (s *scale) info(ctx context.Context, section, field string) (int64, error) {
	info, err := s.admin.InfoMap(ctx, section).Result()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(info[section][field], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("INFO %s: %s: %w", section, field, err)
	}
	return n, nil
}
