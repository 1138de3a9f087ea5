package migrate

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/perdure/perdure"
)

const (
	firstPause = 50 * time.Millisecond
	mostPause  = 2 * time.Second
)

// patiently does something with a store, and does it again for as long as the
// store is unavailable and patience lasts.
func (r *Reading) patiently(ctx context.Context, p *reporter, do func(context.Context) error) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = firstPause, mostPause
	waited := false
	try := func() (struct{}, error) {
		err := r.once(ctx, do)
		if err != nil && !passing(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}
	_, err := backoff.Retry(ctx, try, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(r.Patience),
		backoff.WithNotify(func(err error, _ time.Duration) {
			waited = true
			p.waiting(err)
		}))
	if waited {
		p.waiting(nil)
	}
	return err
}

// once does it under a deadline of its own.
func (r *Reading) once(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	return do(ctx)
}

// passing reports whether the same call may succeed a little later.
func passing(err error) bool {
	return errors.Is(err, perdure.ErrUnavailable) && !errors.Is(err, perdure.ErrFull) && !errors.Is(err, perdure.ErrClosed)
}
