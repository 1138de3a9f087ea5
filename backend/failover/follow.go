package failover

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/perdure/perdure"
)

// followEvery is how long changes are left to gather between two reads of the
// feed: each read costs the server the same whether it finds one or thousands.
const (
	followLimit = 10_000
	followWait  = time.Second
	followEvery = 50 * time.Millisecond
)

// follow keeps the mirror in step with the front store until ctx ends: it reads
// the change feed, and fetches what changed of what the mirror holds, or, in a
// full mirror, all that changed.
func (b *Backend) follow(ctx context.Context) {
	f := follower{Backend: b, cursor: perdure.FromNow}
	f.begin(ctx)
	defer func() { f.stop() }()
	for ctx.Err() == nil {
		st := b.status.Load()
		if st.front == nil || st.away.all() {
			b.pause(ctx, st)
		} else if f.step(ctx, st) != nil {
			b.wake() // it may be an outage that nobody else has met
			b.pause(ctx, st)
		}
	}
}

// follower is where follow is.
type follower struct {
	*Backend
	cursor   string
	reviewed time.Time // when it was last looked at how much is stored
	behind   bool      // changes were missed that were not made up for yet

	// next is the next page of a resync under way, or nil.
	next func() (error, bool)
	stop func()
}

// begin begins a resync, anew if there is one.
func (f *follower) begin(ctx context.Context) {
	if f.stop != nil {
		f.stop()
	}
	f.mirror.loaded.Store(false)
	f.behind = true
	f.next, f.stop = iter.Pull(f.resync(ctx))
}

// step reads the feed once, and a page of the resync: so that however long that takes,
// the feed does not get away.
func (f *follower) step(ctx context.Context, st *status) error {
	if time.Since(f.reviewed) > reviewEvery {
		f.reviewed = time.Now()
		if f.review(ctx, st.front) {
			f.begin(ctx)
		}
	}
	wait := followWait
	if f.next != nil && st.away.empty() {
		wait = 0 // there is enough to do
	}
	batch, err := st.front.Changes(ctx, f.cursor, followLimit, wait)
	switch {
	case errors.Is(err, perdure.ErrFeedGap):
		f.cursor = batch.Next
		f.mirror.whole.Store(false)
		f.metrics.gaps.Add(1)
		if lostFeed(err) {
			f.doubt(feedGap)
		}
		f.begin(ctx)
		rest(ctx, followEvery)
		return nil
	case err != nil:
		return err
	}
	if err := f.fetch(ctx, st.front, batch.Changes); err != nil {
		return err
	}
	f.cursor = batch.Next
	f.Backend.cursor.Store(&batch.Next)
	if s, ok := sharded(st.front); f.moved(st) || ok && st.away.empty() && s.Missing() {
		f.wake()
	}
	if !st.away.empty() { // it is not in step, and to read all must wait
		rest(ctx, followEvery)
		return nil
	}
	if f.next != nil {
		return f.more(ctx)
	}
	if len(batch.Changes) < followLimit {
		f.mirror.inStep()
		f.noteWhole()
		rest(ctx, followEvery)
	}
	return nil
}

// more does a page of the resync.
func (f *follower) more(ctx context.Context) error {
	err, more := f.next()
	switch {
	case more && err != nil:
		f.begin(ctx)
		return err
	case !more:
		f.stop()
		f.next, f.behind = nil, false
	}
	if !f.behind {
		f.mirror.inStep()
	}
	return nil
}

// noteWhole notes that the mirror holds all there is, once nothing that is missing in
// the front store may be on its way there.
func (f *follower) noteWhole() {
	if m := f.mirror; m.full.Load() && m.loaded.Load() && !m.whole.Load() && !f.doubted() && !f.filling() {
		m.whole.Store(true)
	}
}

