package faultproxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/faultproxy"
)

// patience is how long a test waits for what has to come, brief for what must
// not.
const (
	patience = time.Minute
	brief    = 100 * time.Millisecond
)

// echo is an upstream that answers every line with a bulk string of it.
type echo struct {
	net.Listener
	mu       sync.Mutex
	received []string
	conns    sync.WaitGroup
}

func startEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: l}
	e.conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			e.conns.Go(func() { e.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		e.conns.Wait()
	})
	return e
}

func (e *echo) serve(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		e.mu.Lock()
		e.received = append(e.received, lines.Text())
		e.mu.Unlock()
		fmt.Fprint(conn, reply(lines.Text()))
	}
}

func (e *echo) has(line string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.received {
		if r == line {
			return true
		}
	}
	return false
}

func reply(line string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(line), line) }

func start(t *testing.T) (*echo, *faultproxy.Proxy) {
	t.Helper()
	upstream := startEcho(t)
	return upstream, faultproxy.Start(t, upstream.Addr().String())
}

// client is a connection to a proxy.
type client struct {
	*net.TCPConn
	t *testing.T
}

func dial(t *testing.T, p *faultproxy.Proxy) *client {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &client{TCPConn: conn.(*net.TCPConn), t: t}
}

func (c *client) send(lines ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c, strings.Join(lines, "\n")+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		c.t.Fatalf("got %q (%v), want %q", got[:n], err, want)
	}
}

func (c *client) roundTrip(line string) {
	c.t.Helper()
	c.send(line)
	c.expect(reply(line))
}

// expectNothing fails if anything arrives, or the connection ends, in a while.
func (c *client) expectNothing() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(brief))
	n, err := c.Read(make([]byte, 1))
	if timeout, ok := errors.AsType[net.Error](err); n > 0 || !ok || !timeout.Timeout() {
		c.t.Fatalf("got %d bytes and %v, want nothing", n, err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
}

// expectEnd fails unless exactly the given bytes arrive before the end.
func (c *client) expectEnd(want string) {
	c.t.Helper()
	got, err := io.ReadAll(c)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		c.t.Fatal("the connection did not end")
	}
	if string(got) != want {
		c.t.Fatalf("got %q before the end, want %q", got, want)
	}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func heal(t *testing.T, p *faultproxy.Proxy) {
	t.Helper()
	if err := p.Heal(); err != nil {
		t.Fatal(err)
	}
}

func TestForwardsAndCounts(t *testing.T) {
	_, p := start(t)
	a, b := dial(t, p), dial(t, p)
	a.roundTrip("one")
	b.roundTrip("two!")
	a.roundTrip(strings.Repeat("x", 60_000))

	want := faultproxy.Stats{Accepted: 2, Live: 2, Upstream: 4 + 5 + 60_001}
	want.Downstream = int64(len(reply("one")) + len(reply("two!")) + len(reply(strings.Repeat("x", 60_000))))
	eventually(t, "all is counted", func() bool { return p.Stats() == want })

	a.Close()
	eventually(t, "a closed connection is not live", func() bool { return p.Stats().Live == 1 })
	b.roundTrip("three")
}

func TestForwardsTheEndOfEitherDirection(t *testing.T) {
	_, p := start(t)
	c := dial(t, p)
	c.send("last words")
	c.CloseWrite()
	c.expectEnd(reply("last words"))
	eventually(t, "the link ends", func() bool { return p.Stats().Live == 0 })
}

func TestUpstreamThatIsDown(t *testing.T) {
	upstream, p := start(t)
	upstream.Close()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return // the reset overtook the dial
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("reading: %v, want connection reset", err)
	}
}

func TestRefuse(t *testing.T) {
	_, p := start(t)
	for range 3 {
		c := dial(t, p)
		c.roundTrip("before")
		p.Refuse()
		c.expectEnd("")
		for range 3 {
			if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("dialling: %v, want connection refused", err)
			}
		}
		p.Refuse() // twice is once
		heal(t, p)
		dial(t, p).roundTrip("after")
	}
}

