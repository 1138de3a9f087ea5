package failover_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

func (n *node) set(t *testing.T, id, key string) {
	t.Helper()
	if _, err := n.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{key: 1}}); err != nil {
		t.Fatal(err)
	}
}

func (n *node) rotate(t *testing.T, id string) string {
	t.Helper()
	s, err := n.Rotate(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s.ID
}

// wantMetadata reads the session through each node.
func wantMetadata(t *testing.T, id, want string, nodes ...*node) {
	t.Helper()
	for i, n := range nodes {
		s, err := n.Get(t.Context(), id)
		if m, _ := s.Metadata.MarshalJSON(); err != nil || string(m) != want {
			t.Errorf("node %d: got %s, %v", i, m, err)
		}
	}
}

// TestARotationOnOneSideAndAChangeOnTheOther: the change and a touch reach the
// successor, whichever side was cut off, and whatever a third process has seen.
func TestARotationOnOneSideAndAChangeOnTheOther(t *testing.T) {
	for name, cutOff := range map[string]int{"the one that rotates is cut off": 0, "the one that changes is cut off": 1} {
		t.Run(name, func(t *testing.T) {
			shared := newShared(t)
			nodes := []*node{newNode(t, shared, failover.Options{}), newNode(t, shared, failover.Options{}), newNode(t, shared, failover.Options{})}
			rotates, changes, third := nodes[0], nodes[1], nodes[2]
			id := rotates.create(t, "u")
			changes.want(t, true, id)
			third.want(t, true, id)
			nodes[cutOff].cut.Store(true)
			changes.set(t, id, "a")
			first := rotates.rotate(t, id)
			rotates.set(t, first, "b")
			second := rotates.rotate(t, first)
			changes.set(t, id, "c")
			if ok, err := changes.Touch(t.Context(), id); !ok || err != nil {
				t.Fatal(ok, err)
			}
			touched, err := changes.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			nodes[cutOff].cut.Store(false)
			nodes[cutOff].await(t, failover.Healthy)
			wantMetadata(t, second, `{"a":1,"b":1,"c":1}`, nodes...)
			for _, n := range nodes {
				n.want(t, false, id, first)
				if s, err := n.Get(t.Context(), second); err != nil || s.LastAccessedAt.Before(touched.LastAccessedAt) {
					t.Errorf("last access %v, %v", s.LastAccessedAt, err)
				}
			}
		})
	}
}

// TestAChangeOnOneSideAndALogoutOfTheSuccessorOnTheOther: carrying revives nobody.
func TestAChangeOnOneSideAndALogoutOfTheSuccessorOnTheOther(t *testing.T) {
	for cutOff := range 2 {
		t.Run(fmt.Sprint("cut off ", cutOff), func(t *testing.T) {
			shared := newShared(t)
			nodes := []*node{newNode(t, shared, failover.Options{}), newNode(t, shared, failover.Options{})}
			id := nodes[0].create(t, "u")
			nodes[1].want(t, true, id)
			nodes[cutOff].cut.Store(true)
			successor := nodes[0].rotate(t, id)
			if ok, err := nodes[0].Delete(t.Context(), successor); !ok || err != nil {
				t.Fatal(ok, err)
			}
			nodes[1].set(t, id, "a")
			nodes[cutOff].cut.Store(false)
			nodes[cutOff].await(t, failover.Healthy)
			for _, n := range nodes {
				n.want(t, false, id, successor)
			}
		})
	}
}

// TestARecoveryInterruptedWhileItCarries: however many of its writes it made, the
// next life of the process makes the rest.
func TestARecoveryInterruptedWhileItCarries(t *testing.T) {
	for _, rotatesOffline := range []bool{true, false} {
		for writes := 0; writes < 6; writes++ {
			t.Run(fmt.Sprintf("rotated offline %v, after %d", rotatesOffline, writes), func(t *testing.T) {
				shared, dir := newToll(newShared(t)), t.TempDir()
				n, other := newNode(t, shared, failover.Options{Dir: dir}), newNode(t, shared.Backend, failover.Options{})
				id := n.create(t, "u")
				other.want(t, true, id)
				n.cut.Store(true)
				rotates, changes := other, n
				if rotatesOffline {
					rotates, changes = n, other
				}
				changes.set(t, id, "a")
				successor := rotates.rotate(t, id)
				rotates.set(t, successor, "b")
				var left atomic.Int32
				left.Store(int32(writes))
				stopped := make(chan struct{}, 100)
				shared.keep(func(_ context.Context, call string, _ ...string) error {
					if call != "merge" && call != "apply" || left.Add(-1) >= 0 {
						return nil
					}
					select {
					case stopped <- struct{}{}:
					default:
					}
					return errCut
				})
				n.cut.Store(false)
				if writes < 2 {
					<-stopped
				}
				if err := n.Close(); err != nil {
					t.Fatal(err)
				}
				shared.keep(nil)
				again := newNode(t, shared, failover.Options{Dir: dir})
				wantMetadata(t, successor, `{"a":1,"b":1}`, again, other)
				again.want(t, false, id)
				other.want(t, false, id)
			})
		}
	}
}

// TestARotationOfASessionThatWasTurnedBack: the front store has lost a change, and
// another process rotates what is left. The change goes to the successor.
func TestARotationOfASessionThatWasTurnedBack(t *testing.T) {
	const read, compared, followed = "who changed it reads it", "who changed it compares all", "who changed it follows"
	for _, meets := range []string{read, compared, followed} {
		t.Run(meets, func(t *testing.T) {
			kept := newShared(t)
			gap := gapped{kept, &atomic.Bool{}}
			shared := newToll(gap)
			n, other := newNode(t, shared, failover.Options{Mirror: failover.MirrorFull}), newNode(t, kept, failover.Options{Mirror: failover.MirrorSeen})
			id := n.create(t, "u")
			before := stored(t, kept, id)
			n.set(t, id, "a")
			if meets == followed { // after a gap it stays in doubt for some time
				started := n.failover.Health(t.Context()).Transitions
				gap.gap.Store(true)
				n.awaitHealth(t, func(h failover.Health) bool { return h.FeedGaps > 0 })
				gap.gap.Store(false)
				n.awaitHealth(t, func(h failover.Health) bool { return h.State == failover.Healthy && h.Transitions > started })
				for range 2 { // the second is followed from where the first was
					before := n.failover.Health(t.Context()).MirrorRecords
					other.create(t, "u")
					n.awaitHealth(t, func(h failover.Health) bool { return h.MirrorRecords > before })
				}
			}
			shared.keep(unfollowed)
			turnBack(t, kept, before)
			successor := other.rotate(t, id)
			switch meets {
			case read:
				n.want(t, false, id)
			case compared:
				gap.gap.Store(true)
				shared.keep(nil)
				n.awaitHealth(t, func(h failover.Health) bool { return h.FeedGaps > 0 })
				gap.gap.Store(false)
			case followed:
				shared.keep(nil)
			}
			n.awaitHealth(t, func(h failover.Health) bool { return h.Lost > 0 })
			wantMetadata(t, successor, `{"a":1,"b":0}`, other, n)
		})
	}
}

// TestARotationThatIsReadInAnOutage stays known when nothing can be read any more.
func TestARotationThatIsReadInAnOutage(t *testing.T) {
	shared := newToll(newShared(t))
	n, other := newNode(t, shared, failover.Options{}), newNode(t, shared.Backend, failover.Options{})
	id := n.create(t, "u")
	shared.keep(readsOnly)
	n.await(t, failover.Degraded)
	n.want(t, true, id)
	successor := other.rotate(t, id)
	n.want(t, false, id)
	n.want(t, true, successor)
	n.cut.Store(true)
	n.want(t, false, id)
	n.want(t, true, successor)
}

// TestAMirrorMakesNoSuccessorUp: a process that has held a session and hears of its
// rotation does not know what became of the successor, and says so in an outage.
func TestAMirrorMakesNoSuccessorUp(t *testing.T) {
	shared := newToll(newShared(t))
	n, other := newNode(t, shared, failover.Options{Mirror: failover.MirrorSeen}), newNode(t, shared.Backend, failover.Options{})
	id := n.create(t, "u")
	other.set(t, id, "a")
	before := stored(t, shared.Backend, id)
	successor := other.rotate(t, id)
	n.want(t, false, id)
	if ok, err := other.Delete(t.Context(), successor); !ok || err != nil {
		t.Fatal(ok, err)
	}
	shared.keep(readsOnly)
	n.await(t, failover.Degraded)
	turnBack(t, shared.Backend, before) // as a replica that is behind
	n.want(t, false, id)
	n.cut.Store(true)
	n.want(t, false, id)
	if err := reads(n, successor); err == nil {
		t.Error("who was logged out is served")
	}
}

// TestWhatAMergeOvertakes: while a call was on its way into the journal, what it had
// found there was merged and has left it.
func TestWhatAMergeOvertakes(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, n *node, id string)
		left    int64 // in the journal, when what ends sessions has left it
		write   func(session perdure.Record) perdure.Write
		outcome perdure.Outcome
		met     perdure.Reason
	}{
		"a logout of who was rotated": {
			func(t *testing.T, n *node, id string) {
				if _, err := n.Rotate(t.Context(), id, 0); err != nil {
					t.Fatal(err)
				}
			}, 1,
			func(session perdure.Record) perdure.Write {
				return perdure.Write{Op: perdure.OpRemove, Record: perdure.Record{ID: session.ID, Header: perdure.Header{Reason: perdure.ReasonLogout}}}
			}, perdure.Absent, perdure.ReasonRotated,
		},
		"a copy of who was logged out": {
			func(t *testing.T, n *node, id string) {
				if err := ends(n, id); err != nil {
					t.Fatal(err)
				}
			}, 0,
			func(session perdure.Record) perdure.Write {
				return perdure.Write{Op: perdure.OpPut, Record: session, Reason: perdure.ReasonMerged}
			}, perdure.Conflict, perdure.ReasonLogout,
		},
	} {
		t.Run(name, func(t *testing.T) {
			shared := newToll(newShared(t))
			n := newNode(t, shared, failover.Options{})
			id, other := n.create(t, "u"), n.create(t, "u")
			session, err := shared.Backend.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			var probes atomic.Int64
			shared.keep(func(ctx context.Context, call string, ids ...string) error {
				if call == "ping" {
					probes.Add(1)
				}
				return readsOnly(ctx, call, ids...)
			})
			if _, err := n.Touch(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			n.await(t, failover.Degraded)
			test.prepare(t, n, id)
			for seen := probes.Load(); probes.Load() < seen+2; time.Sleep(time.Millisecond) {
				// A probe of when all was well ends first: what it finds waits for calls under way.
			}
			var merged atomic.Bool
			shared.keep(func(ctx context.Context, call string, ids ...string) error {
				if call == "get" && ids[0] == other && !merged.Swap(true) {
					shared.keep(nil)
					n.awaitHealth(t, func(h failover.Health) bool { return h.JournalDepth == test.left })
					return nil
				}
				return readsOnly(ctx, call, ids...)
			})
			last := perdure.Write{Op: perdure.OpRemove, Record: perdure.Record{ID: other, Header: perdure.Header{Reason: perdure.ReasonLogout}}}
			results, err := n.failover.Apply(t.Context(), []perdure.Batch{{test.write(session)}, {last}})
			if err != nil || !merged.Load() {
				t.Fatalf("%v, %v", err, merged.Load())
			}
			r := results[0]
			if r.Err != nil || r.Outcome != test.outcome || r.Stored.Kind != perdure.KindTombstone || r.Stored.Reason != test.met {
				t.Errorf("%+v", r)
			}
		})
	}
}
