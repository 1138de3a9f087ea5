package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/migrate"
	"github.com/redis/rueidis"
	"golang.org/x/sync/errgroup"
)

// migrationStage is a Redis server with sessions, and an empty one that they are
// moved to.
type migrationStage struct {
	options  options
	from, to *scale
	source   perdure.Backend
	read     rueidis.Client
	write    rueidis.Client
}

func newMigrationStage(o options) *migrationStage { return &migrationStage{options: o} }

func (s *migrationStage) trials() []trial {
	return []trial{{name: "Migrate, Redis to Redis", run: s.run}}
}

func (s *migrationStage) open(ctx context.Context) (err error) {
	if s.from, err = newScale(ctx); err != nil {
		return err
	}
	if s.to, err = newScale(ctx); err != nil {
		return err
	}
	population, err := newPopulation(ctx)
	if err != nil {
		return err
	}
	if s.source, err = s.backend(ctx, s.from); err != nil {
		return err
	}
	store, err := perdure.New(s.source, perdure.Options{SweepInterval: -1})
	if err != nil {
		return err
	}
	_, err = createMany(ctx, store, s.options.goroutines, s.options.migration, func(i int) perdure.Data {
		return data(userID(i/sessionsPerUser), population.metadata)
	})
	if err != nil {
		return err
	}
	if s.read, err = plainClient(s.from); err != nil {
		return err
	}
	s.write, err = plainClient(s.to)
	return err
}

func (s *migrationStage) backend(ctx context.Context, on *scale) (perdure.Backend, error) {
	return redis.Open(ctx, redis.Options{URL: on.server.URL(), NearCacheBytes: nearCacheOff, Timeout: time.Minute})
}

func plainClient(on *scale) (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{on.server.Addr()}, DisableCache: true, ForceSingleClient: true})
}

func (s *migrationStage) close() error {
	var errs []error
	if s.source != nil {
		errs = append(errs, s.source.Close())
	}
	for _, client := range []rueidis.Client{s.read, s.write} {
		if client != nil {
			client.Close()
		}
	}
	for _, scale := range []*scale{s.from, s.to} {
		if scale != nil {
			errs = append(errs, scale.close())
		}
	}
	return errors.Join(errs...)
}

// mover moves all sessions to the target, in one way.
type mover struct {
	name   string
	move   func(context.Context) error
	target target // the least ratio of migrate to it
}

// run moves all sessions by turns, with perdure and by copying keys, one batch of them
// after another and several at a time, and verifies the first time.
func (s *migrationStage) run(ctx context.Context) (findings, error) {
	sides := []mover{
		{name: "migrate", move: s.migrate},
		{name: "SCAN, DUMP, RESTORE", move: s.copy(1), target: target{Least: 1}},
		{name: "the same, 4 at a time", move: s.copy(4)}, // as many as migrate has
	}
	cells := make([][]cell, len(sides))
	for round := range s.options.rounds {
		for turn := range sides {
			side := (round + turn) % len(sides)
			c, err := s.move(ctx, sides[side])
			if err != nil {
				return findings{}, fmt.Errorf("%s: %w", sides[side].name, err)
			}
			cells[side] = append(cells[side], c)
			if round == 0 {
				if err := s.verify(ctx); err != nil {
					return findings{}, fmt.Errorf("%s: %w", sides[side].name, err)
				}
			}
		}
	}
	operation := fmt.Sprintf("Migrate %d sessions, Redis to Redis", s.options.migration)
	var found findings
	for side, m := range sides {
		found.costs = append(found.costs, costOf(operation, m.name, cells[side]))
		if side == 0 {
			continue
		}
		ratios := make([]float64, s.options.rounds)
		for round := range ratios {
			ratios[round] = cells[0][round].opsPerSecond / cells[side][round].opsPerSecond
		}
		found.rows = append(found.rows, row{
			Operation: operation, Perdure: figure{sides[0].name, found.costs[0].Rate, unitRate}, Peer: &figure{m.name, found.costs[side].Rate, unitRate},
			Ratio: spreadOf(ratios), Target: m.target,
		})
	}
	var err error
	found.redis, err = serverVersion(ctx, s.to.admin)
	return found, err
}

