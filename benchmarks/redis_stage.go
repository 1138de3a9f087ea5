package main

import (
	"context"
	"errors"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
	goredis "github.com/redis/go-redis/v9"
)

// redisStage is one Redis server with perdure and its peers on it.
type redisStage struct {
	options    options
	population population
	peers      *peers

	server *redistest.Server
	admin  *goredis.Client
	near   *perdure.Store // as it comes, near cache and all
	far    *perdure.Store // without a near cache
	ids    []string       // of the sessions that perdure holds
	users  int            // created so far, and so the number of the next
}

func newRedisStage(o options) *redisStage {
	return &redisStage{options: o, peers: &peers{options: o}}
}

// trials are in such an order that none is disturbed by what one before it
// leaves behind.
func (s *redisStage) trials() []trial {
	p := s.peers
	return []trial{
		s.contest("Get, near cache warm", s.getNear(), p.find(20), p.load()),
		s.contest("Get, near cache off", s.getFar(), p.find(2), p.rueidisGet(0.9), p.goredisGet()),
		s.contest("GetByUserID of 4", s.getByUser(), p.findFour(2.5)),
		s.contest("Touch", s.touch(), p.commit(1.8)),
		s.contest("Update", s.update(), p.commit(0)),
		s.contest("Rotate", s.rotate(), p.renew()),
		s.contest("Delete", s.remove(), p.destroy()),
		s.contest("Create", s.createOne(), p.commitNew(0.9), p.goredisSet(), p.rueidisSet()),
	}
}

func (s *redisStage) contest(name string, sides ...side) trial {
	return trial{name: name, run: func(ctx context.Context) (findings, error) {
		found, err := newContest(s.options, name, meter{redis: s.admin}, sides...).run(ctx)
		if err != nil {
			return found, err
		}
		found.redis, err = serverVersion(ctx, s.admin)
		return found, err
	}}
}

func (s *redisStage) open(ctx context.Context) (err error) {
	if s.population, err = newPopulation(ctx); err != nil {
		return err
	}
	if s.server, err = redistest.Launch(ctx, redistest.Options{}); err != nil {
		return err
	}
	s.admin = goredis.NewClient(&goredis.Options{Addr: s.server.Addr(), PoolSize: 1})
	if err = s.peers.open(ctx, s.server.Addr(), s.population); err != nil {
		return err
	}
	if s.near, err = openStore(ctx, s.server.URL(), nearCacheDefault); err != nil {
		return err
	}
	if s.far, err = openStore(ctx, s.server.URL(), nearCacheOff); err != nil {
		return err
	}
	s.ids, err = s.create(ctx, s.options.sessions)
	return err
}

func (s *redisStage) close() error {
	errs := []error{s.peers.close()}
	for _, store := range []*perdure.Store{s.near, s.far} {
		if store != nil {
			errs = append(errs, store.Close())
		}
	}
	if s.admin != nil {
		errs = append(errs, s.admin.Close())
	}
	if s.server != nil {
		errs = append(errs, s.server.Close())
	}
	return errors.Join(errs...)
}

// create stores sessions of users that have none yet.
func (s *redisStage) create(ctx context.Context, count int) ([]string, error) {
	first := s.users
	s.users += share(count, sessionsPerUser, 0)
	return createMany(ctx, s.near, s.options.goroutines, count, func(i int) perdure.Data {
		return data(userID(first+i/sessionsPerUser), s.population.metadata)
	})
}

// serverVersion is what the server says it is.
func serverVersion(ctx context.Context, admin *goredis.Client) (string, error) {
	info, err := admin.InfoMap(ctx, "server").Result()
	if err != nil {
		return "", err
	}
	if valkey := info["Server"]["valkey_version"]; valkey != "" {
		return valkey + " (Valkey)", nil
	}
	return info["Server"]["redis_version"], nil
}
