package faultproxy

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perdure/perdure/internal/redistest/loopback"
)

// Proxy forwards connections to an upstream address, as far as its faults let
// it. Its address stays the same, also while it refuses connections.
//
// The methods may be called from several goroutines.
type Proxy struct {
	upstream string
	port     *loopback.Port
	faults   *faults
	counters counters
	running  sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while connections are refused
	links    map[*link]struct{}
	closed   bool
}

// Stats counts what a proxy did since its launch.
type Stats struct {
	Accepted   int64 // connections that were accepted
	Live       int   // connections that are open now
	Upstream   int64 // bytes that were forwarded to the upstream
	Downstream int64 // bytes that were sent to clients, injected ones included
	Armed      int   // faults on a single reply that are waiting for one
	Fired      int64 // faults on a single reply that have gone off
}

type counters struct {
	accepted, upstream, downstream, fired atomic.Int64
}

// Start launches a proxy that ends with the test, or fails the test.
func Start(tb testing.TB, upstream string) *Proxy {
	tb.Helper()
	p, err := Launch(upstream)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close() })
	return p
}

// Launch starts a proxy to an address, given as host:port, on a free port of
// the loopback interface. The upstream need not be up: each connection to the
// proxy makes one to the upstream, and is reset where that fails.
func Launch(upstream string) (*Proxy, error) {
	if _, _, err := net.SplitHostPort(upstream); err != nil {
		return nil, fmt.Errorf("faultproxy: upstream: %w", err)
	}
	port, err := loopback.Reserve()
	if err != nil {
		return nil, fmt.Errorf("faultproxy: %w", err)
	}
	p := &Proxy{
		upstream: upstream,
		port:     port,
		faults:   newFaults(),
		links:    make(map[*link]struct{}),
	}
	if err := p.listen(); err != nil {
		port.Release()
		return nil, err
	}
	return p, nil
}

// Addr returns the proxy's address, as host:port.
func (p *Proxy) Addr() string { return p.port.Addr() }

// Stats returns the counts so far.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	live := len(p.links)
	p.mu.Unlock()
	return Stats{
		Accepted:   p.counters.accepted.Load(),
		Live:       live,
		Upstream:   p.counters.upstream.Load(),
		Downstream: p.counters.downstream.Load(),
		Armed:      p.faults.armed(),
		Fired:      p.counters.fired.Load(),
	}
}

// Close cuts all connections and ends the proxy. It may be called more than
// once.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.deafen()
	p.reset()
	p.port.Release()
	p.mu.Unlock()
	p.running.Wait()
}

// listen accepts connections from now on. The caller holds mu, or is the only
// one who knows the proxy.
func (p *Proxy) listen() error {
	if p.listener != nil || p.closed {
		return nil
	}
	l, err := net.Listen("tcp", p.Addr())
	if err != nil {
		return fmt.Errorf("faultproxy: %w", err)
	}
	p.listener = l
	p.running.Go(func() { p.accept(l) })
	return nil
}

// deafen stops listening, so that the kernel refuses connections and resets
// those that it has not handed over yet. The caller holds mu.
func (p *Proxy) deafen() {
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
}

// reset cuts all connections. The caller holds mu.
func (p *Proxy) reset() {
	for l := range p.links {
		l.reset()
	}
}

// accept serves connections until the listener is closed.
func (p *Proxy) accept(from net.Listener) {
	for {
		conn, err := from.Accept()
		if err != nil {
			return
		}
		p.counters.accepted.Add(1)
		l := newLink(p, conn.(*net.TCPConn))
		if !p.add(l, from) {
			l.reset()
			continue
		}
		p.running.Go(func() {
			defer p.remove(l)
			l.serve()
		})
	}
}

// add notes a connection, unless it was accepted just before its listener was
// closed.
func (p *Proxy) add(l *link, from net.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != from {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}
