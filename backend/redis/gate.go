package redis

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// gate makes the connections of a client.
type gate struct {
	// spaced says to leave dialGap between connections to one address. The
	// client asks Sentinels for the master again and again without a pause while
	// they do not name one.
	spaced bool

	refused func(reply []byte) // takes the text of each error that a server replies with; or nil

	// made counts the connections that may have come to another server than those
	// before: the first to an address, and each in the place of one that ended. One
	// more beside those that are there is to the same.
	made  atomic.Uint64
	fresh chan struct{} // holds one element after a connection was made

	mu    sync.Mutex
	last  map[string]time.Time // when a connection to an address was begun
	ended map[string]int       // connections to it that nothing has replaced yet
}

const dialGap = 50 * time.Millisecond

func newGate(spaced bool) *gate {
	return &gate{spaced: spaced, fresh: make(chan struct{}, 1), last: map[string]time.Time{}, ended: map[string]int{}}
}

// dial has the signature of rueidis.ClientOption.DialCtxFn.
func (g *gate) dial(ctx context.Context, address string, dialer *net.Dialer, secure *tls.Config) (conn net.Conn, err error) {
	if g.spaced && !pause(ctx, g.turn(address)) {
		return nil, ctx.Err()
	}
	network := "tcp"
	if isSocket(address) {
		network = "unix"
	}
	if secure != nil {
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: secure}).DialContext(ctx, network, address)
	} else {
		conn, err = dialer.DialContext(ctx, network, address)
	}
	if err != nil {
		return nil, err
	}
	g.count(address)
	select {
	case g.fresh <- struct{}{}:
	default:
	}
	guard := newGuard(conn, g.refused)
	guard.sentinel = dialer.ControlContext != nil
	guard.over = sync.OnceFunc(func() { g.lost(address) })
	return guard, nil
}

// toSentinel marks a dialer as that of Sentinels, which have users of their own.
func toSentinel(context.Context, string, string, syscall.RawConn) error { return nil }

// count takes in that a connection was made.
func (g *gate) count(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	missing, known := g.ended[address]
	if !known || missing > 0 {
		g.made.Add(1)
	}
	g.ended[address] = max(missing-1, 0)
}

// lost takes in that one has ended.
func (g *gate) lost(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended[address]++
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
