package perdure

// Check returns an ErrInvalid for a batch that breaks the contract, or that holds
// a record which could not be stored and read back as it is. A backend refuses
// such a batch in its Result, before it does anything.
func (b Batch) Check() error {
	if len(b) == 0 {
		return invalid("batch", "is empty; it holds one write or more")
	}
	for i := range b {
		switch w := &b[i]; {
		case w.Op < OpPut || w.Op > OpRemove:
			return invalid("batch", "has the unknown operation %d", w.Op)
		case len(b) > 1 && w.Op != OpPut:
			return invalid("batch", "of several writes may hold puts only")
		case i > 0 && PartitionOf(w.Record.ID) != PartitionOf(b[0].Record.ID):
			return invalid("batch", "reaches over two partitions; all its records lie in one")
		case w.Op == OpPut && w.Record.Kind == 0:
			return invalid("record.kind", "is missing")
		case w.Op == OpPut || w.Plant:
			if err := w.Record.check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Check returns an ErrInvalid for a removal whose epoch is none, or could not be
// stored and read back as it is.
func (r *UserRemoval) Check() error {
	if r.Epoch.Kind != KindEpoch {
		return invalid("removal.epoch", "is not the record of an epoch")
	}
	return r.Epoch.check()
}

// check returns an ErrInvalid for what a header has no room for.
func (r *Record) check() error {
	switch {
	case r.Kind > KindEpoch:
		return invalid("record.kind", "is %d; a session, a tombstone or an epoch can be stored", r.Kind)
	case len(r.ID) == 0 || len(r.ID) > MaxIDLen:
		return invalid("record.id", "has %d bytes; 1 to %d are allowed", len(r.ID), MaxIDLen)
	case len(r.Parent) > MaxIDLen:
		return invalid("record.parent", "has %d bytes; at most %d are allowed", len(r.Parent), MaxIDLen)
	case len(r.User) != 0 && len(r.User) != userKeyLen:
		return invalid("record.user", "has %d bytes; a user key has %d", len(r.User), userKeyLen)
	case r.Kind == KindEpoch && (r.User == "" || r.ID != EpochID(r.User)):
		return invalid("record.id", "is not the epoch id of the record's user")
	}
	for _, m := range [...]Millis{r.Expiry, r.Horizon, r.LastAccess, r.Idle, r.Promised} {
		if m < 0 || m > MaxMillis {
			return invalid("record", "has a time of %d ms; 0 to %d are allowed", m, MaxMillis)
		}
	}
	return nil
}
