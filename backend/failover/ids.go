package failover

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// ids is a set of ids that many may use at once.
type ids struct {
	mu  sync.Mutex
	set map[string]struct{}
	n   atomic.Int64
}

// add reports whether the id is news.
func (s *ids) add(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		s.set = map[string]struct{}{}
	}
	_, known := s.set[id]
	s.set[id] = struct{}{}
	s.n.Store(int64(len(s.set)))
	return !known
}

func (s *ids) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, id)
	s.n.Store(int64(len(s.set)))
}

func (s *ids) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = nil
	s.n.Store(0)
}

func (s *ids) has(id string) bool {
	if s.len() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.set[id]
	return known
}

func (s *ids) len() int64 { return s.n.Load() }

func (s *ids) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.set))
}
