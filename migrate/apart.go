package migrate

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/perdure/perdure"
)

// apart returns an ErrInvalid where the target is the source under another name: what
// is deleted there would be gone. A session that the target did not have is proof that
// it is not; without one, the epoch of a user whom nobody is is left in the target, for
// a minute, and looked for in the source.
func (m *move) apart(ctx context.Context) error {
	if m.two.Load() {
		return nil
	}
	var nobody [16]byte
	rand.Read(nobody[:]) // never fails
	v := m.merger.Clock.Tick()
	mark := perdure.EmptyEpoch(perdure.UserKeyFrom(nobody), v, v.Millis()+perdure.Millis(time.Minute.Milliseconds()))
	err := m.patiently(ctx, m.tell, func(ctx context.Context) error {
		results, err := m.to.Apply(ctx, []perdure.Batch{{{Op: perdure.OpPut, Record: mark}}})
		if err == nil {
			err = results[0].Err
		}
		return err
	})
	if err != nil {
		return err
	}
	return m.patiently(ctx, m.tell, func(ctx context.Context) error {
		found, err := m.from.Load(ctx, []string{mark.ID})
		if err == nil && found[0].Exists() {
			err = invalid("to", "is the store that the sessions are to be deleted from, under another name")
		}
		m.two.Store(err == nil)
		return err
	})
}

// noteTwo looks for proof that the target is not the source.
func (m *move) noteTwo(merged []perdure.Merged) {
	for i := range merged {
		if merged[i].Changed && !merged[i].Met && merged[i].Record.Kind == perdure.KindSession {
			m.two.Store(true)
		}
	}
}
