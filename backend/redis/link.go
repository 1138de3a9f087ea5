package redis

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// link sends commands to the server, and keeps the client's rules from the rest
// of the package: a call ends with its context although the client may wait for
// a connection longer, and a script that the server does not have is sent again
// with its source.
type link struct {
	client  rueidis.Client
	cluster bool
	timeout time.Duration
	always  bool        // the timeout is for callers with a deadline too
	apart   atomic.Bool // a node of the Cluster did not answer of late

	life    context.Context // ends with close
	end     context.CancelFunc
	closing <-chan struct{} // closed then
}

// again is how long to wait before a command is repeated that met a slot whose
// keys are on their way to another node.
const again = 20 * time.Millisecond

func newLink(client rueidis.Client, timeout time.Duration, always bool) *link {
	l := &link{client: client, cluster: client.Mode() == rueidis.ClientModeCluster, timeout: timeout, always: always}
	l.life, l.end = context.WithCancel(context.Background())
	l.closing = l.life.Done()
	return l
}

// ready returns an error if the link is closed or the context has ended.
func (l *link) ready(ctx context.Context) error {
	select {
	case <-l.closing:
		return perdure.ErrClosed
	default:
	}
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return nil
}

// do sends calls in one pipeline and returns their results, aligned. It returns
// an error where the context, or the timeout in its place, ends first.
func (l *link) do(ctx context.Context, calls ...call) ([]rueidis.RedisResult, error) {
	if len(calls) == 0 {
		return nil, l.ready(ctx)
	}
	return inTime(ctx, l, func(ctx context.Context) ([]rueidis.RedisResult, error) {
		return l.exchange(ctx, calls), nil
	})
}

// inTime returns what f does, or an error as soon as the context, or the timeout
// in its place, ends: the client can wait longer than that, for a connection that
// another call is making.
func inTime[T any](ctx context.Context, l *link, f func(context.Context) (T, error)) (value T, err error) {
	if err := l.ready(ctx); err != nil {
		return value, err
	}
	ctx, cancel := l.bound(ctx)
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		defer cancel()
		value, err := f(ctx)
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-l.closing:
		return value, perdure.ErrClosed
	case <-ctx.Done():
	}
	select {
	case a := <-done: // its cancel ended the context
		return a.value, a.err
	default:
		return value, ended(ctx)
	}
}

// one is do for a single call.
func (l *link) one(ctx context.Context, c call) (rueidis.RedisMessage, error) {
	results, err := l.do(ctx, c)
	if err != nil {
		return rueidis.RedisMessage{}, err
	}
	return l.message(results[0])
}

// message is the reply in a result, or its error. A null is no error.
func (l *link) message(r rueidis.RedisResult) (rueidis.RedisMessage, error) {
	m, err := r.ToMessage()
	if err == nil || rueidis.IsRedisNil(err) {
		return m, nil
	}
	return m, l.failure(err)
}

// replies are the n replies in a result.
func (l *link) replies(r rueidis.RedisResult, n int) ([]rueidis.RedisMessage, error) {
	replies, err := r.ToArray()
	if err == nil && len(replies) != n {
		err = errGarbage
	}
	if err != nil {
		return nil, l.failure(err)
	}
	return replies, nil
}

// failure is the error for a failed command.
func (l *link) failure(err error) error {
	select {
	case <-l.closing:
		return perdure.ErrClosed
	default:
		return failure(err)
	}
}

// patient reports whether the caller has set the time that a call may take.
func (l *link) patient(ctx context.Context) bool {
	_, has := ctx.Deadline()
	return has && !l.always
}

// bound gives a context the timeout, unless the caller has set its own.
func (l *link) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.patient(ctx) {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, l.timeout)
}

// exchange sends calls and waits for the replies, however long the client takes.
// But it gives up on a slot on the move a while before the context ends: so its caller
// hears why, and not of a timeout.
func (l *link) exchange(ctx context.Context, calls []call) []rueidis.RedisResult {
	patience, stop := lessThan(ctx, 6)
	defer stop()
	results := l.send(ctx, calls, false)
	for ctx.Err() == nil {
		rest, full, wait := unfinished(calls, results)
		if len(rest) == 0 {
			break
		}
		if wait && !pause(patience, again) {
			break
		}
		some := make([]call, len(rest))
		for i, at := range rest {
			some[i] = calls[at]
		}
		for i, result := range l.send(ctx, some, full) {
			results[rest[i]] = result
		}
	}
	return results
}

// lessThan gives a context so many eighths of the time that another has.
func lessThan(ctx context.Context, eighths time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/8*eighths)
}

func (l *link) send(ctx context.Context, calls []call, full bool) []rueidis.RedisResult {
	if len(calls) == 1 {
		do := l.client.Do
		if calls[0].watch {
			do = l.watched
		}
		return []rueidis.RedisResult{do(ctx, calls[0].build(l.client.B(), full))}
	}
	commands := make([]rueidis.Completed, len(calls))
	for i := range calls {
		commands[i] = calls[i].build(l.client.B(), full)
	}
	return l.client.DoMulti(ctx, commands...)
}

// unfinished is which calls to send again: those of scripts that the server does
// not have, in full; else those that met a slot on the move, after a wait.
func unfinished(calls []call, results []rueidis.RedisResult) (rest []int, full, wait bool) {
	var moving []int
	for i, result := range results {
		switch reply, ok := rueidis.IsRedisErr(result.Error()); {
		case !ok:
		case reply.IsNoScript() && calls[i].script != nil:
			rest = append(rest, i)
		case reply.IsTryAgain() || isElsewhere(reply.Error()):
			moving = append(moving, i)
		}
	}
	if len(rest) > 0 {
		return rest, true, false
	}
	return moving, true, true
}

// pause waits, and returns false where the context ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// close ends the link. A server that hangs does not hold it up.
func (l *link) close() {
	if l.life.Err() != nil {
		return
	}
	l.end()
	done := make(chan struct{})
	go func() {
		l.client.Close()
		close(done)
	}()
	timer := time.NewTimer(l.timeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
