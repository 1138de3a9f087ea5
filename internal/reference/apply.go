package reference

import (
	"context"
	"slices"

	"github.com/perdure/perdure"
)

func (b *reference) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	if err := b.lock(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	if len(batches) == 0 && b.is(nothingIsAnError) {
		return nil, invalid("no batches")
	}
	results := make([]perdure.Result, len(batches))
	for i, batch := range batches {
		if b.is(manyAreDropped) && i > 200 {
			results[i].Outcome = perdure.Applied
			continue
		}
		results[i] = b.carryOut(batch)
		for _, w := range batch {
			b.wrote(w.Record.ID)
		}
	}
	if b.is(resultsAreSorted) {
		slices.SortStableFunc(results, func(x, y perdure.Result) int { return int(x.Outcome) - int(y.Outcome) })
	}
	return results, nil
}

func (b *reference) carryOut(batch perdure.Batch) perdure.Result {
	switch batch[0].Op {
	case perdure.OpTouch:
		return b.touch(batch[0].Record)
	case perdure.OpRemove:
		return b.remove(batch[0])
	}
	for i, w := range batch {
		met, stored, err := b.meets(w)
		if err != nil {
			return perdure.Result{Err: err}
		}
		if met {
			if b.is(conflictsNameNoWrite) {
				i = 0
			}
			if b.is(refusalsAreTold) {
				b.tell(perdure.Updated, w.Reason, w.Record)
			}
			return perdure.Result{Outcome: perdure.Conflict, Write: i, Stored: stored}
		}
		if b.is(batchesAreTorn) {
			b.put(w)
		}
	}
	b.breathe(putsRace)
	for i, w := range batch {
		if b.is(rotationsAreTorn) && i > 0 {
			b.breathe(rotationsAreTorn)
		}
		if !b.is(batchesAreTorn) && !(b.is(batchesAreCut) && i > 0) {
			b.put(w)
		}
	}
	return perdure.Result{Outcome: perdure.Applied}
}

// meets finds what stands in the way of a put.
func (b *reference) meets(w perdure.Write) (met bool, stored perdure.Record, err error) {
	if err := b.checkSkew(w.Record.Version); err != nil {
		return false, stored, err
	}
	if over := len(w.Record.Body) + b.bytes() - b.maxBytes; b.maxBytes > 0 && over > 0 && w.Record.Kind == perdure.KindSession {
		if !b.is(fullEvicts) {
			return false, stored, perdure.ErrFull
		}
		for id := range b.records {
			delete(b.records, id)
			break
		}
	}
	if stored, err = b.read(w.Record.ID); err != nil && !b.is(formatsAreOverwritten) {
		return false, stored, err
	}
	based := b.isBase(w.Base, stored) || b.is(exactIsAnyBase) && w.Exact && stored.Kind == perdure.KindSession
	if !based || b.is(putMindsVersions) && w.Record.Version.Before(stored.Version) {
		return true, stored, nil
	}
	isNew := stored.Kind != perdure.KindSession && !(b.is(tombstonesLetIn) && stored.Exists())
	epoch, err := b.epochOf(w.Record.User)
	if err != nil {
		return false, stored, err
	}
	if (isNew || b.is(epochEndsUpdates)) && w.Record.Kind == perdure.KindSession && b.isOlder(w, epoch) {
		return true, epoch, nil
	}
	parent, err := b.read(w.Record.Parent)
	dead := parent.Ended() || b.is(rotatedParentsEnd) && parent.Kind == perdure.KindTombstone && parent.Reason == perdure.ReasonRotated ||
		b.is(lastingParentsEnd) && parent.Kind == perdure.KindTombstone && parent.Reason == perdure.ReasonExpired
	if dead && (isNew || b.is(parentEndsUpdates)) && w.Record.Kind == perdure.KindSession && !b.is(parentIsIgnored) {
		return true, parent, nil
	}
	return false, stored, err
}

