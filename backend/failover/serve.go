package failover

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// served is a way to carry out a call.
type served[T any] struct {
	// claim is what must be merged before the front store can be asked.
	claim func(ctx context.Context) error
	// online asks the front store; offline serves without it.
	online  func(ctx context.Context, st *status) (T, error)
	offline func(ctx context.Context, st *status) (T, error)
	// need is whether logins and logouts need such calls.
	need need
	// reach is where the call goes; everywhere if it is empty.
	reach partitions
	// divisible says that the call can be divided where some of that is away. It then
	// fails with errDivide.
	divisible bool
}

// need says what it means that calls of a kind keep failing.
type need int

const (
	optional need = iota // a list, a count: it is their caller's trouble
	reading              // an outage
	writing              // an outage in which the front store may still answer reads
)

// serve carries out a call in the state that the backend is in, and in the next
// where it changes under it.
func serve[T any](ctx context.Context, b *Backend, s served[T]) (T, error) {
	var none T
	if s.reach.empty() {
		s.reach = everywhere()
	}
	for attempt := 0; ; attempt++ {
		if b.closed.Load() {
			return none, perdure.ErrClosed
		}
		st := b.status.Load()
		if s.divisible && st.away.meets(s.reach) && !s.reach.within(st.away) {
			return none, errDivide
		}
		if st.away.meets(s.reach) {
			v, err, done := offline(ctx, b, s)
			if done {
				return v, err
			}
			continue
		}
		v, err := online(ctx, b, st, s)
		if errors.Is(err, errWaits) {
			s.reach, s.divisible = s.reach.with(st.away), false // it needs what is away, too
			continue
		}
		again, well := b.again(ctx, st, err)
		switch surplus := attempt - max(b.opts.MaxRetries, 0); {
		case !again:
			return v, err
		case !well || surplus < 0:
		case s.need == optional || surplus >= maxSurrenders:
			return v, err
		default:
			b.surrender(st, s.need, s.reach, err)
		}
	}
}

// maxSurrenders is how often a call may begin an outage that is over before it was
// served in it.
const maxSurrenders = 3

// surrender begins an outage since calls keep failing that logins and logouts need,
// although each probe was well: they go another way than it, or ask for more.
// Of a front store with several servers it is that of where they go.
func (b *Backend) surrender(seen *status, n need, reach partitions, cause error) {
	out := absence{away: everywhere(), readable: n == writing, err: fmt.Errorf("calls keep failing although a probe is well: %w", cause)}
	if _, ok := sharded(seen.front); ok {
		out.away = reach
	}
	b.degrade(seen, out)
}

// again reports whether a call that ended so may be tried again, and whether the
// front store is well, which a probe has then found out.
func (b *Backend) again(ctx context.Context, st *status, err error) (again, well bool) {
	if err == nil || !errors.Is(err, perdure.ErrUnavailable) || errors.Is(err, errElsewhere) || ctx.Err() != nil || b.closed.Load() {
		return false, false
	}
	return true, b.confirm(ctx, st, err)
}

func online[T any](ctx context.Context, b *Backend, st *status, s served[T]) (T, error) {
	if st.state != Healthy {
		if err := s.claim(ctx); err != nil {
			var none T
			return none, err
		}
	}
	return s.online(ctx, st)
}

// offline serves without the front store; done is false where it came back.
func offline[T any](ctx context.Context, b *Backend, s served[T]) (v T, err error, done bool) {
	b.gate.RLock()
	defer b.gate.RUnlock()
	st := b.status.Load()
	if !st.away.meets(s.reach) {
		return v, nil, false
	}
	if b.standby.Load() {
		return v, b.unavailable(st, "no sessions are kept here yet"), true
	}
	if b.opts.Outage == OutageRefuse {
		return v, b.unavailable(st, "the policy is to refuse until it is back"), true
	}
	v, err = s.offline(ctx, st)
	return v, err, true
}

// Activate ends Options.Standby: from now on it serves in an outage, too.
func (b *Backend) Activate() { b.standby.Store(false) }

// plain is the text of an error without the words that every one of this kind begins
// with: what it is part of has them already.
func plain(err error) string {
	return strings.ReplaceAll(err.Error(), perdure.ErrUnavailable.Error()+": ", "")
}

// both is the error of a call and of the probe that followed it up, told once if they
// say the same.
func both(call, probe error) error {
	if call.Error() == probe.Error() {
		return call
	}
	return fmt.Errorf("%w; then a probe: %w", call, probe)
}

// unavailable is the error of a call that cannot be served offline.
func (b *Backend) unavailable(st *status, why string) error {
	return fmt.Errorf("%w: the session store is %s since %s (%s) and %s",
		perdure.ErrUnavailable, st.state, st.since.UTC().Format(time.RFC3339), st.reason, why)
}
