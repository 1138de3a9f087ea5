package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/internal/faultproxy"
)

// member is one perdure process of a cell, over all its lives.
type member struct {
	index    int
	separate bool              // a process of its own
	proxy    *faultproxy.Proxy // nil but in front of a single server
	settings settings
	offset   atomic.Int64 // of its clock, in nanoseconds
	dir      string

	mu     sync.RWMutex
	server answerer // nil while it is down

	answered atomic.Int64 // requests that were answered well
	stopped  atomic.Bool  // it is stopped, and answers nothing

	shifts struct {
		sync.Mutex
		list []shift
	}
	changes struct {
		sync.Mutex
		list []followed
	}
}

// answerer is what answers requests: a service here or in a child.
type answerer interface {
	do(ctx context.Context, q Request) Reply
	close() error
}

// shift is a change of a member's state.
type shift struct {
	at    time.Time
	state failover.State
}

func openMember(ctx context.Context, index int, cell *Cell, site *site, dir string) (*member, error) {
	m := &member{index: index, dir: dir, separate: cell.Children && index == 0}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	m.settings = settings{
		URL: site.urlOf(index), Dir: filepath.Join(dir, "journal"), Log: filepath.Join(dir, "log"), Tuning: cell.Tuning,
		now:    func() time.Time { return time.Now().Add(time.Duration(m.offset.Load())) },
		notify: m.shifted, follow: m.followed,
		plant: cell.plant,
		bare:  cell.bareOthers && index > 0,
	}
	m.settings.Mirror = cell.Mirror
	if cell.wrap != nil {
		m.settings.wrap = cell.wrap(site)
	}
	if site.topology == Single {
		var err error
		if m.proxy, err = faultproxy.Launch(site.single.Addr()); err != nil {
			return nil, err
		}
		m.settings.URL = "redis://" + m.proxy.Addr()
	}
	return m, m.open(ctx)
}

// open starts the process, on the journal of its last life.
func (m *member) open(ctx context.Context) error {
	var s answerer
	var err error
	if m.separate {
		s, err = startChild(m.settings)
	} else {
		s, err = openService(ctx, m.settings)
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", m.index, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.server = s
	return nil
}

// kill ends the process as a crash does, and returns when it is gone.
func (m *member) kill() error {
	m.mu.Lock()
	s := m.server
	m.server = nil
	m.mu.Unlock()
	c, ok := s.(*child)
	if !ok {
		return fmt.Errorf("process %d cannot be killed", m.index)
	}
	return c.kill()
}

// pause stops the process, or lets it go on.
func (m *member) pause(stop bool) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c, ok := m.server.(*child)
	if !ok {
		return fmt.Errorf("process %d cannot be stopped", m.index)
	}
	m.stopped.Store(stop)
	if stop {
		return c.pause()
	}
	return c.resume()
}

func (m *member) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proxy != nil {
		defer m.proxy.Close()
	}
	if m.server == nil {
		return nil
	}
	return m.server.close()
}

func (m *member) running() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.server != nil
}

// do asks the process.
func (m *member) do(ctx context.Context, q Request) Op {
	m.mu.RLock()
	s := m.server
	m.mu.RUnlock()
	op := Op{Request: q, Node: m.index, Start: time.Now()}
	if s == nil {
		op.Reply = Reply{Kind: q.Kind, Outcome: Unavailable, Why: ProcessDown, Error: "the process is down"}
	} else {
		op.Reply = s.do(ctx, q)
	}
	op.End = time.Now()
	if op.Reply.Outcome == Acknowledged && q.Kind != Health {
		m.answered.Add(1)
	}
	return op
}

func (m *member) shifted(state failover.State) {
	m.shifts.Lock()
	defer m.shifts.Unlock()
	m.shifts.list = append(m.shifts.list, shift{at: time.Now(), state: state})
}

func (m *member) followed(f followed) {
	m.changes.Lock()
	defer m.changes.Unlock()
	m.changes.list = append(m.changes.list, f)
}

// watches reports whether the process has begun to watch.
func (m *member) watches() bool {
	m.changes.Lock()
	defer m.changes.Unlock()
	return len(m.changes.list) > 0
}

// degradedAfter is how long after t the process was first degraded, before end.
func (m *member) degradedAfter(t, end time.Time) (time.Duration, bool) {
	m.shifts.Lock()
	defer m.shifts.Unlock()
	for _, s := range m.shifts.list {
		if s.at.After(t) && s.at.Before(end) && (s.state == failover.Degraded || s.state == failover.ReadOnly) {
			return s.at.Sub(t), true
		}
	}
	return 0, false
}

// well reports whether the process is healthy and has nothing to merge.
func (m *member) well(ctx context.Context) bool {
	p := m.do(ctx, Request{Kind: Health}).Reply
	return p.State == string(failover.Healthy) && p.Pending == p.Refused
}
