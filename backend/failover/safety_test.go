package failover_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// fill creates sessions until one is refused.
func (n *node) fill(t *testing.T) {
	t.Helper()
	for range 1000 {
		if _, err := n.Create(t.Context(), perdure.Data{UserID: "filler"}); err != nil {
			if !errors.Is(err, perdure.ErrUnavailable) {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("it is not full after 1000 sessions")
}

// TestAFullJournal: a logout of a session that is not in it yet still fits, and
// nobody is "not found" because there is no room.
func TestAFullJournal(t *testing.T) {
	n := newNode(t, newShared(t), failover.Options{MaxJournalBytes: 64 << 10})
	out, kept := n.create(t, "u"), n.create(t, "u")
	n.cut.Store(true)
	n.fill(t)
	if ok, err := n.Delete(t.Context(), out); !ok || err != nil {
		t.Errorf("a logout: %v, %v", ok, err)
	}
	n.want(t, false, out)
	if touched, err := n.Touch(t.Context(), kept); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a touch: %v, %v", touched, err)
	}
	if err := writes(n, kept); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("an update: %v", err)
	}
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	n.want(t, false, out)
	n.want(t, true, kept)
}

// TestAnOlderFrontThatAnswersReads, such as a replica without the last writes,
// does not bring back who was logged out.
func TestAnOlderFrontThatAnswersReads(t *testing.T) {
	shared := newToll(newShared(t))
	n := newNode(t, shared, failover.Options{})
	id := n.create(t, "u")
	before := stored(t, shared.Backend, id)
	if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
		t.Fatal(ok, err)
	}
	shared.keep(readsOnly)
	n.await(t, failover.Degraded)
	turnBack(t, shared.Backend, before)
	n.want(t, false, id)
}

// TestALogoutOfWhoWasLost is known here although the front store had to be given
// the session first.
func TestALogoutOfWhoWasLost(t *testing.T) {
	shared := newToll(newShared(t))
	shared.keep(unfollowed)
	n := newNode(t, shared, failover.Options{})
	id := n.create(t, "u")
	forget(t, shared.Backend, id)
	if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
		t.Fatal(ok, err)
	}
	n.cut.Store(true)
	n.want(t, false, id)
}

// TestARevocationOfWhoWasLost reaches the sessions that only this process still
// knows.
func TestARevocationOfWhoWasLost(t *testing.T) {
	shared := newToll(newShared(t))
	shared.keep(unfollowed)
	n := newNode(t, shared, failover.Options{})
	id := n.create(t, "u")
	forget(t, shared.Backend, id)
	if _, err := n.RevokeUser(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	n.cut.Store(true)
	n.want(t, false, id)
}

// TestEndsComeFirst: before anybody is served by the front store again it knows
// who was logged out meanwhile, and with them whom they were rotated to.
func TestEndsComeFirst(t *testing.T) {
	shared := newShared(t)
	other := newNode(t, shared, failover.Options{})
	var ids []string
	alive := make(chan int, 100)
	n := newNode(t, shared, failover.Options{Notify: func(tr failover.Transition) {
		if tr.To != failover.Recovering {
			return
		}
		left := 0
		for _, id := range ids {
			if r, err := shared.Get(context.Background(), id); err != nil || r.Kind == perdure.KindSession {
				left++
			}
		}
		alive <- left
	}})
	<-alive // at the start
	known, unknown := n.create(t, "u"), other.create(t, "u")
	n.cut.Store(true)
	n.want(t, true, known)
	for _, id := range []string{known, unknown} {
		successor, err := other.Rotate(t.Context(), id, 0)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
			t.Fatal(ok, err)
		}
		ids = append(ids, id, successor.ID)
	}
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	if left := <-alive; left > 0 {
		t.Errorf("%d were alive when the front store served again", left)
	}
}

