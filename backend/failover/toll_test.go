package failover_test

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
)

// toll is a front store whose calls a test stands in the way of: what the keeper
// returns, the call returns.
type toll struct {
	perdure.Backend
	keeper *atomic.Pointer[keeper]
}

type keeper func(ctx context.Context, call string, ids ...string) error

func newToll(b perdure.Backend) toll {
	t := toll{b, &atomic.Pointer[keeper]{}}
	t.keep(nil)
	return t
}

func (t toll) keep(k keeper) {
	if k == nil {
		k = func(context.Context, string, ...string) error { return nil }
	}
	t.keeper.Store(&k)
}

func (t toll) pass(ctx context.Context, call string, ids ...string) error {
	return (*t.keeper.Load())(ctx, call, ids...)
}

func (t toll) Get(ctx context.Context, id string) (perdure.Record, error) {
	if err := t.pass(ctx, "get", id); err != nil {
		return perdure.Record{}, err
	}
	return t.Backend.Get(ctx, id)
}

func (t toll) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	err := t.pass(ctx, "load", ids...)
	bad, other := perdure.AsUnreadable(err)
	if other != nil {
		return nil, err
	}
	records, failed := t.Backend.Load(ctx, ids)
	for i := range records {
		if bad.Set()[ids[i]] {
			records[i] = perdure.Record{}
		}
	}
	return records, errors.Join(failed, err)
}

// Apply is "merge" where a session is merged, else "apply".
func (t toll) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	call := "apply"
	var ids []string
	for _, batch := range batches {
		for _, w := range batch {
			ids = append(ids, w.Record.ID)
			if w.Reason == perdure.ReasonMerged && w.Record.Kind == perdure.KindSession {
				call = "merge"
			}
		}
	}
	if err := t.pass(ctx, call, ids...); err != nil {
		return nil, err
	}
	return t.Backend.Apply(ctx, batches)
}

func (t toll) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	if err := t.pass(ctx, "changes"); err != nil {
		return perdure.ChangeBatch{}, err
	}
	batch, err := t.Backend.Changes(ctx, after, limit, wait)
	if err == nil {
		err = t.pass(ctx, "changes") // also one that was waiting
	}
	if err != nil && !errors.Is(err, perdure.ErrFeedGap) {
		return perdure.ChangeBatch{}, err
	}
	return batch, err
}

func (t toll) RemoveUser(ctx context.Context, r perdure.UserRemoval) (perdure.UserRemoved, error) {
	if err := t.pass(ctx, "removeUser"); err != nil {
		return perdure.UserRemoved{}, err
	}
	return t.Backend.RemoveUser(ctx, r)
}

func (t toll) ListUser(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	if err := t.pass(ctx, "list"); err != nil {
		return perdure.Page{}, err
	}
	return t.Backend.ListUser(ctx, user, after, limit)
}

func (t toll) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	if err := t.pass(ctx, "scan"); err != nil {
		return perdure.Page{}, err
	}
	return t.Backend.Scan(ctx, q)
}

func (t toll) Stats(ctx context.Context) (perdure.Stats, error) {
	if err := t.pass(ctx, "stats"); err != nil {
		return perdure.Stats{}, err
	}
	return t.Backend.Stats(ctx)
}

func (t toll) Ping(ctx context.Context) error {
	if err := t.pass(ctx, "ping"); err != nil {
		return err
	}
	return t.Backend.Ping(ctx)
}

// unfollowed lets all pass but the change feed.
func unfollowed(_ context.Context, call string, _ ...string) error {
	if call == "changes" {
		return errCut
	}
	return nil
}

// readsOnly lets no write pass.
func readsOnly(_ context.Context, call string, _ ...string) error {
	switch call {
	case "get", "load":
		return nil
	}
	return errCut
}
