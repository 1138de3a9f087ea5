package failover

import (
	"context"
	"errors"

	"github.com/perdure/perdure"
)

// Apply carries out batches, each by itself.
func (b *Backend) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	if st := b.status.Load(); st.state == Healthy {
		results, err := st.front.Apply(ctx, batches)
		if err == nil {
			err = anyUnavailable(results)
		}
		if err == nil {
			b.acknowledge(ctx, st, batches, results)
			return results, nil
		}
		if again, _ := b.again(ctx, st, err); !again {
			return results, err
		}
	}
	results := make([]perdure.Result, len(batches))
	pending := make([]int, len(batches))
	for i := range pending {
		pending[i] = i
	}
	for stuck := 0; len(pending) > 0; {
		st := b.status.Load()
		left, well, err := b.applyPending(ctx, batches, results, pending)
		if err != nil {
			return nil, err
		}
		if stuck++; !well || len(left) < len(pending) {
			stuck = 0
		}
		surplus := stuck - 1 - max(b.opts.MaxRetries, 0)
		if ctx.Err() != nil || b.closed.Load() || surplus >= maxSurrenders {
			break // their own errors stand
		}
		if pending = left; surplus >= 0 && len(left) > 0 {
			b.surrender(st, writing, reachOfBatch(batches[left[0]]), results[left[0]].Err)
		}
	}
	return results, nil
}

// applyPending is applySome, in two where some of the batches go to what is away.
func (b *Backend) applyPending(ctx context.Context, batches []perdure.Batch, results []perdure.Result, pending []int) (left []int, well bool, err error) {
	cut, rest := divide(pending, b.status.Load().away, func(i int) partitions { return reachOfBatch(batches[i]) })
	for _, group := range [][]int{rest, cut} {
		if len(group) == 0 {
			continue
		}
		some, fine, err := b.applySome(ctx, batches, results, group)
		switch {
		case errors.Is(err, errDivide):
			some, fine = group, false
		case err != nil && len(group) < len(pending):
			for _, i := range group { // the others have been carried out, perhaps
				results[i] = perdure.Result{Err: err}
			}
		case err != nil:
			return nil, false, err
		}
		left, well = append(left, some...), well || fine && len(some) > 0
	}
	return left, well, nil
}

// applySome carries out the pending batches and returns those that the front
// store failed one by one, and whether a probe found it well all the same.
func (b *Backend) applySome(ctx context.Context, batches []perdure.Batch, results []perdure.Result, pending []int) (left []int, well bool, err error) {
	st := b.status.Load()
	some, reach := make([]perdure.Batch, len(pending)), partitions{}
	for i, p := range pending {
		some[i], reach = batches[p], reach.with(reachOfBatch(batches[p]))
	}
	done, err := serve(ctx, b, served[[]perdure.Result]{
		need:  writing,
		reach: reach, divisible: len(some) > 1,
		claim: func(ctx context.Context) error { return b.claimToWrite(ctx, idsOf(some)...) },
		online: func(ctx context.Context, st *status) ([]perdure.Result, error) {
			applied, err := st.front.Apply(ctx, some)
			if err != nil {
				return nil, err
			}
			if len(some) == 1 && errors.Is(applied[0].Err, perdure.ErrUnavailable) {
				return nil, applied[0].Err
			}
			for i := range applied {
				if r := &applied[i]; r.Outcome == perdure.Absent && r.Stored.Exists() {
					b.mirror.learn(&r.Stored, perdure.Version{}) // recognise forgets it
				}
				recognise(some[i], &applied[i])
			}
			b.acknowledge(ctx, st, some, applied)
			return applied, nil
		},
		offline: func(ctx context.Context, st *status) ([]perdure.Result, error) {
			applied, err := b.offlineApply(ctx, st, some)
			for i := range applied {
				recognise(some[i], &applied[i])
			}
			return applied, err
		},
	})
	if err != nil {
		return nil, false, err
	}
	b.cutShort(ctx, removedBy(some, done))
	offline := st.away.meets(reach) // the journal's own errors stand
	for i, p := range pending {
		results[p] = done[i]
		if !offline && len(some) > 1 && errors.Is(done[i].Err, perdure.ErrUnavailable) {
			left = append(left, p)
		}
	}
	if len(left) > 0 {
		well = b.confirm(ctx, st, results[left[0]].Err)
	}
	return left, well, nil
}

// removedBy are the ids of the sessions that the batches have ended.
func removedBy(batches []perdure.Batch, results []perdure.Result) (ids []string) {
	for i, batch := range batches {
		if batch[0].Op == perdure.OpRemove && results[i].Err == nil {
			ids = append(ids, batch[0].Record.ID)
		}
	}
	return ids
}

// recognise finds, in the result of a batch that was sent before without an
// answer, that it had been applied then.
func recognise(batch perdure.Batch, r *perdure.Result) {
	w := &batch[r.Write]
	mine := r.Stored.ID == w.Record.ID && r.Stored.Version == w.Record.Version
	switch {
	case !mine:
	case r.Outcome == perdure.Conflict && w.Op == perdure.OpPut && w.Record.Body == r.Stored.Body && w.Record.LastAccess <= r.Stored.LastAccess:
		*r = perdure.Result{Outcome: perdure.Applied}
	case r.Outcome == perdure.Absent && w.Op == perdure.OpRemove:
		*r = perdure.Result{Outcome: perdure.Applied} // of the session nothing is known any more
	}
}

// anyUnavailable is the first error of a batch that may be tried again.
func anyUnavailable(results []perdure.Result) error {
	for i := range results {
		if err := results[i].Err; errors.Is(err, perdure.ErrUnavailable) {
			return err
		}
	}
	return nil
}

func idsOf(batches []perdure.Batch) (ids []string) {
	for _, batch := range batches {
		for i := range batch {
			r := &batch[i].Record
			ids = append(ids, r.ID)
			if r.Parent != "" {
				ids = append(ids, r.Parent)
			}
			if r.User != "" {
				ids = append(ids, perdure.EpochID(r.User))
			}
		}
	}
	return ids
}