func TestCut(t *testing.T) {
	_, p := start(t)
	a, b := dial(t, p), dial(t, p)
	a.roundTrip("a")
	b.roundTrip("b")
	p.Cut()
	for _, c := range []*client{a, b} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("reading: %v, want connection reset", err)
		}
	}
	dial(t, p).roundTrip("again")
}

func TestBlackhole(t *testing.T) {
	for _, test := range []struct {
		name     string
		hole     faultproxy.Direction
		received bool
	}{
		{"Upstream", faultproxy.Upstream, false},
		{"Downstream", faultproxy.Downstream, true},
		{"Both", faultproxy.Both, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			upstream, p := start(t)
			open := dial(t, p)
			open.roundTrip("before")
			p.Blackhole(test.hole)
			fresh := dial(t, p)
			open.send("open")
			fresh.send("fresh")
			open.expectNothing()
			fresh.expectNothing()
			if test.received {
				eventually(t, "the upstream hears", func() bool { return upstream.has("open") && upstream.has("fresh") })
			} else if upstream.has("open") || upstream.has("fresh") {
				t.Fatal("the upstream heard through the hole")
			}
			heal(t, p)
			open.expect(reply("open"))
			fresh.expect(reply("fresh"))
		})
	}
}

func TestBlackholeHidesTheEnd(t *testing.T) {
	_, p := start(t)
	c := dial(t, p)
	c.roundTrip("before")
	p.Blackhole(faultproxy.Both)
	c.CloseWrite()
	c.expectNothing()
	heal(t, p)
	c.expectEnd("")
}

func TestCutInABlackhole(t *testing.T) {
	_, p := start(t)
	p.Blackhole(faultproxy.Both)
	c := dial(t, p)
	c.send("lost")
	eventually(t, "the connection is accepted", func() bool { return p.Stats().Live == 1 })
	p.Cut()
	c.expectEnd("")
}

func TestLatency(t *testing.T) {
	const late = 150 * time.Millisecond
	_, p := start(t)
	c := dial(t, p)
	c.roundTrip("before")
	p.Latency(late)
	began := time.Now()
	const calls = 400 // one after the other they would take a minute
	for i := range calls {
		c.send(fmt.Sprint(i))
	}
	for i := range calls {
		c.expect(reply(fmt.Sprint(i)))
	}
	if took := time.Since(began); took < late || took > calls*late/2 {
		t.Fatalf("%d calls at once took %v, want a little over %v", calls, took, late)
	}

	p.Latency(time.Hour)
	c.send("patient")
	c.expectNothing()
	heal(t, p)
	c.expect(reply("patient"))
}

func TestDrip(t *testing.T) {
	const rate = 1000
	_, p := start(t)
	c := dial(t, p)
	p.Drip(rate)
	line := strings.Repeat("x", 300)
	began := time.Now()
	c.roundTrip(line)
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Fatalf("%d bytes at %d a second took %v", len(line), rate, took)
	}

	p.Drip(1)
	c.send(line)
	c.expect("$")
	p.Drip(0)
	c.expect(reply(line)[1:])
}

func TestCloseEndsAll(t *testing.T) {
	upstream := startEcho(t)
	p, err := faultproxy.Launch(upstream.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, p)
	c.roundTrip("before")
	p.Blackhole(faultproxy.Both)
	c.send("held")
	p.Close()
	p.Close()
	c.expectEnd("")
	if _, err := net.Dial("tcp", p.Addr()); err == nil {
		t.Fatal("a closed proxy accepts connections")
	}
	heal(t, p)
	if _, err := net.Dial("tcp", p.Addr()); err == nil {
		t.Fatal("a closed proxy was revived")
	}
}

func TestUpstreamHasToBeAnAddress(t *testing.T) {
	if _, err := faultproxy.Launch("localhost"); err == nil {
		t.Fatal("an address without a port was accepted")
	}
}
