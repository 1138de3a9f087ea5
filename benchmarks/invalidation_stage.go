package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// invalidations is how many deletions are watched.
const invalidations = 3000

// pollGap is between two looks at a deleted session. To look without a pause would
// take a processor from the server and from the client that is told.
const pollGap = 20 * time.Microsecond

// invalidationStage is two stores with clients of their own on one server, as
// two processes have them.
type invalidationStage struct {
	options     options
	server      *redistest.Server
	here, there *perdure.Store
	ids         []string
}

func newInvalidationStage(o options) *invalidationStage { return &invalidationStage{options: o} }

func (s *invalidationStage) trials() []trial {
	return []trial{{name: "Delete until another store's warm Get says not found", run: s.run}}
}

func (s *invalidationStage) open(ctx context.Context) (err error) {
	if s.server, err = redistest.Launch(ctx, redistest.Options{}); err != nil {
		return err
	}
	if s.here, err = openStore(ctx, s.server.URL(), nearCacheDefault); err != nil {
		return err
	}
	if s.there, err = openStore(ctx, s.server.URL(), nearCacheDefault); err != nil {
		return err
	}
	s.ids, err = createMany(ctx, s.here, s.options.goroutines, invalidations, example)
	return err
}

func (s *invalidationStage) close() error {
	return closeAll(s.server, s.here, s.there)
}

func (s *invalidationStage) run(ctx context.Context) (findings, error) {
	perRound := len(s.ids) / s.options.rounds
	var p50s, p99s []float64
	for ids := range slices.Chunk(s.ids, max(1, perRound)) {
		var delays []time.Duration
		for _, id := range ids {
			delay, err := s.delay(ctx, id)
			if err != nil {
				return findings{}, err
			}
			delays = append(delays, delay)
		}
		slices.Sort(delays)
		p50s = append(p50s, millis(percentile(delays, 50)))
		p99s = append(p99s, millis(percentile(delays, 99)))
	}
	return findings{rows: []row{
		invalidationRow("p50", p50s, target{}),
		invalidationRow("p99", p99s, target{Most: 5}),
	}}, nil
}

func invalidationRow(name string, values []float64, t target) row {
	spread := spreadOf(values)
	return row{
		Operation: "Delete until not found elsewhere, " + name,
		Perdure:   figure{name, spread.Median, unitMillis}, Ratio: spread, Target: t,
	}
}

// delay is how long after the call of Delete on one store the other one, which
// has the session in its near cache, says that it is gone.
func (s *invalidationStage) delay(ctx context.Context, id string) (time.Duration, error) {
	for range 2 {
		if _, err := s.there.Get(ctx, id); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	removed, err := s.here.Delete(ctx, id)
	if err != nil {
		return 0, err
	}
	if !removed {
		return 0, fmt.Errorf("%w: nothing was deleted", errWrong)
	}
	for {
		_, err := s.there.Get(ctx, id)
		if errors.Is(err, perdure.ErrNotFound) {
			return time.Since(began), nil
		}
		if err != nil {
			return 0, err
		}
		time.Sleep(pollGap)
	}
}

func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
