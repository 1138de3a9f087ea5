package reference

import (
	"maps"
	"sync"
	"time"

	"github.com/perdure/perdure"
)

// Spaces are the stores that the backends of one test share, by name.
type Spaces struct {
	// Bug is what every backend breaks that is opened here. Defaults to nothing.
	Bug Bug
	// Stale is how often a backend may answer from a cache of its own. Defaults to
	// never.
	Stale int

	mu   sync.Mutex
	each map[string]*depot
}

// Options say how a space is made, by the first who opens it.
type Options struct {
	// Now is the clock of the store. Defaults to time.Now.
	Now func() time.Time
	// FeedLength is how many changes its feed holds. Defaults to all.
	FeedLength int
	// MaxBytes bounds what it holds. Defaults to no bound.
	MaxBytes int64
}

// Open opens a backend on a space: two of them are as two processes on one store.
func (s *Spaces) Open(space string, o Options) perdure.Backend {
	if s.Bug == spacesAreOne {
		space = space[:10]
	}
	return &reference{
		depot: s.make(space, o), bug: s.Bug, stale: s.Stale,
		cache: map[string]cached{}, made: map[string]bool{}, lists: map[perdure.UserKey]cachedList{}, closed: make(chan struct{}),
	}
}

func (s *Spaces) make(space string, o Options) *depot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.each == nil {
		s.each = map[string]*depot{}
	}
	if s.each[space] == nil {
		if o.Now == nil {
			o.Now = time.Now
		}
		s.each[space] = &depot{
			now: o.Now, records: map[string]string{}, first: map[string]perdure.Millis{},
			length: o.FeedLength, maxBytes: int(o.MaxBytes), news: make(chan struct{}),
		}
	}
	return s.each[space]
}

// use calls f with a space that was opened.
func (s *Spaces) use(space string, f func(d *depot)) {
	d := s.make(space, Options{})
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

// Restart stops and starts a space.
func (s *Spaces) Restart(space string) {
	if s.Bug == forgetsOnRestart {
		s.use(space, (*depot).forgetTheLast)
	}
}

func (d *depot) forgetTheLast() {
	for id := range d.records {
		delete(d.records, id)
		return
	}
}

// Lose has a space forget all that it holds, and its feed.
func (s *Spaces) Lose(space string) {
	s.use(space, func(d *depot) {
		d.records, d.feed, d.dropped, d.life = map[string]string{}, nil, 0, d.life+1
		d.ring()
	})
}

// Overwrite replaces the stored bytes of a record.
func (s *Spaces) Overwrite(space, id, value string) {
	s.use(space, func(d *depot) { d.records[id] = value })
}

// News is closed at the next change in a space.
func (s *Spaces) News(space string) (news <-chan struct{}) {
	s.use(space, func(d *depot) { news = d.news })
	return news
}

// Save keeps what a space holds; to call what it returns goes back to that, which
// is another life of the store.
func (s *Spaces) Save(space string) (restore func()) {
	var records map[string]string
	var first map[string]perdure.Millis
	s.use(space, func(d *depot) { records, first = maps.Clone(d.records), maps.Clone(d.first) })
	return func() {
		s.use(space, func(d *depot) {
			d.records, d.first = maps.Clone(records), maps.Clone(first)
			d.feed, d.dropped, d.life = nil, 0, d.life+1
			d.ring()
		})
	}
}

// Trim has the feed of a space forget all changes, and one that was to come.
func (s *Spaces) Trim(space string) {
	s.use(space, func(d *depot) {
		d.dropped, d.feed = d.dropped+len(d.feed)+1, nil
		d.ring()
	})
}

// ring wakes who waits for changes.
func (d *depot) ring() {
	close(d.news)
	d.news = make(chan struct{})
}
