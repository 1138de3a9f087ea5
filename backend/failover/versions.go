package failover

import (
	"sync"
	"sync/atomic"

	"github.com/perdure/perdure"
)

// maxVersions bounds a set of versions: some 10 MB.
const maxVersions = 1 << 16

// versions is a set of ids, each with the latest version that is known of it, that
// many may use at once.
type versions struct {
	mu sync.Mutex
	of map[string]perdure.Version
	n  atomic.Int64
}

// raise notes a version. A set that is full takes no more ids.
func (s *versions) raise(id string, v perdure.Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]perdure.Version{}
	}
	known, ok := s.of[id]
	if ok && !known.Before(v) || !ok && len(s.of) >= maxVersions {
		return
	}
	s.of[id] = v
	s.n.Store(int64(len(s.of)))
}

// knowsLater reports whether a later version of the record is known. One that is not
// earlier takes its place.
func (s *versions) knowsLater(r *perdure.Record) bool {
	if s.n.Load() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.of[r.ID]
	if ok && r.Version.Before(known) {
		return true
	}
	delete(s.of, r.ID)
	s.n.Store(int64(len(s.of)))
	return false
}
