package redistest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/redistest/loopback"
)

const (
	// MasterName is the name by which the sentinels know the master.
	MasterName = "mymaster"

	sentinelCount  = 3
	sentinelQuorum = 2
)

// SentinelOptions says how a Sentinel is set up.
type SentinelOptions struct {
	// Node is how the master and its replicas are set up. Its TLS and its
	// Binary hold for the sentinels too.
	Node Options

	// Replicas is the number of replicas. Defaults to 1.
	Replicas int

	// DownAfter is how long a master does not answer until a sentinel takes it
	// for down. Defaults to a second.
	DownAfter time.Duration

	// SentinelPassword is the password of the sentinels themselves, which
	// have no users. Defaults to none.
	SentinelPassword string
}

// Sentinel is a master with replicas, and three sentinels that watch them, with
// a quorum of two. A few seconds after the master goes down, a replica has
// taken over.
type Sentinel struct {
	*fleet

	options   SentinelOptions
	nodes     []*Server
	sentinels []*Server

	mu     sync.Mutex
	master *Server // as last heard of
}

// StartSentinel launches a Sentinel that ends with the test, or fails the
// test.
func StartSentinel(tb testing.TB, o SentinelOptions) *Sentinel {
	tb.Helper()
	s, err := LaunchSentinel(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, s)
	return s
}

// LaunchSentinel starts a Sentinel and waits until it is settled. The context
// bounds the start, not the life.
func LaunchSentinel(ctx context.Context, o SentinelOptions) (*Sentinel, error) {
	o.Replicas = cmp.Or(o.Replicas, 1)
	o.DownAfter = cmp.Or(o.DownAfter, time.Second)
	if o.Replicas < 0 || o.DownAfter < time.Millisecond {
		return nil, fmt.Errorf("redistest: Replicas is %d, DownAfter is %v", o.Replicas, o.DownAfter)
	}
	return retryTaken(func() (*Sentinel, error) {
		f, err := newFleet(o.Node)
		if err != nil {
			return nil, err
		}
		s := &Sentinel{fleet: f, options: o}
		if err := s.start(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return s, nil
	})
}

// start launches the servers, and then the sentinels. All are told the others'
// ports: waiting for the sentinels to discover each other would take seconds.
func (s *Sentinel) start(ctx context.Context) error {
	ctx, cancel := bounded(ctx, fleetTimeout)
	defer cancel()
	nodes := 1 + s.options.Replicas
	ports, err := reserve(nodes + sentinelCount)
	if err != nil {
		return err
	}
	if s.nodes, err = s.launch(ctx, s.nodeCrews(ports[:nodes])); err != nil {
		release(ports)
		return err
	}
	if s.sentinels, err = s.launch(ctx, s.sentinelCrews(ports[:nodes], ports[nodes:])); err != nil {
		release(ports)
		return err
	}
	s.master = s.nodes[0]
	if err := each(s.sentinels, func(_ int, sentinel *Server) error { return hasten(ctx, sentinel) }); err != nil {
		return err
	}
	if err := s.Settle(ctx); err != nil {
		return err
	}
	return each(s.sentinels, func(_ int, sentinel *Server) error { return s.alert(ctx, sentinel) })
}

func (s *Sentinel) nodeCrews(ports []*loopback.Port) []crew {
	crews := make([]crew, len(ports))
	for i, port := range ports {
		lines := s.options.Node.replication()
		if i > 0 {
			lines = append(lines, fmt.Sprintf("replicaof %s %d", loopback.Host, ports[0].Number()))
		}
		crews[i] = crew{options: s.options.Node, profile: profile{port: port, lines: lines}}
	}
	return crews
}

func (s *Sentinel) sentinelCrews(nodes, ports []*loopback.Port) []crew {
	o := Options{
		TLS:      s.options.Node.TLS,
		Binary:   s.options.Node.Binary,
		Password: s.options.SentinelPassword,
	}
	ids := make([]string, len(ports))
	for i := range ids {
		ids[i] = runID()
	}
	crews := make([]crew, len(ports))
	for i, port := range ports {
		lines := s.watching(nodes)
		lines = append(lines, "sentinel myid "+ids[i])
		for j, other := range ports {
			if j != i {
				lines = append(lines, fmt.Sprintf("sentinel known-sentinel %s %s %d %s",
					MasterName, loopback.Host, other.Number(), ids[j]))
			}
		}
		crews[i] = crew{options: o, profile: profile{port: port, sentinel: true, lines: lines}}
	}
	return crews
}

// watching returns the lines by which a sentinel knows the master and the
// replicas.
func (s *Sentinel) watching(nodes []*loopback.Port) []string {
	node := s.options.Node
	lines := []string{
		fmt.Sprintf("sentinel monitor %s %s %d %d", MasterName, loopback.Host, nodes[0].Number(), sentinelQuorum),
		"sentinel down-after-milliseconds " + MasterName + " 60000", // until alert
		"sentinel failover-timeout " + MasterName + " 3000",
		"sentinel parallel-syncs " + MasterName + " 2",
	}
	if node.TLS {
		lines = append(lines, "tls-replication yes")
	}
	if node.Username != "" {
		lines = append(lines, "sentinel auth-user "+MasterName+" "+quote(node.Username))
	}
	if node.Password != "" {
		lines = append(lines, "sentinel auth-pass "+MasterName+" "+quote(node.Password))
	}
	if s.options.SentinelPassword != "" {
		lines = append(lines, "sentinel sentinel-pass "+quote(s.options.SentinelPassword))
	}
	for _, replica := range nodes[1:] {
		lines = append(lines, fmt.Sprintf("sentinel known-replica %s %s %d", MasterName, loopback.Host, replica.Number()))
	}
	return lines
}

// hasten shortens the periods at which a sentinel looks around: by default an
// old master that is still up is told of its successor after ten seconds.
// Servers before Redis 7 cannot do that; they are only slower.
func hasten(ctx context.Context, sentinel *Server) error {
	_, err := sentinel.do(ctx, "SENTINEL", "DEBUG",
		"info-period", "500", "publish-period", "200", "ask-period", "250")
	if _, refused := errors.AsType[ReplyError](err); refused {
		return nil
	}
	return err
}

// alert shortens the time until a master counts as down. At the start, when
// connections are only being made, none must.
func (s *Sentinel) alert(ctx context.Context, sentinel *Server) error {
	_, err := sentinel.do(ctx, "SENTINEL", "SET", MasterName,
		"down-after-milliseconds", strconv.FormatInt(s.options.DownAfter.Milliseconds(), 10))
	return err
}

// URL returns the sentinels' addresses, with what is needed to log in to the
// master, as redis://user:password@host1:port1,host2:port2,host3:port3/0?master_name=mymaster.
func (s *Sentinel) URL() string {
	u := s.options.Node.url(addrs(s.sentinels)...)
	u.Path = "/0"
	u.RawQuery = url.Values{"master_name": {MasterName}}.Encode()
	return u.String()
}

// Nodes returns the servers that hold data, the first master first.
func (s *Sentinel) Nodes() []*Server { return s.nodes }

// Sentinels returns the servers that watch them.
func (s *Sentinel) Sentinels() []*Server { return s.sentinels }

// runID makes an id as sentinels give themselves.
func runID() string {
	id := make([]byte, 20)
	rand.Read(id)
	return hex.EncodeToString(id)
}
