package failover

import "context"

// recover ends an outage: the journal is merged, what the front store may have
// lost is given back, and calls go to it again from the first moment on.
func (b *Backend) recover(ctx context.Context, seen *status) {
	incarnation, err := b.history(ctx, seen)
	if err != nil {
		b.opts.Logger.Debug("the session store does not tell its history", "error", err)
		return
	}
	next := *seen
	next.state, next.reason, next.away = Recovering, "the session store is back", partitions{}
	why := b.doubts.Load()
	if why != nil {
		next.doubt, next.reason = *why, "the session store may have lost data: "+*why
	}
	if next.doubt != "" {
		next.graceUntil = b.opts.Now().Add(lossGrace)
	}
	if err := b.date(ctx, seen, incarnation, next.doubt != ""); err != nil {
		b.opts.Logger.Debug("the session store does not take a mark of its contents", "error", err)
		return
	}
	if next.doubt != "" {
		stop, err := b.fill(ctx, seen.front)
		if err != nil {
			b.opts.Logger.Debug("the session store does not take that it is being filled", "error", err)
			return
		}
		defer stop()
	}
	b.merged.clear() // into what may be another server
	defer b.merged.clear()
	if !b.takeUp(ctx, seen, &next) {
		return
	}
	b.doubts.CompareAndSwap(why, nil) // from here on the status has it
	b.merging = partitions{}          // with all the rest
	err = b.drain(ctx, next.front, partitions{})
	if err == nil {
		err = b.mergeCopies(ctx, next.front)
	}
	if err == nil && next.doubt != "" {
		err = b.restore(ctx, &next)
	}
	if err != nil {
		b.relapse(ctx, err)
		return
	}
	b.finish(ctx, incarnation)
}

// takeUp begins a recovery, or has the front store serve more than before, once no end
// of what it then serves waits in the journal any more. The last ones are merged while
// nobody is served.
func (b *Backend) takeUp(ctx context.Context, seen, next *status) bool {
	away := !seen.away.empty()
	if away {
		b.distrustDisk() // an end that has left the journal is not in the copy
	}
	err := b.drainEnds(ctx, next.front, next.away, newPace(b.opts.RecoveryRate))
	if err == nil {
		b.gate.Lock()
		defer b.gate.Unlock()
		ctx, cancel := context.WithTimeout(ctx, b.opts.ProbeTimeout)
		defer cancel()
		if err = b.drainEnds(ctx, next.front, next.away, nil); err == nil && away {
			b.distrustDisk() // another copy may have been made meanwhile
		}
	}
	if err != nil {
		b.opts.Logger.Warn("what was ended in the outage could not be merged yet", "error", err)
	}
	if err != nil && seen.away.all() {
		b.trustDisk(b.distrusted(), false) // as it is now
	}
	return err == nil && b.change(seen, next)
}

// restore gives back what the front store has lost, and says so loudly.
func (b *Backend) restore(ctx context.Context, st *status) error {
	before := b.metrics.lost.Load()
	told := false
	err := b.reconcile(ctx, st.front, func() {
		if told {
			return
		}
		told = true
		loss := *st
		loss.state, loss.reason = Reseeding, "the session store has lost data: "+st.doubt
		b.move(st, &loss)
	})
	if n := b.metrics.lost.Load() - before; n > 0 {
		b.opts.Logger.Error("the session store had lost records; they were given back", "records", n, "policy", b.opts.DataLoss, "why", st.doubt)
	}
	return err
}

// finish ends a recovery if the journal is empty, in its file too, and no other
// outage has begun. It holds the gate, so that nobody writes to the journal in
// between.
func (b *Backend) finish(ctx context.Context, incarnation string) {
	b.forgetRefusals()
	err := b.synced(ctx) // takes a moment, the one below none
	b.gate.Lock()
	seen := b.status.Load()
	next := *seen
	next.doubt, next.incarnation = "", incarnation
	n, _ := b.journal.depth()
	recovering := seen.state == Recovering || seen.state == Reseeding
	done := recovering && n == b.refused.len()
	if err == nil && done {
		err = b.synced(ctx)
	}
	if err == nil {
		next.state, next.reason = Healthy, b.told(seen.outage)
		if seen.first {
			next.reason = "the session store was reached at the start"
		}
	} else {
		next.reason = "all that was written in the outage is merged, and it will be again after a crash: " + plain(err)
		b.journalTook(err)
	}
	done = done && b.change(seen, &next) && err == nil
	b.gate.Unlock()
	if done {
		b.dropMirrorCopies()
	}
}
