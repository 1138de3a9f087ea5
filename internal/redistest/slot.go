package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// migrateBatch is how many keys are moved by one command.
const migrateBatch = 100

// SlotMove is a slot on its way from one master to another. While it is open,
// the old owner serves the keys that it still has and answers a command on any
// other key of the slot with an ASK to the new owner; a command on keys of both
// kinds is told to TRYAGAIN.
type SlotMove struct {
	cluster  *Cluster
	slot     string
	from, to *Server
}

// OpenSlot begins to move a slot to another master. No key is moved yet.
func (c *Cluster) OpenSlot(slot int, to *Server) (*SlotMove, error) {
	from, err := c.Owner(slot)
	if err != nil {
		return nil, err
	}
	if from == to {
		return nil, fmt.Errorf("redistest: %s serves slot %d already", to.Addr(), slot)
	}
	m := &SlotMove{cluster: c, slot: strconv.Itoa(slot), from: from, to: to}
	if err := m.set(to, "IMPORTING", c.ids[from]); err != nil {
		return nil, err
	}
	if err := m.set(from, "MIGRATING", c.ids[to]); err != nil {
		return nil, errors.Join(err, m.set(to, "STABLE"))
	}
	return m, nil
}

// MoveSlot moves a slot with all its keys to another master: the old owner
// answers a command on any of them with a MOVED.
func (c *Cluster) MoveSlot(ctx context.Context, slot int, to *Server) error {
	m, err := c.OpenSlot(slot, to)
	if err != nil {
		return err
	}
	return m.Finish(ctx)
}

// From returns the old owner.
func (m *SlotMove) From() *Server { return m.from }

// To returns the new owner.
func (m *SlotMove) To() *Server { return m.to }

// Keys moves the given keys of the slot. Those that do not exist are passed
// over.
func (m *SlotMove) Keys(names ...string) error {
	if len(names) == 0 {
		return nil
	}
	host, port, err := net.SplitHostPort(m.to.Addr())
	if err != nil {
		return err
	}
	timeout := strconv.FormatInt(doTimeout.Milliseconds(), 10)
	command := []string{"MIGRATE", host, port, "", "0", timeout}
	switch o := m.to.options; {
	case o.Username != "":
		command = append(command, "AUTH2", o.Username, o.Password)
	case o.Password != "":
		command = append(command, "AUTH", o.Password)
	}
	command = append(command, "KEYS")
	if _, err := m.from.Do(append(command, names...)...); err != nil {
		return fmt.Errorf("redistest: moving keys of slot %s: %w", m.slot, err)
	}
	return nil
}

// Finish moves what keys are left, hands the slot over, and waits until every
// node that runs has heard of it.
func (m *SlotMove) Finish(ctx context.Context) error {
	for {
		names, err := m.left()
		if err != nil {
			return err
		}
		if len(names) == 0 {
			break
		}
		if err := m.Keys(names...); err != nil {
			return err
		}
	}
	// The new owner first: until it knows, the old one sends clients to it
	// that it would send back.
	for _, node := range []*Server{m.to, m.from} {
		if err := m.set(node, "NODE", m.cluster.ids[m.to]); err != nil {
			return err
		}
	}
	return m.cluster.Settle(ctx)
}

// Cancel closes the slot again and leaves it to the old owner. Keys that were
// moved are lost to clients: cancel only a move of none.
func (m *SlotMove) Cancel() error {
	return errors.Join(m.set(m.from, "STABLE"), m.set(m.to, "STABLE"))
}

// left returns the names of some keys that the old owner still has.
func (m *SlotMove) left() ([]string, error) {
	reply, err := m.from.list(context.Background(), "CLUSTER", "GETKEYSINSLOT", m.slot, strconv.Itoa(migrateBatch))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, item := range reply {
		if name, ok := item.(string); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func (m *SlotMove) set(node *Server, args ...string) error {
	_, err := node.Do(append([]string{"CLUSTER", "SETSLOT", m.slot}, args...)...)
	if err != nil {
		return fmt.Errorf("redistest: slot %s on %s: %w", m.slot, node.Addr(), err)
	}
	return nil
}
