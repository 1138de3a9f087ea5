package redis

import (
	"strconv"

	"github.com/perdure/perdure"
)

// What a record's header has room for.
const (
	maxIDLen   = 128
	userKeyLen = 22
	maxMillis  = 1<<48 - 1
)

// check returns an ErrInvalid for a batch that breaks the contract.
func check(batch perdure.Batch) error {
	if len(batch) == 0 {
		return invalid("batch", "is empty; it holds one write or more")
	}
	for i := range batch {
		switch w := &batch[i]; {
		case w.Op < perdure.OpPut || w.Op > perdure.OpRemove:
			return invalid("batch", "has the unknown operation %d", w.Op)
		case len(batch) > 1 && w.Op != perdure.OpPut:
			return invalid("batch", "of several writes may hold puts only")
		case perdure.PartitionOf(w.Record.ID) != perdure.PartitionOf(batch[0].Record.ID):
			return invalid("batch", "reaches over two partitions; all its records lie in one")
		case w.Op == perdure.OpPut && w.Record.Kind == 0:
			return invalid("record.kind", "is missing")
		case w.Op == perdure.OpPut || w.Plant:
			if err := checkRecord(&w.Record); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRecord returns an ErrInvalid for a record that could not be stored and
// read back as it is.
func checkRecord(r *perdure.Record) error {
	switch {
	case r.Kind > perdure.KindEpoch:
		return invalid("record.kind", "is %d; a session, a tombstone or an epoch can be stored", r.Kind)
	case len(r.ID) == 0 || len(r.ID) > maxIDLen:
		return invalid("record.id", "has %d bytes; 1 to %d are allowed", len(r.ID), maxIDLen)
	case len(r.Parent) > maxIDLen:
		return invalid("record.parent", "has %d bytes; at most %d are allowed", len(r.Parent), maxIDLen)
	case len(r.User) != 0 && len(r.User) != userKeyLen:
		return invalid("record.user", "has %d bytes; a user key has %d", len(r.User), userKeyLen)
	case r.Kind == perdure.KindEpoch && (r.User == "" || r.ID != perdure.EpochID(r.User)):
		return invalid("record.id", "is not the epoch id of the record's user")
	}
	for _, m := range [...]perdure.Millis{r.Expiry, r.Horizon, r.LastAccess, r.Idle} {
		if m < 0 || m > maxMillis {
			return invalid("record", "has a time of %s ms; 0 to %s are allowed", decimal(m), strconv.Itoa(maxMillis))
		}
	}
	return nil
}
