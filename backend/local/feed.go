package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/perdure/perdure"
)

// feed is the change feed: the last so many changes, numbered without gaps. A
// cursor is the feed's own name, drawn at random, and the number of the change
// that comes next.
type feed struct {
	name   string
	length int

	mu   sync.Mutex
	ring []perdure.Change // change n is at n % length
	next uint64           // the number of the change to come
	wake chan struct{}    // closed by the next change; nil while nobody waits
}

func newFeed(length int) *feed {
	var name [8]byte
	rand.Read(name[:]) // never fails: it ends the program instead
	return &feed{name: hex.EncodeToString(name[:]), length: length}
}

// publish announces mutations, in their order, as made at a time.
func (f *feed) publish(muts []mutation, at perdure.Millis) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range muts {
		if muts[i].kind != 0 {
			f.add(muts[i].change(at))
		}
	}
	if f.wake != nil {
		close(f.wake)
		f.wake = nil
	}
}

func (f *feed) add(c perdure.Change) {
	if len(f.ring) < f.length {
		f.ring = append(f.ring, c)
	} else {
		f.ring[f.next%uint64(f.length)] = c
	}
	f.next++
}

// change is how the mutation is announced.
func (m *mutation) change(at perdure.Millis) perdure.Change {
	r := m.new
	if r == nil {
		r = m.old
	}
	return perdure.Change{Kind: m.kind, Reason: m.reason, ID: r.ID, User: r.User, Version: r.Version, At: at}
}

// changes is Backend.Changes.
func (f *feed) changes(ctx context.Context, closing <-chan struct{}, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	timeout := time.After(wait)
	for {
		batch, wake, err := f.read(after, limit, wait > 0)
		if err != nil || wake == nil {
			return batch, err
		}
		after = batch.Next // FromNow is the now of the first look
		select {
		case <-wake:
		case <-timeout:
			return batch, nil
		case <-closing:
			return perdure.ChangeBatch{}, perdure.ErrClosed
		case <-ctx.Done():
			return perdure.ChangeBatch{}, ended(ctx)
		}
	}
}

// read returns the changes after a cursor. Where there are none and the caller
// will wait, it returns what wakes it too.
func (f *feed) read(after string, limit int, wait bool) (perdure.ChangeBatch, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, err := f.position(after)
	if err != nil {
		return perdure.ChangeBatch{Next: f.cursor(from)}, nil, err
	}
	n := min(f.next-from, uint64(limit))
	batch := perdure.ChangeBatch{Next: f.cursor(from + n)}
	if n == 0 && wait {
		if f.wake == nil {
			f.wake = make(chan struct{})
		}
		return batch, f.wake, nil
	}
	batch.Changes = make([]perdure.Change, n)
	for i := range batch.Changes {
		batch.Changes[i] = f.ring[(from+uint64(i))%uint64(f.length)]
	}
	return batch, nil, nil
}

// position is the number that a cursor stands for; with an error, that of now.
func (f *feed) position(cursor string) (uint64, error) {
	switch cursor {
	case perdure.FromNow:
		return f.next, nil
	case perdure.FromOldest:
		return f.oldest(), nil
	}
	name, number, _ := strings.Cut(cursor, ".")
	n, err := strconv.ParseUint(number, 10, 64)
	made := err == nil && number == strconv.FormatUint(n, 10) && len(name) == len(f.name) && strings.Trim(name, "0123456789abcdef") == ""
	switch {
	case !made:
		return f.next, invalid("cursor", "is not one of a change feed; give the Next of a batch, or %q", perdure.FromOldest)
	case name != f.name:
		return f.next, fmt.Errorf("%w: it is of an earlier run of this store", perdure.ErrFeedGap)
	case n > f.next:
		return f.next, invalid("cursor", "is ahead of the change feed; give the Next of a batch, or %q", perdure.FromOldest)
	case n < f.oldest():
		return f.next, fmt.Errorf("%w: it holds the last %d", perdure.ErrFeedTrimmed, f.length)
	}
	return n, nil
}

// oldest is the number of the first change that is still there.
func (f *feed) oldest() uint64 { return f.next - uint64(len(f.ring)) }

func (f *feed) cursor(n uint64) string { return f.name + "." + strconv.FormatUint(n, 10) }

// len is how many changes can be read.
func (f *feed) len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ring)
}
