package redistest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Owner returns the master that serves a slot, as the first node that answers
// sees it.
func (c *Cluster) Owner(slot int) (*Server, error) {
	err := errors.New("redistest: no node of the cluster is running")
	for _, node := range running(c.servers) {
		var view clusterView
		if view, err = parseView(node.text(context.Background(), "CLUSTER", "NODES")); err != nil {
			continue
		}
		for _, member := range view {
			if member.serves(slot) {
				if owner := byAddr(c.servers, member.addr); owner != nil {
					return owner, nil
				}
			}
		}
		err = fmt.Errorf("redistest: nobody serves slot %d", slot)
	}
	return nil, err
}

// Settle waits until all nodes that run are connected, call the cluster's
// state ok, and agree on who serves which slot; and until each of these is up,
// and every replica that runs has caught up. Where a master without a replica
// is down, that is never.
func (c *Cluster) Settle(ctx context.Context) error {
	ctx, cancel := bounded(ctx, fleetTimeout)
	defer cancel()
	if err := poll(ctx, c.settled); err != nil {
		return fmt.Errorf("redistest: the cluster did not settle: %w", err)
	}
	return nil
}

func (c *Cluster) settled(ctx context.Context) error {
	nodes := running(c.servers)
	if len(nodes) == 0 {
		return finalError{errors.New("no node is running")}
	}
	var first clusterView
	for _, node := range nodes {
		info, err := node.text(ctx, "CLUSTER", "INFO")
		if err != nil {
			return err
		}
		if state := infoField(info, "cluster_state"); state != "ok" {
			return fmt.Errorf("%s calls the cluster's state %s", node.Addr(), state)
		}
		view, err := c.viewOf(ctx, node)
		if err != nil {
			return err
		}
		if first == nil {
			first = view
		}
		if !maps.EqualFunc(first, view, member.agrees) {
			return fmt.Errorf("%s and %s see different clusters", nodes[0].Addr(), node.Addr())
		}
	}
	return c.complete(ctx, first)
}

// complete returns nil if every slot is served by a node that runs, and every
// replica that runs follows its master.
func (c *Cluster) complete(ctx context.Context, view clusterView) error {
	served := 0
	for _, m := range view {
		node := byAddr(c.servers, m.addr)
		if m.master == "" {
			served += m.slotCount()
			continue
		}
		if !node.Running() {
			continue
		}
		master, known := view[m.master]
		if !known {
			return fmt.Errorf("%s follows a master that is down", m.addr)
		}
		if err := node.followed(ctx, byAddr(c.servers, master.addr)); err != nil {
			return err
		}
	}
	if served != SlotCount {
		return fmt.Errorf("%d slots are served", served)
	}
	return nil
}

// member is a node as another one sees it.
type member struct {
	id, addr string
	flags    []string
	master   string // the id of the master that it follows; empty in a master
	linked   bool
	slots    []slotRange
}

type slotRange struct{ from, to int }

func (m member) serves(slot int) bool {
	return slices.ContainsFunc(m.slots, func(r slotRange) bool { return r.from <= slot && slot <= r.to })
}

func (m member) slotCount() int {
	n := 0
	for _, r := range m.slots {
		n += r.to - r.from + 1
	}
	return n
}

func (m member) agrees(other member) bool {
	return m.addr == other.addr && m.master == other.master && slices.Equal(m.slots, other.slots)
}

// connected returns nil if the node is in full contact with the one that sees
// it.
func (m member) connected() error {
	for _, bad := range []string{"fail", "fail?", "handshake", "noaddr"} {
		if slices.Contains(m.flags, bad) {
			return fmt.Errorf("%s is seen as %s", m.addr, bad)
		}
	}
	if !m.linked {
		return fmt.Errorf("%s is not linked", m.addr)
	}
	return nil
}

// clusterView is the cluster as one node sees it, by node id.
type clusterView map[string]member

// viewOf returns those members that run, if the node is in contact with all of
// them.
func (c *Cluster) viewOf(ctx context.Context, node *Server) (clusterView, error) {
	view, err := parseView(node.text(ctx, "CLUSTER", "NODES"))
	if err != nil {
		return nil, err
	}
	for _, other := range c.servers {
		m, known := view[c.ids[other]]
		switch {
		case !other.Running():
			delete(view, c.ids[other])
		case !known:
			return nil, fmt.Errorf("%s does not know %s", node.Addr(), other.Addr())
		default:
			if err := m.connected(); err != nil {
				return nil, fmt.Errorf("from %s: %w", node.Addr(), err)
			}
		}
	}
	if len(view) != len(running(c.servers)) {
		return nil, fmt.Errorf("%s knows of %d nodes that run", node.Addr(), len(view))
	}
	return view, nil
}

// parseView reads a reply to CLUSTER NODES.
func parseView(reply string, err error) (clusterView, error) {
	if err != nil {
		return nil, err
	}
	view := make(clusterView)
	for line := range strings.Lines(reply) {
		m, err := parseMember(strings.Fields(line))
		if err != nil {
			return nil, fmt.Errorf("redistest: CLUSTER NODES: %w in %q", err, line)
		}
		view[m.id] = m
	}
	return view, nil
}

// parseMember reads a line: id, address@bus, flags, master, ping, pong, epoch,
// link state and slots.
func parseMember(f []string) (member, error) {
	const fixed = 8
	if len(f) < fixed {
		return member{}, fmt.Errorf("%d fields", len(f))
	}
	addr, _, _ := strings.Cut(f[1], "@")
	m := member{id: f[0], addr: addr, flags: strings.Split(f[2], ","), linked: f[7] == "connected"}
	if f[3] != "-" {
		m.master = f[3]
	}
	for _, slots := range f[fixed:] {
		if strings.HasPrefix(slots, "[") {
			continue // one that is being moved
		}
		r, err := parseSlots(slots)
		if err != nil {
			return member{}, err
		}
		m.slots = append(m.slots, r)
	}
	return m, nil
}

func parseSlots(s string) (r slotRange, err error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	if r.from, err = strconv.Atoi(from); err != nil {
		return r, err
	}
	r.to, err = strconv.Atoi(to)
	return r, err
}
