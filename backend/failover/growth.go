package failover

import "errors"

// writable says whether the journal may grow by what is no end.
func (b *Backend) writable(st *status) error {
	if b.aged() {
		return b.unavailable(st, agedOut)
	}
	return b.endable(st)
}

// growable returns why a new session would not be taken by the journal, whose disk is well.
func (b *Backend) growable() error {
	if b.aged() {
		return errors.New(agedOut)
	}
	return b.journal.Room()
}

func (b *Backend) aged() bool { return b.journal.age() > b.opts.MaxJournalAge }

const agedOut = "the oldest entry of the journal is older than is allowed"
