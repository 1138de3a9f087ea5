package failover

import "sync"

// refused is the ids of journalled records that the front store does not take:
// damaged ones, and those of a clock that was too far ahead.
type refused struct {
	mu  sync.Mutex
	ids map[string]bool
}

// add reports whether the id is news.
func (r *refused) add(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil {
		r.ids = map[string]bool{}
	}
	known := r.ids[id]
	r.ids[id] = true
	return !known
}

func (r *refused) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[id]
}

func (r *refused) len() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(len(r.ids))
}

func (r *refused) remove(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ids, id)
}
