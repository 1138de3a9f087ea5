package redis

import (
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// openSlotOf begins to move the slot of the record to another master.
func openSlotOf(t *testing.T, cluster *redistest.Cluster, r perdure.Record) *redistest.SlotMove {
	t.Helper()
	slot := int(crc16(tags[2*perdure.PartitionOf(r.ID):][:2])) % redistest.SlotCount
	from, err := cluster.Owner(slot)
	if err != nil {
		t.Fatal(err)
	}
	to := cluster.Nodes()[0]
	if to == from {
		to = cluster.Nodes()[1]
	}
	move, err := cluster.OpenSlot(slot, to)
	if err != nil {
		t.Fatal(err)
	}
	return move
}

// wantEnded reads until the session has ended, as it must long before the near cache
// forgets by itself.
func wantEnded(t *testing.T, b *Backend, id string) {
	t.Helper()
	for deadline := time.Now().Add(defaultNearAge / 4); ; time.Sleep(time.Millisecond) {
		got, err := b.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got.Kind == perdure.KindTombstone {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s ended elsewhere, and is read here as if it had not", id)
			return
		}
	}
}

// What is read while its slot moves the server does not tell of changes to: it asks
// the client to go elsewhere, and what comes from there is not tracked. Nor is what was
// read before a slot has changed hands, where the old owner did not say so.
func TestWhatIsReadWhileItsSlotMovesIsNotKept(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{Masters: 2})
	one, other := open(t, Options{URL: cluster.URL()}), open(t, Options{URL: cluster.URL()})
	var records []perdure.Record
	var keys, ids []string
	for range 4 {
		r := session("u")
		if err := put(t.Context(), one, r); err != nil {
			t.Fatal(err)
		}
		warm(t, other, r.ID)
		records, ids, keys = append(records, r), append(ids, r.ID), append(keys, one.keys.record(r.ID))
	}
	move := openSlotOf(t, cluster, records[0])
	if err := move.Keys(keys[:3]...); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids[:3] { // the old owner says that they are gone
		for other.near.has(id) {
			time.Sleep(time.Millisecond)
		}
	}
	for range 2 {
		if _, err := other.Get(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Load(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids[:3] {
		if other.near.has(id) {
			t.Errorf("%s is kept, of whose changes the server does not tell", id)
		}
	}
	warm(t, other, ids[3]) // what did not move is kept
	if err := move.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := remove(t.Context(), one, records[0]); err != nil {
		t.Fatal(err)
	}
	wantEnded(t, other, ids[0])
	for deadline := time.Now().Add(time.Minute); !other.near.has(ids[1]); time.Sleep(time.Millisecond) {
		if _, err := other.Get(t.Context(), ids[1]); err != nil || time.Now().After(deadline) {
			t.Fatalf("after the move nothing is kept: %v", err)
		}
	}
	if got, err := one.RemoveUser(t.Context(), removal(records[3].User)); err != nil || len(got.Removed) != 3 {
		t.Fatalf("revoked %+v, %v", got, err)
	}
	for _, id := range ids[1:] {
		wantEnded(t, other, id)
	}
	for _, node := range cluster.Nodes() { // as an operator may at any time
		if _, err := node.Do("ACL", "SETUSER", "default", "-client", "+client|tracking", "+client|setname"); err != nil {
			t.Fatal(err)
		}
	}
	r := session("v")
	if err := put(t.Context(), one, r); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Get(t.Context(), r.ID); err != nil || got.Version != r.Version || other.near.has(r.ID) {
		t.Errorf("what a server refused to tell of is kept: %v; or %+v, %v", other.near.has(r.ID), got, err)
	}
}
