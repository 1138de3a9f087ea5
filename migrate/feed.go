package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/printable"
)

// feedLimit is how many changes are dealt with together.
const feedLimit = 1000

// now is the cursor of a backend's feed that stands for now.
func (m *move) now(ctx context.Context, b perdure.Backend) (cursor string, err error) {
	err = m.patiently(ctx, m.tell, func(ctx context.Context) error {
		batch, err := b.Changes(ctx, perdure.FromNow, 1, 0)
		cursor = batch.Next
		return err
	})
	return cursor, err
}

// drain carries changes until a look finds the end of the feed. That there is
// none left is not to be waited for while others write.
func (m *move) drain(ctx context.Context) error {
	for {
		n, err := m.changes(ctx, 0)
		if n < feedLimit || err != nil {
			return err
		}
	}
}

// empty carries changes until there are none, once nobody writes any more.
func (m *move) empty(ctx context.Context) error {
	for {
		n, err := m.changes(ctx, 0)
		if n == 0 || err != nil {
			return err
		}
	}
}

// changes carries the next changes, for which it waits so long, and counts them.
// It returns an ErrFeedGap where some are gone.
func (m *move) changes(ctx context.Context, wait time.Duration) (int, error) {
	var batch perdure.ChangeBatch
	err := m.patiently(ctx, m.tell, func(ctx context.Context) (err error) {
		batch, err = m.backs.Changes(ctx, m.at.feed(), feedLimit, wait)
		return err
	})
	if err != nil {
		return 0, err
	}
	ids := changed(batch.Changes)
	m.tail.changed(ids)
	records, err := m.load(ctx, m.from, ids)
	if err == nil {
		records = slices.DeleteFunc(records, func(r perdure.Record) bool { return r.Notice() })
		err = m.carry(ctx, records, false)
	}
	if err == nil {
		err = m.look(ctx)
	}
	if err != nil {
		return 0, err
	}
	m.at.setFeed(batch.Next)
	return len(batch.Changes), nil
}

// changed are the ids in changes, each once.
func changed(changes []perdure.Change) (ids []string) {
	seen := make(map[string]bool, len(changes))
	for i := range changes {
		// What a sweep has dropped had reached its deadline.
		if c := &changes[i]; c.Kind != perdure.Expired && !seen[c.ID] {
			seen[c.ID], ids = true, append(ids, c.ID)
		}
	}
	return ids
}

// load loads records. One that cannot be read counts as failed, and the rest
// goes on.
func (m *move) load(ctx context.Context, from loader, ids []string) (records []perdure.Record, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	err = m.patiently(ctx, m.tell, func(ctx context.Context) (err error) {
		records, err = from.Load(ctx, ids)
		return err
	})
	if !errors.Is(err, perdure.ErrFormat) {
		return records, err
	}
	if len(ids) == 1 {
		m.tally.fail(Failure{ids[0], err.Error()})
		if m.ContinueOnError {
			return nil, nil
		}
		return nil, fmt.Errorf("reading %s: %w", printable.Clip(ids[0], maxPrinted), err)
	}
	for _, id := range ids {
		one, err := m.load(ctx, from, []string{id})
		if err != nil {
			return nil, err
		}
		records = append(records, one...)
	}
	return records, nil
}
