package faultproxy

import (
	"slices"
	"time"
)

// Direction is a way that bytes go.
type Direction int

// Upstream is from the client to the server, Downstream from the server to the
// client.
const (
	Upstream Direction = 1 << iota
	Downstream
	Both = Upstream | Downstream
)

// Refuse cuts all connections and has new ones refused, as by a machine on
// which no server runs.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deafen()
	p.reset()
}

// Cut resets all connections that are open. New ones are served. A connection
// is open once it has carried a byte: a dial returns before the proxy has heard
// of it.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset()
}

// Blackhole holds back all that goes in a direction, the end of a connection
// too, while connections stay open and new ones are accepted. As TCP sends
// again what was lost, what was held back arrives after Heal. It replaces
// the Blackhole before it; a direction of zero ends it.
func (p *Proxy) Blackhole(d Direction) {
	p.faults.set(func(s *state) { s.hole = d })
}

// Latency has every reply arrive so much later than it would: a round trip
// takes that long more, and pipelined ones still overlap. Zero ends it.
func (p *Proxy) Latency(d time.Duration) {
	p.faults.set(func(s *state) { s.latency = d })
}

// Drip has replies arrive at so many bytes a second, on each connection. Zero
// ends it.
func (p *Proxy) Drip(bytesPerSecond int) {
	p.faults.set(func(s *state) { s.rate = bytesPerSecond })
}

// CutAfter ends a connection in the middle of the next reply, on whichever
// connection that comes, after its first n bytes: the server has done what it
// was asked, and the client does not get to know. With zero, nothing of the reply arrives. Where n is more
// than the reply, the ones after it count too.
func (p *Proxy) CutAfter(n int) {
	p.faults.arm(shot{cut: true, after: max(n, 0)})
}

// Inject answers in place of the next reply, on whichever connection that
// comes, which is dropped: the server has done what it was asked, and the
// client hears something else. The bytes are sent as they are, so that they
// can be any error, such as
// "-LOADING Redis is loading the dataset in memory\r\n", or no RESP at all.
func (p *Proxy) Inject(reply []byte) {
	p.faults.arm(shot{reply: slices.Clone(reply)})
}

// Heal ends all faults and forgets those that have not gone off. It fails only
// where a refused port cannot be listened on again.
func (p *Proxy) Heal() error {
	p.faults.clear()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.listen()
}
