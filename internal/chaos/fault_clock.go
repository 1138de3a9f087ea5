package chaos

import (
	"context"
	"time"

	"github.com/perdure/perdure/internal/faultproxy"
)

// skew sets the clock of the first process wrong and cuts it off.
func skew(offset time.Duration) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		first := s.members[0]
		first.offset.Store(int64(offset))
		s.pass(ctx, 500*time.Millisecond) // online with a wrong clock
		err := cutOff(faultproxy.Both)(ctx, s)
		s.pass(ctx, 500*time.Millisecond)
		first.offset.Store(0)
		return err
	}
}

// misstep sets the clock of the first process wrong while it is cut off, and right
// again before it is back.
func misstep(offset time.Duration) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		first := s.members[0]
		s.struck = time.Now()
		first.proxy.Blackhole(faultproxy.Both)
		first.offset.Store(int64(offset))
		s.hold(ctx)
		first.offset.Store(0)
		s.pass(ctx, 300*time.Millisecond) // of logins and logouts with a clock that is right
		s.mended = time.Now()
		return first.proxy.Heal()
	}
}

// wrongClock sets the clock of the first process wrong while all is well otherwise,
// and has it sweep all the time.
func wrongClock(offset time.Duration) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		first := s.members[0]
		first.offset.Store(int64(offset))
		defer first.offset.Store(0)
		return s.holdDoing(ctx, 100*time.Millisecond, func() error {
			s.probes = append(s.probes, first.do(ctx, Request{Kind: Sweep}))
			return nil
		})
	}
}
