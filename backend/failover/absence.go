package failover

import (
	"context"
	"fmt"
	"time"

	"github.com/perdure/perdure"
)

// Sharded is implemented by a front store whose partitions can lie on several servers,
// of which some can be away.
type Sharded interface {
	// Sharded reports whether they do.
	Sharded() bool
	// PingPartitions is Ping of each partition. It returns those that could not take a
	// write now, and why. A server that hangs holds up the answer of no other: the
	// context bounds each.
	PingPartitions(ctx context.Context) (down []int, err error)
	// Missing reports whether one did not answer when all were last asked for something,
	// for changes, say, of which those of the others came.
	Missing() bool
}

func sharded(front perdure.Backend) (Sharded, bool) {
	s, ok := front.(Sharded)
	return s, ok && s.Sharded()
}

// absence is what a probe finds.
type absence struct {
	away     partitions
	readable bool  // the front store answers reads
	err      error // why, if anything is away
}

// here is what is there.
func (a *absence) here() partitions { return a.away.others() }

// partial reports whether some is away, and some is there.
func (a *absence) partial() bool { return !a.away.empty() && !a.away.all() }

func (a *absence) reason() string { return describe(a.away, a.err) }

// describe is the reason of an outage, with its extent if that is not all.
func describe(away partitions, why error) string {
	if away.all() {
		return plain(why)
	}
	return fmt.Sprintf("%v are away: %s", away, plain(why))
}

// partly reports whether some of the front store is there in the outage.
func (st *status) partly() bool { return !st.away.empty() && !st.away.all() }

// probe asks the front store to take a write. One with several servers is asked for each
// partition, and has twice the time for that.
func (b *Backend) probe(ctx context.Context, front perdure.Backend) (out absence) {
	shards, several := sharded(front)
	limit := b.opts.ProbeTimeout
	if several {
		limit *= 2
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	started := time.Now()
	var down []int
	if several {
		down, out.err = shards.PingPartitions(ctx)
	} else {
		out.err = front.Ping(ctx)
	}
	b.metrics.probed(time.Since(started), out.err)
	for _, partition := range down {
		out.away.add(partition)
	}
	if out.err != nil && out.away.empty() {
		out.away = everywhere()
	}
	return out
}

// examine is a probe that also finds out whether the front store answers reads, where it
// takes no writes: both at a time, or of one with several servers one after the other.
func (b *Backend) examine(ctx context.Context, front perdure.Backend) (out absence) {
	if _, ok := sharded(front); ok {
		if out = b.probe(ctx, front); out.err != nil {
			out.readable = b.answersReads(ctx, front, out.away)
		}
		return out
	}
	reads := make(chan bool, 1)
	go func() { reads <- b.answersReads(ctx, front, at(0)) }()
	out = b.probe(ctx, front)
	out.readable = <-reads
	return out
}

func (b *Backend) answersReads(ctx context.Context, front perdure.Backend, of partitions) bool {
	var ids []string
	for partition := range perdure.Partitions {
		if of.has(partition) {
			ids = append(ids, perdure.NewID(partition))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.ProbeTimeout)
	defer cancel()
	_, err := front.Load(ctx, ids)
	return err == nil
}

// startPartly begins with some partitions away: where there is nothing to merge the
// others take over at once.
func (b *Backend) startPartly(ctx context.Context, st *status, out absence) error {
	b.opts.Logger.Warn("some of the session store cannot be reached", "error", out.reason())
	next := *st
	next.reason = b.opts.Explain(out.reason())
	b.move(st, &next)
	st = &next
	if pending, _ := b.journal.depth(); pending == 0 {
		b.regain(ctx, st, out.here(), out)
	}
	b.wake()
	return nil
}

// regain has calls go to the front store again that reach partitions which are back,
// while others are away.
func (b *Backend) regain(ctx context.Context, seen *status, back partitions, out absence) {
	if back = back.without(seen.away.others()); back.empty() || back == seen.away {
		return
	}
	incarnation, err := b.history(ctx, seen)
	if err != nil {
		b.opts.Logger.Debug("the session store does not tell its history", "error", err)
		return
	}
	next := *seen
	next.away, next.readable = seen.away.without(back), out.readable
	if !next.away.has(perdure.PartitionOf(b.marker)) {
		if err := b.date(ctx, seen, incarnation, false); err != nil {
			b.opts.Logger.Debug("the session store does not take a mark of its contents", "error", err)
			return
		}
	}
	next.reason = describe(next.away, out.err)
	if next.incarnation == "" { // of those that are back later it is another
		next.incarnation = incarnation
	}
	if b.takeUp(ctx, seen, &next) {
		b.merging = b.merging.with(back)
	}
}

// mergeBack merges what the journal holds for partitions that are back while others
// are away.
func (b *Backend) mergeBack(ctx context.Context) {
	st := b.status.Load()
	if b.merging = b.merging.without(st.away); b.merging.empty() || !st.partly() {
		return
	}
	if err := b.drain(ctx, st.front, st.away); err != nil {
		b.opts.Logger.Debug("what was written for a part of the session store that is back could not be merged yet", "error", err)
		return
	}
	b.merging = partitions{}
}

// relapse ends a recovery that has failed: in an outage of what a probe finds away, or
// of all.
func (b *Backend) relapse(ctx context.Context, cause error) {
	st := b.status.Load()
	out := absence{away: everywhere(), err: cause}
	if _, ok := sharded(st.front); ok {
		if found := b.examine(ctx, st.front); found.err != nil {
			out = found
			out.err = both(cause, found.err)
		}
	}
	b.degrade(st, out)
}