// TestAMirrorThatIsFull does not answer with what a session was before.
func TestAMirrorThatIsFull(t *testing.T) {
	n := newNode(t, newShared(t), failover.Options{MaxMirrorBytes: 64 << 10})
	id := n.create(t, "u")
	for range 300 {
		n.create(t, "filler")
	}
	large := strings.Repeat("x", 10<<10)
	if _, err := n.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"large": large}}); err != nil {
		t.Fatal(err)
	}
	n.cut.Store(true)
	if s, err := n.Get(t.Context(), id); !errors.Is(err, perdure.ErrUnavailable) {
		m, _ := s.Metadata.MarshalJSON()
		t.Errorf("got %s, %v", m, err)
	}
}

// TestAFullMirrorWithoutRoom cannot list all sessions of a user, and says so.
func TestAFullMirrorWithoutRoom(t *testing.T) {
	n := newNode(t, newShared(t), failover.Options{MaxMirrorBytes: 64 << 10, Mirror: failover.MirrorFull})
	for range 300 {
		n.create(t, "u")
	}
	n.cut.Store(true)
	if sessions, err := n.GetByUserID(t.Context(), "u"); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("got %d sessions, %v", len(sessions), err)
	}
}

// TestALogoutFromTheFuture: the clock of this process is behind that of the one
// which made the logout.
func TestALogoutFromTheFuture(t *testing.T) {
	var behind atomic.Int64
	shared := newShared(t)
	n := newNode(t, shared, failover.Options{Now: func() time.Time { return time.Now().Add(-time.Duration(behind.Load())) }})
	other := newNode(t, shared, failover.Options{})
	id := n.create(t, "u")
	behind.Store(int64(5 * time.Minute))
	if ok, err := other.Delete(t.Context(), id); !ok || err != nil {
		t.Fatal(ok, err)
	}
	n.want(t, false, id)
	n.cut.Store(true)
	n.want(t, false, id)
}

// strict refuses versions that are further ahead than two nodes may differ, by a
// clock that is behind this machine's.
type strict struct{ cable }

func (strict) Now() time.Time { return time.Now().Add(-2 * time.Minute) }
func (s strict) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	results := make([]perdure.Result, len(batches))
	limit := perdure.MillisOf(time.Now().Add(-time.Minute))
	for i, batch := range batches {
		if w := batch[0]; w.Op == perdure.OpPut && w.Record.Version.Millis() > limit {
			results[i].Err = perdure.ErrSkew
			continue
		}
		applied, err := s.cable.Apply(ctx, []perdure.Batch{batch})
		if err != nil {
			return nil, err
		}
		results[i] = applied[0]
	}
	return results, nil
}

// TestAClockTooFarAhead: what is written in an outage by a machine whose clock the front
// store would refuse is stamped by the front store's, and merged. So is what came
// stamped by it.
func TestAClockTooFarAhead(t *testing.T) {
	shared := newShared(t)
	n := &node{cut: &atomic.Bool{}}
	n.open(t, failover.Options{
		Open:       func(context.Context) (perdure.Backend, error) { return strict{cable{shared, n.cut}}, nil },
		RetryDelay: 10 * time.Millisecond, HealthCheckInterval: 10 * time.Millisecond,
	})
	n.await(t, failover.Healthy)
	other := newNode(t, shared, failover.Options{})
	out, ended := other.create(t, "u"), other.create(t, "u")
	n.want(t, true, out, ended)
	n.cut.Store(true)
	made := n.create(t, "u")
	if _, err := n.Update(t.Context(), made, perdure.Patch{Roles: []string{"r"}}); err != nil {
		t.Fatal(err)
	}
	if ok, err := n.Delete(t.Context(), out); !ok || err != nil {
		t.Fatal(ok, err)
	}
	tomb := perdure.Record{ID: ended, Header: perdure.Header{Version: perdure.NewClock(nil).Tick(), Reason: perdure.ReasonLogout}}
	removed, err := n.failover.Apply(t.Context(), []perdure.Batch{{{Op: perdure.OpRemove, Record: tomb}}})
	if err != nil || removed[0].Outcome != perdure.Applied {
		t.Fatal(removed, err)
	}
	n.want(t, false, out, ended)
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	n.want(t, false, out, ended)
	n.want(t, true, made)
	if h := n.failover.Health(t.Context()); h.Refused != 0 || h.JournalDepth != 0 {
		t.Errorf("%+v", h)
	}
}

