package failover

import (
	"errors"

	"github.com/perdure/perdure"
)

// isEnd reports whether the batch does nothing but end sessions. Such a one is taken
// however old the journal is, and has room of its own in it.
func isEnd(batch perdure.Batch) bool {
	for i := range batch {
		if w := &batch[i]; w.Op == perdure.OpTouch || w.Op == perdure.OpPut && w.Record.Kind == perdure.KindSession {
			return false
		}
	}
	return true
}

// endable says whether sessions may be ended: by a policy that an operator has set
// alone they may not.
func (b *Backend) endable(st *status) error {
	if b.opts.Outage == OutageReadOnly {
		return b.unavailable(st, "the policy is to refuse writes until it is back")
	}
	return nil
}

// endBytes is the room for ends that a journal has beside what it is bounded to: all
// that a mirror can hold can be ended, since a tombstone takes less than three quarters
// of what the smallest session does.
func endBytes(o *Options) int64 { return o.MaxMirrorBytes/4*3 + o.MaxJournalBytes/8 }

// noRoom is the error of an end for which even that is used up, by ends of sessions
// which nobody here knew: the caller has not asked for too much.
func (b *Backend) noRoom(st *status, err error) error {
	if !errors.Is(err, perdure.ErrFull) {
		return err
	}
	return b.unavailable(st, "the room that the journal keeps for ends is used up: "+err.Error())
}
