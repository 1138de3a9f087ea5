package redistest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	pollInterval = 5 * time.Millisecond
	startTimeout = 60 * time.Second // of one server
	fleetTimeout = 2 * time.Minute  // of many, and of what they agree on
)

// finalError is a condition that no waiting will bring about.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// poll asks until the condition holds, that is returns nil, until it fails for
// good, or until the context ends.
func poll(ctx context.Context, condition func(context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		if final, ok := errors.AsType[finalError](err); ok {
			return final.error
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last seen: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// bounded gives a context without a deadline one.
func bounded(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}
