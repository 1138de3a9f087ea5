package local

import (
	"cmp"
	"slices"

	"github.com/perdure/perdure"
)

// batchCommand carries out batches, each by itself, and fills results.
type batchCommand struct {
	batches []perdure.Batch
	results []perdure.Result
}

// single is a batchCommand in memory, with room for one batch and its result.
type single struct {
	batchCommand
	batch  [1]perdure.Batch
	result [1]perdure.Result
}

func (c *batchCommand) claim(set *partitions) {
	for _, batch := range c.batches {
		for i := range batch {
			r := &batch[i].Record
			set.addID(r.ID)
			set.addID(r.Parent)
			set.addUser(r.User)
		}
	}
}

// discover adds the partitions of the users whose sessions may go.
func (c *batchCommand) discover(b *Backend, set *partitions) {
	for _, batch := range c.batches {
		for i := range batch {
			w := &batch[i]
			if w.Op == perdure.OpTouch || w.Op == perdure.OpPut && w.Base.IsZero() {
				continue
			}
			if e := b.entry(w.Record.ID); e != nil {
				set.addUser(e.record.Load().User)
			}
		}
	}
}

func (c *batchCommand) indexed() bool  { return false }
func (c *batchCommand) deferred() bool { return false }

func (c *batchCommand) run(s *stage) {
	for i, batch := range c.batches {
		c.results[i] = s.batch(batch)
	}
}

// cloneBatches protects a queued write from a caller that goes on without it.
func cloneBatches(batches []perdure.Batch) []perdure.Batch {
	batches = slices.Clone(batches)
	for i, b := range batches {
		batches[i] = slices.Clone(b)
	}
	return batches
}

// batch stages a whole batch or nothing of it. A write sees those before it.
func (s *stage) batch(batch perdure.Batch) (result perdure.Result) {
	if err := batch.Check(); err != nil {
		return perdure.Result{Err: err}
	}
	for i := range batch {
		if result = s.write(&batch[i]); result.Err != nil || result.Outcome == perdure.Conflict {
			s.reject()
			result.Write = i
			return result
		}
	}
	if err := s.accept(); err != nil {
		return perdure.Result{Err: err}
	}
	return result
}

func (s *stage) write(w *perdure.Write) perdure.Result {
	stored, err := s.find(w.Record.ID)
	if err != nil {
		return perdure.Result{Err: err}
	}
	switch w.Op {
	case perdure.OpTouch:
		return s.touch(w, stored)
	case perdure.OpRemove:
		return s.remove(w, stored)
	default:
		return s.put(w, stored)
	}
}

func (s *stage) put(w *perdure.Write, stored *perdure.Record) perdure.Result {
	if err := s.ahead(w.Record.Version); err != nil {
		return perdure.Result{Err: err}
	}
	if stored == nil && !w.Base.IsZero() {
		return perdure.Result{Outcome: perdure.Conflict}
	}
	if stored != nil && (w.Base.IsZero() || stored.Version != w.Base) {
		return perdure.Result{Outcome: perdure.Conflict, Stored: *stored}
	}
	if (stored == nil || stored.Kind != perdure.KindSession) && w.Record.Kind == perdure.KindSession {
		if obstacle, err := s.obstacle(w); err != nil {
			return perdure.Result{Err: err}
		} else if obstacle != nil {
			return perdure.Result{Outcome: perdure.Conflict, Stored: *obstacle}
		}
	}
	record := w.Record
	if stored != nil {
		record.LastAccess = max(record.LastAccess, stored.LastAccess)
	}
	m := mutation{old: stored, new: &record, kind: announcement(stored, &record)}
	if m.kind != perdure.Touched {
		m.reason = cmp.Or(record.Reason, w.Reason)
	}
	s.stage(m)
	return perdure.Result{Outcome: perdure.Applied}
}

// obstacle is what keeps a session from being stored where there is none: the epoch of its
// user that it does not know of, or the tombstone of its parent.
func (s *stage) obstacle(w *perdure.Write) (*perdure.Record, error) {
	r := &w.Record
	if r.User != "" {
		epoch, err := s.epoch(r.User)
		if err != nil {
			return nil, err
		}
		if epoch != nil && r.Born.Before(epoch.Version) && w.Epoch != epoch.Version {
			return epoch, nil
		}
	}
	if r.Parent != "" {
		parent, err := s.find(r.Parent)
		if err != nil {
			return nil, err
		}
		if parent != nil && parent.Ended() {
			return parent, nil
		}
	}
	return nil, nil
}

// announcement is the change that storing the record is, 0 where it is none.
func announcement(stored, r *perdure.Record) perdure.ChangeKind {
	switch {
	case stored != nil && stored.Version == r.Version && stored.Kind == r.Kind:
		if r.Kind == perdure.KindSession && r.LastAccess > stored.LastAccess {
			return perdure.Touched
		}
		return 0
	case stored != nil && stored.Kind == perdure.KindTombstone && r.Kind == perdure.KindTombstone && stored.Reason != perdure.ReasonRotated:
		return 0
	case r.Kind == perdure.KindEpoch:
		return perdure.UserRevoked
	case r.Kind == perdure.KindTombstone:
		return perdure.Deleted
	case stored == nil:
		return perdure.Created
	default:
		return perdure.Updated
	}
}

func (s *stage) touch(w *perdure.Write, stored *perdure.Record) perdure.Result {
	at := w.Record.LastAccess
	if stored == nil || !stored.Live(at) {
		return absent(stored)
	}
	if at > stored.LastAccess {
		record := *stored
		record.LastAccess = at
		s.stage(mutation{old: stored, new: &record, kind: perdure.Touched, reason: w.Reason})
	}
	return perdure.Result{Outcome: perdure.Applied}
}

func (s *stage) remove(w *perdure.Write, stored *perdure.Record) perdure.Result {
	if stored == nil && w.Plant {
		record := w.Record
		record.Kind = perdure.KindTombstone
		s.stage(mutation{new: &record, kind: perdure.Deleted, reason: record.Reason})
		return perdure.Result{Outcome: perdure.Absent}
	}
	if stored == nil || stored.Kind != perdure.KindSession {
		return absent(stored)
	}
	s.end(stored, w.Record.Version, w.Record.Reason)
	return perdure.Result{Outcome: perdure.Applied, Stored: *stored}
}

// end stages the tombstone of a session.
func (s *stage) end(session *perdure.Record, v perdure.Version, reason perdure.Reason) {
	tombstone := *session
	tombstone.Kind, tombstone.Version, tombstone.Reason, tombstone.Body = perdure.KindTombstone, v, reason, ""
	s.stage(mutation{old: session, new: &tombstone, kind: perdure.Deleted, reason: reason})
}

// absent is the result of a touch or removal that met no session.
func absent(stored *perdure.Record) perdure.Result {
	result := perdure.Result{Outcome: perdure.Absent}
	if stored != nil && stored.Kind == perdure.KindTombstone {
		result.Stored = *stored
	}
	return result
}
