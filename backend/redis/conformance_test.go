package redis

import (
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/backendtest"
	"github.com/perdure/perdure/internal/redistest"
)

// conformance runs the kit over a server. Spaces are key prefixes.
func conformance(t *testing.T, o Options, lose func(t testing.TB)) {
	backendtest.Run(t, backendtest.Config{
		Open: func(t testing.TB, space backendtest.Options) perdure.Backend {
			o := o
			o.Prefix = space.Space + ":"
			o.Timeout = 20 * time.Second // a busy machine breaks no law
			o.FeedLength = space.FeedLength * perdure.Partitions
			b, err := Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Shared:     true,
		Stale:      o.NearCacheBytes >= 0,
		FeedLength: 64,
		Lose: func(t testing.TB, space backendtest.Options) {
			lose(t)
		},
	})
}

func flush(t testing.TB, servers ...*redistest.Server) {
	for _, s := range servers {
		if _, err := s.Do("FLUSHALL"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConformanceOfOneServer(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	conformance(t, Options{URL: server.URL()}, func(t testing.TB) { flush(t, server) })
}

func TestConformanceWithoutNearCache(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	conformance(t, Options{URL: server.URL(), NearCacheBytes: -1}, func(t testing.TB) { flush(t, server) })
}

func TestConformanceOverTLS(t *testing.T) {
	server := redistest.Start(t, redistest.Options{TLS: true, Username: "perdure", Password: "p@ss:w/rd?#%"})
	o := Options{URL: server.URL(), CAFile: server.CAFile(), CertFile: server.CertFile(), KeyFile: server.KeyFile()}
	conformance(t, o, func(t testing.TB) { flush(t, server) })
}

func TestConformanceOfSentinel(t *testing.T) {
	group := redistest.StartSentinel(t, redistest.SentinelOptions{Node: redistest.Options{Password: "secret"}, SentinelPassword: "other"})
	conformance(t, Options{URL: group.URL(), SentinelPassword: "other"}, func(t testing.TB) { flush(t, group.Master()) })
}

func TestConformanceOfCluster(t *testing.T) {
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{})
	conformance(t, Options{URL: cluster.URL()}, func(t testing.TB) { flush(t, cluster.Nodes()...) })
}
