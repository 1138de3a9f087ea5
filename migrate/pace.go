package migrate

import (
	"context"
	"sync"
	"time"
)

// pace spreads sessions evenly over time. It is safe for concurrent use.
type pace struct {
	each time.Duration // for a session; 0 is no bound
	mu   sync.Mutex
	next time.Time // when the next session may go
}

func newPace(rate int) *pace {
	if rate == 0 {
		return &pace{}
	}
	return &pace{each: time.Second / time.Duration(rate)}
}

// wait returns when n sessions may go, or the context ends.
func (p *pace) wait(ctx context.Context, n int) error {
	if p.each == 0 || n == 0 {
		return ctx.Err()
	}
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	turn := p.next
	p.next = p.next.Add(time.Duration(n) * p.each)
	p.mu.Unlock()
	timer := time.NewTimer(time.Until(turn))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
