package main

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// operation is one call that is measured. It checks what it gets, so that its
// result is used and a wrong one fails the run.
type operation func(ctx context.Context, w *worker) error

// worker is one of the callers that a side has at the same time.
type worker struct {
	index   int // 0 to goroutines-1
	count   int // operations so far in this cell, the warm-up included
	rng     *rand.Rand
	samples []time.Duration
}

// sampleEvery is how many operations there are to one whose time is taken:
// looking at the clock costs as much as the fastest of them.
const sampleEvery = 16

// cell is one side, measured once.
type cell struct {
	opsPerSecond float64
	p50, p99     time.Duration
	client       time.Duration // CPU time of this process, an operation
	server       time.Duration // CPU time of Redis, an operation
	others       float64       // share of the machine that somebody else used
}

// crew measures cells, all in the same way.
type crew struct {
	goroutines int
	duration   time.Duration
	meter      meter
}

// measure runs the side alone: prepared, warmed up, after a collection of garbage.
func (c crew) measure(ctx context.Context, s side) (cell, error) {
	op, err := s.start(ctx)
	if err != nil {
		return cell{}, err
	}
	workers := make([]*worker, c.goroutines)
	for i := range workers {
		workers[i] = &worker{index: i, rng: rand.New(rand.NewPCG(rand.Uint64(), uint64(i)))}
	}
	runtime.GC()
	if s.limit == 0 {
		if _, err := c.work(ctx, op, workers, c.duration/4, 0); err != nil {
			return cell{}, err
		}
	}
	warm := 0
	for _, w := range workers {
		warm += w.count
		w.samples = w.samples[:0]
	}
	before, err := c.meter.read(ctx)
	if err != nil {
		return cell{}, err
	}
	took, err := c.work(ctx, op, workers, c.duration, s.limit)
	if err != nil {
		return cell{}, err
	}
	after, err := c.meter.read(ctx)
	if err != nil {
		return cell{}, err
	}
	return summarize(workers, warm, took, after.since(before)), nil
}

// work has every worker repeat the operation until the time is over, or until
// the side's limit is shared out.
func (c crew) work(ctx context.Context, op operation, workers []*worker, duration time.Duration, limit int) (time.Duration, error) {
	var over atomic.Bool
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	if limit == 0 {
		defer time.AfterFunc(duration, func() { over.Store(true) }).Stop()
	}
	for _, w := range workers {
		most := math.MaxInt
		if limit > 0 {
			most = share(limit, len(workers), w.index)
		}
		group.Go(func() error {
			for ; w.count < most && !over.Load(); w.count++ {
				if err := w.do(ctx, op); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return time.Since(began), err
}

// share is how many of n things the one of so many workers gets.
func share(n, workers, index int) int {
	return (n + workers - 1 - index) / workers
}

func (w *worker) do(ctx context.Context, op operation) error {
	if w.count%sampleEvery != 0 {
		return op(ctx, w)
	}
	began := time.Now()
	err := op(ctx, w)
	w.samples = append(w.samples, time.Since(began))
	return err
}

func summarize(workers []*worker, warm int, took time.Duration, spent usage) cell {
	count := -warm
	var samples []time.Duration
	for _, w := range workers {
		count += w.count
		samples = append(samples, w.samples...)
	}
	slices.Sort(samples)
	return cell{
		opsPerSecond: float64(count) / took.Seconds(),
		p50:          percentile(samples, 50),
		p99:          percentile(samples, 99),
		client:       spent.client / time.Duration(max(count, 1)),
		server:       spent.server / time.Duration(max(count, 1)),
		others:       spent.others(took),
	}
}

// percentile of sorted samples, by the nearest rank.
func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}
