package main

import (
	"cmp"
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

// contest measures sides in turn, round after round. Rounds in which somebody
// else used the machine are made up for by others, as far as maxRounds allows.
type contest struct {
	name   string
	sides  []side // perdure first
	crew   crew
	rounds int // that count
}

const (
	// disturbed is the share of the machine from which on its use by somebody
	// else spoils a round.
	disturbed = 0.1
	// maxRounds is how many rounds there are at most, to one that counts.
	maxRounds = 2
)

func newContest(o options, name string, m meter, sides ...side) contest {
	return contest{name: name, sides: sides, rounds: o.rounds, crew: crew{goroutines: o.goroutines, duration: o.duration, meter: m}}
}

// round holds a cell for each side.
type round []cell

// others is the largest share of the machine that somebody else used.
func (r round) others() float64 {
	return slices.MaxFunc(r, func(a, b cell) int { return cmp.Compare(a.others, b.others) }).others
}

func (c contest) run(ctx context.Context) (findings, error) {
	var rounds []round
	for quiet := 0; quiet < c.rounds && len(rounds) < maxRounds*c.rounds; {
		r, err := c.round(ctx, len(rounds))
		if err != nil {
			return findings{}, err
		}
		if rounds = append(rounds, r); r.others() < disturbed {
			quiet++
		}
	}
	slices.SortStableFunc(rounds, func(a, b round) int {
		return cmp.Compare(max(a.others(), disturbed), max(b.others(), disturbed))
	})
	return c.compare(rounds[:c.rounds]), nil
}

// round measures every side once. Who comes first changes from round to round,
// so that nobody gains by it.
func (c contest) round(ctx context.Context, number int) (round, error) {
	r := make(round, len(c.sides))
	for i := range c.sides {
		at := (number + i) % len(c.sides)
		var err error
		pprof.Do(ctx, pprof.Labels("side", c.sides[at].name), func(ctx context.Context) {
			r[at], err = c.crew.measure(ctx, c.sides[at])
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.sides[at].name, err)
		}
	}
	return r, nil
}

func (c contest) compare(rounds []round) (found findings) {
	for i, s := range c.sides {
		cells := make([]cell, len(rounds))
		ratios := make([]float64, len(rounds))
		for n, r := range rounds {
			cells[n] = r[i]
			ratios[n] = r[0].opsPerSecond / r[i].opsPerSecond
		}
		cost := costOf(c.name, s.name, cells)
		found.costs = append(found.costs, cost)
		if i > 0 {
			found.rows = append(found.rows, row{
				Operation: c.name,
				Perdure:   figure{c.sides[0].name, found.costs[0].Rate, unitRate},
				Peer:      &figure{s.name, cost.Rate, unitRate},
				Ratio:     spreadOf(ratios),
				Target:    target{Least: s.target},
			})
		}
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
