package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"testing"
)

const (
	// SlotCount is the number of slots that the masters of a cluster share.
	SlotCount = 16384

	// busOffset is how far above its port a node listens to other nodes.
	busOffset = 10000
)

// ClusterOptions says how a Cluster is set up.
type ClusterOptions struct {
	// Node is how every node is set up.
	Node Options

	// Masters is the number of masters, which share the slots evenly. Defaults
	// to 3, the least with which a replica can take over.
	Masters int

	// ReplicasEach is the number of replicas of each master. Defaults to none.
	ReplicasEach int
}

// Cluster is a Redis Cluster. Two seconds after a master goes down it counts
// as failed; if it has a replica, that takes over a second or two later.
type Cluster struct {
	*fleet

	options ClusterOptions
	ids     map[*Server]string
}

// StartCluster launches a Cluster that ends with the test, or fails the test.
func StartCluster(tb testing.TB, o ClusterOptions) *Cluster {
	tb.Helper()
	c, err := LaunchCluster(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, c)
	return c
}

// LaunchCluster starts a Cluster and waits until it is settled. The context
// bounds the start, not the life.
func LaunchCluster(ctx context.Context, o ClusterOptions) (*Cluster, error) {
	if o.Masters == 0 {
		o.Masters = 3
	}
	if o.Masters < 0 || o.ReplicasEach < 0 {
		return nil, fmt.Errorf("redistest: Masters is %d, ReplicasEach is %d", o.Masters, o.ReplicasEach)
	}
	return retryTaken(func() (*Cluster, error) {
		f, err := newFleet(o.Node)
		if err != nil {
			return nil, err
		}
		c := &Cluster{fleet: f, options: o, ids: make(map[*Server]string)}
		if err := c.start(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return c, nil
	})
}

func (c *Cluster) start(ctx context.Context) error {
	ctx, cancel := bounded(ctx, fleetTimeout)
	defer cancel()
	if err := c.launchNodes(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{c.nameNodes, c.assignSlots, c.introduce, c.replicate} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("redistest: forming a cluster: %w", err)
		}
	}
	return c.Settle(ctx)
}

func (c *Cluster) launchNodes(ctx context.Context) error {
	ports, err := reserve(c.options.Masters*(1+c.options.ReplicasEach), busOffset)
	if err != nil {
		return err
	}
	crews := make([]crew, len(ports))
	for i, port := range ports {
		// The node's name and its slots outlive its data: see RestartEmpty.
		state := filepath.Join(c.dir, fmt.Sprintf("nodes-%d.conf", port.Number()))
		lines := append(c.options.Node.replication(),
			"cluster-enabled yes",
			"cluster-node-timeout 2000",
			"cluster-config-file "+quote(state),
		)
		if c.options.Node.TLS {
			lines = append(lines, "tls-cluster yes")
		}
		crews[i] = crew{options: c.options.Node, profile: profile{port: port, lines: lines}}
	}
	if _, err = c.launch(ctx, crews); err != nil {
		release(ports)
	}
	return err
}

func (c *Cluster) nameNodes(ctx context.Context) error {
	for _, node := range c.servers {
		id, err := node.text(ctx, "CLUSTER", "MYID")
		if err != nil {
			return err
		}
		c.ids[node] = id
	}
	return nil
}

// assignSlots gives each master its share, and an epoch of its own so that
// they need not settle which of them goes first.
func (c *Cluster) assignSlots(ctx context.Context) error {
	masters := c.servers[:c.options.Masters]
	return each(masters, func(i int, node *Server) error {
		if _, err := node.do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return err
		}
		command := []string{"CLUSTER", "ADDSLOTS"}
		for slot := i * SlotCount / len(masters); slot < (i+1)*SlotCount/len(masters); slot++ {
			command = append(command, strconv.Itoa(slot))
		}
		_, err := node.do(ctx, command...)
		return err
	})
}

// introduce has every two nodes meet, which is faster than gossip, and waits
// until all know all.
func (c *Cluster) introduce(ctx context.Context) error {
	for i, node := range c.servers {
		for _, other := range c.servers[i+1:] {
			host, port, err := net.SplitHostPort(other.Addr())
			if err != nil {
				return err
			}
			if _, err := node.do(ctx, "CLUSTER", "MEET", host, port); err != nil {
				return err
			}
		}
	}
	return poll(ctx, func(ctx context.Context) error {
		for _, node := range c.servers {
			if _, err := c.viewOf(ctx, node); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *Cluster) replicate(ctx context.Context) error {
	for i, node := range c.servers[c.options.Masters:] {
		master := c.servers[i%c.options.Masters]
		if _, err := node.do(ctx, "CLUSTER", "REPLICATE", c.ids[master]); err != nil {
			return err
		}
	}
	return nil
}

// URL returns the addresses of all nodes with what is needed to log in, as
// redis://user:password@host1:port1,host2:port2,host3:port3.
func (c *Cluster) URL() string {
	return c.options.Node.url(addrs(c.servers)...).String()
}

// Nodes returns all nodes: those that started as masters, in the order of
// their slots, and then the replicas, of the first master, of the second, and
// so on in turn.
func (c *Cluster) Nodes() []*Server { return c.servers }
