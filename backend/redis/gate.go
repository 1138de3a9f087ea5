package redis

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// gate makes the connections of a client.
type gate struct {
	// spaced says to leave dialGap between connections to one address. The
	// client asks Sentinels for the master again and again without a pause while
	// they do not name one.
	spaced bool

	made  atomic.Uint64 // connections so far
	fresh chan struct{} // holds one element after a connection was made

	mu   sync.Mutex
	last map[string]time.Time // when a connection to an address was begun
}

const dialGap = 50 * time.Millisecond

func newGate(spaced bool) *gate {
	return &gate{spaced: spaced, fresh: make(chan struct{}, 1), last: map[string]time.Time{}}
}

// dial has the signature of rueidis.ClientOption.DialCtxFn.
func (g *gate) dial(ctx context.Context, address string, dialer *net.Dialer, secure *tls.Config) (conn net.Conn, err error) {
	if g.spaced && !pause(ctx, g.turn(address)) {
		return nil, ctx.Err()
	}
	if secure != nil {
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: secure}).DialContext(ctx, "tcp", address)
	} else {
		conn, err = dialer.DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	g.made.Add(1)
	select {
	case g.fresh <- struct{}{}:
	default:
	}
	return newGuard(conn), nil
}

// turn is how long to wait until the address may be dialled.
func (g *gate) turn(address string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := time.Now()
	if next := g.last[address].Add(dialGap); next.After(at) {
		at = next
	}
	g.last[address] = at
	return time.Until(at)
}
