package failover

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// mirror holds copies of records of the front store, for an outage: the join of
// all that passed through here or came by the feed. What it says and the front
// store does not, the front store has lost.
type mirror struct {
	*local.Backend
	merger perdure.Merger
	now    func() time.Time
	mode   Mirror
	room   int64                  // bytes that an automatic mirror may take while it is full
	full   atomic.Bool            // it takes in all that is stored
	why    atomic.Pointer[string] // it is as it is
	fits   atomic.Int64           // records that may be stored for it to become full
	synced atomic.Int64           // unix ms when it was last in step with the front store
	missed atomic.Int64           // records that did not fit
	unfit  versions               // and which they were: what is older is not held instead
	loaded atomic.Bool            // a full mirror that has read all that is stored
	whole  atomic.Bool            // and that is all there is
	// outlived are sessions that were over as they were held here, and which the front
	// store has again from somebody who had put that off: it may have swept them in
	// between, and so lack what others changed.
	outlived ids
}

// mirrorSkew is how far what the front store has taken may be ahead of this
// machine's clock: the front store has its own, and a clock here that is behind
// must not keep the mirror from a logout.
const mirrorSkew = 24 * time.Hour

func openMirror(o *Options, clock *perdure.Clock) (*mirror, error) {
	b, err := local.Open(local.Options{MaxBytes: o.MaxMirrorBytes, MaxClockSkew: max(o.MaxClockSkew, mirrorSkew), FeedLength: 1, Copy: true, Now: o.Now})
	if err != nil {
		return nil, err
	}
	merger := perdure.Merger{Backend: b, Clock: clock, Codec: o.Codec, Copy: true}
	m := &mirror{Backend: b, merger: merger, now: o.Now, mode: o.Mirror, room: o.MaxMirrorBytes / autoShare}
	m.fits.Store(m.room / leastRecord)
	m.turn(o.Mirror == MirrorFull, map[Mirror]string{MirrorAuto: "it is not known yet how much is stored"}[o.Mirror])
	m.inStep()
	return m, nil
}

// learn takes in a record that the front store has, and returns it joined with
// what is held here. Behind is true where the front store lacks some of that: it
// has lost it, or has answered from a cache. Base is the version that the record
// was written over, where that is known.
//
// A session that was rotated, another version of it perhaps, stays as it is, and is
// what is returned: what it has more is to go to its successors in the front store
// first. Those may be unknown here, so that nothing can be carried to them.
func (m *mirror) learn(r *perdure.Record, base perdure.Version) (joined perdure.Record, behind bool) {
	ctx := context.Background()
	held, err := m.Backend.Get(ctx, r.ID)
	switch {
	case err != nil, !held.Exists() && m.unfit.knowsLater(r):
		return *r, false
	case held.Version == r.Version && held.Kind == r.Kind && len(held.Body) == len(r.Body):
		if r.LastAccess > held.LastAccess {
			touch := perdure.Write{Op: perdure.OpTouch, Record: perdure.Record{ID: r.ID, Header: perdure.Header{LastAccess: r.LastAccess}}}
			m.takes(perdure.Batch{touch})
		}
		if r.LastAccess >= held.LastAccess || r.Kind != perdure.KindSession {
			return *r, false
		}
		return held, held.LastAccess > r.LastAccess+touchTolerance
	case rotated(r, &held) && held.Version != base:
		return held, true
	case r.Kind == perdure.KindEpoch: // ends more than its own record
	case !held.Exists(), held.Version == base, held.Version == r.Version:
		w := perdure.Write{Op: perdure.OpPut, Record: *r, Base: held.Version}
		if outcome, err := m.Backend.ApplyOne(ctx, perdure.Batch{w}); err == nil && outcome == perdure.Applied {
			return *r, false
		}
	}
	merged, err := m.merger.Merge(ctx, *r)
	if err != nil {
		m.missed.Add(1)
		m.unfit.raise(r.ID, r.Version)
		m.outdated(&held)
		return *r, false
	}
	if behind = exceeds(&merged.Record, r); behind && held.Kind == perdure.KindSession && held.Deadline() <= perdure.MillisOf(m.now()) {
		m.outlived.add(r.ID)
	}
	return merged.Record, behind
}

// rotated reports whether the record says that the session which is held was rotated.
func rotated(r, held *perdure.Record) bool {
	return r.Kind == perdure.KindTombstone && r.Reason == perdure.ReasonRotated && held.Kind == perdure.KindSession
}

// outdated forgets a session of which something newer did not fit: in an outage
// it is better unavailable than as it was once.
func (m *mirror) outdated(held *perdure.Record) {
	if held.Kind == perdure.KindSession {
		_ = m.Backend.Forget(context.Background(), []perdure.Record{*held}) // fails where it is closed alone
	}
}

// knowsAll reports whether the mirror holds every session there is.
func (m *mirror) knowsAll() bool { return m.full.Load() && m.whole.Load() && m.missed.Load() == 0 }

// exceeds reports whether a join says more than one of its sides in anything that
// somebody could see. Of two tombstones neither does, whatever their versions, but
// for what a rotation left in them or was kept there since.
func exceeds(joined, r *perdure.Record) bool {
	switch r.Kind {
	case perdure.KindTombstone:
		return joined.Kind != r.Kind || joined.Ended() && !r.Ended() || len(joined.Body) > len(r.Body) || !joined.Ended() && joined.Body != r.Body
	case perdure.KindSession:
		return joined.Kind != r.Kind || joined.Version != r.Version || joined.LastAccess > r.LastAccess+touchTolerance
	}
	return joined.Version != r.Version
}

// takes carries out here what the front store has carried out, if it goes on from
// what is held.
func (m *mirror) takes(write perdure.Batch) bool {
	if w := &write[0]; w.Op == perdure.OpRemove || w.Record.Kind == perdure.KindEpoch {
		return false // they end more, or other, than what they say
	}
	outcome, err := m.Backend.ApplyOne(context.Background(), write)
	return err == nil && outcome == perdure.Applied
}

// age is how long ago the mirror was last in step.
func (m *mirror) age() time.Duration {
	return max(0, m.now().Sub(time.UnixMilli(m.synced.Load())))
}

// shift moves the time at which it was last in step.
func (m *mirror) shift(by time.Duration) { m.synced.Add(by.Milliseconds()) }

func (m *mirror) inStep() { m.synced.Store(m.now().UnixMilli()) }
