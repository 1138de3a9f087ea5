package redistest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func TestClusterSlots(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, ClusterOptions{})
	if want := "redis://" + strings.Join(addrs(c.Nodes()), ","); c.URL() != want {
		t.Errorf("URL is %s, want %s", c.URL(), want)
	}
	nodes := c.Nodes()
	if len(nodes) != 3 {
		t.Fatalf("there are %d nodes, want 3", len(nodes))
	}
	for slot, want := range map[int]*Server{0: nodes[0], 5460: nodes[0], 5461: nodes[1], 10921: nodes[1], 10922: nodes[2], 16383: nodes[2]} {
		owner, err := c.Owner(slot)
		must(t, err)
		if owner != want {
			t.Errorf("slot %d belongs to %s, want %s", slot, owner.Addr(), want.Addr())
		}
	}
	t.Run("ask", func(t *testing.T) { testAsk(t, c) })
	t.Run("moved", func(t *testing.T) { testMoved(t, c) })
}

// slotOf returns the slot of a key, its owner, and another master.
func slotOf(t *testing.T, c *Cluster, key string) (slot int, owner, other *Server) {
	t.Helper()
	reply, err := c.Nodes()[0].Do("CLUSTER", "KEYSLOT", key)
	must(t, err)
	slot = int(reply.(int64))
	owner, err = c.Owner(slot)
	must(t, err)
	for _, node := range c.Nodes() {
		if node != owner {
			return slot, owner, node
		}
	}
	t.Fatal("there is one node only")
	return 0, nil, nil
}

func testAsk(t *testing.T, c *Cluster) {
	slot, owner, other := slotOf(t, c, "{tag}")
	expect(t, owner, "OK", "MSET", "{tag}stays", "1", "{tag}goes", "2")
	move, err := c.OpenSlot(slot, other)
	must(t, err)
	if move.From() != owner || move.To() != other {
		t.Errorf("the slot moves from %s to %s", move.From().Addr(), move.To().Addr())
	}
	must(t, move.Keys("{tag}goes", "{tag}none"))

	ask := fmt.Sprintf("ASK %d %s", slot, other.Addr())
	expect(t, owner, "1", "GET", "{tag}stays")
	expectError(t, owner, ask, "GET", "{tag}goes")
	expectError(t, owner, ask, "GET", "{tag}none")
	if _, err := owner.Do("MGET", "{tag}stays", "{tag}goes"); err == nil { // TRYAGAIN since Redis 7.0, before that ASK
		t.Error("keys on two nodes are got at once")
	}
	expectError(t, other, "MOVED", "GET", "{tag}goes")

	ctx, cancel := context.WithTimeout(t.Context(), doTimeout)
	defer cancel()
	asking, err := other.Dial(ctx)
	must(t, err)
	defer asking.Close()
	_, err = asking.Do("ASKING")
	must(t, err)
	if got, err := asking.Do("GET", "{tag}goes"); got != "2" {
		t.Errorf("asking %s: got %v (%v)", other.Addr(), got, err)
	}

	must(t, move.Finish(t.Context()))
	expectError(t, owner, "MOVED", "GET", "{tag}stays")
	list, err := other.Do("MGET", "{tag}stays", "{tag}goes")
	must(t, err)
	if fmt.Sprint(list) != "[1 2]" {
		t.Errorf("after the move: %v", list)
	}
}

func testMoved(t *testing.T, c *Cluster) {
	slot, owner, other := slotOf(t, c, "{many}")
	const keys = 3*migrateBatch + 1
	for i := range keys {
		expect(t, owner, "OK", "SET", "{many}"+strconv.Itoa(i), "x")
	}
	cancelled, err := c.OpenSlot(slot, other)
	must(t, err)
	must(t, cancelled.Cancel())
	expect(t, owner, nil, "GET", "{many}none")

	must(t, c.MoveSlot(t.Context(), slot, other))
	for _, node := range c.Nodes() {
		if node != other {
			expectError(t, node, fmt.Sprintf("MOVED %d %s", slot, other.Addr()), "GET", "{many}0")
		}
	}
	expect(t, other, int64(keys), "CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(slot))
	if _, err := c.OpenSlot(slot, other); err == nil {
		t.Error("a slot was opened towards its owner")
	}
}

func TestClusterMasterDies(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, ClusterOptions{
		Node:         Options{TLS: true, Username: "user", Password: "secret", Persist: true},
		ReplicasEach: 1,
	})
	slot, master, other := slotOf(t, c, "key")
	write(t, master, 1, "SET", "key", "value")
	must(t, c.MoveSlot(t.Context(), slot, other))
	expect(t, other, "value", "GET", "key")
	write(t, other, 1, "SET", "key", "value")

	must(t, other.Kill())
	must(t, c.Settle(t.Context()))
	successor, err := c.Owner(slot)
	must(t, err)
	if successor == other {
		t.Fatal("the dead master was not replaced")
	}
	expect(t, successor, "value", "GET", "key")

	must(t, other.RestartEmpty(t.Context())) // it is a member still
	must(t, c.Settle(t.Context()))
	expectError(t, other, "MOVED", "GET", "key")
}
