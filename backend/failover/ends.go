package failover

import (
	"context"
	"errors"

	"github.com/perdure/perdure"
)

// isEnd reports whether the batch does nothing but end sessions. Such a one is taken
// however old the journal is, and has room of its own in it.
func isEnd(batch perdure.Batch) bool {
	for i := range batch {
		if w := &batch[i]; w.Op == perdure.OpTouch || w.Op == perdure.OpPut && w.Record.Kind == perdure.KindSession {
			return false
		}
	}
	return true
}

// endable says whether sessions may be ended: by a policy that an operator has set
// alone they may not.
func (b *Backend) endable(st *status) error {
	if b.opts.Outage == OutageReadOnly {
		return b.unavailable(st, "the policy is to refuse writes until it is back")
	}
	return nil
}

// endBytes is the room for ends that a journal has beside what it is bounded to: all
// that a mirror can hold can be ended, since a tombstone takes less than three quarters
// of what the smallest session does.
func endBytes(o *Options) int64 { return o.MaxMirrorBytes/4*3 + o.MaxJournalBytes/8 }

// noRoom is the error of an end for which even that is used up, by ends of sessions
// which nobody here knew: the caller has not asked for too much.
func (b *Backend) noRoom(st *status, err error) error {
	if !errors.Is(err, perdure.ErrFull) {
		return err
	}
	return b.unavailable(st, "the room that the journal keeps for ends is used up: "+err.Error())
}

// cutter is implemented by a front store that may be able to end sessions for those who
// read them although it takes no writes: a Cluster that moves their slot. CutShort
// overwrites those that are still of the versions which this is based on, and returns
// which were.
type cutter interface {
	CutShort(ctx context.Context, ends []perdure.Record, bases []perdure.Version) (done []bool, err error)
}

// isCut reports whether the session was cut short: it has ended, and nobody has put
// that off.
func isCut(r *perdure.Record) bool {
	return r.Kind == perdure.KindSession && r.Expiry <= r.Born.Millis()
}

// cutRounds is how often a session is tried to be cut short that others change.
const cutRounds = 3

// cutShort has what was ended in the journal end at once for other processes, which
// read the front store still, if that is possible: until the end is merged, the session
// has been over from its birth on. It does what it can: the end is in the journal.
func (b *Backend) cutShort(ctx context.Context, ids []string) {
	st := b.status.Load()
	front, ok := st.front.(cutter)
	if _, several := sharded(st.front); !ok || !several || !st.readable {
		return
	}
	ids, _ = divide(ids, st.away, func(id string) partitions { return at(perdure.PartitionOf(id)) })
	ctx, cancel := context.WithTimeout(ctx, b.opts.ProbeTimeout)
	defer cancel()
	for range cutRounds {
		if len(ids) == 0 {
			return
		}
		records, err := st.front.Load(ctx, ids)
		if _, err = perdure.AsUnreadable(err); err != nil {
			return
		}
		var ends []perdure.Record
		var bases []perdure.Version
		for _, r := range records {
			if r.Live(b.now()) {
				bases = append(bases, r.Version)
				r.Version = b.clock.Tick(r.Version)
				r.Promised, r.Expiry, r.ExpirySet = max(r.Promised, r.Expiry), r.Born.Millis(), r.Version
				ends = append(ends, r)
			}
		}
		done, err := front.CutShort(ctx, ends, bases)
		if err != nil {
			b.opts.Logger.Debug("other processes do not hear yet of sessions that were ended", "error", err)
			return
		}
		ids = ids[:0:0]
		for i := range done {
			if !done[i] {
				ids = append(ids, ends[i].ID)
			}
		}
	}
}
