package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/perdure/perdure/internal/redistest"
)

// Topology is how Redis is set up.
type Topology string

const (
	Single   Topology = "single"
	Sentinel Topology = "sentinel" // a master with a replica, three Sentinels
	Cluster  Topology = "cluster"  // three masters with a replica each
	Sharded  Topology = "sharded"  // three masters without, which serve their slots when another is away
	Pair     Topology = "pair"     // two servers with a store each, which a migration keeps in step
)

// site is the Redis of a cell.
type site struct {
	topology Topology
	single   *redistest.Server
	other    *redistest.Server // of a Pair
	sentinel *redistest.Sentinel
	cluster  *redistest.Cluster
}

func openSite(ctx context.Context, t Topology) (s *site, err error) {
	s = &site{topology: t}
	lasting := redistest.Options{Persist: true, Config: []string{"appendfsync everysec"}}
	switch t {
	case Single:
		s.single, err = redistest.Launch(ctx, lasting)
	case Pair:
		if s.single, err = redistest.Launch(ctx, lasting); err == nil {
			if s.other, err = redistest.Launch(ctx, lasting); err != nil {
				err = errors.Join(err, s.single.Close())
			}
		}
	case Sentinel:
		s.sentinel, err = redistest.LaunchSentinel(ctx, redistest.SentinelOptions{})
	case Cluster:
		s.cluster, err = redistest.LaunchCluster(ctx, redistest.ClusterOptions{ReplicasEach: 1})
	case Sharded:
		node := redistest.Options{Persist: true, Config: []string{"appendfsync everysec", "cluster-require-full-coverage no"}}
		s.cluster, err = redistest.LaunchCluster(ctx, redistest.ClusterOptions{Node: node})
	default:
		err = fmt.Errorf("chaos: there is no topology %q", t)
	}
	return s, err
}

func (s *site) url() string {
	switch s.topology {
	case Sentinel:
		return s.sentinel.URL()
	case Cluster, Sharded:
		return s.cluster.URL()
	}
	return s.single.URL()
}

func (s *site) close() error {
	switch s.topology {
	case Sentinel:
		return s.sentinel.Close()
	case Cluster, Sharded:
		return s.cluster.Close()
	case Pair:
		return errors.Join(s.single.Close(), s.other.Close())
	}
	return s.single.Close()
}

// urlOf is the store of a process: of a Pair they take turns.
func (s *site) urlOf(index int) string {
	if s.topology == Pair && index%2 == 1 {
		return s.other.URL()
	}
	return s.url()
}

// master is the server to strike.
func (s *site) master() *redistest.Server {
	switch s.topology {
	case Sentinel:
		return s.sentinel.Master()
	case Cluster, Sharded:
		return s.cluster.Nodes()[0]
	}
	return s.single
}

// settle waits until the servers agree on who is what.
func (s *site) settle(ctx context.Context) error {
	switch s.topology {
	case Sentinel:
		return s.sentinel.Settle(ctx)
	case Cluster, Sharded:
		return s.cluster.Settle(ctx)
	}
	return nil
}

// do sends commands to the master, one after the other.
func (s *site) do(commands ...[]string) error {
	for _, c := range commands {
		if _, err := s.master().Do(c...); err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
	}
	return nil
}

// deafen has the master refuse to replicate: what it takes from now on is in no
// replica.
func (s *site) deafen() error {
	return s.do([]string{"ACL", "SETUSER", "default", "-psync", "-sync"}, []string{"CLIENT", "KILL", "TYPE", "replica"})
}

// snapshot copies what the server has on disk, and returns how to put it back
// while the server is down.
func (s *site) snapshot() (restore func() error, err error) { return snapshotOf(s.single) }

func snapshotOf(server *redistest.Server) (restore func() error, err error) {
	reply, err := server.Do("CONFIG", "GET", "dir")
	if err != nil {
		return nil, err
	}
	pair, ok := reply.([]any)
	if !ok || len(pair) != 2 {
		return nil, fmt.Errorf("chaos: CONFIG GET dir: %v", reply)
	}
	dir := fmt.Sprint(pair[1])
	old := filepath.Clean(dir) + ".old"
	if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
		return nil, err
	}
	return func() error { return errors.Join(os.RemoveAll(dir), os.Rename(old, dir)) }, nil
}

// admin is a connection that stays logged in while the password changes.
func (s *site) admin(ctx context.Context) (*redistest.Conn, func() error, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	conn, err := s.single.Dial(ctx)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return conn, func() error { defer cancel(); return conn.Close() }, nil
}
