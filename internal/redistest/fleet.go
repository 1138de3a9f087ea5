package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/perdure/perdure/internal/redistest/loopback"
)

// fleet is a number of servers that work together: they share a directory and
// the certificates, and they are closed together.
type fleet struct {
	*identity // of all its servers; nil without TLS

	dir     string
	servers []*Server
}

// crew is how one member of a fleet is set up.
type crew struct {
	options Options
	profile profile
}

func newFleet(o Options) (*fleet, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Port != 0 {
		return nil, errors.New("redistest: a Port is for a single server")
	}
	if _, err := o.executable(); err != nil {
		return nil, err // once, not once a server
	}
	dir, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	f := &fleet{dir: dir}
	if o.TLS {
		if f.identity, err = newIdentity(dir); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// launch starts servers side by side and adds them to the fleet.
func (f *fleet) launch(ctx context.Context, members []crew) ([]*Server, error) {
	first := len(f.servers)
	launched := make([]*Server, len(members))
	err := each(members, func(i int, m crew) (err error) {
		m.profile.dir = filepath.Join(f.dir, strconv.Itoa(first+i))
		m.profile.identity = f.identity
		launched[i], err = launch(ctx, m.options, m.profile)
		return err
	})
	for _, s := range launched {
		if s != nil {
			f.servers = append(f.servers, s)
		}
	}
	return launched, err
}

// reserve takes ports for servers that have to know each other's beforehand.
func reserve(n int, offsets ...int) ([]*loopback.Port, error) {
	var ports []*loopback.Port
	for range n {
		port, err := loopback.Reserve(offsets...)
		if err != nil {
			release(ports)
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

func release(ports []*loopback.Port) {
	for _, port := range ports {
		port.Release()
	}
}

// Close ends all servers and removes their files.
func (f *fleet) Close() error {
	err := each(f.servers, func(_ int, s *Server) error { return s.Close() })
	return errors.Join(err, os.RemoveAll(f.dir))
}

func (f *fleet) report(tb testing.TB) {
	for _, s := range f.servers {
		s.report(tb)
	}
}

// each does something with all items at once and waits for it.
func each[T any](items []T, do func(int, T) error) error {
	errs := make([]error, len(items))
	var wg sync.WaitGroup
	for i, item := range items {
		wg.Go(func() { errs[i] = do(i, item) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// running returns those of the servers that can answer.
func running(servers []*Server) []*Server {
	var up []*Server
	for _, s := range servers {
		if s.Running() {
			up = append(up, s)
		}
	}
	return up
}

// byAddr finds a server by its address, or nil.
func byAddr(servers []*Server, addr string) *Server {
	for _, s := range servers {
		if s.Addr() == addr {
			return s
		}
	}
	return nil
}

func addrs(servers []*Server) []string {
	list := make([]string, len(servers))
	for i, s := range servers {
		list[i] = s.Addr()
	}
	return list
}

// followed returns nil if the server says that it is a replica of the given
// master, and has all that the master had written when it was asked.
func (s *Server) followed(ctx context.Context, master *Server) error {
	lead, err := master.list(ctx, "ROLE")
	if err != nil {
		return err
	}
	role, err := s.list(ctx, "ROLE")
	if err != nil {
		return err
	}
	if len(lead) < 2 || lead[0] != "master" {
		return fmt.Errorf("%s is not a master yet: %v", master.Addr(), lead)
	}
	if len(role) < 5 || role[0] != "slave" {
		return fmt.Errorf("%s is not a replica yet: %v", s.Addr(), role)
	}
	if of := fmt.Sprintf("%v:%v", role[1], role[2]); of != master.Addr() || role[3] != "connected" {
		return fmt.Errorf("%s follows %s (%v), not %s", s.Addr(), of, role[3], master.Addr())
	}
	written, _ := lead[1].(int64)
	if has, _ := role[4].(int64); has < written {
		return fmt.Errorf("%s has %d of the %d bytes that %s wrote", s.Addr(), has, written, master.Addr())
	}
	return nil
}
