package failover

import (
	"slices"
	"sync"
)

// rwLock is a sync.RWMutex for what is held while the front store is waited for.
// Who waits for it waits on a channel, which tests in virtual time can tell from
// work. The zero value is free.
type rwLock struct {
	mu      sync.Mutex
	readers int
	writes  bool
	queue   []turn // of those who wait, in their order
}

type turn struct {
	writes bool
	comes  chan struct{}
}

func (l *rwLock) Lock()    { l.wait(true) }
func (l *rwLock) RLock()   { l.wait(false) }
func (l *rwLock) Unlock()  { l.release(func() { l.writes = false }) }
func (l *rwLock) RUnlock() { l.release(func() { l.readers-- }) }

func (l *rwLock) wait(writes bool) {
	l.mu.Lock()
	if len(l.queue) == 0 && l.free(writes) {
		l.take(writes)
		l.mu.Unlock()
		return
	}
	mine := turn{writes, make(chan struct{})}
	l.queue = append(l.queue, mine)
	l.mu.Unlock()
	<-mine.comes
}

func (l *rwLock) free(writes bool) bool { return !l.writes && (!writes || l.readers == 0) }

func (l *rwLock) take(writes bool) {
	if l.writes = writes; !writes {
		l.readers++
	}
}

// release gives the lock up, and to whose turn it is.
func (l *rwLock) release(give func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	give()
	for len(l.queue) > 0 && l.free(l.queue[0].writes) {
		l.take(l.queue[0].writes)
		close(l.queue[0].comes)
		l.queue = slices.Delete(l.queue, 0, 1)
	}
}
