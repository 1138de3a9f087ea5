package failover

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLockAdmitsReadersTogetherAndWritersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l rwLock
		var all sync.WaitGroup
		var mu sync.Mutex
		readers, writers := 0, 0
		hold := func(count *int, lock, unlock func()) {
			all.Go(func() {
				for range 50 {
					lock()
					mu.Lock()
					*count++
					if writers > 1 || writers == 1 && readers > 0 {
						t.Errorf("%d writers and %d readers at a time", writers, readers)
					}
					mu.Unlock()
					time.Sleep(time.Millisecond) // of virtual time, which passes only while who waits is seen to wait
					mu.Lock()
					*count--
					mu.Unlock()
					unlock()
				}
			})
		}
		for range 4 {
			hold(&readers, l.RLock, l.RUnlock)
			hold(&writers, l.Lock, l.Unlock)
		}
		all.Wait()
		l.RLock()
		l.RLock() // together
		l.RUnlock()
		l.RUnlock()
		l.Lock() // alone: it is free
		l.Unlock()
	})
}
