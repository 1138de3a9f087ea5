package faultproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	chunkSize  = 16 << 10
	chunkQueue = 64 // chunks under way, before the reader waits for the writer

	// dripsPerSecond is how often a slow connection lets some bytes through,
	// if it has as many to let.
	dripsPerSecond = 50
)

// pump moves the bytes of a link in one direction. Reading and writing run
// apart, so that a delay holds up what is read and not the reading.
type pump struct {
	link      *link
	direction Direction
	from, to  *net.TCPConn
	moved     *atomic.Int64
	chunks    chan chunk
	replies   replies
	next      time.Time // when a slow connection lets through more
}

// chunk is what one read returned.
type chunk struct {
	data []byte
	err  error // the end of the stream
	at   time.Time
}

func newPump(l *link, d Direction, from, to *net.TCPConn) *pump {
	p := &pump{link: l, direction: d, from: from, to: to, chunks: make(chan chunk, chunkQueue)}
	p.moved = &l.proxy.counters.upstream
	if d == Downstream {
		p.moved = &l.proxy.counters.downstream
	}
	return p
}

func (p *pump) run() {
	var reader sync.WaitGroup
	reader.Go(p.read)
	p.write()
	reader.Wait()
}

// read queues all that arrives, and at last the error that ends it.
func (p *pump) read() {
	for {
		data := make([]byte, chunkSize)
		n, err := p.from.Read(data)
		select {
		case p.chunks <- chunk{data: data[:n], err: err, at: time.Now()}:
		case <-p.link.done.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// write forwards what was queued until the stream ends. An end in order ends
// this direction only, any other one the whole link.
func (p *pump) write() {
	for {
		var c chunk
		select {
		case c = <-p.chunks:
		case <-p.link.done.Done():
			return
		}
		if !p.due(c.at) {
			return
		}
		if !p.forward(c.data) {
			return
		}
		switch {
		case errors.Is(c.err, io.EOF):
			p.to.CloseWrite()
			return
		case c.err != nil:
			p.link.reset()
			return
		}
	}
}

// forward sends data, which faults on a single reply may change or cut short.
// It returns false where that ended the link.
func (p *pump) forward(data []byte) bool {
	if p.direction == Upstream {
		return p.send(data)
	}
	out, cut := p.replies.pass(data, p.claim)
	if !p.send(out) {
		return false
	}
	if cut {
		p.to.CloseWrite() // so that what was sent arrives, whatever is unread
		p.link.close()
		return false
	}
	return true
}

func (p *pump) claim() (shot, bool) {
	s, ok := p.link.proxy.faults.claim()
	if ok {
		p.link.proxy.counters.fired.Add(1)
	}
	return s, ok
}

// due waits until the time has come for what was read at a time. It returns
// false where the link ended before.
func (p *pump) due(at time.Time) bool {
	_, ok := p.link.await(p.direction, func(faults state) time.Duration {
		if p.direction == Upstream {
			return 0
		}
		return time.Until(at.Add(faults.latency))
	})
	return ok
}

// send writes data, as fast as the faults in force let it. It returns false
// where the link ended before.
func (p *pump) send(data []byte) bool {
	for len(data) > 0 {
		faults, ok := p.link.await(p.direction, p.spacing)
		if !ok {
			return false
		}
		n := len(data)
		if p.slow(faults) {
			n = min(n, max(1, faults.rate/dripsPerSecond))
			p.next = time.Now().Add(time.Duration(n) * time.Second / time.Duration(faults.rate))
		}
		written, err := p.to.Write(data[:n])
		p.moved.Add(int64(written))
		if err != nil {
			p.link.reset()
			return false
		}
		data = data[n:]
	}
	return true
}

// spacing is how long a slow connection still has to wait.
func (p *pump) spacing(faults state) time.Duration {
	if !p.slow(faults) {
		return 0
	}
	return time.Until(p.next)
}

func (p *pump) slow(faults state) bool {
	return faults.rate > 0 && p.direction == Downstream
}
