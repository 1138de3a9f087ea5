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
	server server // nil while it is down

	shifts struct {
		sync.Mutex
		list []shift
	}
}

// server is what answers requests: a service here or in a child.
type server interface {
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
		URL: site.url(), Dir: filepath.Join(dir, "journal"), Mirror: cell.Mirror, RecoveryRate: cell.Fault.recoveryRate,
		Log: filepath.Join(dir, "log"), MaxClockSkew: cell.maxClockSkew,
		now:    func() time.Time { return time.Now().Add(time.Duration(m.offset.Load())) },
		notify: m.shifted,
		bare:   cell.bareOthers && index > 0,
	}
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
	var s server
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

// do asks the process.
func (m *member) do(ctx context.Context, q Request) Op {
	m.mu.RLock()
	s := m.server
	m.mu.RUnlock()
	op := Op{Request: q, Node: m.index, Start: time.Now()}
	if s == nil {
		op.Reply = Reply{Kind: q.Kind, Outcome: Refused, Error: "the process is down"}
	} else {
		op.Reply = s.do(ctx, q)
	}
	op.End = time.Now()
	return op
}

func (m *member) shifted(state failover.State) {
	m.shifts.Lock()
	defer m.shifts.Unlock()
	m.shifts.list = append(m.shifts.list, shift{at: time.Now(), state: state})
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
