package failover

import (
	"maps"
	"slices"
	"sync"
)

// ids is a set of ids that many may use at once.
type ids struct {
	mu  sync.Mutex
	set map[string]struct{}
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
	return !known
}

func (s *ids) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, id)
}

func (s *ids) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.set[id]
	return known
}

func (s *ids) len() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.set))
}

func (s *ids) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.set))
}