// TestOneDamagedRecord keeps neither a recovery nor the mirror from the others.
func TestOneDamagedRecord(t *testing.T) {
	shared := newToll(newShared(t))
	gap := gapped{shared, &atomic.Bool{}}
	n := newNode(t, gap, failover.Options{Mirror: failover.MirrorFull})
	other := newNode(t, shared.Backend, failover.Options{})
	damaged, lost := n.create(t, "u"), n.create(t, "u")
	shared.keep(func(_ context.Context, call string, ids ...string) error {
		for _, id := range ids {
			switch {
			case id != damaged:
			case call == "get":
				return fmt.Errorf("%w: %s", perdure.ErrFormat, id)
			case call == "load":
				return &perdure.UnreadableError{IDs: []string{id}, Err: perdure.ErrFormat}
			}
		}
		return nil
	})
	if err := writes(other, damaged); err != nil {
		t.Fatal(err)
	}
	before := n.failover.Health(t.Context()).MirrorRecords
	other.create(t, "v")
	for deadline := time.Now().Add(time.Minute); n.failover.Health(t.Context()).MirrorRecords == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the mirror follows no more")
		}
	}
	forget(t, shared.Backend, lost)
	gap.gap.Store(true)
	for deadline := time.Now().Add(time.Minute); !stored(t, shared.Backend, lost).Exists(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what was lost is not given back")
		}
	}
	gap.gap.Store(false)
	n.await(t, failover.Healthy)
}

// nearby has a near cache.
type nearby struct {
	toll
	cache *sync.Map
}

func (c nearby) Cached(id string) (perdure.Record, bool) {
	r, ok := c.cache.Load(id)
	if !ok {
		return perdure.Record{}, false
	}
	return r.(perdure.Record), true
}

func (c nearby) Get(ctx context.Context, id string) (perdure.Record, error) {
	r, err := c.toll.Get(ctx, id)
	if err == nil && r.Exists() {
		c.cache.Store(id, r)
	}
	return r, err
}

func (c nearby) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	results, err := c.toll.Apply(ctx, batches)
	if err == nil {
		c.cache.Clear()
	}
	return results, err
}

// Close leaves the store that others share.
func (c nearby) Close() error { return nil }

// TestANearCacheOfWhoIsBack: a session that the front store has brought back, and
// that is about to be ended there again, is not served from its cache.
func TestANearCacheOfWhoIsBack(t *testing.T) {
	shared := newToll(newShared(t))
	front := nearby{shared, &sync.Map{}}
	id := newNode(t, shared, failover.Options{}).create(t, "u")
	before := stored(t, shared.Backend, id)
	looks := make(chan struct{}, 100)
	shared.keep(func(_ context.Context, call string, _ ...string) error {
		if call == "changes" {
			looks <- struct{}{}
		}
		return nil
	})
	b, err := failover.Open(t.Context(), failover.Options{
		Open: func(context.Context) (perdure.Backend, error) { return front, nil }, HealthCheckInterval: time.Hour, RetryDelay: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	<-looks
	<-looks // the mirror was compared with the front store before this one
	shared.keep(nil)
	tomb := perdure.Record{ID: id, Header: perdure.Header{Kind: perdure.KindTombstone, Reason: perdure.ReasonLogout, Version: perdure.NewClock(nil).Tick()}}
	if _, err := b.Apply(t.Context(), []perdure.Batch{{{Op: perdure.OpRemove, Record: tomb}}}); err != nil {
		t.Fatal(err)
	}
	turnBack(t, shared.Backend, before)
	ending, release := make(chan struct{}, 100), make(chan struct{})
	shared.keep(func(_ context.Context, call string, _ ...string) error {
		if call == "apply" {
			ending <- struct{}{}
			<-release
		}
		return nil
	})
	var reads sync.WaitGroup
	answers := make(chan perdure.Record, 2)
	read := func() {
		if r, err := b.Get(context.Background(), id); err == nil {
			answers <- r
		}
	}
	reads.Go(read)
	<-ending // the first has filled the cache
	reads.Go(read)
	select {
	case <-ending:
	case r := <-answers:
		t.Errorf("kind %d was served meanwhile", r.Kind)
	}
	close(release)
	reads.Wait()
}
