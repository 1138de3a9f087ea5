package redis

import (
	"context"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// A foreign id lies in another partition than its user, and in a Cluster a script
// reaches one partition alone. So the index of the user is written before the
// record, and cleared after it: what is stored is always found through the user,
// and an entry without a session does no harm. What luaApply writes to an index in
// the partition of such a record goes when the session goes.

// errand is what a put needs from other partitions of a Cluster.
type errand struct {
	batch, write                 int
	indexed, away                bool // the user's index and epoch, or the parent, are elsewhere
	record, epoch, parent, index int  // calls
	fresh                        bool // no session was stored under its id
}

// prepare runs the errands of all puts, and returns them. It decides batches that
// something elsewhere stands in the way of.
func (b *Backend) prepare(ctx context.Context, batches []perdure.Batch, results []perdure.Result) ([]errand, error) {
	var errands []errand
	var calls []call
	get := func(id string) int {
		calls = append(calls, command([]string{"GET"}, b.keys.record(id)))
		return len(calls) - 1
	}
	for i, batch := range batches {
		for j := range batch {
			r := &batch[j].Record
			e := errand{batch: i, write: j, indexed: foreign(r.ID, r.User)}
			e.away = r.Parent != "" && perdure.PartitionOf(r.Parent) != perdure.PartitionOf(r.ID)
			if results[i].Err != nil || batch[j].Op != perdure.OpPut || r.Kind != perdure.KindSession || !e.indexed && !e.away {
				continue
			}
			if e.record = get(r.ID); e.indexed {
				e.index = len(calls)
				calls = append(calls, b.indexCall(r))
				e.epoch = get(perdure.EpochID(r.User))
			}
			if e.away {
				e.parent = get(r.Parent)
			}
			errands = append(errands, e)
		}
	}
	replies, err := b.link.do(ctx, calls...)
	if err != nil {
		return nil, err
	}
	for i := range errands {
		e := &errands[i]
		obstacle, err := b.obstacle(e, &batches[e.batch][e.write], replies)
		if result := &results[e.batch]; err != nil {
			result.Err = err
		} else if obstacle.Exists() && result.Outcome == 0 {
			*result = perdure.Result{Outcome: perdure.Conflict, Write: e.write, Stored: obstacle}
		}
	}
	return errands, nil
}

// obstacle is what stands in the way of a put elsewhere, if no session is stored
// under its own id, nor anything but what it goes on from.
func (b *Backend) obstacle(e *errand, w *perdure.Write, replies []rueidis.RedisResult) (perdure.Record, error) {
	r := &w.Record
	stored, err := b.found(r.ID, replies[e.record])
	if e.fresh = stored.Kind != perdure.KindSession; err != nil || !e.fresh || stored.Version != w.Base {
		return perdure.Record{}, err
	}
	if e.indexed {
		if _, err := b.link.message(replies[e.index]); err != nil {
			return perdure.Record{}, err
		}
		epoch, err := b.found(perdure.EpochID(r.User), replies[e.epoch])
		if err != nil || epoch.Exists() && r.Born.Before(epoch.Version) && w.Epoch != epoch.Version {
			return epoch, err
		}
	}
	if e.away {
		parent, err := b.found(r.Parent, replies[e.parent])
		if err != nil || parent.Ended() {
			return parent, err
		}
	}
	return perdure.Record{}, nil
}

// indexCall puts a session into its user's index.
func (b *Backend) indexCall(r *perdure.Record) call {
	partition, today := r.User.Partition(), b.now()
	return call{
		script: b.scripts.index,
		keys:   []string{b.keys.index(r.User)},
		args:   []string{r.ID, reap(partition, b.encoder.end(r, today), today), decimal(today)},
	}
}

func (b *Backend) found(id string, result rueidis.RedisResult) (perdure.Record, error) {
	reply, err := b.link.message(result)
	if err != nil {
		return perdure.Record{}, err
	}
	return record(id, reply)
}

// unindex takes sessions that batches have ended, and those that errands indexed
// and that were not stored, out of the indexes of users in other partitions. Where
// that fails the entries stay until their time is over: they name no session.
func (b *Backend) unindex(ctx context.Context, batches []perdure.Batch, results []perdure.Result, errands []errand) {
	var calls []call
	for i, batch := range batches {
		for j := range batch {
			w := &batch[j]
			user := results[i].Stored.User
			if w.Op == perdure.OpPut && w.Record.Kind == perdure.KindTombstone && b.link.cluster {
				user = w.Record.User
			} else if w.Op != perdure.OpRemove {
				continue
			}
			if results[i].Outcome == perdure.Applied && foreign(w.Record.ID, user) {
				calls = append(calls, b.unindexCall(w.Record.ID, user))
			}
		}
	}
	for _, e := range errands {
		r := &batches[e.batch][e.write].Record
		met := &results[e.batch].Stored
		if e.indexed && e.fresh && results[e.batch].Outcome == perdure.Conflict && (met.ID != r.ID || met.Kind != perdure.KindSession) {
			calls = append(calls, b.unindexCall(r.ID, r.User))
		}
	}
	if _, err := b.link.do(ctx, calls...); err != nil {
		b.options.Logger.Debug("the index of a user still has entries without a session", "error", err)
	}
}

func (b *Backend) unindexCall(id string, user perdure.UserKey) call {
	c := command([]string{"ZREM"}, b.keys.index(user))
	c.args = []string{id}
	return c
}
