package failover_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/local"
)

// shards is a front store on three servers, each of which can be away.
type shards struct {
	perdure.Backend
	down    *[shardCount]atomic.Bool
	life    *[shardCount]atomic.Int64 // how often it was started
	changed *atomic.Uint64
}

const shardCount = 3

func newShards(t *testing.T) shards {
	t.Helper()
	return shards{newShared(t), &[shardCount]atomic.Bool{}, &[shardCount]atomic.Int64{}, &atomic.Uint64{}}
}

func shardOf(partition int) int { return partition * shardCount / perdure.Partitions }

func (s shards) err(partitions ...int) error {
	for _, p := range partitions {
		if n := shardOf(p); s.down[n].Load() {
			return fmt.Errorf("%w: shard %d is away", perdure.ErrUnavailable, n)
		}
	}
	return nil
}

func (s shards) Sharded() bool { return true }

func (s shards) PingPartitions(context.Context) (down []int, err error) {
	for p := range perdure.Partitions {
		if e := s.err(p); e != nil {
			down, err = append(down, p), e
		}
	}
	return down, err
}

func (s shards) Missing() bool { return s.Ping(context.Background()) != nil }

func (s shards) Ping(ctx context.Context) error {
	_, err := s.PingPartitions(ctx)
	return err
}

func (s shards) Connections() uint64 { return s.changed.Load() }

func (s shards) Incarnation(context.Context) (string, error) {
	var names []string
	for n := range s.down {
		if !s.down[n].Load() {
			names = append(names, fmt.Sprint("server", n, "life", s.life[n].Load()))
		}
	}
	if names == nil {
		return "", errCut
	}
	return strings.Join(names, ","), nil
}

func (s shards) Get(ctx context.Context, id string) (perdure.Record, error) {
	if err := s.err(perdure.PartitionOf(id)); err != nil {
		return perdure.Record{}, err
	}
	return s.Backend.Get(ctx, id)
}

func (s shards) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	for _, id := range ids {
		if err := s.err(perdure.PartitionOf(id)); err != nil {
			return nil, err
		}
	}
	return s.Backend.Load(ctx, ids)
}

// Apply fails for the batches alone that go to what is away.
func (s shards) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	results := make([]perdure.Result, len(batches))
	for i, batch := range batches {
		if results[i].Err = s.err(perdure.PartitionOf(batch[0].Record.ID)); results[i].Err != nil {
			continue
		}
		applied, err := s.Backend.Apply(ctx, []perdure.Batch{batch})
		if err != nil {
			return nil, err
		}
		results[i] = applied[0]
	}
	return results, nil
}

func (s shards) ListUser(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	if err := s.err(user.Partition()); err != nil {
		return perdure.Page{}, err
	}
	return s.Backend.ListUser(ctx, user, after, limit)
}

func (s shards) RemoveUser(ctx context.Context, r perdure.UserRemoval) (perdure.UserRemoved, error) {
	if err := s.err(r.Epoch.User.Partition()); err != nil {
		return perdure.UserRemoved{}, err
	}
	return s.Backend.RemoveUser(ctx, r)
}

func (s shards) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	from, to := q.From, q.To
	if from == 0 && to == 0 {
		to = perdure.Partitions
	}
	for p := from; p < to; p++ {
		if err := s.err(p); err != nil {
			return perdure.Page{}, err
		}
	}
	return s.Backend.Scan(ctx, q)
}

func (s shards) Stats(ctx context.Context) (perdure.Stats, error) {
	if err := s.Ping(ctx); err != nil {
		return perdure.Stats{}, err
	}
	return s.Backend.Stats(ctx)
}

func (s shards) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	if s.down[0].Load() && s.down[1].Load() && s.down[2].Load() {
		return perdure.ChangeBatch{}, errCut
	}
	return s.Backend.Changes(ctx, after, limit, wait)
}

func (s shards) Close() error { return nil }

// kill takes servers away.
func (s shards) kill(servers ...int) {
	for _, n := range servers {
		s.down[n].Store(true)
	}
}

// start has servers be back, after a restart.
func (s shards) start(servers ...int) {
	for _, n := range servers {
		s.life[n].Add(1)
		s.down[n].Store(false)
		s.changed.Add(1)
	}
}

