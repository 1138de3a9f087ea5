package reference

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/perdure/perdure"
)

// depot is what the reference backends on one space share: one mutex and plain
// maps.
type depot struct {
	mu       sync.Mutex
	now      func() time.Time
	records  map[string]string // encoded, by id
	feed     []perdure.Change
	dropped  int // how many changes the feed no longer holds
	length   int // how many it may hold; 0 is all
	maxBytes int
	calls    int                       // so far
	first    map[string]perdure.Millis // the deadlines that sessions came with
	life     int                       // rises when all is lost
	news     chan struct{}             // closed at the next change
}

// reference is one backend on a depot.
type reference struct {
	*depot
	bug    bug
	stop   sync.Once
	closed chan struct{}
	cache  map[string]cached // with staleness: what Get may still answer
	stale  int               // how often
	made   map[string]bool   // cursors
	lists  map[perdure.UserKey]cachedList
}

type cached struct {
	record perdure.Record
	uses   int
}

type cachedList struct {
	records []perdure.Record
	uses    int
}

// wrote has the caches forget what a write makes wrong.
func (b *reference) wrote(id string) {
	if !b.is(ownWritesAreNotSeen) {
		delete(b.cache, id)
	}
	if !b.is(ownListsAreNotSeen) {
		clear(b.lists)
	}
}

const skew = perdure.Millis(60_000)

func (b *reference) is(bugs ...bug) bool { return slices.Contains(bugs, b.bug) }

// lock admits a call and takes the mutex.
func (b *reference) lock(ctx context.Context) error {
	select {
	case <-b.closed:
		if !b.is(closedAnswers) {
			return perdure.ErrClosed
		}
	default:
	}
	if err := ended(ctx); err != nil && !b.is(contextIgnored) {
		if b.is(deadlineIsBare) {
			return ctx.Err()
		}
		return err
	}
	b.mu.Lock()
	b.calls++
	return nil
}

func ended(ctx context.Context) error {
	if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", perdure.ErrUnavailable, context.DeadlineExceeded)
}

// breathe lets some calls of others in between, where the bug is a race.
func (b *reference) breathe(bugs ...bug) {
	if !b.is(bugs...) {
		return
	}
	for before, n := b.calls, 0; b.calls < before+8 && n < 200; n++ {
		b.mu.Unlock()
		runtime.Gosched()
		b.mu.Lock()
	}
}

func (b *reference) read(id string) (perdure.Record, error) {
	value, ok := b.records[id]
	if !ok {
		return perdure.Record{}, nil
	}
	return perdure.DecodeRecord(id, value)
}

func (b *reference) write(r perdure.Record) {
	switch {
	case b.is(bodiesAreText):
		r.Body = strings.ToValidUTF8(r.Body, "?")
	case b.is(bodiesAreShort):
		r.Body = r.Body[:min(len(r.Body), 65535)]
	case b.is(parentsAreShort):
		r.Parent = r.Parent[:min(len(r.Parent), 127)]
	case b.is(idleIsShort):
		r.Idle &= 1<<32 - 1
	case b.is(reasonsAreKnown) && r.Reason > perdure.ReasonMerged:
		r.Reason = perdure.ReasonNone
	}
	b.records[r.ID] = string(r.Append(nil))
}

func (b *reference) clock() perdure.Millis { return perdure.MillisOf(b.now()) }

func (b *reference) tell(kind perdure.ChangeKind, why perdure.Reason, r perdure.Record) {
	c := perdure.Change{Kind: kind, Reason: why, ID: r.ID, User: r.User, Version: r.Version, At: b.clock()}
	switch {
	case b.is(feedLosesChanges) && (len(b.feed)+b.dropped)%7 == 6:
		return
	case b.is(feedLosesTouches) && kind == perdure.Touched:
		return
	case b.is(feedLosesReasons):
		c.Reason = 0
	case b.is(feedHasNoTimes):
		c.At = 0
	}
	b.feed = append(b.feed, c)
	if n := len(b.feed); b.is(feedSwapsChanges) && n%5 == 4 {
		b.feed[n-1], b.feed[n-2] = b.feed[n-2], b.feed[n-1]
	}
	if b.is(feedIsSortedByTime) {
		slices.SortStableFunc(b.feed, func(x, y perdure.Change) int { return int(x.At - y.At) })
	}
	if over := len(b.feed) - b.length; b.length > 0 && over > 0 {
		b.feed, b.dropped = b.feed[over:], b.dropped+over
	}
	close(b.news)
	b.news = make(chan struct{})
}

func (b *reference) Get(ctx context.Context, id string) (perdure.Record, error) {
	if err := b.lock(ctx); err != nil {
		return perdure.Record{}, err
	}
	defer b.mu.Unlock()
	return b.get(id)
}

func (b *reference) get(id string) (perdure.Record, error) {
	if c, ok := b.cache[id]; ok && c.uses < b.stale {
		b.cache[id] = cached{c.record, c.uses + 1}
		return c.record, nil
	}
	r, err := b.read(id)
	if b.stale > 0 && err == nil {
		b.cache[id] = cached{record: r}
	}
	if b.is(getHidesExpired) && !r.Live(b.clock()) && r.Kind == perdure.KindSession {
		r = perdure.Record{}
	}
	return r, err
}

func (b *reference) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	if err := b.lock(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	if b.is(loadMergesDuplicates) {
		ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	}
	all := make([]perdure.Record, 0, len(ids))
	var bad perdure.UnreadableError
	for _, id := range ids {
		r, err := b.get(id)
		switch {
		case err != nil && b.is(unreadableFailsLoads):
			return nil, err
		case err != nil && !b.is(unreadableIsAbsent):
			bad.Add(id, err)
		}
		if r.Exists() || !b.is(loadSkipsAbsent) {
			all = append(all, r)
		}
	}
	return all, bad.OrNil()
}

func (b *reference) Ping(ctx context.Context) error {
	if err := b.lock(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	if b.is(pingLeavesASession) {
		b.write(perdure.Record{ID: perdure.NewID(1), Header: perdure.Header{Kind: perdure.KindSession, Expiry: b.clock() + 1000}})
	}
	if b.is(pingSweeps) {
		b.sweep(b.clock(), 1000)
	}
	return nil
}

func (b *reference) Stats(ctx context.Context) (perdure.Stats, error) {
	if err := b.lock(ctx); err != nil {
		return perdure.Stats{}, err
	}
	defer b.mu.Unlock()
	s := perdure.Stats{Backend: "reference", FeedLength: int64(len(b.feed))}
	for id := range b.records {
		if r, err := b.read(id); err == nil && (r.Kind == perdure.KindSession || b.is(statsCountTheDead)) {
			s.Sessions++
		} else {
			s.Tombstones++
		}
	}
	return s, nil
}

func (b *reference) Inspect(ctx context.Context) ([]perdure.Finding, error) {
	if err := b.lock(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	findings := []perdure.Finding{
		{Severity: perdure.SeverityWarning, Name: "persistence", Found: "none", Advice: "use another backend"},
		{Severity: perdure.SeverityOK, Name: "clock", Found: "in step"},
	}
	if b.is(inspectsBestFirst) {
		slices.Reverse(findings)
	}
	return findings, nil
}

func (b *reference) Close() error {
	if b.is(closeLeavesAGoroutine) {
		go func() { select {} }()
	}
	b.stop.Do(func() { close(b.closed) })
	return nil
}