func (b *reference) epochOf(user perdure.UserKey) (perdure.Record, error) {
	if b.is(epochIsByPartition) {
		for _, r := range b.all(func(r perdure.Record) bool { return r.Kind == perdure.KindEpoch }) {
			if r.User.Partition() == user.Partition() {
				return r, nil
			}
		}
	}
	return b.read(perdure.EpochID(user))
}

func (b *reference) checkSkew(v perdure.Version) error {
	bound := b.clock() + skew
	if b.is(skewIsOffByOne) {
		bound++
	}
	if v.Millis() > bound && !b.is(skewIsUnbounded) {
		return perdure.ErrSkew
	}
	return nil
}

func (b *reference) bytes() (n int) {
	for _, value := range b.records {
		n += len(value)
	}
	return n
}

func (b *reference) isBase(base perdure.Version, stored perdure.Record) bool {
	switch {
	case b.is(baseIsIgnored) && stored.Kind == perdure.KindSession:
		return true
	case b.is(baseRevives) && stored.Kind == perdure.KindTombstone:
		return true
	case b.is(baseOfNothing) && !stored.Exists():
		return true
	case b.is(baseIsAFloat):
		return float64(base.Time) == float64(stored.Version.Time) && base.Node == stored.Version.Node
	case b.is(baseHasNoNode):
		return base.Time == stored.Version.Time
	}
	return base == stored.Version
}

func (b *reference) isOlder(w perdure.Write, epoch perdure.Record) bool {
	older := w.Record.Born.Before(epoch.Version)
	named := w.Epoch == epoch.Version
	switch {
	case b.is(epochIsIgnored), b.is(epochMissesForeign) && perdure.PartitionOf(w.Record.ID) != w.Record.User.Partition():
		return false
	case b.is(epochIsAFloat):
		older = float64(w.Record.Born.Time) < float64(epoch.Version.Time)
	case b.is(epochIsByVersion):
		older = w.Record.Version.Before(epoch.Version)
	case b.is(epochCannotBeNamed):
		named = false
	case b.is(epochByAnyName):
		named = !w.Epoch.IsZero()
	}
	return older && !named
}

func (b *reference) put(w perdure.Write) {
	stored, _ := b.read(w.Record.ID)
	r := w.Record
	if !stored.Exists() {
		b.first[r.ID] = r.Deadline()
	}
	if !b.is(putMovesAccessBack) {
		r.LastAccess = max(r.LastAccess, stored.LastAccess)
	}
	if b.is(feedRaces) {
		b.tellLate(stored, r, w.Reason)
	} else {
		b.tellPut(stored, r, w.Reason)
	}
	b.write(r)
}

func (b *reference) tellLate(stored, r perdure.Record, why perdure.Reason) {
	b.write(r)
	b.breathe(feedRaces)
	b.tellPut(stored, r, why)
}

func (b *reference) tellPut(stored, r perdure.Record, why perdure.Reason) {
	same := stored.Version == r.Version && stored.Kind == r.Kind
	switch {
	case same && r.Kind == perdure.KindSession && !b.is(sameVersionIsUpdated):
		if r.LastAccess > stored.LastAccess {
			b.tell(perdure.Touched, 0, r)
		}
	case same && !b.is(sameVersionIsUpdated, endsAreToldAgain):
	case r.Kind == perdure.KindTombstone && stored.Kind == perdure.KindTombstone && stored.Reason != perdure.ReasonRotated && !b.is(endsAreToldAgain, laterEndsAreTold):
	case r.Kind == perdure.KindTombstone && stored.Kind != perdure.KindSession && b.is(endsOfStrangersAreNotTold):
	case r.Kind == perdure.KindEpoch:
		b.tell(perdure.UserRevoked, r.Reason, r)
	case r.Kind == perdure.KindTombstone:
		b.tell(perdure.Deleted, r.Reason, r)
	case stored.Exists() || b.is(feedCallsAllUpdated):
		b.tell(perdure.Updated, why, r)
	default:
		b.tell(perdure.Created, why, r)
	}
}

