package failover

import "github.com/perdure/perdure"

// decidable says whether a batch can be decided here. That a session has a version
// no other process may have put over already is known, in an outage, of one that was
// made in it by this process alone.
func (b *Backend) decidable(st *status, batch perdure.Batch) error {
	for i := range batch {
		if w := &batch[i]; w.Exact && !b.own.has(w.Record.ID) {
			return b.unavailable(st, "another process may have accepted the version that is expected")
		}
	}
	return nil
}
