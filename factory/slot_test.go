package factory_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/redistest"
)

// openSlotOf begins to move the slot of the sessions, and moves those keys of it that
// are named.
func openSlotOf(t *testing.T, cluster *redistest.Cluster, ids, gone []string) *redistest.SlotMove {
	t.Helper()
	var keys []string
	for _, id := range append(gone[:len(gone):len(gone)], ids[0]) {
		for _, node := range cluster.Nodes() {
			found, err := node.Do("KEYS", "*:s:"+id)
			must(t, err)
			for _, key := range found.([]any) {
				keys = append(keys, key.(string))
			}
		}
	}
	slot, err := cluster.Nodes()[0].Do("CLUSTER", "KEYSLOT", keys[0])
	must(t, err)
	from, err := cluster.Owner(int(slot.(int64)))
	must(t, err)
	to := cluster.Nodes()[0]
	if to == from {
		to = cluster.Nodes()[1]
	}
	move, err := cluster.OpenSlot(int(slot.(int64)), to)
	must(t, err)
	must(t, move.Keys(keys[:len(gone)]...))
	return move
}

// A slot that is half moved takes no write of several keys, for as long as that lasts:
// logins and logouts go into the journal. Whoever is logged out through one process is
// so through all, at once: the others read from Redis. All is well when the slot is.
func TestASlotThatIsBeingMoved(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{Masters: 2})
	var instances [2]*factory.Instance
	for n := range instances {
		instances[n] = open(t, factory.Config{RedisURL: cluster.URL()})
		awaitHealth(t, instances[n], func(h failover.Health) bool { return h.State == failover.Healthy && h.MirrorWhole })
	}
	one, other := instances[0], instances[1]
	out, revoked, stays := loginAs(t, one, "u", "u", "u", "u"), loginAs(t, one, "u", "u"), loginAs(t, one, "w", "u")
	used := loginAs(t, one, "u", "u")
	wantAll(t, other, true, out...)
	move := openSlotOf(t, cluster, out, []string{out[0], out[1], revoked[0], stays[1]})

	logout(t, one, out...)
	awaitHealth(t, one, func(h failover.Health) bool {
		return h.State == failover.Degraded && h.PartitionsAway == 1 && strings.Contains(h.Reason, "slot is being moved")
	})
	for _, id := range out {
		eventually(t, func() bool { _, err := other.Get(t.Context(), id); return errors.Is(err, perdure.ErrNotFound) })
	}
	wantAll(t, other, true, stays...)
	wantAll(t, other, true, revoked...)
	for _, id := range used { // it is in the journal of one then, and ended by the other
		if ok, err := one.Touch(t.Context(), id); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	logout(t, other, used...)
	wantAll(t, one, false, used...)
	if touched, err := one.Touch(t.Context(), used[0]); touched || err != nil {
		t.Errorf("touched %v, %v", touched, err)
	}
	_, err := one.RevokeUser(t.Context(), "u", stays[1])
	must(t, err)
	for _, id := range revoked {
		eventually(t, func() bool { _, err := other.Get(t.Context(), id); return errors.Is(err, perdure.ErrNotFound) })
	}
	login := loginAs(t, one, "u") // into the journal
	page, err := other.List(t.Context(), perdure.ListQuery{UserID: "u"})
	if err != nil || len(page.Sessions) != 1 || page.Sessions[0].ID != stays[1] {
		t.Errorf("the list elsewhere is %v, %v", page.Sessions, err)
	}

	must(t, move.Finish(t.Context()))
	for _, i := range instances {
		awaitHealth(t, i, func(h failover.Health) bool { return h.State == failover.Healthy && h.JournalDepth == 0 })
	}
	for _, i := range instances {
		for _, id := range append(append(out, revoked...), used...) {
			eventually(t, func() bool { _, err := i.Get(t.Context(), id); return errors.Is(err, perdure.ErrNotFound) })
		}
		wantAll(t, i, true, append(stays, login...)...)
	}
}