// pause waits for the next attempt, or for another state.
func (b *Backend) pause(ctx context.Context, st *status) {
	select {
	case <-st.left:
	case <-ctx.Done():
	case <-time.After(jitter(b.opts.RetryDelay)):
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// loadRate bounds the records that a mirror reads per second to become full.
const loadRate = 50_000

// resync brings the mirror in step from nothing, or after a gap in the feed: a full
// mirror reads all there is, any mirror looks again at all that it held. It goes on
// page by page, at a pace that leaves others most of the server.
func (b *Backend) resync(ctx context.Context) iter.Seq[error] {
	return func(yield func(error) bool) {
		pace := newPace(loadRate)
		held, err := b.mirror.Stats(ctx)
		if err == nil && b.mirror.full.Load() {
			err = b.load(ctx, pace, yield)
		}
		if err == nil && held.Sessions+held.Tombstones > 0 {
			err = b.compare(ctx, pace, yield)
		}
		if err != nil && err != errStopped {
			yield(err)
		}
	}
}

// errStopped says that a resync was not wanted any more.
var errStopped = errors.New("stopped")

// load reads all that is stored into a full mirror, or as much as it takes to see that
// it is too much.
func (b *Backend) load(ctx context.Context, pace *pace, yield func(error) bool) error {
	for q := (perdure.ScanQuery{Limit: recoveryPage, Dead: true}); ; {
		began := time.Now()
		page, err := b.status.Load().front.Scan(ctx, q)
		ended := time.Now()
		if err != nil {
			return err
		}
		b.passOver(&perdure.UnreadableError{IDs: page.Unreadable})
		for i := range page.Records {
			b.mirror.learn(&page.Records[i], perdure.Version{})
		}
		if b.mirror.outgrown() {
			return nil
		}
		if q.After = page.Next; q.After == "" {
			b.mirror.loaded.Store(true)
			return nil
		}
		if err := pace.rest(ctx, began, ended, len(page.Records)); err != nil {
			return err
		}
		if !yield(nil) {
			return errStopped
		}
	}
}

// compare looks again at all that the mirror holds. What the front store turns out to
// lack it has lost.
func (b *Backend) compare(ctx context.Context, pace *pace, yield func(error) bool) error {
	found := func() { b.doubt("it lacks what it had acknowledged") }
	for page, err := range pages(ctx, b.mirror.Backend) {
		if err == nil {
			err = b.reconcilePage(ctx, b.status.Load().front, page.Records, pace, found)
		}
		if err != nil {
			return err
		}
		if !yield(nil) {
			return errStopped
		}
	}
	return nil
}

// fetch learns what changed. An end is learnt from the change itself: a read may
// still be answered by a near cache that has not heard of it.
func (b *Backend) fetch(ctx context.Context, front perdure.Backend, changes []perdure.Change) error {
	wanted := map[string]perdure.Version{}
	for i := range changes {
		c := &changes[i]
		if !b.wants(ctx, c) {
			continue
		}
		wanted[c.ID] = c.Version
		held, err := b.mirror.Get(ctx, c.ID)
		if err != nil || held.Kind != perdure.KindSession || c.Kind != perdure.Deleted {
			continue
		}
		if c.Reason == perdure.ReasonRotated && b.mayLack(&held) {
			continue // until it is known who gets what is held
		}
		tomb := entombed(held, c.Reason, c.Version)
		b.mirror.learn(&tomb, held.Version)
	}
	for attempt := 0; len(wanted) > 0 && attempt < staleReads; attempt++ {
		if attempt > 0 {
			rest(ctx, staleWait)
		}
		for ids := range slices.Chunk(slices.Collect(maps.Keys(wanted)), recoveryPage) {
			if err := b.fetchSome(ctx, front, ids, wanted); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetchSome learns some of what is wanted, and takes it out of that.
func (b *Backend) fetchSome(ctx context.Context, front perdure.Backend, ids []string, wanted map[string]perdure.Version) error {
	records, err := front.Load(ctx, ids)
	bad, err := perdure.AsUnreadable(err)
	if err != nil {
		return err
	}
	for id := range b.passOver(bad) {
		delete(wanted, id)
	}
	records = slices.DeleteFunc(records, func(r perdure.Record) bool { return !r.Exists() || r.Version.Before(wanted[r.ID]) })
	if err := b.takeAll(ctx, front, records); err != nil {
		return err
	}
	for i := range records {
		delete(wanted, records[i].ID)
		if r := &records[i]; r.Ended() && r.Born.IsZero() { // whoever planted it knew nothing of its session
			if err := b.endChildren(ctx, front, r, &perdure.Result{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// staleReads and staleWait give a near cache time to hear of a change.
const (
	staleReads = 5
	staleWait  = 2 * time.Millisecond
)

// touchTolerance is how far the last access of a mirrored session may be behind
// before a touch elsewhere is worth a fetch.
const touchTolerance = perdure.Millis(1000)

// wants reports whether the mirror has to learn of the change.
func (b *Backend) wants(ctx context.Context, c *perdure.Change) bool {
	held, err := b.mirror.Get(ctx, c.ID)
	switch {
	case err != nil:
		return false
	case c.Kind == perdure.Expired: // it ends here by its own deadline, unless that is another than was known here
		return held.Kind == perdure.KindSession && held.Version.Before(c.Version)
	case !held.Exists():
		return b.mirror.full.Load() || c.Kind == perdure.UserRevoked
	case c.Kind == perdure.Touched:
		return held.LastAccess+touchTolerance < c.At
	}
	return held.Version != c.Version
}
