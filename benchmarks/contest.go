package main

import (
	"context"
	"fmt"
	"runtime/pprof"
	"slices"
)

// side is one of those that a contest compares.
type side struct {
	name string
	// start prepares a cell, untimed, and returns what is to be repeated in it.
	start func(ctx context.Context) (operation, error)
	// limit is how many operations a cell has, where they use something up that
	// start makes. Defaults to as many as fit into the time.
	limit int
	// target is the least ratio of perdure to this side. Defaults to none: the
	// side is there for orientation.
	target float64
}

// always is the start of an operation that needs no preparation.
func always(op operation) func(context.Context) (operation, error) {
	return func(context.Context) (operation, error) { return op, nil }
}

// contest measures sides in turn, round after round.
type contest struct {
	name  string
	sides []side // perdure first
	crew  crew
	turns int
}

func newContest(o options, name string, m meter, sides ...side) contest {
	return contest{name: name, sides: sides, turns: o.rounds, crew: crew{goroutines: o.goroutines, duration: o.duration, meter: m}}
}

func (c contest) run(ctx context.Context) (findings, error) {
	cells := make([][]cell, len(c.sides))
	for turn := range c.turns {
		// Who comes first changes, so that nobody gains by it.
		for i := range c.sides {
			at := (turn + i) % len(c.sides)
			var measured cell
			var err error
			pprof.Do(ctx, pprof.Labels("side", c.sides[at].name), func(ctx context.Context) {
				measured, err = c.crew.measure(ctx, c.sides[at])
			})
			if err != nil {
				return findings{}, fmt.Errorf("%s: %w", c.sides[at].name, err)
			}
			cells[at] = append(cells[at], measured)
		}
	}
	return c.compare(cells), nil
}

func (c contest) compare(cells [][]cell) (found findings) {
	for i, s := range c.sides {
		found.costs = append(found.costs, costOf(c.name, s.name, cells[i]))
		if i == 0 {
			continue
		}
		ratios := make([]float64, c.turns)
		for turn := range ratios {
			ratios[turn] = cells[0][turn].opsPerSecond / cells[i][turn].opsPerSecond
		}
		found.rows = append(found.rows, row{
			Operation: c.name,
			Perdure:   figure{c.sides[0].name, median(cells[0], rate), unitRate},
			Peer:      &figure{s.name, median(cells[i], rate), unitRate},
			Ratio:     spreadOf(ratios),
			Target:    target{Least: s.target},
		})
	}
	return found
}

func rate(c cell) float64 { return c.opsPerSecond }

// median of one figure of cells.
func median(cells []cell, of func(cell) float64) float64 {
	values := make([]float64, len(cells))
	for i, c := range cells {
		values[i] = of(c)
	}
	return spreadOf(values).Median
}

// spread is how a figure lay over the rounds.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	s := spread{Median: sorted[half], Min: sorted[0], Max: sorted[len(sorted)-1]}
	if len(sorted)%2 == 0 {
		s.Median = (sorted[half-1] + sorted[half]) / 2
	}
	return s
}