// move moves all sessions into the emptied target.
func (s *migrationStage) move(ctx context.Context, m mover) (cell, error) {
	if err := s.to.admin.FlushAll(ctx).Err(); err != nil {
		return cell{}, err
	}
	before, err := s.used(ctx)
	if err != nil {
		return cell{}, err
	}
	began := time.Now()
	if err := m.move(ctx); err != nil {
		return cell{}, err
	}
	took := time.Since(began)
	after, err := s.used(ctx)
	if err != nil {
		return cell{}, err
	}
	spent, n := after.since(before), s.options.migration
	return cell{
		opsPerSecond: float64(n) / took.Seconds(), others: spent.others(took),
		client: spent.client / time.Duration(n), server: spent.server / time.Duration(n),
	}, nil
}

// used is the CPU time of this process and of both servers.
func (s *migrationStage) used(ctx context.Context) (usage, error) {
	u, err := meter{redis: s.to.admin}.read(ctx)
	if err != nil {
		return u, err
	}
	source, err := serverCPU(ctx, s.from.admin)
	u.server += source
	return u, err
}

func (s *migrationStage) migrate(ctx context.Context) error {
	to, err := s.backend(ctx, s.to)
	if err != nil {
		return err
	}
	result, err := migrate.Run(ctx, migrate.FromBackend(s.source), to, migrate.Options{SkipVerify: true}) // a copy compares nothing
	if err == nil && result.Migrated != int64(s.options.migration) {
		err = fmt.Errorf("%w: %+v", errWrong, result)
	}
	return errors.Join(err, to.Close())
}

func (s *migrationStage) verify(ctx context.Context) error {
	to, err := s.backend(ctx, s.to)
	if err != nil {
		return err
	}
	_, err = migrate.Verify(ctx, migrate.FromBackend(s.source), to, migrate.VerifyOptions{})
	return errors.Join(err, to.Close())
}

const copyBatch = 1000

// copy is what an operator would write: all keys by SCAN, and for each batch of
// them DUMP and PEXPIRETIME in one pipeline and RESTORE in another. It asks for the
// next keys meanwhile, and may have several batches on the way.
func (s *migrationStage) copy(batches int) func(context.Context) error {
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(batches)
		for cursor := uint64(0); ; {
			entry, err := s.read.Do(ctx, s.read.B().Scan().Cursor(cursor).Count(copyBatch).Build()).AsScanEntry()
			if err != nil {
				return errors.Join(err, group.Wait())
			}
			group.Go(func() error { return s.copyKeys(ctx, entry.Elements) })
			if cursor = entry.Cursor; cursor == 0 {
				return group.Wait()
			}
		}
	}
}

func (s *migrationStage) copyKeys(ctx context.Context, keys []string) error {
	commands := make(rueidis.Commands, 0, 2*len(keys))
	for _, key := range keys {
		commands = append(commands, s.read.B().Dump().Key(key).Build(), s.read.B().Pexpiretime().Key(key).Build())
	}
	results := s.read.DoMulti(ctx, commands...)
	commands = make(rueidis.Commands, 0, len(keys))
	for i, key := range keys {
		value, err := results[2*i].ToString()
		if err != nil {
			return err
		}
		ends, err := results[2*i+1].AsInt64()
		if err != nil {
			return err
		}
		commands = append(commands, s.write.B().Restore().Key(key).Ttl(max(0, ends)).SerializedValue(value).Absttl().Build())
	}
	for _, result := range s.write.DoMulti(ctx, commands...) {
		if err := result.Error(); err != nil {
			return err
		}
	}
	return nil
}
