package redis

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
	"github.com/redis/rueidis"
)

// BenchmarkBackend measures the calls of a service from 64 goroutines, with
// bodies of 400 bytes and users with four sessions each, beside what the client
// takes for a bare GET and SET.
func BenchmarkBackend(b *testing.B) {
	server := redistest.Start(b, redistest.Options{})
	cached, uncached := openBench(b, server, 0), openBench(b, server, -1)
	bare, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, ForceSingleClient: true})
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	stored := populate(b, uncached, 10_000)
	pick := func(i int64) perdure.Record { return stored[int(i)%len(stored)] }
	clock := perdure.NewClock(nil)

	run(b, "BareGet", func(i int64) error {
		return bare.Do(b.Context(), bare.B().Get().Key(cached.keys.record(pick(i).ID)).Build()).Error()
	})
	run(b, "BareSet", func(i int64) error {
		return bare.Do(b.Context(), bare.B().Set().Key(fmt.Sprint("bare", i)).Value(pick(i).Body).ExSeconds(3600).Build()).Error()
	})
	for name, backend := range map[string]*Backend{"GetCached": cached, "GetUncached": uncached} {
		run(b, name, func(i int64) error {
			_, err := backend.Get(b.Context(), pick(i).ID)
			return err
		})
	}
	run(b, "Create", func(i int64) error { return put(b.Context(), cached, benchSession(clock, i/4+1<<20)) })
	run(b, "Touch", func(i int64) error {
		at := perdure.Record{ID: pick(i).ID, Header: perdure.Header{LastAccess: clock.Now() + perdure.Millis(i)}}
		_, err := cached.Apply(b.Context(), []perdure.Batch{{{Op: perdure.OpTouch, Record: at}}})
		return err
	})
	run(b, "ListUserOf4", func(i int64) error {
		_, err := cached.ListUser(b.Context(), pick(i).User, "", 100)
		return err
	})
}

func openBench(b *testing.B, server *redistest.Server, near int64) *Backend {
	backend, err := Open(b.Context(), Options{URL: server.URL(), NearCacheBytes: near})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { backend.Close() })
	return backend
}

func benchSession(clock *perdure.Clock, user int64) perdure.Record {
	born, key := clock.Tick(), perdure.HashUser(fmt.Sprint("user", user))
	return perdure.Record{ID: perdure.NewID(key.Partition()), Body: strings.Repeat("x", 400), Header: perdure.Header{
		Kind: perdure.KindSession, Version: born, Born: born, LastAccess: born.Millis(), User: key,
		Expiry: born.Millis() + 86_400_000, Horizon: born.Millis() + 7*86_400_000,
	}}
}

func populate(b *testing.B, backend *Backend, n int) (stored []perdure.Record) {
	clock := perdure.NewClock(nil)
	for len(stored) < n {
		var batches []perdure.Batch
		for range 1000 {
			r := benchSession(clock, int64(len(stored)/4))
			stored, batches = append(stored, r), append(batches, perdure.Batch{{Op: perdure.OpPut, Record: r}})
		}
		if _, err := backend.Apply(b.Context(), batches); err != nil {
			b.Fatal(err)
		}
	}
	return stored
}

func run(b *testing.B, name string, call func(i int64) error) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32) // times GOMAXPROCS
		var n atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			i := n.Add(1 << 32)
			for ; pb.Next(); i++ {
				if err := call(i & (1<<31 - 1)); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	})
}
