package factory_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/redistest"
)

// ofShard are names of users whose sessions the master serves that is first of three, or
// one of the others.
func ofShard(first bool, n int) (names []string) {
	for i := 0; len(names) < n; i++ {
		name := fmt.Sprint("user", i)
		p := perdure.HashUser(name).Partition()
		if first && (p+1)*64 <= redistest.SlotCount/3 || !first && p*64 > redistest.SlotCount/3 {
			names = append(names, name)
		}
	}
	return names
}

func loginAs(t *testing.T, i *factory.Instance, names ...string) (ids []string) {
	t.Helper()
	for _, name := range names {
		s, err := i.Create(t.Context(), perdure.Data{UserID: name})
		if err != nil {
			t.Errorf("a login: %v", err)
		}
		ids = append(ids, s.ID)
	}
	return ids
}

func logout(t *testing.T, i *factory.Instance, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if ended, err := i.Delete(t.Context(), id); !ended || err != nil {
			t.Errorf("a logout of %s: %v, %v", id, ended, err)
		}
	}
}

func wantAll(t *testing.T, i *factory.Instance, alive bool, ids ...string) {
	t.Helper()
	for _, id := range ids {
		_, err := i.Get(t.Context(), id)
		if alive && err != nil || !alive && !errors.Is(err, perdure.ErrNotFound) {
			t.Errorf("%s: alive should be %v: %v", id, alive, err)
		}
	}
}

func healthOf(t *testing.T, i *factory.Instance) failover.Health {
	t.Helper()
	h, _ := i.Failover(t.Context())
	return h
}

func awaitHealth(t *testing.T, i *factory.Instance, wanted func(failover.Health) bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !wanted(healthOf(t, i)); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("health stays %+v", healthOf(t, i))
		}
	}
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to that")
		}
	}
}

// TestOneMasterOfAClusterIsAway: through two processes at default settings, who is
// served by the others notices nothing.
func TestOneMasterOfAClusterIsAway(t *testing.T) {
	for name, c := range map[string]struct {
		begin, end func(c *redistest.Cluster) error
		replicas   int
	}{
		"killed": {
			begin: func(c *redistest.Cluster) error { return c.Nodes()[0].Kill() },
			end:   func(c *redistest.Cluster) error { return c.Nodes()[0].Restart(t.Context()) },
		},
		"hanging": {
			begin: func(c *redistest.Cluster) error { return c.Nodes()[0].Stop() },
			end:   func(c *redistest.Cluster) error { return c.Nodes()[0].Continue() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := redistest.StartCluster(t, redistest.ClusterOptions{
				Node: redistest.Options{Persist: true, Config: []string{"cluster-require-full-coverage no"}},
			})
			a, b := openShards(t, cluster), openShards(t, cluster)
			const sessions = 20
			near, far := ofShard(false, sessions), ofShard(true, sessions)
			kept, out := loginAs(t, a, near...), loginAs(t, a, near...)
			farKept, farOut := loginAs(t, a, far...), loginAs(t, a, far...)
			must(t, c.begin(cluster))
			wantAll(t, a, true, farKept...)
			partly := func(h failover.Health) bool { return h.PartitionsAway > 0 && h.PartitionsAway < 100 }
			awaitHealth(t, a, partly)
			awaitHealth(t, b, partly)

			logout(t, a, out...)
			wantAll(t, b, false, out...)
			made := loginAs(t, a, near...)
			wantAll(t, b, true, made...)
			for _, id := range made {
				if _, err := a.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"n": 1}}); err != nil {
					t.Error(err)
				}
				eventually(t, func() bool { // its near cache hears of it
					got, err := b.Get(t.Context(), id)
					return err == nil && got.Metadata.Len() == 1
				})
				if ok, err := b.Touch(t.Context(), id); !ok || err != nil {
					t.Errorf("a touch: %v, %v", ok, err)
				}
			}
			wantAll(t, b, false, perdure.NewID(255))
			if h := healthOf(t, a); h.JournalDepth != 0 {
				t.Errorf("what nothing stands in the way of waits in the journal: %+v", h)
			}
			logout(t, a, farOut...)
			farMade := loginAs(t, a, far...)
			if h := healthOf(t, a); h.JournalDepth < 2*sessions {
				t.Errorf("%+v", h)
			}
			must(t, c.end(cluster))
			for _, i := range []*factory.Instance{a, b} {
				await(t, i, failover.Healthy)
			}
			for _, i := range []*factory.Instance{a, b} {
				wantAll(t, i, true, append(append(append(kept, made...), farKept...), farMade...)...)
				wantAll(t, i, false, append(out, farOut...)...)
			}
		})
	}
}

func openShards(t *testing.T, c *redistest.Cluster) *factory.Instance {
	t.Helper()
	i := open(t, factory.Config{RedisURL: c.URL()})
	await(t, i, failover.Healthy)
	return i
}

// TestAClusterThatIsServedWholeOrNotAtAll (cluster-require-full-coverage yes): one master
// away is an outage of all.
func TestAClusterThatIsServedWholeOrNotAtAll(t *testing.T) {
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{Node: redistest.Options{Persist: true}})
	i := openShards(t, cluster)
	const sessions = 5
	kept, out := loginAs(t, i, ofShard(false, sessions)...), loginAs(t, i, ofShard(false, sessions)...)
	must(t, cluster.Nodes()[0].Kill())
	awaitHealth(t, i, func(h failover.Health) bool { return h.PartitionsAway == perdure.Partitions })
	wantAll(t, i, true, kept...)
	logout(t, i, out...)
	must(t, cluster.Nodes()[0].Restart(t.Context()))
	awaitHealth(t, i, func(h failover.Health) bool { return h.State == failover.Healthy })
	other := openShards(t, cluster)
	wantAll(t, other, true, kept...)
	wantAll(t, other, false, out...)
}

// TestAReplicaTakesOver: what was ended on the shard that was away holds there.
func TestAReplicaTakesOver(t *testing.T) {
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{
		ReplicasEach: 1, Node: redistest.Options{Config: []string{"cluster-require-full-coverage no"}},
	})
	a, b := openShards(t, cluster), openShards(t, cluster)
	const sessions = 20
	far := ofShard(true, sessions)
	kept, out := loginAs(t, a, far...), loginAs(t, a, far...)
	must(t, cluster.Nodes()[0].Kill())
	logout(t, a, out...)
	made := loginAs(t, a, far...)
	for _, i := range []*factory.Instance{a, b} {
		awaitHealth(t, i, func(h failover.Health) bool { return h.State == failover.Healthy && h.JournalDepth == 0 })
	}
	for _, i := range []*factory.Instance{a, b} {
		eventually(t, func() bool { // the other may not have noticed the promotion yet
			_, err := i.Get(t.Context(), made[0])
			return err == nil
		})
		wantAll(t, i, true, append(kept, made...)...)
		wantAll(t, i, false, out...)
	}
}