// users are the names of so many users on each shard.
func users(each int) (names [shardCount][]string) {
	for i := 0; slices.ContainsFunc(names[:], func(of []string) bool { return len(of) < each }); i++ {
		name := fmt.Sprint("user", i)
		if n := shardOf(perdure.HashUser(name).Partition()); len(names[n]) < each {
			names[n] = append(names[n], name)
		}
	}
	return names
}

func onShards(t *testing.T, s shards) *node {
	t.Helper()
	return onShardsIn(t, s, "")
}

// onShardsIn is a node with a data directory.
func onShardsIn(t *testing.T, s shards, dir string) *node {
	t.Helper()
	n := &node{}
	n.open(t, failover.Options{Dir: dir, Open: func(ctx context.Context) (perdure.Backend, error) {
		if s.down[0].Load() && s.down[1].Load() && s.down[2].Load() {
			return nil, errCut
		}
		return s, nil
	}})
	return n
}

// awayIs waits until so many shards are away.
func (n *node) awayIs(t *testing.T, of shards) {
	t.Helper()
	want := 0
	for p := range perdure.Partitions {
		if of.err(p) != nil {
			want++
		}
	}
	n.awaitHealth(t, func(h failover.Health) bool { return h.PartitionsAway == want })
}

func (n *node) delete(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
			t.Errorf("%s: %v %v", id, ok, err)
		}
	}
}

func (n *node) createAll(t *testing.T, users []string) (ids []string) {
	t.Helper()
	for _, user := range users {
		ids = append(ids, n.create(t, user))
	}
	return ids
}

// TestOneShardIsAway: what lies on the others goes on as if nothing had happened, at
// default settings: at once, for every process.
func TestOneShardIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 20
		s, names := newShards(t), users(each)
		a, b := onShards(t, s), onShards(t, s)
		var kept, out [shardCount][]string
		for n := range names {
			kept[n], out[n] = a.createAll(t, names[n]), a.createAll(t, names[n])
		}
		s.kill(1)
		a.want(t, true, kept[1]...)
		b.awayIs(t, s)
		h := a.failover.Health(t.Context())
		if h.State != failover.Degraded || h.PartitionsAway == 0 || h.PartitionsAway == perdure.Partitions || !strings.Contains(h.Reason, "of 256 partitions are away") {
			t.Errorf("%+v", h)
		}
		for _, n := range []int{0, 2} {
			a.delete(t, out[n]...)
			b.want(t, false, out[n]...)
			fresh := a.createAll(t, names[n])
			b.want(t, true, fresh...)
			for i, id := range fresh {
				if _, err := a.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"a": i}}); err != nil {
					t.Error(err)
				}
				got, err := b.Get(t.Context(), id)
				if raw, _ := got.Metadata.Raw("a"); err != nil || string(raw) != fmt.Sprint(i) {
					t.Errorf("the other has not heard of a change: %s %v", raw, err)
				}
				if _, marked := perdure.OutageTime(id); marked {
					t.Errorf("%s has the mark of an outage", id)
				}
			}
			if _, err := b.Get(t.Context(), perdure.NewID(perdure.HashUser(names[n][0]).Partition())); !errors.Is(err, perdure.ErrNotFound) {
				t.Errorf("an unknown id: %v", err)
			}
		}
		if n := a.failover.Health(t.Context()).JournalDepth; n != 0 {
			t.Errorf("%d records wait in the journal that nothing stands in the way of", n)
		}
		a.delete(t, out[1]...)
		made := a.createAll(t, names[1])
		a.want(t, true, made...)
		if n := a.failover.Health(t.Context()).JournalDepth; n < 2*each {
			t.Errorf("%d records wait in the journal, of %d", n, 2*each)
		}
		s.start(1)
		a.await(t, failover.Healthy)
		b.await(t, failover.Healthy)
		for _, n := range []*node{a, b} {
			n.want(t, true, slices.Concat(kept[0], kept[1], kept[2], made)...)
			n.want(t, false, slices.Concat(out[0], out[1], out[2])...)
		}
		if h := a.failover.Health(t.Context()); h.JournalDepth != 0 || h.PartitionsAway != 0 {
			t.Errorf("%+v", h)
		}
	})
}

