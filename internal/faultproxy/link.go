package faultproxy

import (
	"context"
	"net"
	"sync"
	"time"
)

// link is one client's connection and the one to the upstream behind it.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	done   context.Context // ends with the link
	end    context.CancelFunc

	mu     sync.Mutex
	server *net.TCPConn // nil until dialled
}

func newLink(p *Proxy, client *net.TCPConn) *link {
	l := &link{proxy: p, client: client}
	l.done, l.end = context.WithCancel(context.Background())
	return l
}

// serve forwards both ways until both sides have ended or the link is cut.
func (l *link) serve() {
	defer l.close()
	if !l.connect() {
		l.reset()
		return
	}
	up := newPump(l, Upstream, l.client, l.server)
	down := newPump(l, Downstream, l.server, l.client)
	var pumps sync.WaitGroup
	pumps.Go(up.run)
	pumps.Go(down.run)
	pumps.Wait()
}

// connect dials the upstream, once the way there is open.
func (l *link) connect() bool {
	if _, ok := l.await(Upstream, noDelay); !ok {
		return false
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(l.done, "tcp", l.proxy.upstream)
	if err != nil {
		return false
	}
	l.mu.Lock()
	l.server = conn.(*net.TCPConn)
	l.mu.Unlock()
	return l.done.Err() == nil // or it was cut while it was dialled
}

// await returns the faults in force once they let bytes pass in a direction:
// nothing is held back there, and there is no delay left. It returns false
// where the link ended before.
func (l *link) await(d Direction, delay func(state) time.Duration) (state, bool) {
	for {
		faults, changed := l.proxy.faults.now()
		var expired <-chan time.Time // never, while held back
		if faults.hole&d == 0 {
			left := delay(faults)
			if left <= 0 {
				return faults, l.done.Err() == nil
			}
			expired = time.After(left)
		}
		select {
		case <-expired:
		case <-changed:
		case <-l.done.Done():
			return faults, false
		}
	}
}

func noDelay(state) time.Duration { return 0 }

// reset ends both connections as a crash does: what is under way is lost.
func (l *link) reset() {
	l.each(func(conn *net.TCPConn) { conn.SetLinger(0) })
	l.close()
}

// close ends both connections. It may be called more than once.
func (l *link) close() {
	l.end()
	l.each(func(conn *net.TCPConn) { conn.Close() })
}

func (l *link) each(do func(*net.TCPConn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do(l.client)
	if l.server != nil {
		do(l.server)
	}
}
