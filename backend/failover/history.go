package failover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// Incarnated is implemented by a front store that can say which history it has.
type Incarnated interface {
	// Incarnation is another when the front store is another server, or the same
	// after a restart; empty where that cannot be told. That of several servers is the
	// names of those that can be reached, with commas between.
	Incarnation(ctx context.Context) (string, error)
	// Connections grows with each connection that is made in the place of another,
	// or to another address: while it stays, so does the incarnation.
	Connections() uint64
}

// lossGrace is how long after a possible loss of data a session that nobody here
// holds is taken for one that another process is about to bring back.
const lossGrace = 5 * time.Second

// doubt has the monitor compare all that is held here with the front store: it
// may have lost something.
func (b *Backend) doubt(why string) {
	b.doubts.CompareAndSwap(nil, &why)
	b.wake()
}

// doubted reports whether the front store may have lost data that was not given
// back yet. A recovery moves a doubt into the status, and they are looked at in
// that order: it is never overlooked on its way.
func (b *Backend) doubted() bool {
	if b.doubts.Load() != nil {
		return true
	}
	st := b.status.Load()
	return st.doubt != "" || b.opts.Now().Before(st.graceUntil)
}

// history says which history the front store has. Where it may not be the one that
// this process knew, that is doubted, before anybody can take it for known.
func (b *Backend) history(ctx context.Context, st *status) (incarnation string, err error) {
	front, ok := st.front.(Incarnated)
	if !ok {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.ProbeTimeout)
	defer cancel()
	connections, before := front.Connections(), b.connections.Load()
	if incarnation, err = front.Incarnation(ctx); err != nil {
		return "", err
	}
	switch {
	case incarnation == "" && before != 0 && connections != before:
		b.doubt("it was connected to anew, and it does not say which history it has")
	case st.incarnation != "" && news(st.incarnation, incarnation):
		b.doubt("it was restarted or replaced")
	}
	b.connections.Store(connections)
	return incarnation, nil
}

// news reports whether one of the servers has another history than any had before. One
// that is missing has none: when it is back it is compared with what was known of it.
func news(known, incarnation string) bool {
	before := strings.Split(known, ",")
	for name := range strings.SplitSeq(incarnation, ",") {
		if !slices.Contains(before, name) {
			return true
		}
	}
	return false
}

// moved reports whether the front store was connected to since its history was
// looked at: it may be another.
func (b *Backend) moved(st *status) bool {
	front, ok := st.front.(Incarnated)
	return ok && front.Connections() != b.connections.Load()
}

// intact reports whether the front store is known to hold all that it did: else
// what is absent there may be what it has lost. All who ask at one time share the
// answer.
func (b *Backend) intact(ctx context.Context, st *status) bool {
	if b.moved(st) {
		if _, err := b.history(ctx, st); err != nil {
			return false
		}
	}
	if b.doubted() {
		return false
	}
	return b.looks.do(ctx, b.spawn, func() bool {
		ctx, cancel := context.WithTimeout(b.life, b.opts.ProbeTimeout)
		defer cancel()
		if st.away.has(perdure.PartitionOf(b.marker)) { // so that nobody can begin to fill it
			return b.feedGoesOn(ctx, st.front) && !b.filling()
		}
		return b.feedGoesOn(ctx, st.front) && !b.beingFilled(ctx, st)
	})
}

// feedGoesOn reports whether the change feed is the one that the mirror follows. That
// it has let go of its oldest changes is no sign that anything else is lost.
func (b *Backend) feedGoesOn(ctx context.Context, front perdure.Backend) bool {
	cursor := b.cursor.Load()
	if cursor == nil {
		return true
	}
	_, err := front.Changes(ctx, *cursor, 1, 0)
	if lostFeed(err) {
		b.doubt(feedGap)
	}
	return err == nil || errors.Is(err, perdure.ErrFeedTrimmed)
}

// lostFeed reports whether an error of the change feed may mean that the front store
// has lost data.
func lostFeed(err error) bool {
	return errors.Is(err, perdure.ErrFeedGap) && !errors.Is(err, perdure.ErrFeedTrimmed)
}

// questionable reports whether the front store may lack what this process holds, and
// no recovery has begun that gives it back.
func (b *Backend) questionable(ctx context.Context, st *status) bool {
	if b.moved(st) {
		if _, err := b.history(ctx, st); err != nil {
			return true
		}
	}
	return b.doubts.Load() != nil
}

const feedGap = "its change feed is another"

// Incarnation is that of the front store, if it can say. In an outage it is unavailable.
func (b *Backend) Incarnation(ctx context.Context) (string, error) {
	st := b.status.Load()
	front, ok := st.front.(Incarnated)
	switch {
	case st.front == nil || st.away.all():
		return "", b.unavailable(st, "its history cannot be read")
	case !ok:
		return "", nil
	}
	return front.Incarnation(ctx)
}

// Others names the other processes that use the front store now, if it can say.
func (b *Backend) Others(ctx context.Context) ([]string, error) {
	st := b.status.Load()
	front, ok := st.front.(interface {
		Others(ctx context.Context) ([]string, error)
	})
	switch {
	case st.front == nil || st.away.all():
		return nil, b.unavailable(st, "who else uses it cannot be asked")
	case !ok:
		return nil, nil
	}
	return front.Others(ctx)
}