// TestShardsGoAndComeBack one after the other: each is served by as soon as it is there,
// the ends of the outage first.
func TestShardsGoAndComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newShards(t), users(5)
		a, b := onShards(t, s), onShards(t, s)
		var kept, out, made [shardCount][]string
		for n := range names {
			kept[n], out[n] = a.createAll(t, names[n]), a.createAll(t, names[n])
		}
		for n := range shardCount {
			s.kill(n)
			a.want(t, true, kept[n]...)
			a.awayIs(t, s)
			b.awayIs(t, s)
			a.delete(t, out[n]...)
			made[n] = a.createAll(t, names[n])
		}
		for n := range shardCount {
			s.start(n)
			a.awayIs(t, s)
			b.awayIs(t, s)
			b.want(t, false, out[n]...)
			a.want(t, false, out[n]...)
			b.want(t, true, kept[n]...)
			a.want(t, true, made[n]...)
			time.Sleep(endsWithin)
			b.want(t, true, made[n]...)
		}
		a.await(t, failover.Healthy)
		b.await(t, failover.Healthy)
		for _, n := range []*node{a, b} {
			n.want(t, true, slices.Concat(kept[0], kept[1], kept[2], made[0], made[1], made[2])...)
			n.want(t, false, slices.Concat(out[0], out[1], out[2])...)
		}
	})
}

// TestAFlappingShard, beside one that stays away.
func TestAFlappingShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newShards(t), users(30)
		a, b := onShards(t, s), onShards(t, s)
		s.kill(0)
		a.awayIs(t, s)
		b.awayIs(t, s)
		var kept, out []string
		for round := range 30 {
			id, end := a.create(t, names[1][round]), a.create(t, names[1][round])
			if round%2 == 0 {
				s.kill(1)
			} else {
				s.down[1].Store(false)
			}
			time.Sleep(time.Duration(round) * 211 * time.Millisecond)
			a.delete(t, end)
			a.want(t, true, id)
			kept, out = append(kept, id), append(out, end)
		}
		s.down[1].Store(false)
		a.awayIs(t, s)
		time.Sleep(endsWithin)
		for _, n := range []*node{a, b} {
			n.want(t, true, kept...)
			n.want(t, false, out...)
		}
		if h := a.failover.Health(t.Context()); h.JournalDepth != 0 {
			t.Errorf("%+v", h)
		}
	})
}

// TestListsWhileAShardIsAway: a user's by the user's shard, and that of all is of what is
// there and what was mirrored.
func TestListsWhileAShardIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newShards(t), users(10)
		a, b := onShards(t, s), onShards(t, s)
		var all []string
		for n := range names {
			all = append(all, a.createAll(t, names[n])...)
		}
		for _, n := range []*node{a, b} {
			n.awaitHealth(t, func(h failover.Health) bool { return h.MirrorWhole })
		}
		time.Sleep(endsWithin)
		s.kill(1)
		a.want(t, true, all...)
		b.awayIs(t, s)
		all = append(all, b.createAll(t, names[0])...)
		all = append(all, a.createAll(t, names[2])...)
		for _, limit := range []int{3, 1000} {
			var listed []string
			for q := (perdure.ScanQuery{Limit: limit}); ; {
				page, err := a.failover.Scan(t.Context(), q)
				if err != nil || page.Incomplete {
					t.Fatal(page.Incomplete, err)
				}
				for _, r := range page.Records {
					listed = append(listed, r.ID)
				}
				if q.After = page.Next; q.After == "" {
					break
				}
			}
			slices.Sort(listed)
			slices.Sort(all)
			if !slices.Equal(listed, all) {
				t.Errorf("%d are listed of %d", len(listed), len(all))
			}
		}
		for n, want := range []int{2, 1, 1} {
			page, err := a.failover.ListUser(t.Context(), perdure.HashUser(names[n][0]), "", 10)
			if n == 2 {
				want = 2
			}
			if err != nil || len(page.Records) != want {
				t.Errorf("shard %d: %d sessions of %d: %v", n, len(page.Records), want, err)
			}
		}
		if _, err := a.RevokeUser(t.Context(), names[0][0]); err != nil {
			t.Error(err)
		}
		if page, err := b.failover.ListUser(t.Context(), perdure.HashUser(names[0][0]), "", 10); err != nil || len(page.Records) != 0 {
			t.Errorf("a revocation has not reached the other: %d, %v", len(page.Records), err)
		}
	})
}

