package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"connectrpc.com/connect"
)

// failureInterval is how often a kind of failure that goes on is logged.
const failureInterval = time.Minute

// failures logs the failures of calls: the first of a kind at once, and then how
// many more there were, once in an interval, however many calls fail.
type failures struct {
	logger   *slog.Logger
	interval time.Duration

	mu     sync.Mutex
	counts map[failure]*tally
}

// failure is a kind of failure: there are as many as methods times codes, at most.
type failure struct {
	procedure string
	code      connect.Code
}

// tally is what is not logged yet of one kind.
type tally struct {
	more int
	last error
}

func newFailures(logger *slog.Logger, interval time.Duration) *failures {
	return &failures{logger: logger, interval: interval, counts: map[failure]*tally{}}
}

// add logs a failure, or counts it if one of its kind was logged a short while ago.
func (f *failures) add(ctx context.Context, kind failure, took time.Duration, err error) {
	f.mu.Lock()
	known := f.counts[kind]
	if known != nil {
		known.more++
		known.last = err
		f.mu.Unlock()
		return
	}
	f.counts[kind] = &tally{}
	f.mu.Unlock()
	f.logger.LogAttrs(ctx, slog.LevelWarn, "call failed", slog.String("call", kind.procedure), slog.String("code", kind.code.String()),
		slog.String("took", took.String()), slog.Any("error", err))
	time.AfterFunc(f.interval, func() { f.sum(kind) })
}

// sum logs how many failures of the kind there were since it was logged last. A kind
// that has not come again is forgotten: the next one is logged at once.
func (f *failures) sum(kind failure) {
	f.mu.Lock()
	known := *f.counts[kind]
	if known.more == 0 {
		delete(f.counts, kind)
		f.mu.Unlock()
		return
	}
	*f.counts[kind] = tally{}
	f.mu.Unlock()
	f.logger.LogAttrs(context.Background(), slog.LevelWarn, "calls failed", slog.String("call", kind.procedure), slog.String("code", kind.code.String()),
		slog.Int("more", known.more), slog.String("in", f.interval.String()), slog.Any("last", known.last))
	time.AfterFunc(f.interval, func() { f.sum(kind) })
}
