package failover

import (
	"context"

	"github.com/perdure/perdure"
)

// vouch returns an ErrUnavailable where this process cannot say, cut off as it is, what
// became of a session that it holds. What others may have done counts: they extend and
// touch sessions, and end them. Nobody else knows one that was minted here in this
// outage, and nobody can extend one past its horizon.
func (b *Backend) vouch(st *status, held *holding, at perdure.Millis) error {
	r := &held.Record
	switch {
	case b.own.has(r.ID):
		return nil
	case r.Kind == perdure.KindTombstone && r.Reason == perdure.ReasonExpired && at < r.Horizon:
		return b.unavailable(st, "the session was over when this process could last know; others may have put that off before")
	case r.Kind != perdure.KindSession:
		return nil
	case held.stale:
		return b.unavailable(st, "this process was down for too long to know what became of the session meanwhile")
	case !held.fresh && b.opts.MaxAge > 0 && b.mirror.age() > b.opts.MaxAge:
		return b.unavailable(st, "what this process holds is older than the policy allows")
	case !r.Live(at) && at < r.Horizon && !isCut(r):
		return b.unavailable(st, "the session has reached the deadline that this process knows; others may have kept it alive")
	}
	return nil
}

// holding is what is known here of an id, and how well.
type holding struct {
	perdure.Record
	fresh bool // the front store answered with it just now
	stale bool // it is from an earlier life of a process, which ended too long ago
	// orphan is the session itself, if the record is a tombstone only because an id that
	// it had before has ended, or the session in the front store has.
	orphan *perdure.Record
}

// now is this process's clock.
func (b *Backend) now() perdure.Millis { return perdure.MillisOf(b.opts.Now()) }

// journalled is what the journal holds under an id.
func (b *Backend) journalled(r perdure.Record) *holding {
	return &holding{Record: r, stale: b.journal.stale.has(r.ID)}
}

// needsLife reports whether the write is of no use to a session that has ended: one of
// a caller, which goes on from what is stored. A merge judges nobody.
func needsLife(w *perdure.Write) bool {
	switch w.Op {
	case perdure.OpTouch:
		return true
	case perdure.OpPut:
		return !w.Base.IsZero() && w.Reason != perdure.ReasonMerged && w.Record.Kind != perdure.KindEpoch && !w.Record.Ended()
	}
	return false
}

// vouchFor looks again at what became of a batch: that a session has ended is said only
// where it is known. A logout is always taken, and whether it has ended somebody who
// was still there cannot be known better than that it may have.
func (b *Backend) vouchFor(ctx context.Context, st *status, batch perdure.Batch, result *perdure.Result) {
	w, now := &batch[result.Write], b.now()
	var err error
	switch {
	case w.Op == perdure.OpTouch && result.Outcome == perdure.Absent && !result.Stored.Exists():
		var stored perdure.Record
		if stored, err = b.journal.Get(ctx, w.Record.ID); err == nil {
			err = b.vouch(st, b.journalled(stored), max(now, w.Record.LastAccess))
		}
	case result.Outcome == perdure.Conflict && needsLife(w):
		err = b.vouch(st, b.journalled(result.Stored), now)
	case w.Op == perdure.OpRemove && result.Outcome == perdure.Applied && b.vouch(st, b.journalled(result.Stored), now) != nil:
		result.Stored = perdure.Record{}
	}
	if err != nil {
		*result = perdure.Result{Err: err}
	}
}

// vouchForAll is vouch of the sessions of a page, which may lack those that it has no
// word for if it is partial: otherwise a list that may lack somebody is none.
func (b *Backend) vouchForAll(st *status, page *perdure.Page, partial bool) error {
	var sure []perdure.Record
	for _, r := range page.Records {
		switch err := b.vouch(st, b.journalled(r), b.now()); {
		case err == nil:
			sure = append(sure, r)
		case !partial:
			return err
		}
	}
	page.Incomplete = page.Incomplete || len(sure) < len(page.Records)
	page.Records = sure
	return nil
}

// noteOwn takes note of sessions that were minted here in this outage: nobody else can
// know them until they are merged. The successor of an older session is none: what
// others do to that one reaches it.
func (b *Backend) noteOwn(batch perdure.Batch) {
	for i := range batch {
		w := &batch[i]
		_, marked := perdure.OutageTime(w.Record.ID)
		minted := marked && w.Op == perdure.OpPut && w.Base.IsZero() && w.Record.Kind == perdure.KindSession &&
			w.Reason != perdure.ReasonMerged && !w.Chosen
		if minted && (w.Record.Parent == "" || b.own.has(w.Record.Parent)) {
			b.own.add(w.Record.ID)
		}
	}
}
