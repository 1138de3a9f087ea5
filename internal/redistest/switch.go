package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// Master returns the node that the sentinels name as the master. Where none of
// them answers, it is the one that they named last.
func (s *Sentinel) Master() *Server {
	for _, sentinel := range running(s.sentinels) {
		view, err := viewOf(context.Background(), sentinel)
		if err != nil {
			continue
		}
		if master := byAddr(s.nodes, view.master); master != nil {
			return s.remember(master)
		}
	}
	return s.remember(nil)
}

// remember notes the master, if there is one, and returns the last one noted.
func (s *Sentinel) remember(master *Server) *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	if master != nil {
		s.master = master
	}
	return s.master
}

// KillMaster ends the master as a crash does, and returns it. It does not wait
// for a replica to take over: Settle does.
func (s *Sentinel) KillMaster() (*Server, error) {
	master := s.Master()
	return master, master.Kill()
}

// Failover has the sentinels promote a replica while the master is up, and
// returns as soon as all of them name the new one. The old master takes writes
// for some moments more, and loses them, as it does in reality; Settle waits
// until it follows the new one.
func (s *Sentinel) Failover(ctx context.Context) error {
	ctx, cancel := bounded(ctx, fleetTimeout)
	defer cancel()
	up := running(s.sentinels)
	if len(up) == 0 {
		return errors.New("redistest: no sentinel is running")
	}
	old := s.Master()
	err := poll(ctx, func(ctx context.Context) error { return s.promote(ctx, up[0], old) })
	if err != nil {
		return fmt.Errorf("redistest: failover: %w", err)
	}
	err = poll(ctx, func(ctx context.Context) error {
		master, err := s.agreed(ctx)
		if err == nil && master == old {
			err = fmt.Errorf("%s is the master still", old.Addr())
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("redistest: failover: %w", err)
	}
	return nil
}

// promote asks one sentinel for the failover until it has done it: it may
// refuse, because its picture of the replicas is not fresh, and may give up.
// Its own view says all at once where it stands, so that it is never asked
// twice for the same switch.
func (s *Sentinel) promote(ctx context.Context, sentinel, old *Server) error {
	view, err := viewOf(ctx, sentinel)
	if err != nil {
		return err
	}
	if view.master != old.Addr() {
		return nil
	}
	if view.flags == "master" {
		if _, err := sentinel.do(ctx, "SENTINEL", "FAILOVER", MasterName); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s is at it (%s)", sentinel.Addr(), view.flags)
}

// Settle waits until the sentinels that run agree on a master that is up, know
// each other and all nodes that are up, and these follow the master.
func (s *Sentinel) Settle(ctx context.Context) error {
	ctx, cancel := bounded(ctx, fleetTimeout)
	defer cancel()
	if err := poll(ctx, s.settled); err != nil {
		return fmt.Errorf("redistest: the sentinels did not settle: %w", err)
	}
	return nil
}

func (s *Sentinel) settled(ctx context.Context) error {
	master, err := s.agreed(ctx)
	if err != nil {
		return err
	}
	for _, node := range running(s.nodes) {
		if node == master {
			continue
		}
		if err := node.followed(ctx, master); err != nil {
			return err
		}
	}
	for _, sentinel := range running(s.sentinels) {
		if err := s.sees(ctx, sentinel, master); err != nil {
			return err
		}
	}
	return nil
}

// agreed returns the master that all sentinels name, if it is up and thinks so
// itself.
func (s *Sentinel) agreed(ctx context.Context) (*Server, error) {
	var addr string
	for _, sentinel := range running(s.sentinels) {
		view, err := viewOf(ctx, sentinel)
		if err != nil {
			return nil, err
		}
		if addr != "" && addr != view.master {
			return nil, fmt.Errorf("the sentinels name %s and %s", addr, view.master)
		}
		addr = view.master
	}
	master := byAddr(s.nodes, addr)
	if master == nil || !master.Running() {
		return nil, fmt.Errorf("the sentinels name %q, which is not running", addr)
	}
	role, err := master.list(ctx, "ROLE")
	if err != nil {
		return nil, err
	}
	if len(role) == 0 || role[0] != "master" {
		return nil, fmt.Errorf("%s is not master yet: %v", addr, role)
	}
	return s.remember(master), nil
}

// sees returns nil if a sentinel is in contact with the master, with all other
// nodes as its replicas, with all other sentinels, and so can do a failover.
func (s *Sentinel) sees(ctx context.Context, sentinel, master *Server) error {
	view, err := viewOf(ctx, sentinel)
	if err != nil {
		return err
	}
	if view.flags != "master" || view.others != sentinelCount-1 {
		return fmt.Errorf("%s sees a master that is %s, and %d other sentinels", sentinel.Addr(), view.flags, view.others)
	}
	if _, err := sentinel.do(ctx, "SENTINEL", "CKQUORUM", MasterName); err != nil {
		return err
	}
	healthy := make(map[string]bool)
	for _, kind := range []string{"REPLICAS", "SENTINELS"} {
		instances, err := sentinel.list(ctx, "SENTINEL", kind, MasterName)
		if err != nil {
			return err
		}
		for _, instance := range instances {
			f := fields(instance)
			healthy[net.JoinHostPort(f["ip"], f["port"])] = f["flags"] == "sentinel" ||
				f["flags"] == "slave" && f["master-link-status"] == "ok"
		}
	}
	for _, server := range running(s.servers) {
		if server != master && server != sentinel && !healthy[server.Addr()] {
			return fmt.Errorf("%s is not in contact with %s", sentinel.Addr(), server.Addr())
		}
	}
	return nil
}

// sentinelView is what one sentinel holds of the master.
type sentinelView struct {
	master string // its address
	flags  string // "master", and more where something is going on
	others int    // the number of other sentinels
}

func viewOf(ctx context.Context, sentinel *Server) (sentinelView, error) {
	reply, err := sentinel.do(ctx, "SENTINEL", "MASTER", MasterName)
	if err != nil {
		return sentinelView{}, err
	}
	f := fields(reply)
	others, err := strconv.Atoi(f["num-other-sentinels"])
	if err != nil {
		return sentinelView{}, fmt.Errorf("redistest: SENTINEL MASTER: %w", err)
	}
	return sentinelView{
		master: net.JoinHostPort(f["ip"], f["port"]),
		flags:  f["flags"],
		others: others,
	}, nil
}

// fields makes a map of a reply that lists names and values in turn.
func fields(reply any) map[string]string {
	items, _ := reply.([]any)
	m := make(map[string]string)
	for i := 0; i+1 < len(items); i += 2 {
		name, _ := items[i].(string)
		value, _ := items[i+1].(string)
		m[name] = value
	}
	return m
}
