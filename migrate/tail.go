package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/perdure/perdure"
)

// followWait is how long a look at the feed waits for a change.
const followWait = 200 * time.Millisecond

// tail is what others may know of a move that follows the feed. It is safe for
// concurrent use, and a nil tail ignores what it is told.
type tail struct {
	mu      sync.Mutex
	recent  map[string]bool // what has changed since the round began; nil between rounds
	begun   uint64          // looks at the feed so far
	drained uint64          // the last look that found the end of the feed
	anew    uint64          // times that all had to be moved anew for what the target had lost
	news    chan struct{}   // closed when drained moves
}

func newTail() *tail { return &tail{news: make(chan struct{})} }

func (t *tail) changed(ids []string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.recent == nil {
		return
	}
	for _, id := range ids {
		t.recent[id] = true
	}
}

// rest ends a round.
func (t *tail) rest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recent = nil
}

// round begins one: nothing has changed yet.
func (t *tail) round() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recent = map[string]bool{}
}

// settled are those of ids that have not changed since the round began.
func (t *tail) settled(ids []string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return t.recent[id] })
}

// all are the ids that have changed since the round began.
func (t *tail) all() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.recent))
}

func (t *tail) begin() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun++
	return t.begun
}

func (t *tail) end(look uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drained = look
	close(t.news)
	t.news = make(chan struct{})
}

// looks is how often the feed was looked at so far.
func (t *tail) looks() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.begun
}

// restart notes that all has to be moved anew, since the target has lost it.
func (t *tail) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.anew++
}

func (t *tail) restarts() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.anew
}

// await returns when all that had changed before the call has been carried.
func (t *tail) await(ctx context.Context) error {
	t.mu.Lock()
	want := t.begun + 1
	t.mu.Unlock()
	for {
		t.mu.Lock()
		drained, news := t.drained, t.news
		t.mu.Unlock()
		if drained >= want {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follow carries changes until the context ends, and moves the whole source again
// where the feed has a gap or the target has lost something. It returns the error for
// that where the context ended before it was done: then the target lacks something.
func (m *move) follow(ctx context.Context) error {
	for {
		look := m.tail.begin()
		n, err := m.changes(ctx, followWait)
		if m.again(err) {
			if errors.Is(err, ErrDataLoss) {
				m.tail.restart()
			}
			phase := m.tell.at()
			if again := m.whole(ctx); again != nil {
				return fmt.Errorf("%w, and moving it all anew did not end: %w", err, again)
			}
			m.tell.phase(phase, 0)
			err, n = nil, feedLimit
		}
		if err != nil {
			return err
		}
		if n < feedLimit {
			m.tail.end(look)
		}
	}
}

// follower is a move that follows the feed in the background.
type follower struct {
	end        context.CancelFunc
	group      sync.WaitGroup
	unfinished error // the target lacks something
}

// startFollower has a move follow until it is stopped. Any other end is told to failed.
func (m *move) startFollower(ctx context.Context, failed context.CancelCauseFunc) *follower {
	f := &follower{}
	ctx, f.end = context.WithCancel(ctx)
	f.group.Go(func() {
		err := m.follow(ctx)
		switch {
		case err != nil && ctx.Err() == nil && m.isBack:
			failed(fmt.Errorf("keeping the source in step: %w", err))
		case err != nil && ctx.Err() == nil:
			failed(err)
		case errors.Is(err, perdure.ErrFeedGap), errors.Is(err, ErrDataLoss):
			f.unfinished = err
		}
	})
	return f
}

func (f *follower) stop() {
	f.end()
	f.group.Wait()
}

// Follow carries what changes in a backend into another, from a cursor of the
// first one's feed on: all states that sessions take, in the end, and every end.
// It is the way back after Live, or a stand-by that is kept in step. It runs until
// the context ends, then carries what is left, and returns the cursor to go on
// from.
//
// It returns a perdure.ErrFeedGap where the feed no longer reaches back to the
// cursor, and an ErrDataLoss where the target has lost what it was given: Run brings
// the stores together again.
func Follow(ctx context.Context, from, to perdure.Backend, cursor string, o Options) (string, error) {
	o.Checkpoint, o.Resume, o.DeleteMigrated = "", false, false
	m, err := newMove(FromBackend(from), to, o)
	if err != nil {
		return cursor, err
	}
	m.at.setFeed(cursor)
	err = m.under(context.WithoutCancel(ctx), func(all context.Context) error {
		if cursor == perdure.FromNow {
			now, err := m.now(ctx, from)
			if err != nil {
				return err
			}
			m.at.setFeed(now)
		}
		m.tell.phase(PhaseInStep, 0)
		for ctx.Err() == nil {
			if _, err := m.changes(ctx, time.Second); err != nil && ctx.Err() == nil {
				return err
			}
		}
		return m.drain(all)
	})
	return m.at.feed(), err
}