// TestStartWhileAShardIsAway: the others serve at once, without a doubt.
func TestStartWhileAShardIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newShards(t), users(5)
		a := onShards(t, s)
		s.kill(2)
		b := onShards(t, s)
		ids := a.createAll(t, names[0])
		b.want(t, true, ids...)
		if _, err := b.Get(t.Context(), perdure.NewID(0)); !errors.Is(err, perdure.ErrNotFound) {
			t.Errorf("an unknown id: %v", err)
		}
		b.delete(t, ids...)
		a.want(t, false, ids...)
		made := b.createAll(t, names[2])
		s.start(2)
		b.await(t, failover.Healthy)
		a.await(t, failover.Healthy)
		a.want(t, true, made...)
	})
}

// TestRestartWhileAShardIsAway: what waits for it outlives the process.
func TestRestartWhileAShardIsAway(t *testing.T) {
	s, names, dir := newShards(t), users(5), t.TempDir()
	a := onShardsIn(t, s, dir)
	kept, out := a.createAll(t, names[1]), a.createAll(t, names[1])
	near := a.createAll(t, names[0])
	s.kill(1)
	a.delete(t, out...)
	made := a.createAll(t, names[1])
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a = onShardsIn(t, s, dir)
	a.awayIs(t, s)
	a.want(t, true, near...)
	a.want(t, false, out...)
	a.delete(t, kept[0])
	for _, id := range kept[1:] {
		if _, err := a.Get(t.Context(), id); !errors.Is(err, perdure.ErrUnavailable) {
			t.Errorf("what others may have ended is served: %v", err)
		}
	}
	s.start(1)
	a.await(t, failover.Healthy)
	b := onShards(t, s)
	b.want(t, true, slices.Concat(kept[1:], near, made)...)
	b.want(t, false, append(out, kept[0])...)
}

// TestAShardThatLostItsData gets back what is held here; the others are not doubted
// meanwhile.
func TestAShardThatLostItsData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newShards(t), users(5)
		a, b := onShards(t, s), onShards(t, s)
		ids := slices.Concat(a.createAll(t, names[0]), a.createAll(t, names[1]))
		b.want(t, true, ids...)
		lost := make([]perdure.Record, 0, len(names[1]))
		for _, id := range ids[len(names[0]):] {
			r, err := s.Backend.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			lost = append(lost, r)
		}
		s.kill(1)
		a.want(t, true, ids...)
		if err := s.Backend.(*local.Backend).Forget(t.Context(), lost); err != nil {
			t.Fatal(err)
		}
		s.start(1)
		for _, n := range []*node{a, b} {
			n.await(t, failover.Healthy)
			n.want(t, true, ids...)
		}
		for _, r := range lost {
			if got, err := s.Backend.Get(t.Context(), r.ID); err != nil || !got.Exists() {
				t.Errorf("%s was not given back: %v", r.ID, err)
			}
		}
	})
}

// TestCallsOverAllShards: loads and batches are divided.
func TestCallsOverAllShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newShards(t), users(5)
		a, b := onShards(t, s), onShards(t, s)
		var ids []string
		for n := range names {
			ids = append(ids, a.createAll(t, names[n])...)
		}
		s.kill(0)
		records, err := a.failover.Load(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range records {
			if r.ID != ids[i] {
				t.Fatalf("%d: %q in the place of %q", i, r.ID, ids[i])
			}
		}
		var batches []perdure.Batch
		clock := perdure.NewClock(time.Now)
		for i := range records {
			w := perdure.Write{Op: perdure.OpRemove, Record: records[i]}
			w.Record.Kind, w.Record.Reason = perdure.KindTombstone, perdure.ReasonLogout
			w.Record.Version = clock.Tick(records[i].Version)
			batches = append(batches, perdure.Batch{w})
		}
		results, err := a.failover.Apply(t.Context(), batches)
		if err != nil {
			t.Fatal(err)
		}
		for i := range results {
			if results[i].Err != nil || results[i].Outcome != perdure.Applied {
				t.Errorf("%d: %+v", i, results[i])
			}
		}
		for _, id := range ids {
			if shardOf(perdure.PartitionOf(id)) != 0 {
				b.want(t, false, id)
			}
		}
		if n := a.failover.Health(t.Context()).JournalDepth; n != 5 {
			t.Errorf("%d records wait in the journal, of 5", n)
		}
		s.start(0)
		a.await(t, failover.Healthy)
		b.await(t, failover.Healthy)
		b.want(t, false, ids...)
	})
}
