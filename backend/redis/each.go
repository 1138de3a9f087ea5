package redis

import (
	"cmp"
	"context"
	"errors"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// each sends calls by themselves and returns what came of each: the node of one that
// hangs, or to which a connection is being made, holds up no other. It leaves the
// caller an eighth of the time, to act on that.
func (l *link) each(ctx context.Context, calls []call) ([]rueidis.RedisResult, error) {
	if err := l.ready(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := l.nearly(ctx)
	defer cancel()
	type answer struct {
		at     int
		result rueidis.RedisResult
	}
	answers := make(chan answer, len(calls))
	for i := range calls {
		go func() { answers <- answer{i, l.exchange(ctx, calls[i:i+1])[0]} }()
	}
	results, missing := make([]rueidis.RedisResult, len(calls)), make([]bool, len(calls))
	for i := range missing {
		missing[i] = true
	}
	take := func(a answer) { results[a.at], missing[a.at] = a.result, false }
	for range calls {
		select {
		case a := <-answers:
			take(a)
			continue
		case <-l.closing:
			return nil, l.ready(ctx)
		case <-ctx.Done():
		}
		select {
		case a := <-answers: // it was in time
			take(a)
			continue
		default:
		}
		break
	}
	failed := false
	for i := range results {
		if missing[i] {
			results[i] = rueidis.NewErrorResult(context.DeadlineExceeded)
		}
		failed = failed || results[i].NonRedisError() != nil
	}
	l.apart.Store(failed)
	return results, nil
}

// nearly gives a context seven eighths of the time that do would take.
func (l *link) nearly(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := l.bound(ctx)
	ctx, end := lessThan(ctx, 7)
	return ctx, func() { end(); cancel() }
}

// some is do for calls that go to all partitions, of which some may be away: what came
// of them is an error in their result. While a node of a Cluster does not answer they
// are sent one by one.
func (l *link) some(ctx context.Context, calls ...call) ([]rueidis.RedisResult, error) {
	if l.cluster && l.apart.Load() {
		return l.each(ctx, calls)
	}
	results, err := l.do(ctx, calls...)
	if err != nil && l.cluster && l.life.Err() == nil {
		l.apart.Store(true)
	}
	return results, err
}

// away reports whether the node of a Cluster that a call went to could not carry it out.
func (l *link) away(result rueidis.RedisResult) bool {
	if !l.cluster {
		return false
	}
	_, err := l.message(result)
	return errors.Is(err, perdure.ErrUnavailable)
}

// anyAnswer returns an error if no result is an answer: that of the first.
func (l *link) anyAnswer(results []rueidis.RedisResult) (err error) {
	for _, result := range results {
		_, failed := l.message(result)
		if failed == nil {
			return nil
		}
		err = cmp.Or(err, failed)
	}
	return err
}
