package redis

import (
	"cmp"
	"errors"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/backendtest"
	"github.com/perdure/perdure/internal/redistest"
)

// conformance is the kit's view of servers, its properties tried so often. Spaces are
// key prefixes.
func conformance(o Options, checks int, servers ...*redistest.Server) backendtest.Config {
	feeds := 1
	if len(servers) > 1 { // a Cluster
		feeds = perdure.Partitions
	}
	return backendtest.Config{
		Open: func(t testing.TB, space backendtest.Options) perdure.Backend {
			o := o
			o.Prefix = space.Space + ":"
			o.Timeout = 20 * time.Second // a busy machine breaks no law
			o.FeedLength = cmp.Or(space.FeedLength*feeds, o.FeedLength)
			b, err := Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Shared:     true,
		Stale:      o.NearCacheBytes >= 0,
		FeedLength: 64,
		Checks:     checks,
		Lose:       func(t testing.TB, _ backendtest.Options) { flush(t, servers...) },
		Overwrite: func(t testing.TB, space backendtest.Options, id, value string) {
			overwrite(t, newKeyspace(space.Space+":").record(id), value, servers)
		},
	}
}

func flush(t testing.TB, servers ...*redistest.Server) {
	t.Helper()
	for _, s := range servers {
		if _, err := s.Do("FLUSHALL"); err != nil {
			t.Fatal(err)
		}
	}
}

// overwrite sets a key on whichever server has its slot.
func overwrite(t testing.TB, key, value string, servers []*redistest.Server) {
	t.Helper()
	var failed []error
	for _, s := range servers {
		_, err := s.Do("SET", key, value, "KEEPTTL")
		if err == nil {
			return
		}
		failed = append(failed, err)
	}
	t.Fatal(errors.Join(failed...))
}

func TestConformanceOfOneServer(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Config: []string{"appendonly yes", "appendfsync no"}})
	cfg := conformance(Options{URL: server.URL()}, 40, server)
	cfg.Durable = true
	cfg.Restart = func(t testing.TB, _ backendtest.Options) {
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	backendtest.Run(t, cfg)
}

func TestConformanceWithoutNearCache(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	backendtest.Run(t, conformance(Options{URL: server.URL(), NearCacheBytes: -1}, 10, server))
}

func TestConformanceOverTLS(t *testing.T) {
	server := redistest.Start(t, redistest.Options{TLS: true, Username: "perdure", Password: "p@ss:w/rd?#%"})
	backendtest.Run(t, conformance(Options{
		URL: server.URL(), CAFile: server.CAFile(), CertFile: server.CertFile(), KeyFile: server.KeyFile(),
	}, 10, server))
}

func TestConformanceOfSentinel(t *testing.T) {
	group := redistest.StartSentinel(t, redistest.SentinelOptions{Node: redistest.Options{Password: "secret"}, SentinelPassword: "other"})
	backendtest.Run(t, conformance(Options{URL: group.URL(), SentinelPassword: "other"}, 10, group.Master()))
}

func TestConformanceOfCluster(t *testing.T) {
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{})
	// Each partition's feed is to hold all that a property does to one user.
	backendtest.Run(t, conformance(Options{URL: cluster.URL(), FeedLength: 1 << 22}, 20, cluster.Nodes()...))
}
