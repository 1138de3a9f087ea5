package failover

import "github.com/perdure/perdure"

// decidable says whether a batch can be decided here. That a session has a version
// no other process may have put over already is known, in an outage, of one that was
// made in it by this process alone.
func (b *Backend) decidable(st *status, batch perdure.Batch) error {
	for i := range batch {
		if w := &batch[i]; w.Exact && !b.alone.has(w.Record.ID) {
			return b.unavailable(st, "another process may have accepted the version that is expected")
		}
	}
	return nil
}

// noteAlone notes sessions that a batch has made, and that nobody else can know before
// the outage is over: under ids that were minted for it.
func (b *Backend) noteAlone(batch perdure.Batch, r *perdure.Result) {
	if r.Outcome != perdure.Applied {
		return
	}
	for i := range batch {
		w := &batch[i]
		_, minted := perdure.OutageTime(w.Record.ID)
		if minted && w.Op == perdure.OpPut && w.Base.IsZero() && w.Record.Kind == perdure.KindSession && w.Reason != perdure.ReasonMerged && !w.Chosen {
			b.alone.add(w.Record.ID)
		}
	}
}
