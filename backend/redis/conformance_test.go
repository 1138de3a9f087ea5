package redis

import (
	"cmp"
	"errors"
	"flag"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/backendtest"
	"github.com/perdure/perdure/internal/redistest"
)

// conformance is the kit's view of servers. Spaces are key prefixes.
func conformance(o Options, servers ...*redistest.Server) backendtest.Config {
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
		Lose:       func(t testing.TB, _ backendtest.Options) { flush(t, servers...) },
		Overwrite: func(t testing.TB, space backendtest.Options, id, value string) {
			overwrite(t, newKeyspace(space.Space+":").record(id), value, servers)
		},
	}
}

// try sets how many sequences of operations the kit's properties are tried with,
// unless the command line does: the same laws over another connection need fewer.
func try(t *testing.T, checks string) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if given {
		return
	}
	before := flag.Lookup("rapid.checks").Value.String()
	if err := flag.Set("rapid.checks", checks); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { flag.Lookup("rapid.checks").Value.Set(before) })
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
	cfg := conformance(Options{URL: server.URL()}, server)
	cfg.Durable = true
	cfg.Restart = func(t testing.TB, _ backendtest.Options) {
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	try(t, "40")
	backendtest.Run(t, cfg)
}

func TestConformanceWithoutNearCache(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	try(t, "10")
	backendtest.Run(t, conformance(Options{URL: server.URL(), NearCacheBytes: -1}, server))
}

func TestConformanceOverTLS(t *testing.T) {
	server := redistest.Start(t, redistest.Options{TLS: true, Username: "perdure", Password: "p@ss:w/rd?#%"})
	try(t, "10")
	backendtest.Run(t, conformance(Options{
		URL: server.URL(), CAFile: server.CAFile(), CertFile: server.CertFile(), KeyFile: server.KeyFile(),
	}, server))
}

func TestConformanceOfSentinel(t *testing.T) {
	group := redistest.StartSentinel(t, redistest.SentinelOptions{Node: redistest.Options{Password: "secret"}, SentinelPassword: "other"})
	try(t, "10")
	backendtest.Run(t, conformance(Options{URL: group.URL(), SentinelPassword: "other"}, group.Master()))
}

func TestConformanceOfCluster(t *testing.T) {
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{})
	try(t, "30")
	// Each partition's feed is to hold all that a property does to one user.
	backendtest.Run(t, conformance(Options{URL: cluster.URL(), FeedLength: 1 << 22}, cluster.Nodes()...))
}
