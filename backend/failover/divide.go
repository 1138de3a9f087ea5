package failover

import (
	"context"
	"errors"

	"github.com/perdure/perdure"
)

// errDivide says that some of what a call goes to is away, and some is there.
var errDivide = errors.New("some of it is away")

// errWaits says that something of the journal must be merged first, and cannot be.
var errWaits = errors.New("it waits for what is away")

// divide sets apart those of the items that reach what is away. Their order stays.
func divide[T any](items []T, away partitions, reach func(T) partitions) (cut, rest []T) {
	switch {
	case away.empty():
		return nil, items
	case away.all():
		return items, nil
	}
	for _, item := range items {
		if away.meets(reach(item)) {
			cut = append(cut, item)
		} else {
			rest = append(rest, item)
		}
	}
	return cut, rest
}

// loadParts is Load of the ids, of which some are away and the rest is there.
func (b *Backend) loadParts(ctx context.Context, ids, cut, rest []string) ([]perdure.Record, error) {
	st := b.status.Load()
	found := map[string]perdure.Record{}
	var open perdure.UnansweredError
	var bad perdure.UnreadableError
	for _, part := range [][]string{rest, cut} {
		records, err := b.loadSome(ctx, part, st)
		unanswered, unreadable, err := perdure.AsUnanswered(err)
		if errors.Is(err, perdure.ErrUnavailable) && ctx.Err() == nil && !b.closed.Load() { // none of them
			unanswered, records, err = &perdure.UnansweredError{IDs: part, Err: err}, make([]perdure.Record, len(part)), nil
		}
		if err != nil {
			return nil, err
		}
		open.Join(unanswered)
		for id := range unreadable.Set() {
			bad.Add(id, unreadable.Err)
		}
		for i, id := range part {
			found[id] = records[i]
		}
	}
	records := make([]perdure.Record, len(ids))
	for i, id := range ids {
		records[i] = found[id]
	}
	return records, open.With(&bad, len(ids))
}