func (b *reference) touch(asked perdure.Record) perdure.Result {
	r, err := b.read(asked.ID)
	if err != nil {
		return perdure.Result{Err: err}
	}
	live := r.Live(asked.LastAccess)
	switch {
	case b.is(touchCreates) && !r.Exists():
		r = perdure.Record{ID: asked.ID, Header: perdure.Header{Kind: perdure.KindSession, Expiry: asked.LastAccess + 1000}}
		live = true
	case b.is(touchRevives) && r.Kind == perdure.KindTombstone:
		r.Kind, live = perdure.KindSession, true
	case b.is(touchMindsNoExpiry) && r.Kind == perdure.KindSession:
		live = r.Idle == 0 || asked.LastAccess < r.LastAccess+r.Idle
	case b.is(touchMindsNoIdle) && r.Kind == perdure.KindSession:
		live = asked.LastAccess < r.Expiry
	}
	if !live {
		if r.Kind == perdure.KindSession && !b.is(touchShowsTheExpired) {
			r = perdure.Record{}
		}
		return perdure.Result{Outcome: perdure.Absent, Stored: r}
	}
	if b.is(touchesRace) {
		b.breathe(touchesRace)
	}
	moved := asked.LastAccess > r.LastAccess
	if moved || b.is(touchGoesBack) {
		r.LastAccess = asked.LastAccess
	}
	if b.is(touchIsAWrite) {
		r.Version.Time++
	}
	b.write(r)
	if moved {
		b.tell(perdure.Touched, 0, r)
	}
	if b.is(touchIsToldTwice) {
		b.tell(perdure.Touched, 0, r)
	}
	return perdure.Result{Outcome: perdure.Applied}
}

func (b *reference) remove(w perdure.Write) perdure.Result {
	stored, err := b.read(w.Record.ID)
	if err != nil {
		return perdure.Result{Err: err}
	}
	b.breathe(removalsRace)
	switch {
	case b.is(removeMindsVersions) && w.Record.Version.Before(stored.Version),
		b.is(removeMindsExpiry) && stored.Kind == perdure.KindSession && !stored.Live(b.clock()):
		return perdure.Result{Outcome: perdure.Absent}
	case b.is(removeMindsSkew) && b.checkSkew(w.Record.Version) != nil:
		return perdure.Result{Err: perdure.ErrSkew}
	case b.is(removeReplacesTombstones) && stored.Kind == perdure.KindTombstone, stored.Kind == perdure.KindSession:
		b.bury(stored, w)
		if b.is(removeShowsNoSession) {
			stored = perdure.Record{}
		}
		return perdure.Result{Outcome: perdure.Applied, Stored: stored}
	case w.Plant && !stored.Exists() && !b.is(plantIsIgnored):
		b.write(w.Record)
		if !b.is(endsOfStrangersAreNotTold) {
			b.tell(perdure.Deleted, w.Record.Reason, w.Record)
		}
	case b.is(removeAlwaysPlants) && !stored.Exists():
		w.Record.Kind = perdure.KindTombstone
		b.write(w.Record)
	}
	return perdure.Result{Outcome: perdure.Absent, Stored: stored}
}

func (b *reference) bury(session perdure.Record, w perdure.Write) {
	tomb := session
	tomb.Kind, tomb.Version, tomb.Reason = perdure.KindTombstone, w.Record.Version, w.Record.Reason
	if !b.is(removeKeepsTheBody) {
		tomb.Body = ""
	}
	if b.is(plantReplaces) && w.Plant {
		tomb = w.Record
	}
	b.write(tomb)
	b.tell(perdure.Deleted, tomb.Reason, tomb)
	if b.is(removeLeavesNothing) {
		delete(b.records, session.ID)
	}
}
