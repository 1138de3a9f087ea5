package perdure

import "context"

// Preview says what MergeAll would make of the records, and writes nothing: the
// results are aligned with them, and each Record is what would be stored. What
// the records do to each other it does not see, nor what a session that was rotated
// would change in its successors.
func (m *Merger) Preview(ctx context.Context, records []Record) ([]Merged, error) {
	stored, err := m.around(ctx, records)
	bad, err := AsUnreadable(err)
	if err != nil {
		return nil, err
	}
	unreadable := bad.Set()
	merged := make([]Merged, len(records))
	for i, r := range records {
		if barred(&r, stored, unreadable) {
			merged[i].Err = bad
		} else if merged[i], err = m.foresee(r, stored); err != nil {
			merged[i] = Merged{Err: err}
		}
	}
	return merged, nil
}

// around loads what the records can meet: what is stored under their ids, their
// users' epochs and their parents.
func (m *Merger) around(ctx context.Context, records []Record) (map[string]Record, error) {
	stored := map[string]Record{}
	var ids []string
	add := func(id string) {
		if _, ok := stored[id]; !ok {
			stored[id] = Record{}
			ids = append(ids, id)
		}
	}
	for _, r := range records {
		if checkIncoming(&r) != nil {
			continue
		}
		add(r.ID)
		if r.Kind == KindSession {
			add(EpochID(r.User))
			if CheckID(r.Parent) == nil {
				add(r.Parent)
			}
		}
	}
	if len(ids) == 0 {
		return stored, nil
	}
	found, err := m.Backend.Load(ctx, ids)
	for i, r := range found {
		stored[ids[i]] = r
	}
	return stored, err
}

// barred reports whether the record would meet one that cannot be read: its own, or
// where nothing is stored its user's epoch or its parent.
func barred(r *Record, stored map[string]Record, unreadable map[string]bool) bool {
	fresh := r.Kind == KindSession && !stored[r.ID].Exists()
	return unreadable[r.ID] || fresh && (unreadable[r.Parent] || unreadable[EpochID(r.User)])
}

func (m *Merger) foresee(r Record, stored map[string]Record) (Merged, error) {
	if err := checkIncoming(&r); err != nil {
		return Merged{}, err
	}
	if met := stored[r.ID]; met.Exists() {
		joined, err := merge(r, met, m.Clock, m.codec())
		if err != nil {
			return Merged{}, err
		}
		return Merged{
			Record:  joined,
			Changed: joined.Version != met.Version || joined.LastAccess > met.LastAccess,
			Killed:  r.Kind == KindSession && joined.Kind == KindTombstone,
		}, nil
	}
	p := Write{Record: r}
	if r.Kind == KindSession {
		for _, met := range []Record{stored[EpochID(r.User)], stored[r.Parent]} {
			if p.Record.Kind == KindSession && (met.Kind == KindEpoch || met.Ended()) {
				if err := m.obstacle(&p, met); err != nil {
					return Merged{}, err
				}
			}
		}
	}
	return Merged{Record: p.Record, Changed: true, Killed: p.Record.Kind != r.Kind}, nil
}
